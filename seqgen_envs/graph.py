"""Ground truth of long sequences: states with equal futures are one state.

Prefixes of one length have the same future where the prior is in the same state, its last token is
the same, and all that the rules remember is. Where a prior has few states (a table, an n-gram) and
every rule says what it remembers (:func:`~seqgen_envs.rules.remembers`), the states of an
environment are a graph of modest size, and backward induction over it gives log Z and the optimal
policy of 38^32 melodies, exactly. :mod:`seqgen_envs.exact` has the equations, and the tree of all
prefixes for small environments with any prior and rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import sample_rows
from seqgen_envs.rules import ScanRule, Task
from seqgen_envs.settings import LaneSettings, check_c
from seqgen_envs.starts import as_shown

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Graphs of more states are refused: an array [S, V] would not fit into memory.
MAX_STATES = 2_000_000
#: Steps judged at a time.
BATCH = 65_536
#: log of the probability of what never happens, where -inf would make NaN of 0 * -inf.
NEVER = -1e9


class Solution(NamedTuple):
    """``actions`` [S, V]: Psi*, G* or Q*. ``states`` [S]: V*."""

    actions: Floats
    states: Floats


@dataclass(frozen=True)
class StateGraph:
    """All S states of an environment, those of shorter prefixes first; state 0 is the start.

    Attributes:
        log_prior: log p(a|s), [S, V]; -inf where the environment masks a token.
        task_reward: r(s, a), [S, V]; 0 where masked.
        child: int [S, V], the next state; -1 where the episode ends, or is masked.
        level_starts: where each length's states start, with S at the end; H + 1 numbers.
    """

    log_prior: NDArray[Any]
    task_reward: Floats
    child: Ints
    level_starts: tuple[int, ...]

    @staticmethod
    def merged(settings: LaneSettings) -> StateGraph:
        """The graph of an environment (``env.unwrapped.lanes.settings``), level by level.

        The settings' ``c`` and ``prior_weight`` play no part: c is an argument below.

        Raises:
            ValueError: a rule does not say what it remembers, the prior's states are not few, there
                is a mask, there are several primers, or more than :data:`MAX_STATES` states.
        """
        lanes = Lanes(1, settings)
        primer = settings.only_primer("an exact graph")
        if missing := unmergeable(lanes):
            raise ValueError(f"equal states cannot be merged: {missing}")
        lanes.reset()
        start = lanes.starts.after([primer])
        level = _Level(start.tokens, start.log_prior, start.prior_state, start.task_state)
        parts, starts = [], [0]
        for length in range(len(primer), lanes.horizon):
            reward, child, following = _expand(lanes, level, length)
            starts.append(starts[-1] + len(level.tokens))
            if starts[-1] > MAX_STATES:
                raise ValueError(
                    f"there are more than {MAX_STATES:,} states up to length {length}: use a "
                    "shorter length, or rules that remember less"
                )
            parts.append((level.log_prior, reward, np.where(child < 0, -1, child + starts[-1])))
            if not len(following.tokens):
                break
            level = following
        log_prior, rewards, children = zip(*parts, strict=True)
        return StateGraph(
            np.concatenate(log_prior),
            np.concatenate(rewards),
            np.concatenate(children),
            tuple(starts),
        )

    def __len__(self) -> int:
        return len(self.log_prior)

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether a token may follow, bool [S, V]."""
        return self.log_prior > -np.inf

    def solve_psi(self, c: float, discount: float = 1.0) -> Solution:
        """Psi* and V*."""
        return self._backward(
            self._reward(c), discount, lambda psi, _: np.logaddexp.reduce(psi, axis=1)
        )

    def solve_g(self, c: float, discount: float = 1.0) -> Solution:
        """G* and V*."""
        c = check_c(c)
        return self._backward(
            lambda level: self.task_reward[level] / c,
            discount,
            lambda g, level: np.logaddexp.reduce(self.log_prior[level] + g, axis=1),
        )

    def solve_q(self, c: float, discount: float = 1.0) -> Solution:
        """Q* and V*, of the objective E[sum of gamma^t (log p + r/c)]: no entropy term."""
        return self._backward(self._reward(c), discount, lambda q, _: q.max(axis=1))

    def optimal_policy(self, c: float, discount: float = 1.0) -> Floats:
        """log q*(a|s) = Psi*(s, a) - V*(s), [S, V]."""
        psi, values = self.solve_psi(c, discount)
        return psi - values[:, None]

    def log_z(self, c: float) -> float:
        """log Z = V*(s_0) with discount 1: the largest J there is."""
        return float(self.solve_psi(c).states[0])

    def objective(self, log_policy: Floats, c: float, discount: float = 1.0) -> float:
        """J(q) = E_q[sum of gamma^t (r/c + log p - log q)], by evaluating the policy [S, V]."""
        log_policy = self._checked(log_policy)

        def value(taken: Floats, level: slice) -> Floats:
            policy = np.exp(log_policy[level])
            gain = np.zeros_like(taken)  # pi log pi is 0 where pi is
            np.subtract(taken, log_policy[level], out=gain, where=policy > 0)
            found: Floats = (policy * gain).sum(axis=1)
            return found

        return float(self._backward(self._reward(c), discount, value).states[0])

    def _reward(self, c: float) -> Callable[[slice], Floats]:
        """log p(a|s) + r(s, a)/c of a level's states, [N, V]."""
        c = check_c(c)
        return lambda level: self.log_prior[level] + self.task_reward[level] / c

    def _backward(
        self,
        reward: Callable[[slice], Floats],
        discount: float,
        state_value: Callable[[Floats, slice], Floats],
    ) -> Solution:
        """Backward induction: reward + gamma V(s'), and what ``state_value`` makes of it."""
        if not 0 <= discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {discount}")
        actions, states = np.empty(self.task_reward.shape), np.zeros(len(self))
        for level in reversed([slice(*ends) for ends in pairwise(self.level_starts)]):
            child = self.child[level]
            actions[level] = reward(level) + discount * np.where(child >= 0, states[child], 0.0)
            states[level] = state_value(actions[level], level)
        return Solution(actions, states)

    def _checked(self, log_policy: Floats) -> Floats:
        """``log_policy`` as float64, its rounding normalised away."""
        log_policy = np.asarray(log_policy, dtype=np.float64)
        if log_policy.shape != self.log_prior.shape:
            raise ValueError(
                f"log_policy must be [S, V] = {self.log_prior.shape}, got {log_policy.shape}"
            )
        log_policy = np.where(self.allowed, log_policy, -np.inf)
        with np.errstate(invalid="ignore"):  # NaN is reported below
            log_sums = np.logaddexp.reduce(log_policy, axis=1)
        if not np.all(np.abs(log_sums) < 1e-4):
            worst = int(np.argmax(np.abs(np.nan_to_num(log_sums, nan=np.inf))))
            raise ValueError(
                "exp(log_policy) must sum to 1 over the tokens the environment allows; in state "
                f"{worst} ({self._name(worst)}) it sums to {np.exp(log_sums[worst]):g}"
            )
        found: Floats = log_policy - log_sums[:, None]
        return found

    def _name(self, state: int) -> str:
        return "of a merged graph"


