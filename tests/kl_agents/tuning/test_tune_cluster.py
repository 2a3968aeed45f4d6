"""Trials on Ray."""

import pytest

from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.workers import DONE, LOOK, LOST, OnRay

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def workers():
    made = OnRay(None)
    yield made
    made.close()
    ray.shutdown()


def work(steps=2000):
    return Recipe("psi", ("ToyGen-v0",), steps=steps, looks=2, episodes=50).work({}, None)


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
    ray.kill(workers._running["two"])
    key, message = heard(workers)
    assert (key, message[0]) == ("two", LOST)
    workers.answer("one", True)
    key, message = heard(workers)
    assert (key, message[0]) == ("one", DONE)
    assert message[1] > 0
    assert len(workers) == 0
