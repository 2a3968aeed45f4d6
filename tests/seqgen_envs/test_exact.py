"""Dynamic programming over the toy tree against every sequence written out by hand."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqgen_envs import exact
from seqgen_envs.domains.toy import DOMAIN
from seqgen_envs.domains.toy.vocabulary import END, HORIZON, VOCABULARY, A, B, C
from seqgen_envs.exact import PrefixTree
from seqgen_envs.rules import score_sequences
from seqgen_envs.settings import LaneSettings
from seqgen_envs.starts import MIN_LOG_PROB

V = VOCABULARY.size
TEMPERATURES = (0.1, 0.5, 2.0, 30.0)
DISCOUNTS = (0.0, 0.5, 0.99, 1.0)


@pytest.fixture(scope="module")
def tree():
    return PrefixTree.build(LaneSettings("toy"))


@pytest.fixture(scope="module")
def brute():
    """Every sequence, its log p and its R, without an environment or a tree."""
    cut = {s[: s.index(END) + 1] if END in s else s for s in all_strings(HORIZON)}
    return brute_force(sorted(cut))


def all_strings(n):
    return list(itertools.product(range(V), repeat=n))


def brute_force(sequences):
    lengths = np.array([len(s) for s in sequences])
    tokens = np.array([list(s) + [V] * (HORIZON - len(s)) for s in sequences])
    log_probs = DOMAIN.load_prior().sequence_log_probs(torch.from_numpy(tokens)).double().numpy()
    real = np.arange(HORIZON) < lengths[:, None]
    taken = np.take_along_axis(log_probs, np.minimum(tokens, V - 1)[..., None], -1)[..., 0]
    log_prior = np.where(real, taken, 0.0).sum(1)
    returns = score_sequences(DOMAIN.make_task(), tokens, lengths).sum(axis=(1, 2))
    order = {tuple(row): i for i, row in enumerate(tokens.tolist())}
    return SimpleNamespace(log_prior=log_prior, task_return=returns, order=order)


def in_order(brute, tree, values):
    """``values`` of the tree's sequences in the order of ``brute``."""
    found = np.full(len(brute.order), np.nan)
    found[[brute.order[tuple(row)] for row in tree.sequences.tokens.tolist()]] = values
    return found


def random_policy(tree, seed, spread=2.0):
    logits = np.random.default_rng(seed).normal(0.0, spread, tree.log_prior.shape)
    logits[~tree.allowed] = -np.inf
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def prior_policy(tree):
    return tree.log_prior - np.logaddexp.reduce(tree.log_prior, axis=1, keepdims=True)


def test_the_tree_has_every_prefix_and_every_sequence(tree, brute):
    assert tree.level_starts == (0, 1, 4, 13, 40, 121)  # 3 letters to go on with
    prefixes = {s + (V,) * (HORIZON - n) for n in range(HORIZON) for s in letters(n)}
    assert {tuple(row) for row in tree.tokens.tolist()} == prefixes
    assert len(tree) == len(prefixes) == 121
    assert len(tree.sequences) == len(brute.order) == 364
    assert {tuple(row) for row in tree.sequences.tokens.tolist()} == set(brute.order)


def letters(n):
    return itertools.product((A, B, C), repeat=n)


def test_children_are_their_parents_with_one_more_token(tree):
    for s, a in np.argwhere(tree.child >= 0):
        length = int((tree.tokens[s] < V).sum())
        expected = tree.tokens[s].copy()
        expected[length] = a
        np.testing.assert_array_equal(tree.tokens[tree.child[s, a]], expected)
    ends = (tree.child < 0) & tree.allowed
    length = (tree.tokens < V).sum(1)
    np.testing.assert_array_equal(ends, (np.arange(V) == END) | (length == HORIZON - 1)[:, None])


def test_paths_lead_from_the_start_to_the_end(tree):
    found = tree.sequences
    for row in range(len(found)):
        n = found.lengths[row]
        states, actions = found.states[row, :n], found.actions[row, :n]
        assert states[0] == 0
        np.testing.assert_array_equal(tree.child[states, actions], [*states[1:], -1])
        np.testing.assert_array_equal(actions, found.tokens[row, :n])
        assert (found.states[row, n:] == -1).all()
        assert (found.actions[row, n:] == V).all()


