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


def test_a_trial_on_ray_looks_waits_and_ends(workers):
    workers.start("one", work())
    key, message = heard(workers)
    assert (key, message[:2]) == ("one", (LOOK, 1))
    assert workers.messages() == []  # it waits for the answer
    workers.answer("one", True)
    key, message = heard(workers)
    assert message[0] == DONE
    assert message[1] > 0
    assert len(workers) == 0


def test_a_trial_whose_actor_dies_is_lost_not_failed(workers):
    workers.start("one", work())
    assert heard(workers)[1][0] == LOOK
    ray.kill(workers._running["one"])
    assert heard(workers)[1][0] == LOST
