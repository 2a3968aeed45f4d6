"""A batch of unfinished sequences and what happens to them: the one engine of all environments.

:class:`Lanes` is the only place where the reward is composed; ``SequenceEnv`` is one lane in
Gymnasium's words, ``SequenceVectorEnv`` is N lanes.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen_envs.domain import ActionMask, Domain
from seqgen_envs.prior import Prior
from seqgen_envs.registration import get_domain
from seqgen_envs.rules import Task, Values

Tokens = NDArray[np.int64]

#: Smallest log-probability ever shown or paid; also what a masked token has.
MIN_LOG_PROB = -100.0


@dataclass(frozen=True)
class LaneSettings:
    """The arguments of an environment, checked.

    Args:
        domain: a name or reference (see :func:`~seqgen_envs.registration.get_domain`), or a
            :class:`~seqgen_envs.domain.Domain`. The attribute is the Domain, with the prior's
            vocabulary.
        prior: a bundled prior's name, a folder, or an object; None is the domain's default.
        task: a task's name or ``"module:attribute"``, ``{"name": ..., **arguments}``, or a Task;
            None is the default (see :meth:`~seqgen_envs.domain.Domain.make_task`).
        c: temperature of the task reward (c > 0): reward = w log p(a|s) + r_T(s, a) / c.
        prior_weight: w (0: the task alone).
        length: horizon T in tokens, primer included; None is the domain's.
        primer: tokens every episode starts with: ids, or the sequence's text.
        mask: a name of the domain's ``masks``, or None: its ``action_mask`` alone, if it has one.

    Raises:
        ValueError: a value is out of its range; the message gives the range.
    """

    domain: str | Domain
    prior: str | Path | Prior | None = None
    task: str | Mapping[str, Any] | Task | None = None
    c: float = 0.5
    prior_weight: float = 1.0
    length: int | None = None
    primer: Any = None
    mask: str | None = None

    def __post_init__(self) -> None:
        domain = get_domain(self.domain).for_prior(self.prior)
        if not (_is_finite(self.c) and self.c > 0):
            raise ValueError(f"c must be a finite number > 0, got {self.c!r}")
        if not (_is_finite(self.prior_weight) and self.prior_weight >= 0):
            raise ValueError(f"prior_weight must be finite and >= 0, got {self.prior_weight!r}")
        length = domain.horizon if self.length is None else self.length
        if not _is_finite(length) or int(length) != length or length < domain.min_horizon:
            raise ValueError(
                f"length must be a whole number >= {domain.min_horizon} for domain "
                f"{domain.name!r}, got {length!r}"
            )
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "length", int(length))
        object.__setattr__(self, "primer", self._primer_ids(domain, int(length)))

    def _primer_ids(self, domain: Domain, length: int) -> tuple[int, ...]:
        primer = self.primer
        if primer is None:
            return ()
        ids = domain.to_ids(primer) if isinstance(primer, str) else np.asarray(primer)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise ValueError(f"primer must be a list of token ids or a text, got {primer!r}")
        if np.any((ids < 0) | (ids >= domain.vocabulary.size)):
            bad = next(int(i) for i in ids if not 0 <= i < domain.vocabulary.size)
            raise ValueError(
                f"primer token {bad} is outside 0..{domain.vocabulary.size - 1} of "
                f"domain {domain.name!r}"
            )
        if len(ids) >= length:
            raise ValueError(
                f"primer has {len(ids)} tokens and must be shorter than length = {length}"
            )
        if domain.vocabulary.end_id in ids:
            raise ValueError(f"primer holds the end token {domain.vocabulary.end!r}")
        return tuple(int(i) for i in ids)


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


@dataclass
class Step:
    """What one step brought each of the N lanes (zeros for lanes that restarted or were idle).

    ``reward`` = prior_weight * ``log_prior`` + ``task_reward`` / c, all float64 [N];
    ``terms`` float64 [N, terms] sums to ``task_reward``; ``finished`` bool [N].
    """

    reward: Values
    log_prior: Values
    task_reward: Values
    terms: Values
    finished: NDArray[np.bool_]


@dataclass(frozen=True)
class _Start:
    """The state after the primer, computed once and copied into every lane that restarts."""

    log_prior: NDArray[np.float32]  # [V]
    mask: NDArray[np.int8]  # [V]
    prior_state: tuple[torch.Tensor, ...]
    task_state: tuple[Values, ...]


class Lanes:
    """N sequences that grow by one token a step.

    Args:
        n: number of lanes.
        settings: see :class:`LaneSettings`. The prior is loaded at the first reset.

    Attributes:
        tokens: int64 [N, T], padded with V.
        lengths: int64 [N], the primer included.
        log_prior: float32 [N, V], log p(.|s) of the next token, zeros where a lane has finished.
        action_mask: int8 [N, V], 1 where the mask lets a token follow, ones where a lane has
            finished.
        mask: what makes it of the prefixes, or None: all tokens may follow.
        finished: bool [N]; all True before the first reset.
        started: True from the first reset on.
    """

    def __init__(self, n: int, settings: LaneSettings) -> None:
        self.n = n
        self.settings = settings
        self.domain = get_domain(settings.domain)  # the settings have made it the prior's
        self.task = self.domain.make_task(settings.task)
        self.mask = self.domain.make_mask(settings.mask)
        self.c = float(settings.c)
        self.prior_weight = float(settings.prior_weight)
        assert settings.length is not None
        self.horizon = settings.length
        size = self.domain.vocabulary.size
        self.tokens: Tokens = np.full((n, self.horizon), size, dtype=np.int64)
        self.lengths: Tokens = np.zeros(n, dtype=np.int64)
        self.log_prior: NDArray[np.float32] = np.zeros((n, size), dtype=np.float32)
        self.action_mask: NDArray[np.int8] = np.ones((n, size), dtype=np.int8)
        self.finished: NDArray[np.bool_] = np.ones(n, dtype=bool)
        self.started = False
        self.lane_ids = np.arange(n)
        self._prior: Prior | None = None
        self._start: _Start | None = None
        self._prior_state: tuple[torch.Tensor, ...] = ()
        self._task_state: tuple[Values, ...] = ()

    @property
    def prior(self) -> Prior:
        """The frozen prior, loaded on first use."""
        if self._prior is None:
            _single_thread_in_workers()
            self._prior = self.domain.load_prior(self.settings.prior)
        return self._prior

    @property
    def start_log_prior(self) -> NDArray[np.float32]:
        """log p(. | primer), float32 [V]."""
        return self._start_state().log_prior

    @torch.inference_mode()
    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start the lanes marked in ``rows`` (bool [N]; None: all) anew, after the primer."""
        start = self._start_state()
        if rows is None:
            rows = np.ones(self.n, dtype=bool)
        if rows.all() or not self.started:
            self._prior_state = tuple(
                s.expand(self.n, *s.shape[1:]).clone() for s in start.prior_state
            )
            self._task_state = tuple(np.repeat(s, self.n, axis=0) for s in start.task_state)
        elif rows.any():
            marked = torch.from_numpy(rows)
            for state, fresh in zip(self._prior_state, start.prior_state, strict=True):
                state[marked] = fresh
            for carried, initial in zip(self._task_state, start.task_state, strict=True):
                carried[rows] = initial
        self.log_prior = np.where(rows[:, None], start.log_prior, self.log_prior)
        self.action_mask = np.where(rows[:, None], start.mask, self.action_mask)
        primer = self.settings.primer
        self.tokens[rows] = self.domain.vocabulary.pad_id
        self.tokens[rows, : len(primer)] = primer
        self.lengths[rows] = len(primer)
        self.finished[rows] = False
        self.started = True

    def step(
        self,
        actions: Tokens,
        restart: NDArray[np.bool_] | None = None,
        idle: NDArray[np.bool_] | None = None,
    ) -> Step:
        """Append ``actions`` (int64 [N]).

        Lanes marked in ``restart`` start anew instead; those marked in ``idle`` get no token and
        are not judged, and what they show until their next reset means nothing.

        Raises:
            ValueError: an action is not a token, or its lane has finished.
        """
        passed = [marks for marks in (restart, idle) if marks is not None and marks.any()]
        rows = np.flatnonzero(~np.logical_or.reduce(passed)) if passed else self.lane_ids
        self._check(actions, rows)
        step = self._score(actions, rows) if len(rows) else self._nothing()
        if self.finished[rows].all():
            self.log_prior = np.zeros_like(self.log_prior)
            self.action_mask = np.ones_like(self.action_mask)
        else:
            self._advance(actions)
        if restart is not None and len(rows) < self.n:
            self.reset(restart)
        return step

    def _check(self, actions: Tokens, rows: Tokens) -> None:
        chosen = actions[rows]
        size = self.domain.vocabulary.size
        outside = (chosen < 0) | (chosen >= size)
        if outside.any():
            lane = rows[np.argmax(outside)]
            raise ValueError(
                f"action {actions[lane]} of lane {lane} is outside the space: "
                f"valid are 0..{size - 1}"
            )
        if self.finished[rows].any():
            lane = rows[np.argmax(self.finished[rows])]
            raise ValueError(
                f"lane {lane} has finished (or never started): reset it before stepping"
            )

    def _score(self, actions: Tokens, rows: Tokens) -> Step:
        """Append the actions of ``rows``, judge them and compose the reward."""
        whole = len(rows) == self.n
        chosen = actions[rows]
        log_prior = self.log_prior[rows, chosen].astype(np.float64)
        self.tokens[rows, self.lengths[rows]] = chosen
        self.lengths[rows] += 1
        lengths = self.lengths[rows]
        finished = lengths == self.horizon
        if self.domain.vocabulary.end_id is not None:
            finished |= chosen == self.domain.vocabulary.end_id
        state = self._task_state if whole else tuple(s[rows] for s in self._task_state)
        terms, after = self.task.score(
            self.tokens if whole else self.tokens[rows], lengths, finished, state
        )
        if whole:
            self._task_state = after
        else:
            for carried, fresh in zip(self._task_state, after, strict=True):
                carried[rows] = fresh
        self.finished[rows] = finished
        task_reward = terms.sum(axis=1)
        reward = self.prior_weight * log_prior + task_reward / self.c
        step = Step(reward, log_prior, task_reward, terms, finished)
        return step if whole else self._spread(step, rows)

    def _nothing(self) -> Step:
        """The step of lanes that all restart."""
        n, terms = self.n, len(self.task.terms)
        zeros = (np.zeros(n), np.zeros(n), np.zeros(n))
        return Step(*zeros, np.zeros((n, terms)), np.zeros(n, dtype=bool))

    def _spread(self, part: Step, rows: Tokens) -> Step:
        """The step of some rows as one of all lanes, zero elsewhere."""
        full = self._nothing()
        for name, values in vars(part).items():
            getattr(full, name)[rows] = values
        return full

    @torch.inference_mode()
    def _advance(self, actions: Tokens) -> None:
        """One call of the prior for all lanes; those that have finished show zeros."""
        inputs = np.where(self.finished, self.domain.vocabulary.start_id, actions)
        log_probs, self._prior_state = self.prior.step(torch.from_numpy(inputs), self._prior_state)
        if not self.finished.any():
            shown = as_shown(self.mask, log_probs, self.tokens, self.lengths)
            self.log_prior, self.action_mask = shown
            return
        on = np.flatnonzero(~self.finished)
        self.log_prior = np.zeros_like(self.log_prior)
        self.action_mask = np.ones_like(self.action_mask)
        self.log_prior[on], self.action_mask[on] = as_shown(
            self.mask, log_probs[torch.from_numpy(on)], self.tokens[on], self.lengths[on]
        )

    def _start_state(self) -> _Start:
        if self._start is None:
            self._start = self._compute_start()
        return self._start

    @torch.inference_mode()
    def _compute_start(self) -> _Start:
        """Feed the start token and the primer; the rules scan the primer but do not judge it."""
        vocabulary, primer = self.domain.vocabulary, self.settings.primer
        tokens = np.full((1, self.horizon), vocabulary.pad_id, dtype=np.int64)
        tokens[0, : len(primer)] = primer
        state = self.prior.initial_state(1)
        for token in (vocabulary.start_id, *primer):
            log_probs, state = self.prior.step(torch.tensor([token]), state)
        task_state = tuple(s[None] for s in self.task.initial_state())
        for t in range(1, len(primer) + 1):
            length = np.array([t])
            _, task_state = self.task.score(tokens, length, np.zeros(1, dtype=bool), task_state)
        shown, mask = as_shown(self.mask, log_probs, tokens, np.array([len(primer)]))
        return _Start(shown[0], mask[0], state, task_state)