def test_log_prior_and_return_of_every_sequence(tree, brute):
    np.testing.assert_allclose(
        in_order(brute, tree, tree.sequences.log_prior), brute.log_prior, rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        in_order(brute, tree, tree.sequences.task_return), brute.task_return, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("c", TEMPERATURES)
def test_dynamic_programming_is_the_closed_form(tree, brute, c):
    log_weights = brute.log_prior + brute.task_return / c
    log_z = np.logaddexp.reduce(log_weights)
    assert tree.log_z(c) == pytest.approx(log_z, abs=1e-9)
    by_dp = tree.sequence_log_probs(tree.optimal_policy(c))
    for log_q in (by_dp, tree.sequences.log_optimal(c)):
        np.testing.assert_allclose(
            in_order(brute, tree, log_q), log_weights - log_z, rtol=0, atol=1e-9
        )
    assert np.exp(by_dp).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("c", TEMPERATURES)
def test_psi_is_log_p_plus_g(tree, c, discount):
    psi, g = tree.solve_psi(c, discount), tree.solve_g(c, discount)
    np.testing.assert_allclose(psi.actions, tree.log_prior + g.actions, rtol=0, atol=1e-9)
    np.testing.assert_allclose(psi.states, g.states, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ["solve_psi", "solve_g", "solve_q"])
def test_bellman_equation_state_by_state(tree, solver):
    """A loop over states, in the module's words."""
    c, discount = 0.7, 0.9
    actions, states = getattr(tree, solver)(c, discount)
    for s in range(len(tree)):
        for a in range(V):
            follow = 0.0 if tree.child[s, a] < 0 else states[tree.child[s, a]]
            paid = tree.task_reward[s, a] / c
            paid += 0.0 if solver == "solve_g" else tree.log_prior[s, a]
            assert actions[s, a] == pytest.approx(paid + discount * follow, abs=1e-9)
        value = {
            "solve_psi": lambda s: np.log(np.exp(actions[s]).sum()),
            "solve_g": lambda s: np.log((np.exp(tree.log_prior[s]) * np.exp(actions[s])).sum()),
            "solve_q": lambda s: actions[s].max(),
        }[solver](s)
        assert states[s] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("c", TEMPERATURES)
def test_objective_is_log_z_less_the_divergence(tree, c):
    log_z = tree.log_z(c)
    best = tree.optimal_policy(c)
    assert tree.objective(best, c) == pytest.approx(log_z, abs=1e-9)
    assert tree.kl(best, c) == pytest.approx(0.0, abs=1e-9)
    for seed in range(5):
        policy = random_policy(tree, seed)
        kl = tree.kl(policy, c)
        assert kl > 0.1
        assert tree.objective(policy, c) == pytest.approx(log_z - kl, abs=1e-9)


@pytest.mark.parametrize("discount", DISCOUNTS)
def test_the_optimal_policy_has_the_largest_discounted_objective(tree, discount):
    c = 0.5
    best = tree.objective(tree.optimal_policy(c, discount), c, discount)
    assert best == pytest.approx(tree.solve_psi(c, discount).states[0], abs=1e-9)
    for seed in range(5):
        nearby = tree.optimal_policy(c, discount) + 0.1 * random_policy(tree, seed)
        nearby -= np.logaddexp.reduce(nearby, axis=1, keepdims=True)
        assert tree.objective(nearby, c, discount) < best - 1e-6


@pytest.mark.parametrize("c", TEMPERATURES)
def test_the_prior_as_a_policy(tree, brute, c):
    """J(p) = E_p[R]/c, and KL(p || q*) = log Z - E_p[R]/c."""
    p = np.exp(brute.log_prior)
    expected = (p * brute.task_return).sum() / c
    # 1e-6: the prior is float32, so p sums to 1 only within that
    assert tree.objective(tree.log_prior, c) == pytest.approx(expected, abs=2e-6 / c)
    assert tree.kl(tree.log_prior, c) == pytest.approx(tree.log_z(c) - expected, abs=2e-6 / c)


def test_kl_from_the_prior_vanishes_as_the_task_fades(tree):
    kls = [tree.kl(tree.log_prior, c) for c in (0.5, 5.0, 50.0, 500.0)]
    assert kls == sorted(kls, reverse=True)
    assert 0 < kls[-1] < 1e-5


@pytest.mark.parametrize("c", TEMPERATURES)
def test_greedy_in_q_finds_the_best_sequence(tree, brute, c):
    best = (brute.log_prior + brute.task_return / c).max()
    q = tree.solve_q(c)
    assert q.states[0] == pytest.approx(best, abs=1e-9)
    assert tree.greedy_return(q.actions, c) == pytest.approx(best, abs=1e-9)
    assert tree.greedy_return(-q.actions, c) < best - 1.0


def test_greedy_return_is_discounted(tree):
    c, discount = 0.5, 0.6
    q = tree.solve_q(c, discount)
    assert tree.greedy_return(q.actions, c, discount) == pytest.approx(q.states[0], abs=1e-9)
    s, total, weight = 0, 0.0, 1.0
    while s >= 0:
        a = q.actions[s].argmax()
        total += weight * (tree.log_prior[s, a] + tree.task_reward[s, a] / c)
        s, weight = tree.child[s, a], weight * discount
    assert tree.greedy_return(q.actions, c, discount) == pytest.approx(total, abs=1e-9)


def test_greedy_policy_is_not_kl_control(tree):
    """Q's own optimum, one sequence, loses what its missing entropy is worth."""
    c = 2.0
    greedy = np.full(tree.log_prior.shape, -np.inf)
    greedy[np.arange(len(tree)), tree.solve_q(c).actions.argmax(1)] = 0.0
    assert tree.objective(greedy, c) == pytest.approx(tree.solve_q(c).states[0], abs=1e-9)
    assert tree.kl(greedy, c) == pytest.approx(tree.log_z(c) - tree.objective(greedy, c), abs=1e-9)
    assert tree.kl(greedy, c) > 0.5


def test_policy_of_shows_what_the_environment_shows(tree, monkeypatch):
    monkeypatch.setattr(exact, "BATCH", 50)
    seen = []

    def show(observation):
        seen.append(observation["tokens"])
        assert observation["log_prior"].dtype == np.float32
        return torch.log_softmax(torch.from_numpy(observation["log_prior"]), dim=-1)

    policy = tree.policy_of(show)
    assert [len(tokens) for tokens in seen] == [50, 50, 21]
    np.testing.assert_array_equal(np.concatenate(seen), tree.tokens)
    np.testing.assert_allclose(policy, prior_policy(tree), rtol=0, atol=1e-6)


def test_rounding_of_a_policy_is_normalised_away(tree):
    policy = random_policy(tree, 0)
    rounded = policy + np.random.default_rng(1).uniform(-9e-5, 9e-5, (len(tree), 1))
    np.testing.assert_allclose(tree.policy_of(lambda _: rounded), policy, rtol=0, atol=1e-9)
    assert tree.kl(rounded, 0.5) == pytest.approx(tree.kl(policy, 0.5), abs=1e-9)
    assert tree.objective(rounded, 0.5) == pytest.approx(tree.objective(policy, 0.5), abs=1e-9)


def test_policies_that_are_none_are_refused(tree):
    with pytest.raises(ValueError, match=r"must be \[S, V\] = \(121, 4\), got \(121, 3\)"):
        tree.kl(np.zeros((121, 3)), 1.0)
    wrong = random_policy(tree, 0)
    wrong[7] += np.log(2.0)
    with pytest.raises(ValueError, match=r"in state 7 \(.*\) it sums to 2"):
        tree.objective(wrong, 1.0)
    wrong[7] = np.nan
    with pytest.raises(ValueError, match=r"in state 7 \(.*\) it sums to nan"):
        tree.kl(wrong, 1.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_temperatures_and_discounts_out_of_range(tree, bad):
    for call in (tree.solve_psi, tree.solve_g, tree.solve_q, tree.sequences.log_optimal):
        with pytest.raises(ValueError, match="c must be a finite number > 0"):
            call(bad)
    if bad != 0.0:
        with pytest.raises(ValueError, match=r"discount must be in \[0, 1\]"):
            tree.solve_psi(1.0, bad)


def test_a_tree_too_large_is_refused_before_it_is_grown():
    with pytest.raises(ValueError, match=r"cannot enumerate 4\*\*11 = 4194304 sequences of domain"):
        PrefixTree.build(LaneSettings("toy", length=11))


def test_batches_change_nothing(tree, monkeypatch):
    monkeypatch.setattr(exact, "BATCH", 7)
    other = PrefixTree.build(LaneSettings("toy", c=3.0, prior_weight=0.0))  # nor do these
    for field in dataclasses.fields(PrefixTree):
        np.testing.assert_array_equal(getattr(other, field.name), getattr(tree, field.name))


def test_a_primed_tree_is_a_branch_of_the_whole(tree):
    """Rules do not judge the primer, but those with a memory scan it."""
    primed = PrefixTree.build(LaneSettings("toy", primer="bc"))
    state = next(s for s, row in enumerate(tree.tokens.tolist()) if row == [B, C, V, V, V])
    c = 0.5
    assert primed.sequences.states.shape[1] == HORIZON - 2
    assert primed.log_z(c) == pytest.approx(tree.solve_psi(c).states[state], abs=1e-9)
    rows = (tree.sequences.tokens[:, :2] == [B, C]).all(1)
    by_tokens = {tuple(row) for row in tree.sequences.tokens[rows].tolist()}
    assert {tuple(row) for row in primed.sequences.tokens.tolist()} == by_tokens


def no_repeats(tokens, lengths):
    """No letter may follow itself; the first is free."""
    mask = np.ones((len(tokens), V), dtype=np.int8)
    later = np.flatnonzero(lengths > 0)
    mask[later, tokens[later, lengths[later] - 1]] = 0
    return mask


@pytest.fixture(scope="module")
def masked_tree():
    domain = dataclasses.replace(DOMAIN, action_mask=no_repeats)
    return PrefixTree.build(LaneSettings(domain))


def test_masked_tokens_are_no_part_of_the_tree(masked_tree):
    after = masked_tree.sequences.tokens
    repeats = (after[:, 1:] == after[:, :-1]) & (after[:, 1:] < V)
    assert not repeats.any()
    assert len(masked_tree.sequences) == 1 + 3 * (1 + 2 * (1 + 2 * (1 + 2 * 3)))
    log_sums = np.logaddexp.reduce(masked_tree.log_prior, axis=1)
    np.testing.assert_allclose(log_sums, 0.0, atol=1e-6)  # renormalised


def test_the_equations_hold_under_a_mask(masked_tree):
    c = 0.5
    weights = masked_tree.sequences.log_prior + masked_tree.sequences.task_return / c
    assert masked_tree.log_z(c) == pytest.approx(np.logaddexp.reduce(weights), abs=1e-9)
    psi, g = masked_tree.solve_psi(c).actions, masked_tree.solve_g(c).actions
    on = masked_tree.allowed
    np.testing.assert_allclose(psi[on], (masked_tree.log_prior + g)[on], rtol=0, atol=1e-9)
    assert masked_tree.greedy_return(np.zeros(psi.shape), c) > -np.inf  # never a masked token
    with np.errstate(all="raise"):
        for policy in (masked_tree.optimal_policy(c), random_policy(masked_tree, 0)):
            gap = masked_tree.log_z(c) - masked_tree.kl(policy, c)
            assert masked_tree.objective(policy, c) == pytest.approx(gap, abs=1e-9)


def test_a_policy_that_takes_masked_tokens_is_refused(masked_tree):
    shown = masked_tree.policy_of(lambda observation: observation["log_prior"])
    np.testing.assert_allclose(shown, prior_policy(masked_tree), rtol=0, atol=1e-6)
    lows = []

    def uniform(observation):
        lows.append(observation["log_prior"].min())
        return np.full(observation["log_prior"].shape, -np.log(V))

    with pytest.raises(ValueError, match=r"tokens the environment allows.* it sums to 0.75"):
        masked_tree.policy_of(uniform)
    assert lows == [np.float32(MIN_LOG_PROB)]
