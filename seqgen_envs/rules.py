"""Rules, and the tasks made of them.

A *rule* values the last token of every prefix in a batch. Rules know nothing of priors, rewards or
environments; a *task* is a named tuple of weighted rules, and its step reward is their sum.

A rule is one of

- a function ``rule(tokens, lengths) -> values``, with ``tokens`` int64 [N, T] padded with V,
  ``lengths`` int64 [N] (at least 1, the judged token is ``tokens[i, lengths[i] - 1]``) and
  ``values`` float [N]: a pure function of the prefixes, T being the horizon;
- a :class:`ScanRule`, for what would otherwise walk the whole prefix at every step: it carries a
  small array from step to step.

A rule of a term with ``at="end"`` is called for finished sequences only.
"""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Tokens = NDArray[np.int64]
Values = NDArray[np.float64]
PrefixRule = Callable[[Tokens, Tokens], Values]


SelfTask = TypeVar("SelfTask", bound="Task")


class ScanRule:
    """A rule that carries ``width`` numbers a sequence from one step to the next."""

    width: int

    def initial_state(self) -> Values:
        """State before the first token, shape [width]."""
        raise NotImplementedError

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """Values [N] of the last tokens, and the state [N, width] after them; no side effects."""
        raise NotImplementedError


Rule = PrefixRule | ScanRule


@dataclass(frozen=True)
class Term:
    """One weighted rule of a task.

    Args:
        name: its key in ``reward_terms``.
        rule: see the module's docstring.
        weight: what the rule's values are multiplied by.
        at: ``"step"`` (every token) or ``"end"`` (finished sequences only).
    """

    name: str
    rule: Rule
    weight: float = 1.0
    at: str = "step"

    def __post_init__(self) -> None:
        if self.at not in ("step", "end"):
            raise ValueError(f"term {self.name!r}: at must be 'step' or 'end', got {self.at!r}")
        if self.at == "end" and isinstance(self.rule, ScanRule):
            raise ValueError(f"term {self.name!r}: a ScanRule is judged at every step")
        if not np.isfinite(self.weight):
            raise ValueError(f"term {self.name!r}: weight must be finite, got {self.weight}")


@dataclass
class RuleFailures:
    """What went wrong inside a task's rules: how often, and the first case in full."""

    count: int = 0
    by_term: dict[str, int] = field(default_factory=dict)
    first: str | None = None

    def add(self, term: str, sequence: Tokens, what: str) -> None:
        """Count one failure of ``term`` on ``sequence``; the first is logged as a warning."""
        self.count += 1
        self.by_term[term] = self.by_term.get(term, 0) + 1
        if self.first is None:
            self.first = f"rule {term!r} failed on tokens {sequence.tolist()}: {what}"
            logger.warning(
                "%s (the sequence scores as invalid; later cases are counted)", self.first
            )


