"""Files of hyper-parameters: what they extend, what overrides them, what they may not hold."""

import gymnasium as gym
import pytest

from kl_agents import ALGORITHMS
from kl_agents.hyperparameters import (
    FOLDER,
    load_hyperparams,
    parse_settings,
    read_blocks,
    valid_keys,
    with_final_c,
)


@pytest.mark.parametrize(
    "path",
    [*sorted(FOLDER.glob("*-v*.yml")), FOLDER / "PMO-QED-v0.yml"],
    ids=lambda path: path.stem,
)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bundled_files_make_agents(path, algorithm):
    merged = load_hyperparams(algorithm, path.stem)
    assert merged.env_kwargs == {}  # one id, one environment
    kind = ALGORITHMS[algorithm]
    agent = kind("SequencePolicy", path.stem, n_envs=2, **merged.arguments)
    given = {k: v for k, v in merged.arguments.items() if k != "policy_kwargs"}
    assert agent.settings == kind.settings_class(**given)


def test_an_id_without_a_file_has_its_familys():
    merged = load_hyperparams("psi", "PMO-Perindopril_MPO-v0")
    assert merged.arguments == load_hyperparams("psi", "PMO").arguments
    assert merged.arguments["c"] == load_hyperparams("psi", "MoleculeGen-QED-v0").arguments["c"]
    assert merged.arguments["c"] != load_hyperparams("psi", "MoleculeGen-v0").arguments["c"]
    assert "c" not in load_hyperparams("psi", "Other-v0").arguments


