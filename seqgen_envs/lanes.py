"""A batch of unfinished sequences and what happens to them: the one engine of all environments.

:class:`Lanes` is the only place where the reward is composed; ``SequenceEnv`` is one lane in
Gymnasium's words, ``SequenceVectorEnv`` is N lanes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from seqgen_envs.domain_groups import Template
from seqgen_envs.prior import Prior, RecurrentPrior, for_length
from seqgen_envs.registration import get_domain
from seqgen_envs.rules import Values
from seqgen_envs.settings import LaneSettings, is_finite
from seqgen_envs.starts import Primer, Starts, as_shown, bounded, check_mask, read_primers
from seqgen_envs.stepping import step_rows

Tokens = NDArray[np.int64]
#: Sequences that have ended: tokens [M, T], lengths [M] and the states of scan rules [M, width].
_Ended = tuple[NDArray[Any], ...]


@dataclass
class Step:
    """What one step brought each of the N lanes (zeros for lanes that restarted or were idle).

    ``reward`` = prior_weight * ``prior_log_prob`` + ``task_reward`` / c, all float64 [N];
    ``terms`` float64 [N, terms] sums to ``task_reward``; ``finished`` bool [N] marks the sequences
    that came to their end, ``truncated`` those that reached ``max_episode_steps``. ``waiting``
    marks the finished ones whose task reward is still to be judged by :meth:`Lanes.judge`; it is
    0 here.
    """

    reward: Values
    prior_log_prob: Values
    task_reward: Values
    terms: Values
    finished: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    waiting: NDArray[np.bool_]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Whose episode is over, bool [N]."""
        return self.finished | self.truncated

    def without(self, rows: NDArray[np.bool_]) -> Step:
        """This step, with zeros in the marked rows (bool [N])."""
        zeroed = {name: values.copy() for name, values in vars(self).items()}
        for values in zeroed.values():
            values[rows] = 0
        return Step(**zeroed)


