"""Learning against ground truth: on the toy domain the optimum is known by enumeration.

KL is KL(q || q*) over whole sequences, in nats, computed exactly (``seqgen_envs.exact``). Beside
each bar stand agents that must fail it: the prior, a myopic learner, a greedy one.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from helpers.agents import log_policy_of, native, recurrent_prior, settings_of
from helpers.envs import MASKED_TOY
from helpers.learning import BAR, C, kl_of, make, start_value, study
from kl_agents import (
    GRPO,
    GLearning,
    PolicyGradient,
    PriorAgent,
    PsiLearning,
    QLearning,
    Reinvent,
    RLOnly,
    TrajectoryBalance,
)
from kl_agents.collection import Collector
from seqgen_envs.exact import PrefixTree
from seqgen_envs.settings import LaneSettings


@pytest.fixture(scope="module")
def tree():
    return PrefixTree.build(LaneSettings("toy"))


def fill(agent, behaviour, episodes=3000, seed=1):
    """Episodes of a policy that is not the agent's: it never acts."""
    collector = Collector(agent.collector.source, behaviour)
    rng = np.random.default_rng(seed)
    collected = collector.collect(agent.policy, episodes, 1.0, rng, lambda _: True)
    agent.replay.add(collected.episodes)


def taught(algorithm, behaviour, updates=600, env=None, **kwargs):
    agent = make(algorithm, env, **kwargs)
    fill(agent, behaviour)
    return study(agent, updates)


# ---------------------------------------------------------------------- KL-control


@pytest.mark.parametrize(
    ("algorithm", "dueling"),
    [(PsiLearning, False), pytest.param(GLearning, True, marks=pytest.mark.slow)],
)
def test_kl_control_reaches_the_optimum(algorithm, dueling, tree):
    agent = make(algorithm, dueling=dueling)
    assert kl_of(agent) > 1.5  # the prior's
    agent.learn(14_000)
    assert kl_of(agent) < (3 * BAR if dueling else BAR)  # two heads take longer here
    assert start_value(agent) == pytest.approx(tree.log_z(C), abs=0.05)


