"""Whole episodes of any policy, with everything the environment says of them.

Agent-agnostic: a policy is anything with Stable-Baselines3's ``predict``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.lanes import MIN_LOG_PROB, Lanes, Step
from seqgen_envs.observations import observe


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


def sample_rows(log_weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """One index a row, with probability proportional to exp of the row's entries [N, V]."""
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True), dtype=np.float64)
    cumulative = np.cumsum(weights, axis=1)
    threshold = rng.random((len(weights), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= threshold).sum(axis=1), log_weights.shape[1] - 1)


@dataclass(frozen=True)
class Episodes:
    """N finished episodes, padded to T steps.

    Attributes:
        tokens: int64 [N, T], padded with V; the primer included.
        lengths: int64 [N].
        log_prior: float64 [N, T], log p of each action (0 outside the actions).
        terms: float64 [N, T, K], each rule's weighted value.
        term_names: the K rules.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    log_prior: NDArray[np.float64]
    terms: NDArray[np.float64]
    term_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def task_return(self) -> NDArray[np.float64]:
        """Sum of the task's rewards, [N]."""
        return self.terms.sum(axis=(1, 2))

    @property
    def log_prior_total(self) -> NDArray[np.float64]:
        """log p of the whole sequence, [N]."""
        return self.log_prior.sum(axis=1)

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

    @property
    def open(self) -> bool:
        """True while a wanted episode is still running."""
        return bool((self.running >= 0).any())

    @property
    def live(self) -> NDArray[np.intp]:
        """The lanes that are in wanted episodes."""
        return np.flatnonzero(self.running >= 0)

    def close(self, finished: NDArray[np.bool_]) -> None:
        """The lanes marked in ``finished`` begin the next episode."""
        fresh = self._started + np.arange(int(finished.sum()))
        self._started += len(fresh)
        self.running[finished] = np.where(fresh < self.episodes, fresh, -1)


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
        lanes: the engine of an environment (``env.unwrapped.lanes``); reset here.
        policy: see :class:`Policy`.
        episodes: how many, at least 1.
        observation: the kind the policy was made for.
        deterministic: passed to the policy.

    Raises:
        ValueError: ``episodes`` is below 1.
    """
    ledger = Ledger(lanes.n, episodes)
    shape = (episodes, lanes.horizon)
    result = Episodes(
        tokens=np.full(shape, lanes.domain.vocabulary.pad_id, dtype=np.int64),
        lengths=np.zeros(episodes, dtype=np.int64),
        log_prior=np.zeros(shape),
        terms=np.zeros((*shape, len(lanes.task.terms))),
        term_names=lanes.task.names,
    )
    for step in _steps(lanes, policy, ledger, observation, deterministic):
        live = ledger.live
        rows, at = ledger.running[live], lanes.lengths[live] - 1
        result.log_prior[rows, at] = step.log_prior[live]
        result.terms[rows, at] = step.terms[live]
        done = live[step.finished[live]]
        result.tokens[ledger.running[done]] = lanes.tokens[done]
        result.lengths[ledger.running[done]] = lanes.lengths[done]
    return result


def _steps(
    lanes: Lanes, policy: Policy, ledger: Ledger, observation: str, deterministic: bool
) -> Iterator[Step]:
    """Steps of all lanes until every wanted episode has ended."""
    masked = "action_masks" in inspect.signature(policy.predict).parameters
    state, first = None, np.ones(lanes.n, dtype=bool)
    lanes.reset()
    while ledger.open:
        extra = {"action_masks": lanes.action_mask.astype(bool)} if masked else {}
        actions, state = policy.predict(
            observe(observation, lanes),
            state=state,
            episode_start=first,
            deterministic=deterministic,
            **extra,
        )
        step = lanes.step(np.asarray(actions, dtype=np.int64), idle=ledger.running < 0)
        yield step
        first = step.finished
        if first.any():
            ledger.close(first)
            lanes.reset(first)