class Lanes:
    """N sequences that grow by one token a step.

    Args:
        n: number of lanes.
        settings: the environment's arguments. The prior is loaded at the first reset.
        max_episode_steps: an episode is truncated after so many steps, as by Gymnasium's
            ``TimeLimit``; None: never.

    Attributes:
        tokens: int64 [N, T], padded with V.
        lengths: int64 [N], the primer included.
        primer_lengths: int64 [N], of the primers that the lanes began with.
        log_prior: float32 [N, V], log p(.|s) of the next token, zeros where a lane has finished.
        action_mask: int8 [N, V], 1 where the mask lets a token follow, ones where a lane has
            finished.
        mask: what makes it of the prefixes, or None: all tokens may follow.
        finished: bool [N]; all True before the first reset.
        truncated: bool [N].
        idle: bool [N], the lanes that the last step passed over; a reset of all wakes them.
        started: True from the first reset on.
        rngs: what each lane draws its primers with, by lane; made when needed.
        on_step: called after each step with what it brought and the rows (int64) of the lanes that
            took it; None: nobody is. What it raises ends the step: so budgets are kept.
        on_judge: called with what :meth:`judge` returns.

    Raises:
        ValueError: the mask forbids a primer, or ``max_episode_steps`` is below 1.
    """

    def __init__(
        self, n: int, settings: LaneSettings, *, max_episode_steps: int | None = None
    ) -> None:
        if max_episode_steps is not None and not (
            is_finite(max_episode_steps) and int(max_episode_steps) == max_episode_steps >= 1
        ):
            raise ValueError(
                f"max_episode_steps must be a whole number >= 1, got {max_episode_steps!r}"
            )
        self.n = n
        self.max_episode_steps = max_episode_steps
        self.settings = settings
        self.domain = get_domain(settings.domain)  # the settings have made it the prior's
        self.task = self.domain.make_task(settings.task)
        self.mask = self.domain.make_mask(settings.mask, settings.templates)
        self.prior_weight = float(settings.prior_weight)
        assert settings.length is not None
        self.horizon = settings.length
        size, self._end_id = self.domain.vocabulary.size, self.domain.vocabulary.end_id
        self._size, self._start_id = size, self.domain.vocabulary.start_id
        self.tokens: Tokens = np.full((n, self.horizon), size, dtype=np.int64)
        self.lengths: Tokens = np.zeros(n, dtype=np.int64)
        self.log_prior: NDArray[np.float32] = np.zeros((n, size), dtype=np.float32)
        self.action_mask: NDArray[np.int8] = np.ones((n, size), dtype=np.int8)
        self.finished: NDArray[np.bool_] = np.ones(n, dtype=bool)
        self.truncated: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self._awake = np.zeros(n, dtype=bool)
        self.idle: NDArray[np.bool_] = self._awake
        self.primer_lengths: Tokens = np.zeros(n, dtype=np.int64)
        self.rngs: dict[int, np.random.Generator] = {}
        self.started = False
        self.lane_ids = np.arange(n)
        self.on_step: Callable[[Step, Tokens], object] | None = None
        self.on_judge: Callable[[Values], object] | None = None
        self._prior: Prior | None = None
        self._starts: Starts | None = None
        self._prior_state: tuple[torch.Tensor, ...] = ()
        self._task_state: tuple[Values, ...] = ()
        self._waiting: list[_Ended] = []
        check_mask(settings.primers, self.mask, self.domain, self.horizon)

    @property
    def c(self) -> float:
        """Temperature of the task reward; one that is set counts from the next step on."""
        return float(self.settings.c)

    @c.setter
    def c(self, value: float) -> None:
        self.settings = self.settings.at(value)

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Lanes that need a reset, bool [N]."""
        return self.finished | self.truncated if self.max_episode_steps else self.finished.copy()

    @property
    def resting(self) -> NDArray[np.bool_]:
        """Lanes that get no token before a reset, bool [N]."""
        return self.finished | self.idle

    @property
    def prior(self) -> Prior:
        """The frozen prior, loaded on first use."""
        if self._prior is None:
            _single_thread_in_workers()
            self._prior = for_length(self.domain.load_prior(self.settings.prior), self.horizon)
        return self._prior

    @property
    def starts(self) -> Starts:
        """The states after primers."""
        if self._starts is None:
            self._starts = Starts(self.domain, self.prior, self.task, self.mask, self.horizon)
        return self._starts

    def seed(self, seeds: int | Sequence[int | None]) -> None:
        """Seed what each lane draws its primers with: an int gives lane i ``seeds + i``."""
        if len(self.settings.primers) == 1:  # nothing is drawn
            return
        if isinstance(seeds, (int, np.integer)):
            seeds = [int(seeds) + lane for lane in range(self.n)]
        for lane, seed in enumerate(seeds):
            if seed is not None:
                self.rngs[lane], _ = np_random(seed)

    def read_primers(self, primer: Any) -> tuple[Primer, ...]:
        """The primer for all lanes or the N for each, from what a user gave.

        Raises:
            ValueError: they are others than one or N, or no beginnings of sequences; or one has
                open places, which the mask would have had to know of.
        """
        primers = []
        for one in read_primers(primer, self.domain, self.horizon):
            if isinstance(one, Template):
                raise ValueError(
                    f"options['primer'] cannot have open places, got {one.text!r}: give it as "
                    "primer where the environment is made"
                )
            primers.append(one)
        if len(primers) not in (1, self.n):
            each = f" or {self.n}, one a lane" if self.n > 1 else ""
            raise ValueError(f"options['primer'] must be one primer{each}, got {len(primers)}")
        check_mask(primers, self.mask, self.domain, self.horizon)
        return tuple(primers)

    @torch.inference_mode()
    def reset(
        self, rows: NDArray[np.bool_] | None = None, primers: Sequence[Primer] | None = None
    ) -> None:
        """Start the lanes marked in ``rows`` (bool [N]; None: all) anew.

        ``primers``: one, or N of which the marked lanes take theirs; None: those of the settings,
        drawn by ``rngs`` where they are several.
        """
        if rows is None:
            rows = np.ones(self.n, dtype=bool)
            self.idle = ~rows
            self._waiting.clear()
        start = self.starts.after(self._chosen(np.flatnonzero(rows), primers))
        if rows.all() or not self.started:
            self._prior_state = tuple(
                s[:1].expand(self.n, *s.shape[1:]).clone() for s in start.prior_state
            )
            self._task_state = tuple(np.repeat(s[:1], self.n, axis=0) for s in start.task_state)
        if not rows.all() or len(start.lengths) > 1:
            marked = torch.from_numpy(rows)
            for state, fresh in zip(self._prior_state, start.prior_state, strict=True):
                state[marked] = fresh
            for carried, initial in zip(self._task_state, start.task_state, strict=True):
                carried[rows] = initial
        self.log_prior = self.log_prior.copy()
        self.log_prior[rows] = start.log_prior
        if self.mask is not None:  # without one it is ones for ever
            self.action_mask = self.action_mask.copy()
            self.action_mask[rows] = start.mask
        self.tokens[rows], self.lengths[rows] = start.tokens, start.lengths
        self.primer_lengths[rows] = start.lengths
        self.finished[rows] = self.truncated[rows] = False
        self.started = True

    def _chosen(self, lanes: Tokens, primers: Sequence[Primer] | None) -> Sequence[Primer]:
        """The primer of each of ``lanes``, or one for all."""
        if primers is not None:
            return primers if len(primers) == 1 else [primers[lane] for lane in lanes]
        known = self.settings.primers
        if len(known) == 1:
            return known
        for lane in lanes.tolist():
            if lane not in self.rngs:
                self.rngs[lane], _ = np_random()
        return [known[self.rngs[lane].integers(len(known))] for lane in lanes.tolist()]

    def step(
        self,
        actions: Tokens,
        restart: NDArray[np.bool_] | None = None,
        idle: NDArray[np.bool_] | None = None,
        *,
        later: bool = False,
    ) -> Step:
        """Append ``actions`` (int64 [N]).

        Lanes marked in ``restart`` start anew instead; those marked in ``idle`` get no token and
        are not judged, and what they show until their next reset means nothing. With ``later`` the
        last steps of finished sequences wait for :meth:`judge`, which judges many together; a
        reset of all lanes forgets those that wait.

        Raises:
            ValueError: an action is not a token.
            ResetNeeded: its lane's episode is over.
        """
        passed = [marks for marks in (restart, idle) if marks is not None and marks.any()]
        if self.n == 1 and not passed:
            self.idle = self._awake
            rows, step = self.lane_ids, self._score_lone(actions, later)
            over = step.finished.item(0)
        else:
            rows = np.flatnonzero(~np.logical_or.reduce(passed)) if passed else self.lane_ids
            self._check(actions, rows)
            self.idle = self._awake if idle is None else idle
            step = self._score(actions, rows, later) if len(rows) else self.no_step()
            over = bool(self.resting.all())
        if over:
            self._show_nothing()
        else:
            self._advance(actions)
        if restart is not None and len(rows) < self.n:
            self.reset(restart)
        if self.on_step is not None:
            self.on_step(step, rows)
        return step

    def as_actions(self, actions: Any) -> Tokens:
        """``actions`` as int64 [N], from whole numbers of any type, [N] or [N, 1].

        Raises:
            ValueError: they are something else.
        """
        array = np.asarray(actions)
        if array.shape not in ((self.n,), (self.n, 1)) or not np.issubdtype(
            array.dtype, np.integer
        ):
            raise ValueError(
                f"actions must be whole numbers of shape ({self.n},), "
                f"got {array.dtype} of shape {array.shape}"
            )
        return array.reshape(self.n).astype(np.int64, copy=False)

    def _check(self, actions: Tokens, rows: Tokens) -> None:
        chosen = actions[rows]
        outside = (chosen < 0) | (chosen >= self._size)
        if outside.any():
            lane = rows[np.argmax(outside)]
            where = "" if self.n == 1 else f" of lane {lane}"
            raise ValueError(
                f"action {actions[lane]}{where} is outside the space: valid are 0..{self._size - 1}"
            )
        ended = self.ended[rows]
        if ended.any():
            lane = rows[np.argmax(ended)]
            raise ResetNeeded(f"lane {lane} has ended (or never started): reset it before stepping")

    def judge(self) -> Values:
        """Terms [M, terms] of the last steps that wait, in the order in which they ended."""
        if not self._waiting:
            return np.zeros((0, len(self.task.terms)))
        tokens, lengths, *state = (
            np.concatenate(part) for part in zip(*self._waiting, strict=True)
        )
        self._waiting.clear()
        ended = np.ones(len(tokens), dtype=bool)
        terms, _ = self.task.score(tokens, lengths, ended, tuple(state))
        if self.on_judge is not None:
            self.on_judge(terms)
        return terms

    def _score(self, actions: Tokens, rows: Tokens, later: bool) -> Step:
        """Append the actions of ``rows``, judge them and compose the reward."""
        whole = len(rows) == self.n
        chosen = actions if whole else actions[rows]
        prior_log_prob = self.log_prior[rows, chosen].astype(np.float64)
        self.tokens[rows, self.lengths[rows]] = chosen
        self.lengths[rows] += 1
        lengths = self.lengths if whole else self.lengths[rows]
        finished = lengths == self.horizon
        if self._end_id is not None:
            finished |= chosen == self._end_id
        waiting = finished.copy() if later else np.zeros(len(rows), dtype=bool)
        if later and waiting.any():
            terms = np.zeros((len(rows), len(self.task.terms)))
            terms[~waiting] = self._judged(rows[~waiting], finished[~waiting])
            ended = rows[waiting]
            state = (carried[ended] for carried in self._task_state)
            self._waiting.append((self.tokens[ended], self.lengths[ended], *state))
            self.task.expect(*self._waiting[-1][:2])
        else:
            terms = self._judged(rows, finished)
        truncated = np.zeros(len(rows), dtype=bool)
        if self.max_episode_steps is not None:
            truncated = lengths - self.primer_lengths[rows] >= self.max_episode_steps
            self.truncated[rows] = truncated
        self.finished[rows] = finished
        task_reward = terms.sum(axis=1)
        reward = self._reward(prior_log_prob, task_reward)
        step = Step(reward, prior_log_prob, task_reward, terms, finished, truncated, waiting)
        return step if whole else self._spread(step, rows)

    def _score_lone(self, actions: Tokens, later: bool) -> Step:
        """:meth:`_score` where there is one lane: in plain numbers, each of which costs a tenth of
        what a call of NumPy does.
        """
        action, length = actions.item(0), self.lengths.item(0)
        if not 0 <= action < self._size or self.finished[0] or self.truncated[0]:
            self._check(actions, self.lane_ids)
        prior_log_prob = self.log_prior.item(0, action)
        self.tokens[0, length] = action
        self.lengths[0] = length = length + 1
        finished = np.array([length == self.horizon or action == self._end_id])
        waiting = finished & later
        if waiting[0]:
            terms = np.zeros((1, len(self.task.terms)))
            state = (carried.copy() for carried in self._task_state)
            self._waiting.append((self.tokens.copy(), self.lengths.copy(), *state))
        else:
            terms = self._judged(self.lane_ids, finished)
        if self.max_episode_steps is not None:
            self.truncated[0] = length - self.primer_lengths.item(0) >= self.max_episode_steps
        self.finished[0] = finished[0]
        task_reward = sum(terms[0].tolist())
        reward = np.array([self._reward(prior_log_prob, task_reward)])
        numbers = (reward, np.array([prior_log_prob]), np.array([task_reward]), terms)
        return Step(*numbers, finished, self.truncated.copy(), waiting)

    def _reward(self, prior_log_prob: Any, task_reward: Any) -> Any:
        """What the class says, of numbers or of arrays [N]."""
        return self.prior_weight * prior_log_prob + task_reward / self.c

    def _judged(self, rows: Tokens, finished: NDArray[np.bool_]) -> Values:
        """Terms [M, terms] of the last tokens of M lanes, whose rules' states move on."""
        if not len(rows):
            return np.zeros((0, len(self.task.terms)))
        whole = len(rows) == self.n
        tokens, lengths = (
            (self.tokens, self.lengths) if whole else (self.tokens[rows], self.lengths[rows])
        )
        state = self._task_state if whole else tuple(s[rows] for s in self._task_state)
        terms, after = self.task.score(tokens, lengths, finished, state)
        if whole:
            self._task_state = after
        else:
            for carried, fresh in zip(self._task_state, after, strict=True):
                carried[rows] = fresh
        return terms

    def no_step(self) -> Step:
        """The step of lanes that all start: zeros."""
        n, terms = self.n, len(self.task.terms)
        numbers = (np.zeros(n), np.zeros(n), np.zeros(n), np.zeros((n, terms)))
        return Step(*numbers, *(np.zeros(n, dtype=bool) for _ in range(3)))

    def _spread(self, part: Step, rows: Tokens) -> Step:
        """The step of some rows as one of all lanes, zero elsewhere."""
        full = self.no_step()
        for name, values in vars(part).items():
            getattr(full, name)[rows] = values
        return full

    def _advance(self, actions: Tokens) -> None:
        """One call of the prior for the lanes that go on; the others show zeros."""
        if self.n == 1 or (going := ~self.resting).all():
            tokens = torch.from_numpy(actions.copy())  # the caller may change his
            log_probs = self._ask_prior(tokens)
            if self.mask is None:
                self.log_prior = bounded(log_probs)
            else:
                shown = as_shown(self.mask, log_probs, self.tokens, self.lengths)
                self.log_prior, self.action_mask = shown
            return
        inputs = np.where(going, actions, self._start_id)
        log_probs, self._prior_state = step_rows(self.prior.step, inputs, self._prior_state, going)
        self._show_nothing()
        self.log_prior[going], self.action_mask[going] = as_shown(
            self.mask, log_probs, self.tokens[going], self.lengths[going]
        )

    def _show_nothing(self) -> None:
        """New arrays, as those of lanes that have finished."""
        self.log_prior = np.zeros_like(self.log_prior)
        self.action_mask = np.ones_like(self.action_mask)

    def _ask_prior(self, tokens: torch.Tensor) -> torch.Tensor:
        """log p(.|s) [N, V] after the tokens; without gradients, whatever the prior does."""
        if isinstance(self.prior, RecurrentPrior):  # has none, and is spared the context's 2 us
            log_probs, self._prior_state = self.prior.step(tokens, self._prior_state)
            return log_probs
        with torch.inference_mode():
            log_probs, self._prior_state = self.prior.step(tokens, self._prior_state)
        return log_probs


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
