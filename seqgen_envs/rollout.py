"""Whole episodes of any policy: the one generator of steps, and the episodes made of them.

Agent-agnostic: a policy is anything with Stable-Baselines3's ``predict``. :func:`play` steps lanes
through exactly so many episodes and says at each step what happened where; :func:`rollout` keeps
the episodes, evaluation sums KL and entropy over the same steps, agents record them to learn from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.observations import observe
from seqgen_envs.starts import MIN_LOG_PROB


class Policy(Protocol):
    """What a rollout needs of an agent: Stable-Baselines3's ``predict``.

    One that also takes ``action_masks`` (sb3-contrib's) is given them.
    """

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Actions [N] for a batch of observations, and the state to pass next time."""
        ...


class PriorPolicy:
    """Samples from the prior, as the environment's observations show it.

    Args:
        seed: of its random numbers.
        temperature: log-probabilities are divided by it (1: the prior itself); masked tokens stay
            masked.
    """

    def __init__(self, seed: int | None = None, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.rng = np.random.default_rng(seed)
        self.temperature = temperature

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], None]:
        """See :class:`Policy`."""
        log_prior = np.atleast_2d(observation["log_prior"])
        log_prior = np.where(log_prior > MIN_LOG_PROB, log_prior / self.temperature, -np.inf)
        if deterministic:
            return log_prior.argmax(-1), None
        return sample_rows(log_prior, self.rng), None


#: Of more tokens than this, a draw first chooses a block of :data:`_BLOCK` and then a token of it.
_LARGE, _BLOCK = 1024, 256


def sample_rows(log_weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """One index a row, with probability proportional to exp of the row's entries [N, V].

    The rounding of the weights, float64 or (of more than 1,024 entries) float32, is all that stands
    between a draw and exactness: a relative 1e-7 at most of an entry's probability.
    """
    if log_weights.shape[1] > _LARGE:
        return _sample_blocks(log_weights, rng)
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True), dtype=np.float64)
    return _below(weights, rng.random((len(weights), 1)))


def _below(weights: NDArray[Any], share: NDArray[np.float64]) -> NDArray[np.int64]:
    """The entry of each row [N, K] at which the running sum passes ``share`` [N, 1] of the sum."""
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    below = (cumulative <= share * cumulative[:, -1:]).sum(axis=1)
    drawn: NDArray[np.int64] = np.minimum(below, weights.shape[1] - 1)
    return drawn


