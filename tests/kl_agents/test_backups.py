"""Backups against dynamic programming on the toy tree, and against plain loops on random numbers.

Every test on the tree uses all 364 sequences once each as its data: off-policy data, drawn by
nobody's policy, in which many episodes end early.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kl_agents.backups import (
    chosen,
    cut_traces,
    g_state_value,
    logsumexp,
    n_step_targets,
    next_values,
    one_step_targets,
    psi_state_value,
    q_state_value,
    soft_lambda_targets,
    step_mask,
)
from seqgen_envs.exact import PrefixTree
from seqgen_envs.settings import LaneSettings

C, DISCOUNT = 0.5, 0.9
LAMBDAS = (0.0, 0.5, 1.0)
SOLVERS = ("psi", "g", "q")
SOFT = ("psi", "g")


@pytest.fixture(scope="module")
def tree():
    return PrefixTree.build(LaneSettings("toy"))


@pytest.fixture(scope="module")
def data(tree):
    """All sequences as a batch [B, T]; padded steps point at state 0 and action 0."""
    found = tree.sequences
    lengths = torch.from_numpy(found.lengths)
    real = step_mask(lengths, found.states.shape[1])
    states = torch.from_numpy(np.maximum(found.states, 0))
    actions = torch.from_numpy(found.actions).masked_fill(~real, 0)
    assert 0 < (~real).sum() < real.sum()
    return SimpleNamespace(states=states, actions=actions, lengths=lengths, real=real)


def tables(tree):
    return torch.from_numpy(tree.log_prior), torch.from_numpy(tree.task_reward)


def rewards_of(tree, learner, c=C):
    """What a learner is paid in every state and action, [S, V]."""
    log_prior, task_reward = tables(tree)
    return task_reward / c + (0.0 if learner == "g" else log_prior)


def state_value(tree, learner, values):
    if learner == "g":
        return g_state_value(tables(tree)[0], values)
    return psi_state_value(values) if learner == "psi" else q_state_value(values)


def log_policy(tree, learner, values):
    return torch.log_softmax(values + (tables(tree)[0] if learner == "g" else 0.0), dim=-1)


def solution(tree, learner, discount, c=C):
    actions, states = getattr(tree, f"solve_{learner}")(c, discount)
    return torch.from_numpy(actions), torch.from_numpy(states)


def along(data, table):
    """Entries of ``table`` [S, V] for the actions taken, or [S] for the states, [B, T]."""
    if table.ndim == 1:
        return table[data.states]
    return chosen(table[data.states], data.actions)


def soft_targets(tree, data, learner, values, discount, traces):
    """soft_lambda_targets of a table ``values`` [S, V] on the whole data."""
    log_prior, task_reward = tables(tree)
    log_pi = along(data, log_policy(tree, learner, values))
    return soft_lambda_targets(
        along(data, rewards_of(tree, learner)),
        along(data, state_value(tree, learner, values)),
        along(data, task_reward / C + log_prior) - log_pi,
        data.lengths,
        discount,
        traces,
    )


def close(targets, expected, atol=1e-9):
    np.testing.assert_allclose(targets.numpy(), expected.numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("learner", SOLVERS)
def test_state_values_are_those_of_dynamic_programming(tree, learner):
    actions, states = solution(tree, learner, DISCOUNT)
    close(state_value(tree, learner, actions), states)


def test_state_values_of_large_numbers():
    """Hundreds of nats are ordinary here: no overflow, and the largest decides."""
    values = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, -1000.0]])
    log_prior = torch.full((2, 3), -math.log(3.0))
    close(q_state_value(values), torch.tensor([1000.0, -1000.0]))
    close(psi_state_value(values), torch.tensor([1000.0, -1000.0 + math.log(3)]), 1e-3)
    close(g_state_value(log_prior, values), torch.tensor([1000.0 - math.log(3), -1000.0]), 1e-3)


@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("learner", SOLVERS)
def test_one_step_targets_at_the_fixed_point(tree, data, learner, discount):
    actions, states = solution(tree, learner, discount)
    rewards = along(data, rewards_of(tree, learner))
    targets = one_step_targets(rewards, along(data, states), data.lengths, discount)
    close(targets, along(data, actions) * data.real)


@pytest.mark.parametrize("traces", [*LAMBDAS, "random", "cut"])
@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("learner", SOFT)
def test_soft_lambda_targets_at_the_fixed_point(tree, data, learner, discount, traces):
    """Path consistency: exact for any traces and any behaviour, without importance weights."""
    actions, _ = solution(tree, learner, discount)
    if traces == "random":
        generator = torch.Generator().manual_seed(0)
        weights = torch.rand(data.real.shape, generator=generator, dtype=torch.float64)
    elif traces == "cut":
        log_pi = along(data, log_policy(tree, learner, actions))
        weights = cut_traces(0.9, log_pi, torch.full_like(log_pi, -math.log(4)))
    else:
        weights = torch.full(data.real.shape, traces, dtype=torch.float64)
    targets = soft_targets(tree, data, learner, actions, discount, weights)
    close(targets, along(data, actions) * data.real)


@pytest.mark.parametrize("learner", SOFT)
def test_longer_traces_look_further_away_from_the_fixed_point(tree, data, learner):
    """Otherwise the test above could not tell the traces apart."""
    wrong = solution(tree, learner, DISCOUNT)[0] + torch.randn(
        len(tree), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    results = [
        soft_targets(
            tree, data, learner, wrong, DISCOUNT, torch.full(data.real.shape, lambda_).double()
        )
        for lambda_ in LAMBDAS
    ]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (results[one] - results[other]).abs().max() > 0.1


def test_traces_of_one_are_trajectory_balance(tree, data):
    """With pi = q*, whatever V says: the first target less log q*(a_0|s_0) is log Z."""
    psi, states = solution(tree, "psi", 1.0)
    log_prior, task_reward = tables(tree)
    log_pi = along(data, log_policy(tree, "psi", psi))
    paid = along(data, task_reward / C + log_prior)
    wrong = torch.randn(paid.shape, generator=torch.Generator().manual_seed(2)).double()
    ones = torch.ones_like(paid)
    targets = soft_lambda_targets(paid, wrong, paid - log_pi, data.lengths, 1.0, ones)
    close(targets, along(data, psi) * data.real)
    close(targets[:, 0] - log_pi[:, 0], states[0].expand(len(paid)))


def greedy_ahead(tree, data, n):
    """True at steps whose following n - 1 actions are all greedy in Q* (or past the end)."""
    q, _ = solution(tree, "q", DISCOUNT)
    greedy = (along(data, q) == q.max(-1).values[data.states]) | ~data.real
    ahead = torch.ones_like(greedy)
    for k in range(1, n):
        ahead[:, :-k] &= greedy[:, k:]
    return ahead & data.real


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_n_step_targets_are_exact_on_the_greedy_path_and_too_low_off_it(tree, data, n):
    """The documented bias: a behaviour that was not greedy drags the target below Q*."""
    q, states = solution(tree, "q", DISCOUNT)
    rewards = along(data, rewards_of(tree, "q"))
    targets = n_step_targets(rewards, along(data, states), data.lengths, DISCOUNT, n)
    expected = along(data, q) * data.real
    on = greedy_ahead(tree, data, n)
    close(targets[on], expected[on])
    off = data.real & ~on
    assert bool(off.any()) == (n > 1)
    assert (targets[off] < expected[off] - 1e-6).all()
    assert (targets[~data.real] == 0).all()


def sweep(tree, data, table, targets):
    """The mean target of every state and action of the tree."""
    total, count = torch.zeros_like(table), torch.zeros_like(table)
    index = (data.states[data.real], data.actions[data.real])
    total.index_put_(index, targets[data.real], accumulate=True)
    count.index_put_(index, torch.ones_like(targets[data.real]), accumulate=True)
    assert (count > 0).all()
    return total / count


@pytest.mark.parametrize("lambda_", LAMBDAS)
@pytest.mark.parametrize("learner", SOFT)
def test_value_iteration_from_zero_converges_off_policy(tree, data, learner, lambda_):
    """One level of the tree a sweep, from the end; T sweeps are enough and T - 1 are not."""
    exact, _ = solution(tree, learner, DISCOUNT)
    table = torch.zeros_like(exact)
    traces = torch.full(data.real.shape, lambda_).double()
    errors = []
    for _ in range(5):
        targets = soft_targets(tree, data, learner, table, DISCOUNT, traces)
        table = sweep(tree, data, table, targets)
        errors.append(float((table - exact).abs().max()))
    assert errors[-1] < 1e-9
    assert errors[-2] > 1e-2


@pytest.mark.parametrize("n", [1, 3])
def test_q_iteration_from_zero_converges_for_one_step_only(tree, data, n):
    exact, _ = solution(tree, "q", DISCOUNT)
    table = torch.zeros_like(exact)
    rewards = along(data, rewards_of(tree, "q"))
    for _ in range(5):
        values = along(data, q_state_value(table))
        targets = n_step_targets(rewards, values, data.lengths, DISCOUNT, n)
        table = sweep(tree, data, table, targets)
    error = float((table - exact).abs().max())
    assert (error < 1e-9) if n == 1 else (error > 1.0)


def test_psi_and_g_learn_the_same_policy(tree, data):
    """From Psi = log p and G = 0 the two stay log p apart, sweep by sweep."""
    log_prior, _ = tables(tree)
    psi, g = log_prior, torch.zeros_like(log_prior)
    traces = torch.full(data.real.shape, 0.7).double()
    for _ in range(3):
        psi = sweep(tree, data, psi, soft_targets(tree, data, "psi", psi, DISCOUNT, traces))
        g = sweep(tree, data, g, soft_targets(tree, data, "g", g, DISCOUNT, traces))
        close(psi, log_prior + g)


def test_starting_at_the_prior_every_error_is_the_task_reward(tree, data):
    """G = 0: the policy is the prior, V is 0, and one step's target is r/c."""
    g = torch.zeros(len(tree), 4, dtype=torch.float64)
    targets = soft_targets(tree, data, "g", g, 1.0, torch.zeros(data.real.shape).double())
    # 2e-7: the environment's float32 prior does not quite sum to 1
    close(targets, along(data, tables(tree)[1] / C) * data.real, atol=2e-7)