class GraphPolicy:
    """A policy over the states of a graph, to be played: it shows its distribution.

    Args:
        graph: of the environment it is played in.
        log_policy: log pi(a|s), [S, V].
        seed: of what :meth:`predict` draws.
    """

    def __init__(self, graph: StateGraph, log_policy: Floats, seed: int = 0) -> None:
        self.graph, self.rng = graph, np.random.default_rng(seed)
        self.log_policy = np.maximum(log_policy, NEVER)

    def distribution(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], Any]:
        """See :class:`~seqgen_envs.evaluation.Distribution`; from the start of an episode on."""
        tokens = np.atleast_2d(observation["tokens"])
        first = np.ones(len(tokens), dtype=bool) if state is None else np.asarray(episode_start)
        nodes = np.zeros(len(tokens), dtype=np.int64)
        if state is not None:
            lengths = (tokens < self.log_policy.shape[1]).sum(axis=1)
            last = tokens[np.arange(len(tokens)), np.maximum(lengths - 1, 0)]
            last = np.minimum(last, self.log_policy.shape[1] - 1)
            moved = self.graph.child[state[0], last]
            nodes = np.where(first | (moved < 0), 0, moved)
        return self.log_policy[nodes], (nodes,)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Ints, Any]:
        """Actions [N], and the state to pass next time."""
        log_policy, after = self.distribution(observation, state, episode_start)
        if deterministic:
            return log_policy.argmax(axis=1), after
        return sample_rows(log_policy, self.rng), after


