"""A third party's package beside ours: used from the command line, ours untouched."""

import csv
import json
import os
import subprocess
import sys

import pytest

from helpers.forking import seqgen_server
from helpers.paths import ROOT

GUEST = ROOT / "tests" / "helpers" / "guest"


@pytest.fixture(scope="module")
def seqgen(tmp_path_factory):
    """Runs the command where the guest is installed; returns what it printed."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "guest"
    subprocess.run(["cp", "-r", GUEST, source], check=True)  # building writes beside the source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, source], check=True)
    folder = tmp_path_factory.mktemp("work")
    with seqgen_server(tmp_path_factory.mktemp("bin"), site) as commands:

        def run(*arguments, code=0):
            result = subprocess.run(
                [commands / "seqgen", *map(str, arguments)],
                cwd=folder,
                env=os.environ | {"COLUMNS": "200"},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert result.returncode == code, result.stdout + result.stderr
            assert "Traceback" not in result.stderr
            return result.stdout + result.stderr

        run.folder = folder
        yield run


@pytest.fixture(scope="module")
def trained(seqgen):
    settings = ("--set", "elite_share=0.1", "--set", "policy_kwargs.init=random", "--seed", 3)
    seqgen("train", "elite", "DiceGen-v0", "--steps", 8000, *settings, "--out", "run")
    return seqgen.folder / "run"


def test_it_is_listed(seqgen):
    assert "DiceGen-v0" in seqgen("envs")


def test_its_algorithm_learns_with_its_own_setting(seqgen, trained):
    assert (
        json.loads((trained / "config.json").read_text())["run"]["arguments"]["elite_share"] == 0.1
    )
    seqgen("evaluate", "run", "-n", 500, "--out", "evaluation.json")
    found = json.loads((seqgen.folder / "evaluation.json").read_text())
    assert found["task_return"] > 2.5  # the prior throws 5/6 sixes
    assert found["summary"]["mean_throw"] > 4.5


def test_its_setting_is_checked(seqgen):
    said = seqgen("train", "elite", "DiceGen-v0", "--set", "elite_share=2", "--out", "x", code=1)
    assert "elite_share must be a number in [0, 1], got 2" in said


def test_its_domain_is_sampled_by_the_prior_and_by_the_agent(seqgen, trained):
    for name, arguments in {"prior": [], "agent": ["--agent", "run"]}.items():
        seqgen("sample", "dice", "-n", 40, *arguments, "--out", name)
        with open(seqgen.folder / name / "throws.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 40
        sixes = sum(row["text"].count("6") for row in rows)
        assert (sixes > 90) == (name == "agent")


def test_its_rule_scores_its_files(seqgen):
    (seqgen.folder / "mine.dice").write_text("66123\n")
    said = seqgen("score", "mine.dice", "--task", "seqgen_guest.rule:sixes", "--csv", "scores.csv")
    with open(seqgen.folder / "scores.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["term_sixes"]) == 2.0
    assert "sixes" in said


def test_its_rule_trains_another_domain_too(seqgen):
    task = ("--set", "env_kwargs.task=seqgen_guest.rule:sixes")
    seqgen("train", "psi", "MelodyGen-v0", "--steps", 64, "--set", "n_envs=2", *task, "--out", "m")
    with open(seqgen.folder / "m" / "progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["rollout/task_reward"]) >= 0.0
    config = json.loads((seqgen.folder / "m" / "config.json").read_text())
    assert config["run"]["env_kwargs"]["task"] == "seqgen_guest.rule:sixes"


def test_its_domain_is_checked(seqgen):
    assert "dice" in seqgen("check", "dice")
