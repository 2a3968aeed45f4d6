"""Losses of whole trajectories on a table of values: their zeros, and their gradients in the mean.

A batch of all sequences, as if drawn evenly: with ratios to that behaviour and no clipping, the
mean of a policy-gradient loss is its expectation under the policy, exactly.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from helpers.agents import make_quick, native
from kl_agents import GRPO, PolicyGradient, ReinventPMO, TrajectoryBalance
from kl_agents.backups import LogitsBackup, PsiBackup
from kl_agents.losses import Batch, Networks
from kl_agents.replay import EpisodeBatch
from kl_agents.settings import (
    GRPOSettings,
    PolicyGradientSettings,
    ReinventPMOSettings,
    TrajectoryBalanceSettings,
)
from kl_agents.shown import Shown
from kl_agents.trajectory_losses import (
    PolicyGradientLoss,
    PublishedReinventLoss,
    TrajectoryBalanceLoss,
    kl_estimate,
)
from seqgen_envs.domains.toy import DOMAIN
from seqgen_envs.exact import PrefixTree
from seqgen_envs.settings import LaneSettings

C = 0.7
VOCABULARY_PRIOR = DOMAIN.load_prior()


@pytest.fixture(scope="module")
def tree():
    return PrefixTree.build(LaneSettings("toy"))


@pytest.fixture
def batch(tree):
    """Every sequence once, each token as likely as makes all sequences so."""
    found = tree.sequences
    states = np.maximum(found.states, 0)
    steps = np.arange(found.actions.shape[1]) < found.lengths[:, None]
    rewards = tree.task_reward[states, np.minimum(found.actions, 3)] * steps
    even = np.where(steps, -np.log(len(found)) / found.lengths[:, None], 0.0)
    log_prior = tree.log_prior[states]
    taken = np.take_along_axis(log_prior, np.minimum(found.actions, 3)[..., None], 2)[..., 0]
    episodes = EpisodeBatch(
        found.actions, found.lengths, taken * steps, rewards, even, log_prior=log_prior
    )
    shown = Shown(VOCABULARY_PRIOR, np.zeros(0, dtype=np.int64))
    return Batch.of(episodes, C, shown)


def networks(tree, g):
    states = torch.from_numpy(np.maximum(tree.sequences.states, 0))
    chosen = torch.from_numpy(np.minimum(tree.sequences.actions, 3))[..., None]
    return Networks(
        online=lambda tokens: g[states],
        taken=lambda tokens, actions: g[states].gather(-1, chosen)[..., 0],
        parts=lambda tokens: (g[states], g[states].mean(-1)),
        target=lambda tokens: g[states],
    )


def fields_of(batch):
    return {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}


def table(tree, seed=0):
    values = np.random.default_rng(seed).normal(0.0, 0.5, tree.log_prior.shape)
    return torch.tensor(values, requires_grad=True)


def log_likelihoods(tree, g):
    """log q and log p of every sequence, [L]."""
    log_prior = torch.from_numpy(tree.log_prior)
    log_pi = torch.log_softmax(log_prior + g / C, dim=-1)
    states = torch.from_numpy(np.maximum(tree.sequences.states, 0))
    actions = torch.from_numpy(np.minimum(tree.sequences.actions, 3))
    steps = torch.from_numpy(tree.sequences.states >= 0)
    return tuple((x[states, actions] * steps).sum(1) for x in (log_pi, log_prior))


@pytest.mark.parametrize("log_z", ["learned", "batch"])
def test_trajectory_balance_is_zero_at_the_optimum_and_only_there(tree, batch, log_z):
    loss = TrajectoryBalanceLoss(TrajectoryBalanceSettings(log_z=log_z), PsiBackup())
    g = torch.from_numpy(C * tree.solve_g(C).actions)
    value, metrics = loss(batch, networks(tree, g))
    assert value.item() == pytest.approx(0.0, abs=1e-9)
    assert metrics["start_value"] == pytest.approx(tree.log_z(C), abs=1e-4)
    assert loss(batch, networks(tree, table(tree)))[0].item() > 0.01
    g[0] += 0.5 * C  # no other policy, another V(s_0)
    value, metrics = loss(batch, networks(tree, g))
    assert (value.item() > 1e-3) == (log_z == "learned")
    assert metrics["residual"] == pytest.approx(0.5 if log_z == "learned" else 0.0, abs=1e-4)


def test_the_gradient_of_rloo_is_that_of_the_objective(tree, batch):
    g = table(tree)
    loss = PolicyGradientLoss(PolicyGradientSettings(clip=1e9), PsiBackup())
    found, metrics = loss(batch, networks(tree, g))
    (by_loss,) = torch.autograd.grad(found, g)
    log_q, log_p = log_likelihoods(tree, g)
    returns = torch.from_numpy(tree.sequences.task_return)
    objective = (log_q.exp() * (returns / C + log_p - log_q)).sum()
    (exact,) = torch.autograd.grad(objective, g)
    count = len(tree.sequences)
    torch.testing.assert_close(by_loss, -exact * count / (count - 1), atol=1e-6, rtol=1e-5)
    assert exact.abs().max() > 0.01
    assert metrics["gain_std"] > 0.1


@pytest.mark.parametrize("name", ["k1", "k2", "k3"])
def test_what_the_estimators_follow_as_losses(tree, name):
    g = table(tree)
    log_q, log_p = log_likelihoods(tree, g)
    weights = log_q.exp().detach()
    (followed,) = torch.autograd.grad(
        (weights * kl_estimate(name, log_p - log_q)).sum(), g, retain_graph=True
    )
    reverse = (log_q.exp() * (log_q - log_p)).sum()
    forward = (log_p.exp() * (log_p - log_q)).sum()
    kind = {"k1": 0.0 * reverse, "k2": reverse, "k3": forward}[name]
    (expected,) = torch.autograd.grad(kind, g, retain_graph=True)
    torch.testing.assert_close(followed, expected, atol=1e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(reverse, g)
    off = (followed - gradient).norm() / gradient.norm()
    assert off < 1e-4 if name == "k2" else off > 0.2


def test_as_values_k1_and_k3_are_unbiased_and_k2_is_not(tree):
    log_q, log_p = log_likelihoods(tree, table(tree))
    weights, d = log_q.exp(), log_p - log_q
    exact = float((weights * -d).sum().detach())
    means = {n: float((weights * kl_estimate(n, d)).sum().detach()) for n in ("k1", "k2", "k3")}
    assert means["k1"] == pytest.approx(exact)
    assert means["k3"] == pytest.approx(exact, abs=1e-5)  # where p and q sum to 1
    assert abs(means["k2"] - exact) > 1e-3 > 10 * abs(means["k3"] - exact)


def test_c_plays_no_part_in_grpo(tree, batch):
    loss = PolicyGradientLoss(GRPOSettings(clip=1e9), LogitsBackup())
    g = table(tree)
    gradients = []
    for c in (0.1, 10.0):
        other = Batch(**{**fields_of(batch), "c": c})
        (gradient,) = torch.autograd.grad(loss(other, networks(tree, g))[0], g)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-4)
    assert gradients[0].abs().max() > 0.001


def test_ratios_beyond_the_clip_give_no_gradient(tree, batch):
    g = table(tree)
    far = Batch(**{**fields_of(batch), "log_behaviour": batch.log_behaviour - 10.0})
    for settings in (PolicyGradientSettings(), GRPOSettings(beta=0.0)):
        loss = PolicyGradientLoss(settings, PsiBackup())
        found = loss(far, networks(tree, g))[0]
        worse = torch.autograd.grad(found, g)[0]  # of those below the baseline alone
        assert found.item() > 0
        assert worse.abs().max() > 0


def test_the_published_loss(tree, batch):
    g, settings = table(tree), ReinventPMOSettings(sigma=3.0, likelihood_penalty=5.0)
    found, _ = PublishedReinventLoss(settings, LogitsBackup())(batch, networks(tree, g))
    log_pi = torch.log_softmax(g, dim=-1)
    states = torch.from_numpy(np.maximum(tree.sequences.states, 0))
    actions = torch.from_numpy(np.minimum(tree.sequences.actions, 3))
    log_q = (log_pi[states, actions] * batch.mask).sum(1)
    _, log_p = log_likelihoods(tree, g)
    returns = torch.from_numpy(tree.sequences.task_return)
    expected = ((log_p + 3.0 * returns - log_q) ** 2).mean() + 5.0 * (-1.0 / log_q).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_update_of_a_policy_gradient_reads_its_round():
    for kind in (PolicyGradient, GRPO):
        agent = make_quick(kind, native(8), episodes_per_round=24, batch_episodes=4)
        agent.learn(300)
        assert agent._n_updates == agent._iteration
        np.testing.assert_array_equal(agent._sample()[0].tokens.shape[0], 24)


def test_only_a_learned_log_z_is_shown_as_an_estimate():
    assert make_quick(TrajectoryBalance).estimates_objective
    assert not make_quick(TrajectoryBalance, log_z="batch").estimates_objective


def test_reinvents_memory_keeps_the_best_of_earlier_rounds():
    agent = make_quick(ReinventPMO, memory=5, replayed=3, replay_capacity=30)
    seen = []
    for _ in range(4):
        agent.learn(16 * 3, reset_num_timesteps=False)
        replay = agent.replay
        assert len(np.unique(replay.latest.tokens, axis=0)) == len(replay.latest)
        best = sorted((float(r) for r in seen), reverse=True)[:5]
        np.testing.assert_allclose(replay.memory.task_return, best, atol=1e-6)
        known = {row.tobytes(): value for row, value in
                 zip(replay.latest.tokens, replay.latest.task_return, strict=True)}  # fmt: skip
        known |= {row.tobytes(): value for row, value in
                  zip(replay.memory.tokens, replay.memory.task_return, strict=True)}  # fmt: skip
        seen = list(known.values())
    batch = agent.replay.sample(1, agent.rng)
    assert len(batch) == len(agent.replay.latest) + 3
    with pytest.raises(ValueError, match="a round of 16 episodes and a memory of 5"):
        make_quick(ReinventPMO, memory=5, replay_capacity=10).learn(10)
    with pytest.raises(ValueError, match="replay_capacity must be above memory = 5"):
        make_quick(ReinventPMO, memory=5, replay_capacity=5)