def unmergeable(lanes: Lanes) -> str:
    """Why states of this environment cannot be merged; "" where they can."""
    if not getattr(lanes.prior, "finite_state", False):
        return f"a {type(lanes.prior).__name__} has no small set of states (finite_state)"
    if lanes.mask is not None:
        return "what a mask remembers of a prefix is not known"
    silent = [
        term.name
        for term in lanes.task.terms
        if not isinstance(term.rule, ScanRule) and not hasattr(term.rule, "memory")
    ]
    rules = ", ".join(map(repr, silent))
    return f"rules do not say what they remember (rules.remembers): {rules}" if silent else ""


class _Level(NamedTuple):
    """N states of one length, each by one of its prefixes.

    ``tokens`` [N, T], ``log_prior`` of the next token [N, V], the prior's state after the last
    token, and the scan rules' states [N, ...] each.
    """

    tokens: Ints
    log_prior: NDArray[np.float32]
    prior_state: tuple[torch.Tensor, ...]
    task_state: tuple[Floats, ...]


def _expand(lanes: Lanes, level: _Level, length: int) -> tuple[Floats, Ints, _Level]:
    """Every action in every state: rewards [N, V], children [N, V] or -1, the next level."""
    end = lanes.domain.vocabulary.end_id
    rewards = np.zeros(level.log_prior.shape)
    states, actions = (index.ravel() for index in np.indices(rewards.shape))
    goes_on = np.ones(len(states), dtype=bool) if end is None else actions != end
    goes_on &= length + 1 < lanes.horizon
    keys: list[Floats] = []
    for begin in range(0, len(states), BATCH):
        s, a = states[begin : begin + BATCH], actions[begin : begin + BATCH]
        on = goes_on[begin : begin + BATCH]
        tokens, scanned = _judge(lanes.task, level, s, a, length, ~on, rewards)
        if on.any():
            keys.append(_key(lanes.task, level, s[on], a[on], tokens[on], scanned, on))
    children = np.full(rewards.shape, -1)
    if not keys:
        empty = _Level(level.tokens[:0], level.log_prior[:0], (), ())
        return rewards, children, empty
    first, which = _distinct(np.concatenate(keys))
    states, actions = states[goes_on], actions[goes_on]
    children[states, actions] = which
    return rewards, children, _following(lanes, level, states[first], actions[first], length)


def _judge(
    task: Task, level: _Level, s: Ints, a: Ints, length: int, ended: Any, rewards: Floats
) -> tuple[Ints, tuple[Floats, ...]]:
    """Enter the rewards; the prefixes [N, T] with their new tokens, and the scan rules' states."""
    tokens = level.tokens[s]
    tokens[:, length] = a
    before = tuple(carried[s] for carried in level.task_state)
    terms, after = task.score(tokens, np.full(len(s), length + 1), ended, before)
    rewards[s, a] = terms.sum(axis=1)
    return tokens, after


def _key(
    task: Task,
    level: _Level,
    s: Ints,
    a: Ints,
    tokens: Ints,
    scanned: tuple[Floats, ...],
    on: NDArray[np.bool_],
) -> Floats:
    """What decides the future of prefixes, a row each."""
    lengths = np.full(len(tokens), (tokens[0] < level.log_prior.shape[1]).sum())
    remembered = [
        np.asarray(getattr(term.rule, "memory")(tokens, lengths), dtype=np.float64)  # noqa: B009
        for term in task.terms
        if not isinstance(term.rule, ScanRule)
    ]
    prior = [state[torch.from_numpy(s)].reshape(len(s), -1).numpy() for state in level.prior_state]
    return np.column_stack([a, *prior, *remembered, *(state[on] for state in scanned)])


def _distinct(rows: Floats) -> tuple[Ints, Ints]:
    """The first of equal rows of [N, k], and which of those each is.

    Columns are numbered one after another: to sort whole numbers is quicker than to sort rows.
    """
    codes, count = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        values, number = np.unique(column, return_inverse=True)
        codes = codes * len(values) + number
        count *= len(values)
        if count >= 2**31:  # the next may not fit
            values, codes = np.unique(codes, return_inverse=True)
            count = len(values)
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return first, which


def _following(lanes: Lanes, level: _Level, s: Ints, a: Ints, length: int) -> _Level:
    """The states after actions ``a`` in states ``s``."""
    unused = np.zeros(level.log_prior.shape)
    ended = np.zeros(len(s), dtype=bool)
    tokens, scanned = _judge(lanes.task, level, s, a, length, ended, unused)
    before = tuple(state[torch.from_numpy(s)] for state in level.prior_state)
    log_probs, after = lanes.prior.step(torch.from_numpy(a), before)
    shown, _ = as_shown(None, log_probs, tokens, np.full(len(s), length + 1))
    return _Level(tokens, shown, after, scanned)
