"""Files name no code to run: a run's folder, an agent's zip, YAML, objectives."""

import json
import shlex
import zipfile

import pytest

from helpers.commands import refused
from helpers.commands import run as command
from kl_agents.cli import evaluate, train
from kl_agents.runs import (
    RunOptions,
    RunSpec,
    Stopped,
    load,
    load_run,
    make_env,
    read_spec,
    resume_run,
)
from kl_agents.runs import run as run_training
from seqgen_envs import cli
from seqgen_envs.loading import UntrustedCodeError, trusting
from seqgen_envs.registration import get_domain

RULE = """
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()

def rule(tokens, lengths):
    return (tokens[:, 0] == 0).astype(float)

def score(smiles):
    return [1.0] * len(smiles)

def weigh(molecule):
    return 1.0
"""
SMALL = {
    "policy_kwargs": {"init": "random", "architecture": {"cell": "gru", "hidden_size": 8}},
    "replay_capacity": 16,
    "batch_episodes": 4,
}
MESSAGE = r"names code to run \(task '.*/mine\.py:rule'\): add --trust \(in Python, trust=True"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A rule in a file, in the current folder; the file beside it tells whether it was run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RULE)
    return tmp_path / "mine.ran"


def app():
    made = cli.make_app()
    made.command("train")(train)
    made.command("evaluate")(evaluate)
    return made


@pytest.fixture
def folder(mine, tmp_path):
    spec = RunSpec("psi", "ToyGen-v0", 40, 0, 4, {"task": "mine.py:rule"}, SMALL)
    run_training(tmp_path / "run", spec, RunOptions(tensorboard=False))
    assert mine.exists()  # the caller named it
    mine.unlink()
    return tmp_path / "run"


def test_a_run_of_ones_own_rule_is_loaded_by_who_trusts_it(folder):
    for doing in (load, load_run, read_spec, resume_run):
        with pytest.raises(UntrustedCodeError, match=MESSAGE) as caught:
            doing(folder)
        assert str(folder / "config.json") in str(caught.value)
    for doing in (load, load_run, resume_run):
        assert doing(folder, trust=True) is not None
    with trusting():
        assert make_env(read_spec(folder)).domain.name == "toy"
    spec = RunSpec("psi", "ToyGen-v0", 40, 0, 4, {"task": "mine.py:rule"}, SMALL)
    assert resume_run(folder, spec=spec).num_timesteps >= 40  # the caller names it again


def test_the_commands_ask_for_trust(folder, tmp_path):
    out = tmp_path / "sampled"
    commands = (
        ["evaluate", folder, "-n", 8],
        ["train", "--resume", "--out", folder, "--no-progress"],
        ["sample", "--agent", folder, "-n", 4, "--out", out],
        ["sample", "--agent", folder / "agent.zip", "-n", 4, "--out", out],
    )
    for arguments in commands:
        result = command(*arguments, code=1, app=app())
        assert "mine.py:rule'): add --trust" in result.stderr
        assert "Traceback" not in result.stderr
        command(*arguments, "--trust", app=app())
    command("evaluate", folder, "-n", 8, "--task", "mine.py:rule", app=app())  # named here


@pytest.mark.parametrize(
    ("env_id", "kwargs", "algorithm"),
    [
        ("ToyGen-v0", {"task": {"name": "mine:rule", "weight": 2}}, "psi"),
        ("ToyGen-v0", {"domain": "mine:DOMAIN"}, "psi"),
        ("ToyGen-v0", {}, "mine.py:Learner"),
        ("mine:ToyGen-v0", {}, "psi"),
        ("MoleculeGen-v0", {"task": "custom:mine.py:score"}, "psi"),
        ("MoleculeGen-v0", {"task": {"name": "objective", "objective": "mine:weigh"}}, "psi"),
        (
            "MoleculeGen-v0",
            {"task": {"name": "objective", "objective": {"geometric": ["mine:weigh"]}}},
            "psi",
        ),
        ("MoleculeGen-v0", {"task": "objective:mine.yaml"}, "psi"),
        ("ToyGen-v0", {"task": "os:system"}, "psi"),
    ],
)  # fmt: skip
def test_every_way_to_code_is_closed(env_id, kwargs, algorithm, mine, tmp_path):
    (tmp_path / "mine.yaml").write_text("arithmetic: [{property: qed}, 'mine.py:weigh']")
    run = {"algorithm": algorithm, "env_id": env_id, "total_timesteps": 10, "seed": 0, "n_envs": 2,
           "env_kwargs": kwargs, "arguments": {}, "initial": None, "seeds": None,
           "collectors": None}  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"format": 2, "run": run}))
    with pytest.raises(UntrustedCodeError, match=r"names code to run"):
        read_spec(tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "agent.zip", "w") as archive:
        archive.writestr("run.json", json.dumps({"run": run}))
    assert "add --trust" in refused("sample", "--agent", "agent.zip", "--out", "out")
    assert not mine.exists()


def test_what_names_no_code_needs_no_trust(tmp_path):
    for kwargs in (
        {"task": "similarity:CCO"},
        {"task": "scaffold:c1ccccc1", "length": 40},
        {"task": {"name": "objective", "objective": {"count": "C:C"}}},
    ):
        spec = RunSpec("psi", "seqgen_envs:MoleculeGen-v0", 10, 0, 2, kwargs)
        (tmp_path / "config.json").write_text(json.dumps({"format": 2, "run": spec.to_dict()}))
        assert read_spec(tmp_path) == spec


