"""Ground truth: every sequence of a small environment, and dynamic programming over them.

States are prefixes; transitions are deterministic, so the states form a tree. With prior p, task
reward r, temperature c and discount gamma, backward induction (V = 0 after the end) gives

    Psi*(s, a) = log p(a|s) + r/c + gamma V*(s')      V*(s) = log sum_a exp Psi*(s, a)
    G*(s, a)   =              r/c + gamma V*(s')      V*(s) = log sum_a p(a|s) exp G*(s, a)
    Q*(s, a)   = log p(a|s) + r/c + gamma V*(s')      V*(s) = max_a Q*(s, a)

so Psi* = log p + G*, and both have the policy q*(a|s) = exp(Psi*(s, a) - V*(s)). With discount 1
that policy's distribution over whole sequences, R being the sum of task rewards, is

    q*(tau) = p(tau) exp(R(tau)/c) / Z,    log Z = V*(s_0),    J(q) = log Z - KL(q || q*)

for the objective J(q) = E_q[R/c] - KL(q || p) of any policy q. All quantities are float64 natural
logarithms. The prior is what the environment shows of it: float32, so its rows sum to 1 within
1e-6 only; none of the equations above needs them to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.graph import Floats, Ints, StateGraph, unmergeable
from seqgen_envs.lanes import Lanes
from seqgen_envs.settings import LaneSettings, check_c
from seqgen_envs.starts import MIN_LOG_PROB

#: Trees whose number of sequences may exceed this are refused.
MAX_SEQUENCES = 2_000_000

#: Prefixes stepped, or shown to a policy, at a time.
BATCH = 65_536


@dataclass(frozen=True)
class Sequences:
    """All L sequences of a tree, H steps at most after the primer.

    Attributes:
        tokens: int64 [L, T], padded with V; the primer included.
        lengths: int64 [L], number of actions.
        states: int64 [L, H], the state each action was taken in, padded with -1.
        actions: int64 [L, H], padded with V.
        log_prior: log p(tau), [L].
        task_return: R(tau), [L].
    """

    tokens: Ints
    lengths: Ints
    states: Ints
    actions: Ints
    log_prior: Floats
    task_return: Floats

    def __len__(self) -> int:
        return len(self.tokens)

    def log_optimal(self, c: float) -> Floats:
        """log q*(tau) = log p(tau) + R(tau)/c - log Z by its closed form, [L]."""
        log_weights = self.log_prior + self.task_return / check_c(c)
        found: Floats = log_weights - np.logaddexp.reduce(log_weights)
        return found


@dataclass(frozen=True)
class PrefixTree(StateGraph):
    """All S unfinished prefixes of an environment, shortest first; state 0 is the start.

    Made by :meth:`build`. Methods that take ``log_policy`` want log pi(a|s), [S, V].

    Attributes:
        tokens: int64 [S, T], padded with V as in observations; the primer included.
    """

    tokens: Ints

    @classmethod
    def build(cls, settings: LaneSettings) -> PrefixTree:
        """Enumerate an environment (``env.unwrapped.lanes.settings``) level by level.

        The settings' ``c`` and ``prior_weight`` play no part: c is an argument below.

        Raises:
            ValueError: there may be more than :data:`MAX_SEQUENCES` sequences, or several primers.
        """
        lanes = Lanes(1, settings)
        primer = settings.only_primer("an exact tree")
        size, steps = lanes.domain.vocabulary.size, lanes.horizon - len(primer)
        if size**steps > MAX_SEQUENCES:
            raise ValueError(
                f"cannot enumerate {size}**{steps} = {size**steps} sequences of domain "
                f"{lanes.domain.name!r}, more than {MAX_SEQUENCES}: use a shorter length"
            )
        settings = dataclasses.replace(settings, prior=lanes.prior)  # loaded once
        lanes.reset()
        level = _Level(lanes.tokens, lanes.log_prior, lanes.action_mask.astype(bool))
        levels, rewards, children, starts = [], [], [], [0]
        while len(level.tokens):
            reward, child, following = _expand(settings, level)
            starts.append(starts[-1] + len(level.tokens))
            levels.append(level)
            rewards.append(reward)
            children.append(np.where(child >= 0, child + starts[-1], -1))
            level = following
        whole = _joined(levels)
        log_prior = np.where(whole.allowed, whole.log_prior.astype(np.float64), -np.inf)
        return cls(
            log_prior,
            np.concatenate(rewards),
            np.concatenate(children),
            tuple(starts),
            whole.tokens,
        )

    @cached_property
    def sequences(self) -> Sequences:
        """Every finished sequence."""
        state, action = np.nonzero(self.allowed & (self.child < 0))
        primer = self._lengths[0]
        lengths = self._lengths[state] + 1 - primer
        rows = np.arange(len(state))
        tokens = self.tokens[state]
        tokens[rows, primer + lengths - 1] = action
        actions = tokens[:, primer : primer + lengths.max()]
        parent = np.full(len(self), -1)
        before, by = np.nonzero(self.child >= 0)
        parent[self.child[before, by]] = before
        states = np.full(actions.shape, -1)
        while len(rows):  # from the last state of each sequence back to state 0
            states[rows, self._lengths[state] - primer] = state
            rows, state = rows[state > 0], parent[state[state > 0]]
        log_prior = _sum_over_steps(self.log_prior, states, actions)
        task_return = _sum_over_steps(self.task_reward, states, actions)
        return Sequences(tokens, lengths, states, actions, log_prior, task_return)

    def kl(self, log_policy: Floats, c: float) -> float:
        """KL(q || q*) = sum over sequences of q(tau) (log q(tau) - log q*(tau)), discount 1."""
        log_q = self.sequence_log_probs(log_policy)
        drawn = log_q > -np.inf
        gap = log_q[drawn] - self.sequences.log_optimal(c)[drawn]
        return float((np.exp(log_q[drawn]) * gap).sum())

    def sequence_log_probs(self, log_policy: Floats) -> Floats:
        """log q(tau) of every sequence, [L]: for ``optimal_policy``, log q*(tau) by DP."""
        found = self.sequences
        return _sum_over_steps(self._checked(log_policy), found.states, found.actions)

    def greedy_return(self, q: Floats, c: float, discount: float = 1.0) -> float:
        """Sum of gamma^t (log p + r/c) when acting greedily in ``q`` [S, V]: Q's objective."""
        best = np.where(self.allowed, q, -np.inf).argmax(axis=1)

        def value(taken: Floats, level: slice) -> Floats:
            found: Floats = taken[np.arange(len(taken)), best[level]]
            return found

        return float(self._backward(self._reward(c), discount, value).states[0])

    def policy_of(self, log_probs: Callable[[Mapping[str, NDArray[Any]]], Any]) -> Floats:
        """log pi of a policy in every state, [S, V].

        Args:
            log_probs: takes a batch of ``observation="dict"`` observations (``tokens`` [N, T],
                ``log_prior`` float32 [N, V]), returns log pi(.|s) [N, V].

        Raises:
            ValueError: the result has the wrong shape or does not sum to 1 in some state.
        """
        shown = np.where(self.allowed, self.log_prior, MIN_LOG_PROB).astype(np.float32)
        parts = []
        for start in range(0, len(self), BATCH):
            batch = slice(start, start + BATCH)
            parts.append(log_probs({"tokens": self.tokens[batch], "log_prior": shown[batch]}))
        return self._checked(np.concatenate([np.asarray(part, dtype=np.float64) for part in parts]))

    @cached_property
    def _lengths(self) -> Ints:
        """Tokens of each prefix, the primer included, [S]."""
        found: Ints = (self.tokens < self.log_prior.shape[1]).sum(axis=1)
        return found

    def _name(self, state: int) -> str:
        return str(self.tokens[state].tolist())