# Random numbers, plain loops.

HORIZON = 6
NUMBERS = st.floats(-50.0, 50.0, width=32)


@st.composite
def batches(draw):
    """Random arrays [B, T]; episodes of length 0 (an empty row) to T."""
    size, horizon = draw(st.integers(1, 4)), draw(st.integers(1, HORIZON))

    def array(elements):
        row = st.lists(elements, min_size=horizon, max_size=horizon)
        rows = draw(st.lists(row, min_size=size, max_size=size))
        return torch.tensor(rows, dtype=torch.float64)

    lengths = draw(st.lists(st.integers(0, horizon), min_size=size, max_size=size))
    return SimpleNamespace(
        rewards=array(NUMBERS),
        values=array(NUMBERS),
        log_ratio=array(NUMBERS),
        traces=array(st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0)),
        lengths=torch.tensor(lengths),
        discount=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )


def loop_soft_targets(b):
    """soft_lambda_targets from its docstring, one number at a time."""

    def longer_return(i, t):  # U_t
        if t >= b.lengths[i]:
            return 0.0
        trace = float(b.traces[i, t])
        longer = float(b.log_ratio[i, t]) + b.discount * longer_return(i, t + 1)
        return (1 - trace) * float(b.values[i, t]) + trace * longer

    def target(i, t):
        if t >= b.lengths[i]:
            return 0.0
        return float(b.rewards[i, t]) + b.discount * longer_return(i, t + 1)

    rows, horizon = b.rewards.shape
    found = [[target(i, t) for t in range(horizon)] for i in range(rows)]
    return torch.tensor(found, dtype=torch.float64)


