"""Suites are files that say all that decides a result."""

import gymnasium as gym
import pytest
import yaml

import seqgen_envs  # noqa: F401
from seqgen_envs.benchmark.suites import BenchTask, Suite, bundled, load_suite
from seqgen_envs.registration import PMO_IDS

#: Published: a change of what a suite measures needs a new version, not a new fingerprint here.
PUBLISHED = {
    "melody-v1": "9fdb26784b913f15",
    "molecule-v1": "f2d7d24832d10573",
    "pmo-mini-v1": "239adaafc45962b0",
    "pmo-v1": "3ead7bd33309601e",
    "speed-v1": "7a9f85b158953e05",
    "toy-v1": "7738a74039d064f3",
}


@pytest.mark.parametrize("name", bundled())
def test_every_task_is_an_environment(name):
    suite = load_suite(name)
    assert suite.name == name
    assert name.rpartition("-v")[2].isdigit()
    assert suite.about
    for task in suite.tasks.values():
        assert task.env_id in gym.registry


def test_what_is_published_does_not_change():
    assert {name: load_suite(name).fingerprint for name in bundled()} == PUBLISHED


def test_pmo_has_the_23_oracles_within_10000_calls():
    suite = load_suite("pmo-v1")
    assert sorted(suite.tasks) == sorted(PMO_IDS.values())
    assert {task.calls for task in suite.tasks.values()} == {10_000}


def test_the_fingerprint_is_of_what_decides_a_result():
    tasks = {"one": BenchTask("one", "ToyGen-v0")}
    suite = Suite("own-v1", "about", "optimum", "kl", tasks, metrics=("kl",))
    said_otherwise = Suite("own-v1", "other words", "optimum", "kl", tasks, metrics=("kl",))
    assert suite.fingerprint == said_otherwise.fingerprint
    more = {"one": BenchTask("one", "ToyGen-v0", steps=5)}
    changed = Suite("own-v1", "about", "optimum", "kl", more, metrics=("kl",))
    assert suite.fingerprint != changed.fingerprint


def test_a_score_lies_between_the_prior_and_the_best_known():
    task = BenchTask("one", "ToyGen-v0", low=2.0, high=6.0)
    assert [task.score(x) for x in (2.0, 5.0, 6.0)] == [0.0, 0.75, 1.0]
    assert BenchTask("one", "ToyGen-v0").score(5.0) == 5.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"measure": "vibes"}, "measure must be one of"),
        ({"headline": "fame"}, "headline 'fame' is no metric"),
        ({"colour": "red"}, "unknown colour"),
        ({"tasks": {"one": {"env_id": "ToyGen-v0", "steps": 0}}}, "steps must be a whole number"),
        ({"tasks": {"one": {"id": "ToyGen-v0"}}}, "unknown id"),
        ({"tasks": {"one": {"env_id": "ToyGen-v0", "low": 1.0}}}, "both low and high"),
    ],
)
def test_a_suite_that_says_nonsense_is_refused(change, says, tmp_path):
    content = {
        "about": "own",
        "measure": "optimum",
        "headline": "kl",
        "metrics": ["kl"],
        "tasks": {"one": {"env_id": "ToyGen-v0"}},
    }
    path = tmp_path / "own-v1.yml"
    path.write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ValueError, match=says):
        load_suite(str(path))


def test_an_unknown_suite_names_those_there_are():
    with pytest.raises(ValueError, match="toy-v1"):
        load_suite("toy-v9")


@pytest.mark.parametrize(
    "task",
    [
        {"env_id": "wicked_module:ToyGen-v0"},
        {"env_id": "MoleculeGen-v0", "env_kwargs": {"task": "command: wicked"}},
        {"env_id": "MoleculeGen-v0", "env_kwargs": {"task": {"name": "custom:wicked.py:f"}}},
    ],
)
def test_a_suite_in_a_file_runs_no_code_without_trust(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("wicked_module.py", "wicked.py"):
        (tmp_path / name).write_text("open('ran', 'w').close()\nf = len\n")
    content = {"about": "own", "measure": "optimum", "headline": "kl", "metrics": ["kl"]}
    (tmp_path / "own-v1.yml").write_text(yaml.safe_dump({**content, "tasks": {"one": task}}))
    with pytest.raises(PermissionError, match="add --trust"):
        load_suite("own-v1.yml")
    assert not (tmp_path / "ran").exists()