class Task:
    """Named, weighted rules whose sum is the task reward of a step.

    One bad sequence never ends a run: where a rule raises or returns NaN, all terms of that step
    become 0 and ``failures`` counts it. With ``on_error="raise"`` (what
    :func:`seqgen_envs.checks.check_domain` uses) it raises instead.

    Args:
        name: for messages and reports.
        terms: distinct names; the order is that of ``reward_terms``.
        on_error: ``"invalid"`` or ``"raise"``.

    Raises:
        ValueError: no terms, repeated names, or an unknown ``on_error``.
    """

    def __init__(
        self,
        name: str,
        terms: Sequence[Term],
        *,
        on_error: str = "invalid",
    ) -> None:
        self.name = name
        self.terms = tuple(terms)
        self.names = tuple(term.name for term in self.terms)
        self.on_error = on_error
        self.failures = RuleFailures()
        if not self.terms:
            raise ValueError(f"task {name!r} has no terms")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"task {name!r}: the terms' names repeat: {list(self.names)}")
        if on_error not in ("invalid", "raise"):
            raise ValueError(f"on_error must be 'invalid' or 'raise', got {on_error!r}")

    def with_weights(self: SelfTask, weights: Mapping[str, float]) -> SelfTask:
        """This task with some terms' weights replaced.

        Raises:
            ValueError: a name is not a term's.
        """
        unknown = sorted(set(weights) - set(self.names))
        if unknown:
            raise ValueError(f"task {self.name!r} has no term {unknown}; terms: {list(self.names)}")
        task = copy.copy(self)  # whatever more a subclass holds, it keeps
        task.terms = tuple(
            replace(t, weight=float(weights.get(t.name, t.weight))) for t in self.terms
        )
        task.failures = RuleFailures()
        return task

    def state_dict(self) -> dict[str, Any]:
        """What the task remembers from one sequence to the next, JSON-able: nothing, unless a
        subclass has a memory. Agents' checkpoints keep it.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: it is another task's.
        """
        if state:
            raise ValueError(f"task {self.name!r} remembers nothing, got {sorted(state)}")

    def remarks(self, ids: Tokens) -> dict[str, Any]:
        """What more is to be told of a sequence int64 [n] when it has just been scored for the
        first time, the same names for each: nothing, unless a subclass has something to say.
        """
        return {}

    @property
    def spent(self) -> bool:
        """Whether the task has a budget and nothing is left of it: training ends then."""
        return False

    def for_evaluation(self: SelfTask) -> SelfTask:
        """This task for judging an agent: with no budget to keep, and nothing remembered."""
        return self

    def initial_state(self) -> tuple[Values, ...]:
        """State before the first token: one array [width] for each scan rule, in order."""
        return tuple(
            np.asarray(t.rule.initial_state(), dtype=np.float64)
            for t in self.terms
            if isinstance(t.rule, ScanRule)
        )

    def score(
        self,
        tokens: Tokens,
        lengths: Tokens,
        finished: NDArray[np.bool_],
        state: tuple[Values, ...],
    ) -> tuple[Values, tuple[Values, ...]]:
        """Weighted values [N, terms] of each prefix's last token, and the scan rules' next states.

        ``finished`` [N] says whose sequence ends with that token; other rows of a term at
        ``"end"`` are 0. Column order is that of ``names``.
        """
        values = np.zeros((len(tokens), len(self.terms)))
        failed = np.zeros(len(tokens), dtype=bool)
        carried = iter(state)
        next_state = []
        for column, term in enumerate(self.terms):
            if isinstance(term.rule, ScanRule):
                raw, after = self._scan(term, next(carried), tokens, lengths, failed)
                next_state.append(after)
                values[:, column] = raw
            elif term.at == "step":
                values[:, column] = self._call(term, tokens, lengths, failed)
            elif finished.any():
                self._score_finished(term, tokens, lengths, finished, values[:, column], failed)
            if term.weight != 1.0:
                values[:, column] *= term.weight
        if failed.any():
            values[failed] = 0.0
        return values, tuple(next_state)

    def _score_finished(
        self,
        term: Term,
        tokens: Tokens,
        lengths: Tokens,
        finished: NDArray[np.bool_],
        column: Values,
        failed: NDArray[np.bool_],
    ) -> None:
        rows = np.flatnonzero(finished)
        bad = np.zeros(len(rows), dtype=bool)
        column[rows] = self._call(term, tokens[rows], lengths[rows], bad)
        failed[rows] |= bad

    def _call(
        self, term: Term, tokens: Tokens, lengths: Tokens, failed: NDArray[np.bool_]
    ) -> Values:
        """Values [N] of a prefix rule; rows it fails on become 0 and are marked in ``failed``."""
        assert not isinstance(term.rule, ScanRule)
        try:
            values = self._checked(term, term.rule(tokens, lengths), len(tokens))
        except RuleShapeError:
            raise
        except Exception:
            if self.on_error == "raise":
                raise
            if len(tokens) > 1:  # find the rows to blame; the others keep their values
                return self._call_rows(term, tokens, lengths, failed)
            self.failures.add(term.name, tokens[0, : lengths[0]], traceback.format_exc())
            failed[0] = True
            return np.zeros(1)
        return self._without_non_finite(term, values, tokens, lengths, failed)

    def _call_rows(
        self, term: Term, tokens: Tokens, lengths: Tokens, failed: NDArray[np.bool_]
    ) -> Values:
        rows = [slice(i, i + 1) for i in range(len(tokens))]
        return np.concatenate([self._call(term, tokens[r], lengths[r], failed[r]) for r in rows])

    def _scan(
        self,
        term: Term,
        state: Values,
        tokens: Tokens,
        lengths: Tokens,
        failed: NDArray[np.bool_],
    ) -> tuple[Values, Values]:
        assert isinstance(term.rule, ScanRule)
        try:
            raw, after = term.rule.update(state, tokens, lengths)
        except Exception:
            if self.on_error == "raise":
                raise
            return self._scan_rows(term, state, tokens, lengths, failed)
        values = self._checked(term, raw, len(tokens))
        if np.shape(after) != state.shape:
            raise RuleShapeError(
                f"rule {term.name!r} of task {self.name!r} returned a state of shape "
                f"{np.shape(after)}; expected {state.shape}"
            )
        return self._without_non_finite(term, values, tokens, lengths, failed), after

    def _scan_rows(
        self,
        term: Term,
        state: Values,
        tokens: Tokens,
        lengths: Tokens,
        failed: NDArray[np.bool_],
    ) -> tuple[Values, Values]:
        if len(tokens) == 1:
            self.failures.add(term.name, tokens[0, : lengths[0]], traceback.format_exc())
            failed[0] = True
            return np.zeros(1), state
        rows = [slice(i, i + 1) for i in range(len(tokens))]
        pairs = [self._scan(term, state[r], tokens[r], lengths[r], failed[r]) for r in rows]
        return np.concatenate([v for v, _ in pairs]), np.concatenate([s for _, s in pairs])

    def _checked(self, term: Term, values: Values, n: int) -> Values:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (n,):
            raise RuleShapeError(
                f"rule {term.name!r} of task {self.name!r} returned shape {values.shape} for "
                f"{n} prefixes; expected ({n},)"
            )
        return values

    def _without_non_finite(
        self,
        term: Term,
        values: Values,
        tokens: Tokens,
        lengths: Tokens,
        failed: NDArray[np.bool_],
    ) -> Values:
        """``values`` with 0 where they are NaN or infinite; marks those rows in ``failed``."""
        finite = np.isfinite(values)
        if finite.all():
            return values
        for row in np.flatnonzero(~finite):
            what = f"returned {values[row]}, expected a finite number"
            sequence = tokens[row, : lengths[row]]
            if self.on_error == "raise":
                raise ValueError(
                    f"rule {term.name!r} of task {self.name!r} {what}, "
                    f"on tokens {sequence.tolist()}"
                )
            self.failures.add(term.name, sequence, what)
            failed[row] = True
        return np.where(finite, values, 0.0)


class RuleShapeError(ValueError):
    """A rule returned an array of the wrong shape: an error of the program, never survived."""


def score_sequences(task: Task, tokens: Tokens, lengths: Tokens | None = None) -> Values:
    """Weighted values of every term at every step of whole sequences, shape [N, T, terms].

    Args:
        task: the rules.
        tokens: int [N, T], padded.
        lengths: int [N]; T for all where None. Steps at and after a sequence's length are 0.
    """
    tokens = np.asarray(tokens, dtype=np.int64)
    n, horizon = tokens.shape
    ends = np.full(n, horizon) if lengths is None else np.asarray(lengths, dtype=np.int64)
    values = np.zeros((n, horizon, len(task.terms)))
    state = tuple(np.repeat(row[None], n, axis=0) for row in task.initial_state())
    for t in range(1, int(ends.max(initial=0)) + 1):
        alive = np.flatnonzero(ends >= t)
        scored, after = task.score(
            tokens[alive], np.full(len(alive), t), ends[alive] == t, tuple(s[alive] for s in state)
        )
        values[alive, t - 1] = scored
        for carried, fresh in zip(state, after, strict=True):
            carried[alive] = fresh
    return values
