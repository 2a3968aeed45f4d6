"""Merged states against the tree of all prefixes, and the optimum they give, played."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.agents import recurrent_prior
from helpers.envs import MASKED_TOY
from seqgen_envs.evaluation import evaluate
from seqgen_envs.exact import PrefixTree, exact_graph
from seqgen_envs.graph import GraphPolicy, StateGraph
from seqgen_envs.lanes import Lanes
from seqgen_envs.settings import LaneSettings

#: Five notes, with leaps among them, and three steps to go: 38^3 sequences.
SHORT = {"prior": "bigram", "task": "local", "length": 8, "primer": [14, 30, 16, 1, 22]}
CASES = {
    "toy": LaneSettings("toy"),
    "toy after a primer": LaneSettings("toy", primer="ca"),
    "melody": LaneSettings("melody", **SHORT),
}


@pytest.mark.parametrize("name", CASES)
def test_merged_states_have_the_optimum_of_all_prefixes(name):
    tree, graph = PrefixTree.build(CASES[name]), StateGraph.merged(CASES[name])
    assert len(graph) <= len(tree)
    assert name == "toy after a primer" or len(graph) < 0.6 * len(tree)
    for c in (0.2, 1.0, 5.0):
        weights = tree.sequences.log_prior + tree.sequences.task_return / c
        assert graph.log_z(c) == pytest.approx(np.logaddexp.reduce(weights), abs=1e-9)
        for solve in ("solve_psi", "solve_g", "solve_q"):
            whole, merged = getattr(tree, solve)(c, 0.9), getattr(graph, solve)(c, 0.9)
            assert merged.states[0] == pytest.approx(whole.states[0], abs=1e-9)
    prior = np.where(graph.allowed, graph.log_prior, -np.inf).astype(np.float64)
    prior -= np.logaddexp.reduce(prior, axis=1, keepdims=True)
    of_tree = tree.log_prior - np.logaddexp.reduce(tree.log_prior, axis=1, keepdims=True)
    assert graph.objective(prior, 0.5) == pytest.approx(tree.objective(of_tree, 0.5), abs=1e-9)


@pytest.mark.parametrize("length", [9, pytest.param(11, marks=pytest.mark.slow)])
def test_every_melody_of_the_optimum_weighs_z(length):
    """log p + R/c - log q* is log Z for each sequence: in the environment itself, step by step."""
    settings = LaneSettings("melody", prior="bigram", task="local", length=length, c=0.7)
    graph = StateGraph.merged(settings)
    log_z = graph.log_z(0.7)
    found = evaluate(GraphPolicy(graph, graph.optimal_policy(0.7)), Lanes(32, settings), 64)
    assert found.objective_sampled == pytest.approx(log_z, abs=1e-9)
    assert found.log_z == pytest.approx(log_z, abs=1e-9)
    assert found.effective == pytest.approx(1.0)
    other = evaluate(GraphPolicy(graph, graph.optimal_policy(2.0)), Lanes(32, settings), 256)
    assert other.objective < log_z - 0.2
    assert other.objective_error < 0.5


def test_what_cannot_be_merged_says_why():
    with pytest.raises(ValueError, match="RecurrentPrior has no small set of states"):
        StateGraph.merged(LaneSettings("toy", prior=recurrent_prior("gru")))
    with pytest.raises(ValueError, match="'motif', 'repeated_motif', 'unique_extremes'"):
        StateGraph.merged(LaneSettings("melody", prior="bigram", task="rl-tuner"))
    with pytest.raises(ValueError, match="what a mask remembers"):
        StateGraph.merged(LaneSettings(MASKED_TOY))
    with pytest.raises(ValueError, match=r"cannot enumerate 38\*\*32 .* equal states cannot be"):
        exact_graph(LaneSettings("melody"))


def test_what_can_is_merged_and_the_rest_is_a_tree():
    assert not isinstance(exact_graph(LaneSettings("toy")), PrefixTree)
    assert isinstance(exact_graph(LaneSettings(MASKED_TOY)), PrefixTree)


def test_a_policy_of_a_graph_is_normalised_or_refused():
    graph = StateGraph.merged(LaneSettings("toy"))
    with pytest.raises(ValueError, match="must sum to 1"):
        graph.objective(np.zeros_like(graph.task_reward), 1.0)
