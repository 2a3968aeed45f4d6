"""Runs in folders: resume, what is refused, what is written, evaluation."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
import torch

import seqgen_envs
from helpers.runs import LOGGED, interrupt, same_parameters, toy_spec
from kl_agents import ALGORITHMS, callbacks, load
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.runs import (
    RunOptions,
    RunSpec,
    evaluate_agent,
    initial_from,
    load_run,
    make_env,
    make_lanes,
    read_spec,
    resume_run,
    run,
    start_run,
    with_environment,
)
from kl_agents.runs.environment import published_for
from kl_agents.writers import STEP, ProgressCsv, read_progress
from seqgen_envs import evaluate
from seqgen_envs.domains.melody import DOMAIN
from seqgen_envs.evaluation import evaluate_policy_network
from seqgen_envs.exact import PrefixTree
from seqgen_envs.rollout import PriorPolicy

# -- beside published figures ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed", [{"task": {"name": "rl-tuner", "key": "D minor"}}, {"prior": "bigram"}]
)
def test_published_figures_stand_beside_what_they_are_figures_of_alone(changed):
    spec = RunSpec("psi", "MelodyGen-v0", 0)
    assert published_for(spec, DOMAIN) == DOMAIN.metrics.published
    assert published_for(replace(spec, env_kwargs={"c": 2.0}), DOMAIN) == DOMAIN.metrics.published
    assert published_for(replace(spec, env_kwargs=changed), DOMAIN) == {}


# -- resume ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, start_run(folder, toy_spec(), LOGGED)


@pytest.mark.parametrize("algorithm", ["q", "reinvent", "reinvent-pmo", "tb", "rloo", "grpo"])
def test_other_algorithms_resume_exactly_too(algorithm, tmp_path):
    larger = {"replay_capacity": 200} if algorithm == "reinvent-pmo" else {}  # it keeps 100
    spec = toy_spec(algorithm, steps=2000, **larger)
    whole = start_run(tmp_path / "whole", spec, RunOptions(tensorboard=False))
    interrupt(tmp_path / "part", spec, after=6)
    stopped = load(tmp_path / "part" / "checkpoint.zip")
    assert 0 < stopped.num_timesteps < whole.num_timesteps
    assert not same_parameters(stopped, whole)
    assert same_parameters(resume_run(tmp_path / "part", RunOptions(tensorboard=False)), whole)


def test_the_first_agent_of_a_process_is_like_the_next(tmp_path):
    """Reading a prior for the first time draws random numbers: not those of the weights."""
    prior = tmp_path / "prior"
    shutil.copytree(Path(seqgen_envs.__file__).parent / "priors" / "melody" / "default", prior)
    env_kwargs = {"prior": str(prior)}
    arguments = {"policy_kwargs": {"init": "random"}}
    spec = RunSpec("psi", "MelodyGen-v0", 0, 3, 2, env_kwargs, arguments)
    first, second = (start_run(tmp_path / name, spec) for name in ("first", "second"))
    assert same_parameters(first, second)


def test_another_seed_ends_elsewhere(tmp_path):
    one, same, other = (
        start_run(tmp_path / str(i), toy_spec(steps=500, seed=seed), RunOptions(tensorboard=False))
        for i, seed in enumerate((3, 3, 4))
    )
    assert same_parameters(one, same)
    assert not same_parameters(one, other)


def test_evaluations_do_not_touch_the_training(uninterrupted, tmp_path):
    _, whole = uninterrupted
    bare = start_run(tmp_path / "run", toy_spec(), RunOptions(tensorboard=False))
    assert same_parameters(bare, whole)


def test_a_run_that_never_checkpointed_starts_anew(uninterrupted, tmp_path):
    _, whole = uninterrupted
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text((uninterrupted[0] / "config.json").read_text())
    (folder / ".config.json.17.tmp.json").write_text("{")
    assert same_parameters(resume_run(folder, RunOptions(tensorboard=False)), whole)
    assert not (folder / ".config.json.17.tmp.json").exists()


def test_a_finished_run_is_only_loaded(uninterrupted):
    folder, whole = uninterrupted
    before = (folder / "agent.zip").stat().st_mtime_ns
    assert same_parameters(resume_run(folder), whole)
    assert (folder / "agent.zip").stat().st_mtime_ns == before


def test_a_run_is_not_mistaken_for_another(uninterrupted):
    folder = uninterrupted[0]
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        start_run(folder, toy_spec())
    with pytest.raises(ValueError, match="seed is 3, asked for 5"):
        resume_run(folder, spec=toy_spec(seed=5))
    with pytest.raises(ValueError, match=r"\(arguments\.tau is 0\.05, asked for 0\.5\)"):
        run(folder, toy_spec(tau=0.5))


def test_training_is_in_the_environment_that_make_makes():
    spec = RunSpec.of(load_hyperparams("psi", "MelodyGen-v0"), "MelodyGen-v0", 0)
    ours, plain = make_env(spec), gym.make("MelodyGen-v0").unwrapped
    assert ours.prior.fingerprint == plain.prior.fingerprint
    assert (ours.c, ours.task.name) == (plain.c, plain.task.name)
    weights = [[term.weight for term in env.task.terms] for env in (ours, plain)]
    assert weights[0] == weights[1]


def test_damaged_and_missing_runs_are_named(uninterrupted, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text('{"run": {"algorithm"')
    with pytest.raises(ValueError, match=r"config\.json is not a run's"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text((uninterrupted[0] / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="holds no agent yet"):
        load_run(tmp_path)
    whole = (uninterrupted[0] / "agent.zip").read_bytes()
    (tmp_path / "agent.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not an agent saved by kl_agents"):
        load_run(tmp_path)


# -- a run carries itself --------------------------------------------------------------------------


def test_a_run_is_complete_whatever_the_folder(tmp_path, monkeypatch):
    """Paths are absolute, defaults written out: the run is the same from anywhere."""
    from seqgen_envs.registration import get_domain

    monkeypatch.chdir(tmp_path)
    (tmp_path / "goal.yml").write_text("{substructure: c1ccccc1}")
    task = {"name": "objective:goal.yml", "budget": 50}
    spec = RunSpec("psi", "MoleculeGen-v0", 100, env_kwargs={"task": task})
    file = str(tmp_path / "goal.yml")
    assert spec.env_kwargs == {
        "prior": get_domain("molecule").default_prior,
        "c": 0.5,
        "length": get_domain("molecule").horizon,
        "task": {"name": f"objective:{file}", "budget": 50},
    }
    assert list(spec.fingerprints()) == [file]
    assert RunSpec(**spec.to_dict()) == spec
    assert spec.environment["domain"] == "molecule"
    prior = Path(seqgen_envs.__file__).parent / "priors" / "melody" / "paper"
    monkeypatch.chdir(prior.parent)
    melody = RunSpec("psi", "MelodyGen-v0", 100, env_kwargs={"prior": "./paper"})
    assert melody.env_kwargs["prior"] == str(prior)


def test_a_file_that_has_changed_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    goal = tmp_path / "goal.yml"
    goal.write_text("{substructure: c1ccccc1}")
    settings = {"n_envs": 2, "env_kwargs": {"task": "objective:goal.yml", "length": 20}}
    merged = load_hyperparams("prior", "MoleculeGen-v0", [settings])
    merged.n_timesteps = 40
    folder = tmp_path / "run"
    start_run(folder, RunSpec.of(merged, "MoleculeGen-v0", 0), RunOptions(tensorboard=False))
    monkeypatch.chdir("/")
    assert load(folder).env.get_attr("task")[0].name == f"objective:{goal}"
    goal.write_text("{substructure: N}")
    with pytest.raises(ValueError, match=r"goal\.yml has changed since the run in .* began"):
        resume_run(folder)
    goal.unlink()
    with pytest.raises(ValueError, match=r"goal\.yml is gone since the run"):
        resume_run(folder)


def test_an_agent_comes_with_its_environment(uninterrupted):
    folder, whole = uninterrupted
    agent = load(folder)
    assert same_parameters(agent, whole)
    assert agent.n_envs == 16
    assert agent.policy.c == 0.5
    agent.learn(200)
    assert load(folder, env="ToyGen-v0", c=0.25).policy.c == 0.25


def test_settings_that_cannot_be_written_down_are_refused(tmp_path):
    from seqgen_envs.registration import get_domain

    kwargs = {"task": get_domain("toy").make_task()}
    with pytest.raises(ValueError, match="must be what JSON can hold"):
        start_run(tmp_path / "run", RunSpec("psi", "ToyGen-v0", 100, env_kwargs=kwargs))
    assert not (tmp_path / "run").exists()


def test_a_longer_run_goes_on_where_the_short_one_ended(tmp_path):
    """Nothing in it changes over training: it ends as if it had been that long all along."""
    fixed = {"c": 0.5, "learning_rate": 1e-3, "epsilon": 0.1, "explore": "prior"}
    options = RunOptions(tensorboard=False)
    long = start_run(tmp_path / "long", toy_spec(steps=3000, **fixed), options)
    short, folder = toy_spec(steps=1500, **fixed), tmp_path / "short"
    start_run(folder, short, options)
    with pytest.raises(ValueError, match=r"a run of 1,500 steps: --steps lengthens it .* got 100"):
        resume_run(folder, options, steps=100)
    again = resume_run(folder, options, short, steps=3000)
    assert again.num_timesteps == long.num_timesteps
    assert same_parameters(again, long)
    assert _unclocked(folder) == _unclocked(tmp_path / "long")
    config = json.loads((folder / "config.json").read_text())
    assert config["run"]["total_timesteps"] == 3000
    assert [(e["from"], e["to"]) for e in config["lengthened"]] == [(1500, 3000)]
    (folder / "checkpoint.zip").unlink()
    with pytest.raises(ValueError, match=r"cannot be lengthened: .* --initial"):
        resume_run(folder, options, steps=4000)


def _unclocked(folder):
    rows = read_progress(folder / "progress.csv")
    return [
        {k: v for k, v in row.items() if k not in ("time/fps", "time/time_elapsed")} for row in rows
    ]


def test_a_schedule_follows_the_share_of_the_new_total(tmp_path):
    folder, options = tmp_path / "run", RunOptions(tensorboard=False)
    start_run(folder, toy_spec(steps=1000), options)
    assert read_progress(folder / "progress.csv")[-1]["train/c"] == pytest.approx(0.5, abs=0.1)
    resume_run(folder, options, steps=10_000)
    after = next(row for row in read_progress(folder / "progress.csv") if row[STEP] > 1100)
    assert after["train/c"] > 3


def test_a_run_starts_from_another(uninterrupted, tmp_path):
    source, whole = uninterrupted
    spec = replace(toy_spec(steps=0, seed=9), initial=initial_from(source))
    folder = tmp_path / "run"
    assert same_parameters(start_run(folder, spec), whole)
    recorded = read_spec(folder).initial
    assert recorded["path"] == str(source / "agent.zip")
    moved = tmp_path / "copy.zip"
    moved.write_bytes((source / "agent.zip").read_bytes())
    spec = replace(toy_spec(steps=500, seed=9), initial=initial_from(moved))
    interrupt(tmp_path / "part", spec, after=2)
    moved.write_bytes(b"something else")
    resume_run(tmp_path / "part")  # the checkpoint has all it needs
    with pytest.raises(ValueError, match="is gone or has changed"):
        start_run(tmp_path / "other", spec)
    wrong = replace(toy_spec("reinvent", steps=0), initial=initial_from(source))
    with pytest.raises(ValueError, match="holds a PsiLearning, not a Reinvent"):
        start_run(tmp_path / "other", wrong)
    with pytest.raises(FileNotFoundError, match="no agent at"):
        initial_from(tmp_path / "nothing")


def test_a_checkpoint_is_of_its_run_alone(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    interrupt(mine, toy_spec(steps=2000), after=3)
    interrupt(other, toy_spec(steps=2000, seed=8, tau=0.5), after=3)
    (mine / "checkpoint.zip").write_bytes((other / "checkpoint.zip").read_bytes())
    message = (
        r"checkpoint.zip is of another run \(seed is 8, in config.json 3; arguments.tau is 0.5"
    )
    for use in (resume_run, load_run, load):
        with pytest.raises(ValueError, match=message):
            use(mine)
    load(other).save(mine / "checkpoint.zip")
    with pytest.raises(ValueError, match="was not written by this run"):
        resume_run(mine)


def test_a_config_of_another_format_is_named(uninterrupted, tmp_path):
    config = json.loads((uninterrupted[0] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 1}))
    with pytest.raises(ValueError, match="is not a run's: format 1, this version reads 2"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "its run must have algorithm, arguments"),
        ({"algorithm": 3}, "algorithm must be a text, got 3"),
        ({"total_timesteps": "x"}, "total_timesteps must be a whole number of at least 0"),
        ({"env_kwargs": []}, r"env_kwargs must be names and values, got \[\]"),
        ({"initial": 3}, "initial must be names and values, or null, got 3"),
        ({"surplus": 3}, "its run must have algorithm, arguments"),
    ],
)
def test_a_damaged_config_is_named(uninterrupted, tmp_path, changes, message):
    config = json.loads((uninterrupted[0] / "config.json").read_text())
    config["run"] = None if changes is None else {**config["run"], **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"config.json is not a run's: {message}"):
        read_spec(tmp_path)


def test_an_agent_is_judged_against_its_own_prior(tmp_path):
    spec = replace(
        toy_spec("prior", steps=100), env_id="MelodyGen-v0", env_kwargs={"prior": "paper"}
    )
    model = start_run(tmp_path / "run", spec, RunOptions(tensorboard=False))
    elsewhere = with_environment(spec, {"prior": "default", "length": None})
    with pytest.raises(ValueError, match="trained against prior 'paper'"):
        evaluate_agent(model, elsewhere, 10, 0)
    assert evaluate_agent(model, elsewhere, 10, 0, any_prior=True).episodes == 10
    toy = replace(toy_spec(), env_kwargs={})
    with pytest.raises(ValueError, match="it was trained on another domain"):
        evaluate_agent(model, toy, 10, 0, any_prior=True)


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    from types import SimpleNamespace

    clock = [0.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock[0])
    said = []
    lines = callbacks.ProgressLines(said.append, 1000)
    lines.model = SimpleNamespace(num_timesteps=0, get_env=lambda: None, logger=None)
    lines.on_training_start({}, {})
    for step, now in [(10, 5), (60, 9), (70, 10), (80, 25), (100, 30), (125, 31), (126, 631)]:
        lines.model.num_timesteps, clock[0] = step, now
        lines.on_rollout_end()
    assert [line.split(" steps")[0] for line in said] == [
        "70 of 1,000",
        "125 of 1,000",
        "126 of 1,000",
    ]
    assert said[0] == "70 of 1,000 steps (7%), 7 a second, 2.2 minutes to go"


# -- progress -------------------------------------------------------------------------------------


def test_progress_goes_on_where_the_checkpoint_was(tmp_path):
    path = tmp_path / "progress.csv"
    first = ProgressCsv(path)
    for step in (10, 20, 30):
        first.write({"a": step / 10, STEP: step}, {}, step)
    first.write({"eval/b": 7.0}, {}, 30)
    first.write({"a": 4.0}, {}, 40)
    with open(path, "a") as file:
        file.write("50,0.")  # killed while writing
    second = ProgressCsv(path, done=30)
    second.write({"a": 9.0}, {}, 40)
    assert read_progress(path) == [
        {STEP: 10.0, "a": 1.0}, {STEP: 20.0, "a": 2.0}, {STEP: 30.0, "a": 3.0, "eval/b": 7.0},
        {STEP: 40.0, "a": 9.0},
    ]  # fmt: skip


def test_tensorboard_has_figures_pictures_and_sounds(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    layers = [{"n_envs": 8, "replay_ratio": 0.1, "batch_episodes": 4}]
    merged = load_hyperparams("psi", "MelodyGen-v0", layers)
    merged.n_timesteps = 512
    spec = RunSpec.of(merged, "MelodyGen-v0", 0)
    start_run(tmp_path / "run", spec, RunOptions(eval_every=256, eval_episodes=8, media=2))
    events = EventAccumulator(str(tmp_path / "run" / "tb"), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    wanted = {"rollout/objective", "eval/objective", "eval/notes_in_motif", "train/start_value"}
    assert wanted <= set(tags["scalars"])
    assert set(tags["images"]) == {"sequences/0", "sequences/1"}
    assert set(tags["audio"]) == {"sounds/0", "sounds/1"}
    assert [event.step for event in events.Images("sequences/0")] == [0, 256, 512]
    audio = events.Audio("sounds/0")[0]
    assert audio.sample_rate == 22050
    assert len(audio.encoded_audio_string) > 2 * 22050  # 4 seconds


# -- evaluation -----------------------------------------------------------------------------------


def test_the_prior_agents_figures_are_the_priors():
    from seqgen_envs.lanes import Lanes
    from seqgen_envs.settings import LaneSettings

    lanes = Lanes(64, LaneSettings("toy", c=0.25))
    ours = ALGORITHMS["prior"]("SequencePolicy", "ToyGen-v0", seed=0)
    result = evaluate(ours.policy, lanes, 500, seed=1)
    assert result.kl_to_prior == pytest.approx(0, abs=1e-5)
    assert result.objective == pytest.approx(result.task_return / 0.25, abs=1e-4)
    plain = evaluate(PriorPolicy(1), lanes, 500)
    assert plain.kl_to_prior is None
    assert plain.objective is None
    assert plain.task_return == result.task_return  # the same draws
    assert plain.to_dict()["objective"] is None


def test_the_objective_is_the_exact_one(uninterrupted):
    _, whole = uninterrupted
    lanes = make_lanes(toy_spec(), 256)
    result = evaluate_policy_network(whole.policy, lanes, 20_000, seed=0, discount=0.6)
    tree = PrefixTree.build(lanes.settings)
    log_policy = tree.policy_of(lambda observation: whole.policy.distribution(observation)[0])
    exact = tree.objective(log_policy, whole.policy.c)
    assert 0 < result.objective_error < 0.05
    assert result.objective == pytest.approx(exact, abs=4 * result.objective_error)
    discounted = tree.objective(log_policy, whole.policy.c, discount=0.6)
    assert abs(discounted - exact) > 1
    assert result.objective_discounted == pytest.approx(discounted, abs=0.05)
    assert result.start_value == pytest.approx(exact, abs=0.5)  # it has learned something
    assert exact > tree.objective(tree.policy_of(lambda seen: seen["log_prior"]), 0.5) + 1


def test_evaluation_is_of_its_seed_alone(uninterrupted):
    _, whole = uninterrupted
    state = whole.policy.rng.bit_generator.state
    first, again, other = (
        evaluate_agent(whole, toy_spec(), 300, seed).to_dict() for seed in (0, 0, 1)
    )
    for result in (first, again, other):
        result.pop("seconds")
    assert first == again
    assert first["task_return"] != other["task_return"]
    assert whole.policy.rng.bit_generator.state == state


def test_number_of_lanes_does_not_bias_the_kl(uninterrupted):
    """Episodes end early: surplus lanes must not be counted, nor long episodes be left out."""
    _, whole = uninterrupted
    few, many = (evaluate_agent(whole, toy_spec(), 4000, 0, num_envs=n) for n in (7, 1000))
    assert few.kl_to_prior == pytest.approx(many.kl_to_prior, abs=0.05)
    assert few.objective == pytest.approx(many.objective, abs=6 * few.objective_error)


def test_an_agent_acts_at_another_temperature(uninterrupted):
    _, whole = uninterrupted
    cold = evaluate_agent(whole, toy_spec(), 500, 0, c=0.1)
    warm = evaluate_agent(whole, toy_spec(), 500, 0, c=100.0)
    assert warm.kl_to_prior < 0.01 < cold.kl_to_prior
    with pytest.raises(ValueError, match="c must be above 0"):
        evaluate_agent(whole, toy_spec(), 5, 0, c=0.0)


def test_a_run_says_how_it_was_made(uninterrupted):
    config = json.loads((uninterrupted[0] / "config.json").read_text())
    assert config["run"] == toy_spec().to_dict()
    assert config["machine"]["torch"] == torch.__version__
    assert config["date"].endswith("+00:00")