def loop_n_step_targets(b, n):
    """Rewards of n steps and the value after them, one number at a time."""

    def target(i, t):
        total, end = 0.0, int(b.lengths[i])
        for k in range(t, min(t + n, end)):
            total += b.discount ** (k - t) * float(b.rewards[i, k])
        if t + n < end:
            total += b.discount**n * float(b.values[i, t + n])
        return total

    rows, horizon = b.rewards.shape
    found = [[target(i, t) for t in range(horizon)] for i in range(rows)]
    return torch.tensor(found, dtype=torch.float64)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_soft_lambda_targets_against_a_loop(b):
    found = soft_lambda_targets(b.rewards, b.values, b.log_ratio, b.lengths, b.discount, b.traces)
    close(found, loop_soft_targets(b), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(batches(), st.integers(1, HORIZON + 2))
def test_n_step_targets_against_a_loop(b, n):
    found = n_step_targets(b.rewards, b.values, b.lengths, b.discount, n)
    close(found, loop_n_step_targets(b, n))
    if n == 1:
        one = one_step_targets(b.rewards, b.values, b.lengths, b.discount)
        assert torch.equal(found, one)
        zero = torch.zeros_like(b.traces)
        soft = soft_lambda_targets(b.rewards, b.values, b.log_ratio, b.lengths, b.discount, zero)
        close(one, soft)


@settings(max_examples=100, deadline=None)
@given(batches(), st.sampled_from([1e30, -1e9, math.inf, math.nan]))
def test_padding_comes_out_as_zero_and_never_leaks(b, rubbish):
    real = step_mask(b.lengths, b.rewards.shape[1])

    def results(fill):
        r, v, w, traces = (
            x.masked_fill(~real, fill) for x in (b.rewards, b.values, b.log_ratio, b.traces)
        )
        return (
            next_values(v, b.lengths),
            one_step_targets(r, v, b.lengths, b.discount),
            n_step_targets(r, v, b.lengths, b.discount, 3),
            soft_lambda_targets(r, v, w, b.lengths, b.discount, traces),
        )

    for clean, spoilt in zip(results(0.0), results(rubbish), strict=True):
        assert torch.equal(clean, spoilt)
        assert (spoilt[~real] == 0).all()


def test_inputs_are_left_as_they_are(tree, data):
    rewards, values = along(data, rewards_of(tree, "psi")), torch.ones(data.real.shape).double()
    copies = rewards.clone(), values.clone()
    soft_lambda_targets(rewards, values, rewards, data.lengths, 0.5, values)
    n_step_targets(rewards, values, data.lengths, 0.5, 2)
    assert torch.equal(rewards, copies[0])
    assert torch.equal(values, copies[1])


def test_small_examples_by_hand():
    lengths = torch.tensor([3, 1])
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert step_mask(lengths, 3).tolist() == [[True] * 3, [True, False, False]]
    assert next_values(values, lengths).tolist() == [[2.0, 3.0, 0.0], [0.0, 0.0, 0.0]]
    one = one_step_targets(torch.ones(2, 3), values, lengths, 0.5)
    assert one.tolist() == [[2.0, 2.5, 1.0], [1.0, 0.0, 0.0]]
    two = n_step_targets(torch.ones(2, 3), values, lengths, 0.5, 2)
    assert two.tolist() == [[2.25, 1.5, 1.0], [1.0, 0.0, 0.0]]
    table = torch.arange(24.0).reshape(2, 3, 4)
    actions = torch.tensor([[0, 1, 2], [3, 3, 0]])
    assert chosen(table, actions).tolist() == [[0.0, 5.0, 10.0], [15.0, 19.0, 20.0]]


@given(
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(-1e3, 0.0), st.floats(-1e3, 0.0)), min_size=1, max_size=8),
)
def test_cut_traces_lie_between_zero_and_lambda(lambda_, pairs):
    log_pi, log_behaviour = torch.tensor(pairs, dtype=torch.float64).T
    traces = cut_traces(lambda_, log_pi, log_behaviour)
    assert ((traces >= 0) & (traces <= lambda_)).all()
    uncut = log_pi >= log_behaviour
    assert (traces[uncut] == lambda_).all()
    expected = [lambda_ * min(1.0, math.exp(min(pi - beta, 1.0))) for pi, beta in pairs]
    close(traces, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_shapes_and_arguments_that_do_not_fit():
    values = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(3,\)"):
        next_values(values, torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match=r"got \(2, 3, 1\) and \(2,\)"):
        one_step_targets(values, values[..., None], torch.tensor([1, 2]), 1.0)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        n_step_targets(values, values, torch.tensor([1, 2]), 1.0, 0)


@pytest.mark.parametrize("far", [0.0, -95.0, -1e9, 1e3])
def test_logsumexp_is_pytorchs(far):
    values = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)) * 3
    values[::2, 1] = far
    mine, theirs = (v.clone().requires_grad_() for v in (values, values))
    found, wanted = logsumexp(mine), torch.logsumexp(theirs, dim=-1)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
    found.sum().backward()
    wanted.sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-5)
    everything_far = torch.full((2, 3), -1e9)
    torch.testing.assert_close(logsumexp(everything_far), torch.logsumexp(everything_far, -1))
