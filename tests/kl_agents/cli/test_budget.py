"""A budget of an oracle's calls, in a training on the command line."""

import json
import re
from pathlib import Path

import pytest

import seqgen_envs.cli as cli
from helpers.commands import run, table
from seqgen_envs.domains.molecule.smiles import canonicalize

BUDGET = 24
SMALL = {
    "env_kwargs.length": 40,
    "episodes_per_round": 8,
    "n_envs": 8,
    "policy_kwargs": {"init": "random", "architecture": {"cell": "gru", "hidden_size": 8}},
}


@pytest.fixture
def train(tmp_path):
    """Runs a training and gives what it said, and the SMILES that the program was sent."""
    log = tmp_path / "sent.txt"
    command = f"command:sh -c \"tee -a {log} | awk '{{print length}}'\""
    settings = {**SMALL, "env_kwargs.task": {"name": command, "budget": BUDGET}}
    options = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
    options += ["--steps", 4000, "--eval-episodes", 16, "--no-progress"]
    app = cli.make_app()
    cli.add_plugins(app)

    def start(*more):
        log.unlink(missing_ok=True)
        result = run("train", "psi", "MoleculeGen-v0", *options, *more, app=app)
        said = " ".join((result.stdout + result.stderr).split())
        return said, Path(log).read_text().split()

    return start


def test_a_budget_is_all_that_the_program_is_sent(train, tmp_path):
    said, sent = train("--out", tmp_path / "run")
    assert len(sent) == len(set(sent)) == BUDGET
    ended = rf"the budget of {BUDGET} calls is spent: the training ended at ([\d,]+) of 4,000 steps"
    (steps,) = re.findall(ended, said)
    assert 0 < int(steps.replace(",", "")) < 4000
    found = {canonicalize(row["text"]) for row in table(tmp_path / "run" / "molecules.csv")}
    assert found - {None} == set(sent)  # those of the round in which it ended too
    assert "eval/objective" not in table(tmp_path / "run" / "progress.csv")[0]
    assert "beyond" not in said


def test_evaluations_that_are_asked_for_go_beyond_it_and_say_so(train, tmp_path):
    said, sent = train("--out", tmp_path / "run", "--eval-every", 500)
    assert len(set(sent)) > BUDGET
    notice = f"every 500 steps call the oracle beyond the task's budget of {BUDGET} calls"
    assert said.count(notice) == 1