def _sample_blocks(log_weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """:func:`sample_rows` of many entries: no running sum over all of them."""
    n, size = log_weights.shape
    weights = np.zeros((n, -(-size // _BLOCK), _BLOCK), dtype=np.float32)
    largest, whole = log_weights.max(axis=1, keepdims=True), weights.reshape(n, -1)
    np.exp(log_weights - largest, out=whole[:, :size], casting="same_kind")
    sums = weights.sum(axis=2, dtype=np.float64)
    block = _below(sums, rng.random((n, 1)))
    within = _below(weights[np.arange(n), block], rng.random((n, 1)))
    drawn: NDArray[np.int64] = np.minimum(block * _BLOCK + within, size - 1)
    return drawn


@dataclass(frozen=True)
class Episodes:
    """N finished episodes, padded to T steps.

    Attributes:
        tokens: int64 [N, T], padded with V; the primer included.
        lengths: int64 [N].
        primer_lengths: int64 [N].
        log_prior: float64 [N, T], log p of each action (0 outside the actions).
        terms: float64 [N, T, K], each rule's weighted value.
        term_names: the K rules.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    primer_lengths: NDArray[np.int64]
    log_prior: NDArray[np.float64]
    terms: NDArray[np.float64]
    term_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def task_return(self) -> NDArray[np.float64]:
        """Sum of the task's rewards, [N]."""
        found: NDArray[np.float64] = self.terms.sum(axis=(1, 2))
        return found

    @property
    def log_prior_total(self) -> NDArray[np.float64]:
        """log p of the whole sequence, [N]."""
        found: NDArray[np.float64] = self.log_prior.sum(axis=1)
        return found

    @property
    def steps(self) -> NDArray[np.int64]:
        """Tokens that were chosen, [N]: all but the primer."""
        return self.lengths - self.primer_lengths

    def term_totals(self) -> dict[str, NDArray[np.float64]]:
        """Each rule's sum over an episode, [N] by name."""
        totals = self.terms.sum(axis=1)
        return {name: totals[:, k] for k, name in enumerate(self.term_names)}


class Ledger:
    """Which episode every lane is in, when exactly ``episodes`` are wanted.

    Lanes that finish start the next episode at once while there is one to start, and are idle then;
    every episode *started* is counted, so short sequences are not over-represented, as they would
    be among the first to finish.

    Args:
        lanes: number of lanes.
        episodes: how many are wanted, at least 1.

    Attributes:
        running: int64 [lanes], the episode's number, or -1 for none: the lane is idle.
        live: int64, the lanes that are in wanted episodes.
        idle: bool [lanes], the others.

    Raises:
        ValueError: ``episodes`` is below 1.
    """

    def __init__(self, lanes: int, episodes: int) -> None:
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        self.episodes = episodes
        self.running = np.arange(lanes)
        self.running[self.running >= episodes] = -1
        self._started = lanes
        self._count()

    def _count(self) -> None:
        self.idle = self.running < 0
        self.live = np.flatnonzero(~self.idle)

    @property
    def open(self) -> bool:
        """True while a wanted episode is still running."""
        return len(self.live) > 0

    def close(self, finished: NDArray[np.bool_]) -> None:
        """The lanes marked in ``finished`` begin the next episode."""
        fresh = self._started + np.arange(int(finished.sum()))
        self._started += len(fresh)
        self.running[finished] = np.where(fresh < self.episodes, fresh, -1)
        self._count()


class Played(Protocol):
    """What :func:`play` steps: :class:`~seqgen_envs.lanes.Lanes`, or what behaves like them."""

    n: int

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """log p of the next token, [N, V]."""
        ...

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start the marked lanes (None: all) anew."""
        ...

    def step(
        self,
        actions: NDArray[np.int64],
        *,
        idle: NDArray[np.bool_] | None = None,
        later: bool = False,
    ) -> Step:
        """Append a token to each lane but the idle ones; see :meth:`~.lanes.Lanes.step`."""
        ...

    def judge(self) -> NDArray[np.float64]:
        """Terms [M, terms] of the last steps that wait, in the order in which they ended."""
        ...


#: Chooses actions int64 [N] for all lanes, told which start an episode (bool [N]); and says
#: log pi(.|s) [N, V], or None where the policy does not show it.
Actor = Callable[[NDArray[np.bool_]], tuple[NDArray[np.int64], NDArray[Any] | None]]


@dataclass(frozen=True)
class Moment:
    """One step of all lanes; the lanes themselves show the state after it, before any restart.

    Attributes:
        live: int64 [L], the lanes whose episodes are wanted; what others show means nothing.
        episodes: int64 [L], the number of each one's episode, from 0.
        log_prior: [N, V], log p of the next token as it was before the step.
        log_policy: [N, V], log pi likewise; None if not shown.
        actions: int64 [N].
        step: what it brought; the task reward of sequences that ``wait`` in it is 0.
        judged: int64 [M], the episodes whose last steps have been judged now: they waited.
        terms: float64 [M, terms], each rule's weighted value of those.
    """

    live: NDArray[np.intp]
    episodes: NDArray[np.int64]
    log_prior: NDArray[np.float32]
    log_policy: NDArray[Any] | None
    actions: NDArray[np.int64]
    step: Step
    judged: NDArray[np.int64]
    terms: NDArray[np.float64]


#: Sequences that wait to be judged together, at most: what is known of their tokens' meaning
#: (parsed molecules) is still remembered then.
TOGETHER = 1024


def play(lanes: Played, act: Actor, episodes: int) -> Iterator[Moment]:
    """Every step of exactly ``episodes`` episodes (see :class:`Ledger`).

    What finished sequences earn at their last step is judged for many together, at the end or when
    :data:`TOGETHER` wait: so an oracle gets one batch, in the order in which they ended.

    Args:
        lanes: reset here.
        act: what chooses the actions.
        episodes: how many, at least 1.

    Raises:
        ValueError: ``episodes`` is below 1.
    """
    ledger, first = Ledger(lanes.n, episodes), np.ones(lanes.n, dtype=bool)
    waiting: list[int] = []
    lanes.reset()
    nobody = np.zeros(0, dtype=np.int64)
    while ledger.open:
        log_prior = lanes.log_prior
        actions, log_policy = act(first)
        live = ledger.live
        running = ledger.running[live]
        step = lanes.step(actions, idle=ledger.idle, later=True)
        first = step.ended
        if over := bool(first.any()):
            waiting += ledger.running[step.waiting].tolist()
            ledger.close(first)
        terms, judged = step.terms[:0], nobody
        if waiting and (len(waiting) >= TOGETHER or not ledger.open):
            terms, judged, waiting = lanes.judge(), np.array(waiting, dtype=np.int64), []
        yield Moment(live, running, log_prior, log_policy, actions, step, judged, terms)
        if over and (again := first & ~ledger.idle).any():
            lanes.reset(again)


class Predicting:
    """An :data:`Actor` that asks a policy's ``predict``, with the state it returned last."""

    def __init__(
        self, policy: Policy, lanes: Lanes, observation: str = "dict", deterministic: bool = False
    ) -> None:
        self.policy, self.lanes = policy, lanes
        self.observation, self.deterministic = observation, deterministic
        if plan_in := getattr(policy, "plan_in", None):  # it plays sequences of its own, ahead
            plan_in(lanes)
        self._masked = "action_masks" in inspect.signature(policy.predict).parameters
        self._state: Any = None

    def __call__(self, first: NDArray[np.bool_]) -> tuple[NDArray[np.int64], None]:
        """See :data:`Actor`."""
        masks = {"action_masks": self.lanes.action_mask.astype(bool)} if self._masked else {}
        actions, self._state = self.policy.predict(
            observe(self.observation, self.lanes),
            state=self._state,
            episode_start=first,
            deterministic=self.deterministic,
            **masks,
        )
        return self.lanes.as_actions(actions), None


class EpisodeRecorder:
    """Keeps what :func:`play` yields as :class:`Episodes`."""

    def __init__(self, lanes: Lanes, episodes: int) -> None:
        shape = (episodes, lanes.horizon)
        self.lanes = lanes
        self.episodes = Episodes(
            tokens=np.full(shape, lanes.domain.vocabulary.pad_id, dtype=np.int64),
            lengths=np.zeros(episodes, dtype=np.int64),
            primer_lengths=np.zeros(episodes, dtype=np.int64),
            log_prior=np.zeros(shape),
            terms=np.zeros((*shape, len(lanes.task.terms))),
            term_names=lanes.task.names,
        )

    def note(self, moment: Moment) -> None:
        """Keep a step."""
        lanes, episodes, step = self.lanes, self.episodes, moment.step
        rows, at = moment.episodes, lanes.lengths[moment.live] - 1
        episodes.log_prior[rows, at] = step.prior_log_prob[moment.live]
        episodes.terms[rows, at] = step.terms[moment.live]
        if (ended := step.ended[moment.live]).any():
            rows, done = rows[ended], moment.live[ended]
            episodes.tokens[rows] = lanes.tokens[done]
            episodes.lengths[rows] = lanes.lengths[done]
            episodes.primer_lengths[rows] = lanes.primer_lengths[done]
        if len(judged := moment.judged):
            episodes.terms[judged, episodes.lengths[judged] - 1] = moment.terms


def rollout(
    lanes: Lanes,
    policy: Policy,
    episodes: int,
    *,
    observation: str = "dict",
    deterministic: bool = False,
) -> Episodes:
    """Run exactly ``episodes`` episodes (see :class:`Ledger`).

    Args:
        lanes: the engine of an environment (``env.unwrapped.lanes``); reset here. Where it has
            several primers, ``lanes.seed(seed)`` before this says which are drawn.
        policy: see :class:`Policy`.
        episodes: how many, at least 1.
        observation: the kind the policy was made for.
        deterministic: passed to the policy.

    Raises:
        ValueError: ``episodes`` is below 1.
    """
    record = EpisodeRecorder(lanes, max(episodes, 0))
    for moment in play(lanes, Predicting(policy, lanes, observation, deterministic), episodes):
        record.note(moment)
    return record.episodes
