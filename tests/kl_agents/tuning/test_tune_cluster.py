"""Trials on Ray."""

import os
import sys

import pytest

from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.workers import DONE, LOOK, LOST, OnRay, Trial

AGENT = "from kl_agents import PsiLearning\nclass Mine(PsiLearning): pass\n"


@pytest.fixture(scope="module")
def workers():
    ray = pytest.importorskip("ray", reason="needs the extra cluster")
    made = OnRay(None)
    yield made
    made.close()
    ray.shutdown()


def work(steps=2000, algorithm="psi"):
    return Recipe(algorithm, ("ToyGen-v0",), steps=steps, looks=2, episodes=50).work({}, None)


def heard(workers):
    while True:
        if found := workers.messages():
            return found[0]


@pytest.mark.slow
def test_trials_on_ray_look_wait_and_end_and_a_dead_one_is_lost_not_failed(workers):
    for key in ("one", "two"):
        workers.start(key, work())
    looks = dict([heard(workers), heard(workers)])
    assert {key: message[:2] for key, message in looks.items()} == {
        "one": (LOOK, 1),
        "two": (LOOK, 1),
    }
    assert workers.messages() == []  # they wait for the answer
    workers._ray.kill(workers._running["two"])
    key, message = heard(workers)
    assert (key, message[0]) == ("two", LOST)
    workers.answer("one", True)
    key, message = heard(workers)
    assert (key, message[0]) == ("one", DONE)
    assert message[1] > 0
    assert len(workers) == 0


def test_a_trial_finds_the_files_of_who_asked_for_it(tmp_path, monkeypatch):
    """What its actor does, without Ray: agents of one's own are files by relative names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    asked = work(0, "mine.py:Mine")
    monkeypatch.chdir(tmp_path.parent)
    trial = Trial()
    trial.work((str(tmp_path), ["/modules/of/who/asked"]), asked)
    assert trial.message()[0] == DONE
    assert os.getcwd() == str(tmp_path)
    assert sys.path[-1] == "/modules/of/who/asked"
