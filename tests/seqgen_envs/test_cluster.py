"""Calls on a Ray cluster: what they return, and what becomes of those that are lost."""

import os

import pytest

from helpers.clusters import CORES, GPUS, call
from seqgen_envs.cluster import Calls, Gone, results_of

pytestmark = pytest.mark.spawn


def test_jobs_that_are_lost_are_done_again_so_many_times(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marks = str(tmp_path / "marks")
    jobs = [("here",), ("end",), ("end once", marks), ("there",)]
    found = dict(results_of(call, jobs, retries=1, most=3))
    assert set(found) == {0, 1, 2, 3}
    assert isinstance(found[1], Gone)
    assert found[1].reason.startswith("Ray lost what worked on it 2 times, at last: ")
    for number, what in ((0, "here"), (2, "end once"), (3, "there")):
        assert found[number][:2] == (what, str(tmp_path))  # in this process's folder
        assert found[number][2] != os.getpid()


def test_what_a_function_raises_is_raised_here(cluster):
    with pytest.raises(ZeroDivisionError, match="what a function raises"):
        list(results_of(call, [("raise",)]))


def test_slots_are_what_nodes_have_room_for(cluster):
    assert Calls(call).slots() == 2 * CORES
    assert Calls(call, num_cpus=CORES / 2).slots() == 4
    assert Calls(call, num_cpus=2 * CORES).slots() == 0  # of two nodes' cores
    assert Calls(call, num_gpus=1).slots() == GPUS  # which one of them says it has
    assert Calls(call, num_gpus=GPUS + 1).slots() == 0