def test_a_file_of_hyperparameters_names_no_code(mine, tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("default: {n_envs: 2, env_kwargs: {task: 'mine.py:rule'}}")
    start = ["train", "psi", "ToyGen-v0", "--hyperparams", path, "--steps", 4, "--no-progress",
             "--set", "policy_kwargs.init=random"]  # fmt: skip
    result = command(*start, "--out", "run", code=1, app=app())
    assert "mine.yml names code to run (task 'mine.py:rule'): add --trust" in result.stderr
    assert not mine.exists()
    command(*start, "--out", "a", "--trust", app=app())
    mine.unlink()
    command(*start, "--out", "b", "--set", "env_kwargs.task=mine.py:rule", app=app())


def test_an_objective_names_no_code(mine, tmp_path):
    (tmp_path / "mine.yaml").write_text("arithmetic: [{property: qed}, 'mine.py:weigh']")
    (tmp_path / "a.smi").write_text("CCO\n")
    molecule = get_domain("molecule")
    with pytest.raises(UntrustedCodeError, match=r"mine\.yaml names code to run \(objective"):
        molecule.make_task("objective:mine.yaml")
    assert not mine.exists()
    said = refused("score", "a.smi", "--task", "objective:mine.yaml")
    assert "mine.yaml names code to run" in said
    command("score", "a.smi", "--task", "objective:mine.yaml", "--trust")
    with trusting():
        assert molecule.make_task("objective:mine.yaml").terms


def test_a_script_of_a_run_is_kept_to(mine, tmp_path, monkeypatch):
    """Named in a mapping: by its whole path and digest; nothing is written before all is there."""
    task = {"name": "custom:mine.py:score", "n_jobs": 0}
    spec = RunSpec("psi", "MoleculeGen-v0", 40, 0, 4, {"task": task, "length": 20}, SMALL)
    run_training(tmp_path / "run", spec, RunOptions(tensorboard=False))
    config, script = tmp_path / "run" / "config.json", tmp_path / "mine.py"
    written = json.loads(config.read_text())
    assert written["run"]["env_kwargs"]["task"]["name"] == f"custom:{script}:score"
    assert list(written["fingerprints"]["files"]) == [str(script)]
    before = config.read_bytes()
    resume = ("train", "--resume", "--trust", "--no-progress", "--out", tmp_path / "run", "--steps")
    script.write_text(RULE + "# changed")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = command(*resume, 80, code=1, app=app())
    assert "mine.py has changed since the run in" in result.stderr
    script.unlink()
    result = command(*resume, 80, code=1, app=app())
    assert "mine.py is gone since the run in" in result.stderr
    assert "goes on" not in result.stdout
    assert config.read_bytes() == before
    script.write_text(RULE)
    result = command(*resume, 80, app=app())
    assert "The run goes on to 80 steps in place of 40" in result.stdout


def test_a_run_that_cannot_go_on_is_left_as_it_was(mine, tmp_path):
    """What a module names is only found out by importing it: that too comes before writing."""
    (tmp_path / "fleeting.py").write_text(RULE)
    task = {"name": "custom:fleeting:score"}
    spec = RunSpec("psi", "MoleculeGen-v0", 40, 0, 4, {"task": task, "length": 20}, SMALL)
    run_training(tmp_path / "run", spec, RunOptions(tensorboard=False))
    config = (tmp_path / "run" / "config.json").read_bytes()
    (tmp_path / "fleeting.py").unlink()
    with pytest.raises(ValueError, match="no module 'fleeting'"):
        resume_run(tmp_path / "run", steps=80, trust=True)
    assert (tmp_path / "run" / "config.json").read_bytes() == config
    assert (tmp_path / "run" / "agent.zip").is_file()


def test_the_commands_that_a_training_names_can_be_copied(mine, tmp_path):
    start = ["train", "psi", "ToyGen-v0", "--steps", 4, "--no-progress",
             "--set", "policy_kwargs.init=random", "--out"]  # fmt: skip
    result = command(*start, "my run", "--set", "env_kwargs.task=mine.py:rule", app=app())
    hints = [line.strip() for line in result.stdout.splitlines() if line.startswith("  seqgen")]
    assert hints == [
        "seqgen sample toy -n 16 --agent 'my run' --out 'my run-toys' --trust",
        "seqgen evaluate 'my run' --trust",
        "seqgen report 'my run' --out 'my run.html' --trust",
    ]
    command(*shlex.split(hints[1])[1:], "-n", 8, app=app())
    assert "--trust" not in command(*start, "plain", app=app()).stdout


def test_so_does_a_training_that_is_stopped(mine, tmp_path, monkeypatch):
    def stop(*_):
        raise Stopped(2, 4)

    monkeypatch.setattr("kl_agents.runs.start_run", stop)
    start = ["train", "psi", "ToyGen-v0", "--steps", 4, "--out", "my run"]
    result = command(*start, "--set", "env_kwargs.task=mine.py:rule", code=130, app=app())
    assert "go on with: seqgen train --resume --out 'my run' --trust" in result.stderr