def exact_graph(settings: LaneSettings) -> StateGraph:
    """The states of an environment: merged where that is possible, else all its prefixes.

    Raises:
        ValueError: they are too many (see :class:`PrefixTree` and
            :class:`~seqgen_envs.graph.StateGraph`).
    """
    why = unmergeable(Lanes(1, settings))
    if not why:
        return StateGraph.merged(settings)
    try:
        return PrefixTree.build(settings)
    except ValueError as error:
        raise ValueError(f"{error}; and equal states cannot be merged: {why}") from error


class _Level(NamedTuple):
    """Prefixes of one length: tokens [N, T], log p [N, V] and which tokens may follow [N, V]."""

    tokens: Ints
    log_prior: NDArray[np.float32]
    allowed: NDArray[np.bool_]


def _joined(levels: Sequence[_Level]) -> _Level:
    return _Level(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))


def _expand(settings: LaneSettings, level: _Level) -> tuple[Floats, Ints, _Level]:
    """Every allowed action in every prefix: rewards [N, V], children [N, V] or -1, next level."""
    rewards = np.zeros(level.log_prior.shape)
    children = np.full(rewards.shape, -1)
    state, action = np.nonzero(level.allowed)
    following, n_following = [], 0
    for start in range(0, len(state), BATCH):
        s, a = state[start : start + BATCH], action[start : start + BATCH]
        lanes, rewards[s, a] = _replay(settings, level.tokens[s], a)
        on = ~lanes.finished
        children[s[on], a[on]] = n_following + np.arange(on.sum())
        n_following += int(on.sum())
        allowed = lanes.action_mask[on].astype(bool)
        following.append(_Level(lanes.tokens[on], lanes.log_prior[on], allowed))
    return rewards, children, _joined(following)


def _replay(settings: LaneSettings, prefixes: Ints, actions: Ints) -> tuple[Lanes, Floats]:
    """Lanes that have gone through ``prefixes`` [N, T] of equal length, then ``actions`` [N].

    Returns them and the task rewards [N] of the last step.
    """
    lanes = Lanes(len(prefixes), settings)
    lanes.reset()
    for t in range(int(lanes.lengths[0]), int((prefixes[0] < lanes.domain.vocabulary.size).sum())):
        lanes.step(prefixes[:, t])
    return lanes, lanes.step(actions).task_reward


def _sum_over_steps(values: Floats, states: Ints, actions: Ints) -> Floats:
    """Sum of ``values`` [S, V] along sequences of ``states`` and ``actions`` [L, H], [L]."""
    steps = states >= 0
    taken = np.zeros(states.shape)
    taken[steps] = values[states[steps], actions[steps]]
    found: Floats = taken.sum(axis=1)
    return found
