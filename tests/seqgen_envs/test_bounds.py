"""Bounds of log Z straddle what enumeration gives; they are kept, and reports read them."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from helpers.agents import log_policy_of, make_quick, unlike_the_prior
from helpers.commands import run
from kl_agents import BestOfN
from seqgen_envs import bounds
from seqgen_envs.bounds import Bound, better, fingerprint, known_bounds, reject, store, upper_bound
from seqgen_envs.evaluation import TRUSTED, evaluate
from seqgen_envs.exact import exact_graph
from seqgen_envs.graph import GraphPolicy
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.settings import LaneSettings

C = 1.0
#: What no return of the toy's task exceeds: four alternations, one second b, the balance.
MAXIMUM = 4.5


@pytest.fixture
def lanes():
    return Lanes(256, LaneSettings("toy", c=C))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(bounds, "BUNDLED", tmp_path / "none.json")
    return tmp_path


def near_the_optimum(lanes, c=1.1):
    graph = exact_graph(lanes.settings)
    return GraphPolicy(graph, graph.optimal_policy(c))


def test_bounds_straddle_log_z(lanes):
    log_z = exact_graph(lanes.settings).log_z(C)
    policy = near_the_optimum(lanes)
    lower = evaluate(policy, lanes, 20_000, 0).log_z_lower
    samples = reject(lanes, MAXIMUM, 20_000, 1)
    upper = upper_bound(lanes, samples, policy)
    assert lower <= log_z <= upper
    assert upper - lower < 0.01
    by_prior = upper_bound(lanes, samples)
    assert by_prior > log_z + 0.1  # the prior is far from the optimum
    kept = len(samples.tokens) / samples.drawn
    assert kept == pytest.approx(np.exp(log_z - MAXIMUM / C), rel=0.1)


def test_rejection_draws_from_the_optimum(lanes):
    samples = reject(lanes, MAXIMUM, 20_000, 1)
    graph = exact_graph(lanes.settings)
    optimum = evaluate(GraphPolicy(graph, graph.optimal_policy(C)), lanes, 5000, 3)
    error = np.hypot(optimum.task_return_std / 5000**0.5,
                     samples.task_return.std() / len(samples.tokens) ** 0.5)  # fmt: skip
    assert abs(samples.task_return.mean() - optimum.task_return) < 3 * error
    assert error < 0.1
    assert (
        samples.task_return.mean() > rollout(lanes, PriorPolicy(0), 2000).task_return.mean() + 0.5
    )
    with pytest.raises(ValueError, match="said to be at most 1"):
        reject(lanes, 1.0, 1000, 0)
    assert upper_bound(lanes, reject(lanes, 100.0, 100, 0)) is None


def test_log_q_of_given_sequences(lanes):
    agent = unlike_the_prior(make_quick())
    tree, log_policy = log_policy_of(agent)
    found = bounds.sequence_log_probs(
        agent.policy, Lanes(16, lanes.settings), tree.sequences.tokens
    )
    np.testing.assert_allclose(found, tree.sequence_log_probs(log_policy), atol=1e-4)


def test_the_best_bound_is_kept_and_used(lanes, cache):
    assert known_bounds(lanes) == (None, None)
    store(lanes, Bound("ToyGen-v0", 1.0, 9.0, "a", "b"))
    assert store(lanes, Bound("ToyGen-v0", 2.0, None, "c")) == Bound(
        "ToyGen-v0", 2.0, 9.0, "c", "b"
    )
    store(lanes, Bound("ToyGen-v0", 1.5, 8.0, "d", "e"))
    assert known_bounds(lanes) == (2.0, 8.0)
    other = Lanes(4, LaneSettings("toy", c=2.0))
    assert known_bounds(other) == (None, None)
    with pytest.raises(ValueError, match="bounds of log Z of ToyGen-v0 cross"):
        store(lanes, Bound("ToyGen-v0", 8.5))
    found = evaluate(PriorPolicyShown(), lanes, 500, bounds=known_bounds(lanes))
    assert found.log_z_best == max(found.log_z, 2.0)
    assert found.kl_to_optimum == pytest.approx(found.log_z_best - found.objective)
    assert found.kl_to_optimum_at_most == pytest.approx(8.0 - found.objective)


class PriorPolicyShown:
    """The prior, shown."""

    def distribution(self, observation, state=None, episode_start=None, action_masks=None):
        return observation["log_prior"], None


def test_fingerprints_tell_environments_apart(cache):
    def of(**kwargs):
        return fingerprint(Lanes(2, LaneSettings("melody", **{"task": "local", **kwargs})))

    base = of()
    assert of() == base == fingerprint(Lanes(7, LaneSettings("melody", task="local")))
    weights = {"name": "local", "weights": {"key": 2}}
    key = {"name": "local", "key": "D minor"}
    others = [
        of(length=16),
        of(c=0.1),
        of(prior="bigram"),
        of(task=weights),
        of(task=key),
        of(primer=[14]),
    ]
    assert len({base, *others}) == 7


def test_a_file_that_holds_no_bounds_is_left_out(lanes, cache, caplog):
    (cache / "bounds.json").write_text(json.dumps({"x": {"unknown": 1}}))
    with caplog.at_level(logging.WARNING):
        assert known_bounds(lanes) == (None, None)
    assert "holds no bounds" in caplog.text


def test_better_takes_each_side_apart():
    assert better(Bound("x"), Bound("x", None, 3.0, "", "b")) == Bound("x", None, 3.0, "", "b")


def test_the_command_is_exact_where_it_can_be(cache):
    said = run("bound", "ToyGen-v0", "--c", "1").stdout
    exact = exact_graph(LaneSettings("toy")).log_z(1.0)
    assert f"{exact:.4f} nats, exactly" in said
    assert known_bounds(Lanes(3, LaneSettings("toy", c=1.0))) == (exact, exact)


def test_the_command_samples_where_it_cannot(cache):
    said = run("bound", "MelodyGen-v0", "--prior", "bigram", "--length", "8", "-n", "200").stdout
    assert "not by dynamic programming" in said
    assert "above: not known" in said


# ---------------------------------------------------------------------- what is not known


class Certain:
    """Says b, b, b, and the end."""

    deterministic = True

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        lengths = (observation["tokens"] < 4).sum(axis=1)
        return np.where(lengths < 3, 1, 3), None


class Silent(Certain):
    """The same, and does not say that it is certain."""

    deterministic = False


def test_a_deterministic_policy_has_log_q_zero(lanes):
    found = evaluate(Certain(), lanes, 8)
    assert found.kl_to_prior == pytest.approx(-found.log_prior_total)
    assert found.objective == pytest.approx(found.task_return / C + found.log_prior_total)
    assert found.entropy == 0.0
    assert evaluate(Silent(), lanes, 8, deterministic=True).objective == found.objective
    silent = evaluate(Silent(), lanes, 8)
    assert silent.objective is None
    assert "shows no action probabilities" in silent.why


def test_few_effective_episodes_say_nothing_of_the_optimum(lanes):
    graph = exact_graph(lanes.settings)
    policy = GraphPolicy(graph, graph.optimal_policy(C))
    few = evaluate(policy, lanes, 8)
    assert few.effective > TRUSTED  # as of eight even one is
    assert few.kl_to_optimum is None
    assert "% of 8 episodes, and no bound of log Z is stored" in few.why
    assert evaluate(policy, lanes, 100).kl_to_optimum is not None


def test_best_of_n_is_bounded_and_better_than_the_prior(lanes):
    agent = make_quick(BestOfN, candidates=16)
    found = evaluate(agent.policy, lanes, 1000)
    assert found.objective is None
    assert found.objective_at_least == pytest.approx(found.task_return / C - (np.log(16) - 15 / 16))
    assert "at most 1.835" in found.why
    assert found.task_return > rollout(lanes, PriorPolicy(0), 1000).task_return.mean() + 1
    assert found.objective_at_least < exact_graph(lanes.settings).log_z(C)