@pytest.mark.parametrize("lambda_", [0.0, pytest.param(0.5, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize("behaviour", [pytest.param("uniform", marks=pytest.mark.slow), "prior"])
def test_every_lambda_has_the_same_fixed_point_off_policy(lambda_, behaviour, tree):
    agent = taught(PsiLearning, behaviour, lambda_=lambda_)
    assert kl_of(agent) < BAR
    assert start_value(agent) == pytest.approx(tree.log_z(C), abs=0.05)


@pytest.mark.slow  # test_the_values_are_the_exact_ones asks for more
@pytest.mark.parametrize("behaviour", ["uniform", "prior"])
def test_g_learning_off_policy(behaviour):
    assert kl_of(taught(GLearning, behaviour)) < BAR


@pytest.mark.parametrize("log_z", ["learned", pytest.param("batch", marks=pytest.mark.slow)])
def test_trajectory_balance_comes_close_off_policy(log_z):
    assert kl_of(taught(TrajectoryBalance, "uniform", log_z=log_z)) < 5 * BAR


def test_policy_gradients_on_policy():
    before = kl_of(make(PriorAgent))
    settings = {"replay_ratio": 1, "learning_rate": 1e-2, "episodes_per_round": 64}
    rloo = make(PolicyGradient, **settings).learn(24_000)
    assert kl_of(rloo) < 0.1 * before
    grpo = make(GRPO, **settings).learn(24_000)
    assert kl_of(grpo) > 2 * kl_of(rloo)  # another optimum


def test_the_values_are_the_exact_ones(tree):
    agent = taught(GLearning, "uniform", c=1.0)
    exact = tree.solve_g(1.0)
    reach = reach_of(tree, tree.optimal_policy(1.0))
    g, _ = agent.policy.read_prefixes(tree.tokens)
    error = np.abs(g.numpy() - exact.actions)
    assert (reach[:, None] * np.exp(tree.log_prior) * error).sum() / reach.sum() < 0.1
    assert np.ptp(exact.actions) > 3.0


def reach_of(tree, log_policy):
    """How often each state is seen under a policy, [S]."""
    reach = np.zeros(len(tree))
    reach[0] = 1.0
    for s in range(len(tree)):
        on = tree.child[s] >= 0
        reach[tree.child[s][on]] = reach[s] * np.exp(log_policy[s][on])
    return reach


@pytest.mark.parametrize("discount", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_a_discounted_learner_reaches_its_own_optimum_and_not_the_bar(discount, tree):
    agent = taught(PsiLearning, "uniform", discount=discount)
    assert kl_of(agent) > 20 * BAR
    _, log_policy = log_policy_of(agent)
    log_q = tree.sequence_log_probs(log_policy)
    own = tree.sequence_log_probs(tree.optimal_policy(C, discount))
    assert (np.exp(log_q) * (log_q - own)).sum() < BAR


def test_the_prior_stays_far_from_the_optimum(tree):
    agent = make(PriorAgent).learn(2_000)
    prior = tree.log_prior - np.logaddexp.reduce(tree.log_prior, axis=1, keepdims=True)
    assert kl_of(agent) == pytest.approx(tree.kl(prior, C), abs=1e-4)
    assert kl_of(agent) > 100 * BAR


def test_too_little_training_does_not_pass():
    assert kl_of(taught(PsiLearning, "uniform", updates=30)) > 5 * BAR


def test_learning_under_a_mask():
    agent = taught(PsiLearning, "uniform", env=native(64, MASKED_TOY))
    tree = PrefixTree.build(settings_of(agent))
    assert not tree.allowed.all()
    assert kl_of(make(PsiLearning, native(1, MASKED_TOY))) > 20 * BAR
    assert kl_of(agent) < BAR


@pytest.mark.slow
def test_learning_after_a_primer():
    agent = taught(GLearning, "prior", env=native(64, primer="ca"))
    assert kl_of(make(GLearning, native(1, primer="ca"))) > 20 * BAR
    assert kl_of(agent) < BAR


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_learning_from_the_priors_weights(cell):
    env = native(64, prior=recurrent_prior(cell, hidden=48))
    agent = taught(PsiLearning, "uniform", env=env, policy_kwargs={"scale": 5.0}, updates=800)
    assert kl_of(make(PriorAgent, env)) > 20 * BAR
    assert kl_of(agent) < BAR


@pytest.mark.slow
def test_annealing_c_ends_at_the_optimum_of_the_last_c():
    agent = make(PsiLearning, c={"start": 5.0, "end": C, "fraction": 0.5, "shape": "exponential"})
    agent.learn(14_000)
    assert agent.policy.c == C
    assert kl_of(agent) < BAR


# ---------------------------------------------------------------------- the others


def greedy_return(agent, tree, prior_weight=1.0):
    """What acting greedily brings, and the most there is, of w log p + R/c."""
    task = dataclasses.replace(tree, log_prior=np.where(tree.allowed, 0.0, -np.inf))
    judged = tree if prior_weight else task
    _, log_policy = log_policy_of(agent)
    c = agent.policy.c
    return judged.greedy_return(log_policy, c), judged.solve_q(c).states[0]


@pytest.mark.parametrize("settings", [pytest.param({}, marks=pytest.mark.slow), {"double": True}])
def test_q_learning_reaches_the_best_return_of_its_objective(settings, tree):
    agent = make(QLearning, explore="uniform", epsilon={"start": 1.0, "end": 0.1}, **settings)
    before, best = greedy_return(agent, tree)
    assert before < best - 1.0
    agent.learn(12_000)
    assert greedy_return(agent, tree)[0] == pytest.approx(best, abs=1e-3)
    assert kl_of(agent) > 50 * BAR  # one sequence: not KL-control


@pytest.mark.slow
def test_q_learning_off_policy(tree):
    found, best = greedy_return(taught(QLearning, "uniform"), tree)
    assert found == pytest.approx(best, abs=1e-3)


def test_rl_only_reaches_the_best_task_return(tree):
    agent = make(RLOnly, c=1.0, explore="uniform", epsilon={"start": 1.0, "end": 0.1})
    before, best = greedy_return(make(PriorAgent, c=1.0), tree, prior_weight=0.0)
    assert before < best - 1.0
    agent.learn(12_000)
    assert greedy_return(agent, tree, 0.0)[0] == pytest.approx(best, abs=1e-3)
    with_prior, best_with_prior = greedy_return(agent, tree)
    assert with_prior < best_with_prior - 0.5  # it forgot the prior


def test_reinvent_comes_closer():
    agent = make(Reinvent, replay_ratio=4, replay_capacity=64, replay_unique=False,
                 learning_rate={"start": 5e-3, "end": 1e-4})  # fmt: skip
    before = kl_of(agent)
    agent.learn(24_000)
    assert kl_of(agent) < 0.5 * before


# ---------------------------------------------------------------------- full size


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("lambda_", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning])
@pytest.mark.parametrize("behaviour", ["policy", "uniform", "prior"])
def test_the_bar_with_room_to_spare(algorithm, behaviour, lambda_, c, seed):
    settings = {"c": c, "lambda_": lambda_, "seed": seed}
    if behaviour == "policy":
        agent = make(algorithm, **settings, replay_ratio=32).learn(40_000)
    else:
        agent = taught(algorithm, behaviour, updates=2000, **settings)
    print(
        f"{algorithm.__name__} {behaviour} lambda {lambda_} c {c} seed {seed}: {kl_of(agent):.5f}"
    )
    assert kl_of(agent) < BAR / 2


@pytest.mark.slow
@pytest.mark.parametrize("log_z", ["learned", "batch"])
def test_trajectory_balance_reaches_the_optimum_off_policy(log_z, tree):
    """One residual a sequence and not one a step: more updates at a high rate."""
    agent = make(TrajectoryBalance, log_z=log_z, learning_rate={"start": 1e-2, "end": 3e-5})
    fill(agent, "uniform", 10_000)
    study(agent, 2000)
    assert kl_of(agent) < BAR / 3
    if log_z == "learned":
        assert start_value(agent) == pytest.approx(tree.log_z(C), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("c", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("algorithm", [QLearning, RLOnly])
def test_greedy_learners_at_full_size(algorithm, c, seed, tree):
    agent = make(algorithm, c=c, seed=seed, explore="uniform", epsilon={"start": 1.0, "end": 0.1})
    agent.learn(40_000)
    found, best = greedy_return(agent, tree, prior_weight=float(algorithm is QLearning))
    assert found == pytest.approx(best, abs=1e-3)