def test_layers_override_each_other(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text("default: {tau: 0.1, discount: 0.9, policy_kwargs: {scale: 2, init: prior}}\n"
                    "psi: {tau: 0.2, policy_kwargs: {scale: 3}}\n")  # fmt: skip
    merged = load_hyperparams("psi", "Any-v0", [parse_settings(["tau=0.3"])], path)
    assert merged.arguments == {
        "tau": 0.3, "discount": 0.9, "policy_kwargs": {"scale": 3, "init": "prior"},
    }  # fmt: skip
    assert load_hyperparams("reinvent", "Any-v0", (), path).arguments == {
        "discount": 0.9, "policy_kwargs": {"scale": 2, "init": "prior"},
    }  # fmt: skip


def test_a_file_extends_another(tmp_path):
    path, base = tmp_path / "x.yml", tmp_path / "base.yml"
    base.write_text(
        "extends: PMO.yml\ndefault: {c: 3, policy_kwargs: {scale: 2}}\npsi: {tau: 0.1}\n"
    )
    path.write_text("extends: base.yml\ndefault: {policy_kwargs: {scale: 4}}\n")
    bundled = load_hyperparams("psi", "PMO").arguments
    assert bundled["policy_kwargs"] == {"scale": 0.1}
    expected = {"c": 3, "tau": 0.1, "policy_kwargs": {"scale": 4}}
    assert load_hyperparams("psi", "Any-v0", (), path).arguments == bundled | expected
    q, pmo = (load_hyperparams("q", "Any-v0", (), p) for p in (path, FOLDER / "PMO.yml"))
    assert q.arguments["epsilon"] == pmo.arguments["epsilon"]


def test_your_own_file_of_a_bundled_ones_name_extends_that_one(tmp_path):
    path = tmp_path / "PMO.yml"
    path.write_text("extends: PMO.yml\ndefault: {c: 3}\n")
    expected = load_hyperparams("psi", "PMO").arguments | {"c": 3}
    assert load_hyperparams("psi", "Any-v0", (), path).arguments == expected


def test_a_file_that_extends_itself_or_none_is_named(tmp_path):
    path, other = tmp_path / "x.yml", tmp_path / "y.yml"
    path.write_text(f"extends: ../{tmp_path.name}/y.yml")
    other.write_text(f"extends: ../{tmp_path.name}/x.yml")
    with pytest.raises(ValueError, match=r"x.yml extends itself by way of y.yml"):
        load_hyperparams("psi", "Any-v0", (), path)
    other.write_text("extends: z.yml")
    with pytest.raises(FileNotFoundError, match=r"y.yml extends z.yml, which is neither .*z.yml"):
        load_hyperparams("psi", "Any-v0", (), path)


def test_settings_are_parsed():
    settings = ["tau=1e-2", "env_kwargs.prior=paper", "c={start: 5, end: 1}", "replay_unique=false",
                'env_kwargs.task={"name": "rl-tuner"}']  # fmt: skip
    assert parse_settings(settings) == {
        "tau": 0.01, "env_kwargs": {"prior": "paper", "task": {"name": "rl-tuner"}},
        "c": {"start": 5, "end": 1}, "replay_unique": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {taux: 1}", "no algorithm has a setting 'taux'"),
        (
            "psi: {taux: 1}",
            r"'psi' has no setting 'taux' \(.* 'tau'\?\); there are .*tau",
        ),
        (
            "psi: {policy_kwargs: {size: 1}}",
            "policy_kwargs.size'.* there are .*policy_kwargs.init",
        ),
        ("psy: {}", "unknown: .*psy"),
        ("[1, 2]", "must hold blocks"),
        ("psi: {", "is not YAML"),
        ("psi: tau", "block 'psi': settings are 'name: value', got 'tau'"),
        ("3: {}", "unknown: .*3"),
        ("extends: [PMO.yml]", r"extends takes the name of one file, got \['PMO.yml'\]"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "x.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_hyperparams("psi", "Any-v0", (), path)


def test_numbers_need_no_decimal_point(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text("psi: {learning_rate: 1e-3, c: {start: 5E+1, end: -.5e-1}}")
    found = read_blocks(path)["psi"]
    assert found == {"learning_rate": 1e-3, "c": {"start": 50.0, "end": -0.05}}
    assert parse_settings(["c={start: 1e1, end: 1}"]) == {"c": {"start": 10.0, "end": 1}}
    assert parse_settings(["env_kwargs.primer=nan"]) == {"env_kwargs": {"primer": "nan"}}


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "x.yml"
    path.write_bytes(b"\xba\xff")
    with pytest.raises(ValueError, match=r"x\.yml is not YAML"):
        read_blocks(path)


def test_keys_are_settings_and_arguments_of_environment_and_policy():
    for name, algorithm in ALGORITHMS.items():
        keys = valid_keys(name)
        for key in set(keys[""]) - {"n_timesteps", "n_envs", "env_kwargs", "policy_kwargs"}:
            agent = algorithm("SequencePolicy", "ToyGen-v0", n_envs=1,
                              policy_kwargs={"init": "random"})  # fmt: skip
            assert hasattr(agent.settings, key) or key == "compile"
    assert keys["policy_kwargs"] == (
        "init", "scale", "initial_value", "architecture", "lora_rank", "unit", "adam"
    )  # fmt: skip
    assert {"prior", "task", "c", "primer", "mask"} <= set(keys["env_kwargs"])
    assert "lambda_" in valid_keys("psi")[""]
    assert "lambda_" not in valid_keys("q")[""]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["env_kwargs.task.weights.key=2"], {"weights": {"key": 2}}),
        (["env_kwargs.task=rl-tuner", "env_kwargs.task.weights.key=2"],
         {"name": "rl-tuner", "weights": {"key": 2}}),
        (["env_kwargs.task.weights.key=2", "env_kwargs.task.name=recommended",
          "env_kwargs.task.weights.motif=3"],
         {"name": "recommended", "weights": {"key": 2, "motif": 3}}),
        (["env_kwargs.task.weights.key=2", "env_kwargs.task=recommended"], "recommended"),
    ],
)  # fmt: skip
def test_keys_have_dots_of_any_depth(settings, expected):
    merged = load_hyperparams("psi", "MelodyGen-v0", [parse_settings(settings)])
    assert merged.env_kwargs == {"task": expected}


def test_what_is_nested_is_merged_layer_by_layer(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text(
        "default: {env_kwargs: {primer: a, task: {name: letters, weights: {balance: 2, run: 3}}}}\n"
        "psi: {policy_kwargs: {architecture: {cell: gru, hidden_size: 8}}}\n"
    )
    layers = [
        parse_settings(["env_kwargs.task.weights.run=5", "policy_kwargs.architecture.cell=lstm"]),
    ]
    merged = load_hyperparams("psi", "Any-v0", layers, path)
    task = {"name": "letters", "weights": {"balance": 2, "run": 5}}
    assert merged.env_kwargs == {"primer": "a", "task": task}
    assert merged.arguments["policy_kwargs"]["architecture"] == {"cell": "lstm", "hidden_size": 8}
    other = load_hyperparams("psi", "Any-v0", [{"env_kwargs": {"task": {"name": "x"}}}], path)
    assert other.env_kwargs["task"] == {"name": "x"}  # another task has its own arguments


def test_a_tasks_arguments_are_for_the_ids_own_task():
    settings = parse_settings(["env_kwargs.task.budget=9"])
    task = load_hyperparams("psi", "PMO-QED-v0", [settings]).env_kwargs["task"]
    own = gym.spec("PMO-QED-v0").kwargs["task"]
    assert task == {"name": own, "budget": 9} if isinstance(own, str) else own | {"budget": 9}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tau=abc", r"^tau must be a number in \[0, 1\], got 'abc'$"),
        ("c=[1]", r"^c must be a number or a schedule, got \[1\]$"),
        ("replay_unique=3", "^replay_unique must be true or false, got 3$"),
        ("n_envs=two", "^n_envs must be a whole number of at least 1, got 'two'$"),
        ("compile=yep", "^compile must be true or false, got 'yep'$"),
        ("env_kwargs=3", r"^env_kwargs takes settings of its own \(env_kwargs.NAME\), got 3$"),
        ("lambda=1", r"'psi' has no setting 'lambda' \(did you mean 'lambda_'"),
        ("policy_kwargs.scal=1", r"'policy_kwargs\.scal' \(did you mean 'policy_kwargs\.scale'"),
        ("env_kwargs..c=1", "--set takes key=value"),
    ],
)
def test_bad_settings_get_one_sentence(setting, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_hyperparams("psi", "ToyGen-v0", [parse_settings([setting])])
    assert "\n" not in str(caught.value)


def test_final_temperature_keeps_the_schedules_shape():
    schedule = {"start": 50.0, "end": 2.0, "fraction": 0.6, "shape": "exponential"}
    assert with_final_c(schedule, 0.5) == {**schedule, "end": 0.5}
    assert with_final_c(schedule, 80) == {**schedule, "start": 80.0, "end": 80.0}
    assert with_final_c(3.0, 0.5) == 0.5
    with pytest.raises(ValueError, match="above 0"):
        with_final_c(3.0, 0)