def as_shown(
    mask: ActionMask | None, log_probs: torch.Tensor, tokens: Tokens, lengths: Tokens
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What an agent sees of a prior: renormalised under a mask and bounded.

    Args:
        mask: the environment's, or None.
        log_probs: the prior's log p(.|s) [N, V].
        tokens: the prefixes s, int64 [N, T], padded.
        lengths: theirs, int64 [N].

    Returns:
        log p(.|s) float32 [N, V], masked tokens at :data:`MIN_LOG_PROB`, and the mask int8 [N, V].
    """
    if mask is None:
        allowed = np.ones(tuple(log_probs.shape), dtype=np.int8)
    else:
        allowed = mask(tokens, lengths)
        masked = log_probs.masked_fill(torch.from_numpy(allowed == 0), -torch.inf)
        log_probs = torch.log_softmax(masked, dim=-1)
    return log_probs.float().clamp(MIN_LOG_PROB, 0.0).numpy(), allowed


class LanesView:
    """What every environment over lanes shows of them."""

    lanes: Lanes

    @property
    def domain(self) -> Domain:
        """What kind of sequence this is."""
        return self.lanes.domain

    @property
    def task(self) -> Task:
        """The rules, their weights and their failures."""
        return self.lanes.task

    @property
    def prior(self) -> Prior:
        """The frozen prior (loaded on first use)."""
        return self.lanes.prior

    @property
    def mask(self) -> ActionMask | None:
        """Which tokens may follow, as a function of prefixes; None: all may."""
        return self.lanes.mask

    @property
    def c(self) -> float:
        """Temperature of the task reward."""
        return self.lanes.c


_prepared_pid: int | None = None


def _single_thread_in_workers() -> None:
    """Give a worker process one PyTorch thread, once; the main process is the application's.

    Workers each with a thread a core would fight over the cores, and OpenMP's threads do not
    survive a fork.
    """
    global _prepared_pid
    if multiprocessing.parent_process() is not None and _prepared_pid != os.getpid():
        torch.set_num_threads(1)
        _prepared_pid = os.getpid()
