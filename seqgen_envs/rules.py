"""Rules, and the tasks made of them.

A *rule* values the last token of every prefix in a batch. Rules know nothing of priors, rewards or
environments; a *task* is a named tuple of weighted rules, and its step reward is their sum.

A rule is one of

- a function ``rule(tokens, lengths) -> values``, with ``tokens`` int64 [N, T] padded with V,
  ``lengths`` int64 [N] (at least 1, the judged token is ``tokens[i, lengths[i] - 1]``) and
  ``values`` float [N]: a pure function of the prefixes, T being the horizon;
- a :class:`ScanRule`, for what would otherwise walk the whole prefix at every step: it carries a
  small array from step to step.

What of a prefix decides a rule's values of the tokens after it may be far less than the prefix. A
scan rule carries just that; a function says it with :func:`remembers`. Where all rules of a task
do, and the prior has few states, the optimum of long sequences is known (:mod:`seqgen_envs.graph`).

A rule of a term with ``at="end"`` is called for finished sequences only. For a sequence that it
cannot value it gives NaN; if it has a method ``explain(sequence)``, ids [n] to text, that says why:
``on SEQUENCE: REASON``, where the last of several lines is the reason in short.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.tracebacks import brief, last_line, told
from seqgen_envs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

Tokens = NDArray[np.int64]
Values = NDArray[np.float64]
PrefixRule = Callable[[Tokens, Tokens], Values]
#: What rules raised in one step, by term and prefix.
Errors = dict[tuple[str, bytes], Exception]

#: So many different sequences do not fail together by chance, even where the rule has worked.
MANY = 32


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

    def begin(self, state: Values, lengths: Tokens) -> Values:
        """State [N, width] of episodes that begin now, from that after their primers.

        The rule has scanned those, ``lengths`` [N] tokens each. It is the same state, unless a rule
        tells what was given from what is written.
        """
        return state


Rule = PrefixRule | ScanRule
PrefixFunction = TypeVar("PrefixFunction", bound=PrefixRule)


def remembers(memory: PrefixRule) -> Callable[[PrefixFunction], PrefixFunction]:
    """A decorator: what a rule's later values depend on besides the length and the later tokens.

    Args:
        memory: takes what the rule takes and returns [N, k]: prefixes of one length with equal rows
            are all the same to the rule from then on. A rule that is an object has it as a method.
    """

    def mark(rule: PrefixFunction) -> PrefixFunction:
        vars(rule)["memory"] = memory
        return rule

    return mark


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
        try:
            object.__setattr__(self, "weight", float(self.weight))
        except (TypeError, ValueError):
            raise ValueError(
                f"term {self.name!r}: weight must be a number, got {self.weight!r}"
            ) from None
        if not np.isfinite(self.weight):
            raise ValueError(f"term {self.name!r}: weight must be finite, got {self.weight}")


@dataclass
class RuleFailures:
    """What went wrong inside a task's rules: how often, and the first case in full.

    ``worked`` names the terms that have given values at least once.
    """

    count: int = 0
    by_term: dict[str, int] = field(default_factory=dict)
    first: str | None = None
    worked: set[str] = field(default_factory=set)

    def add(self, term: str, sequence: Tokens, what: str, short: str) -> None:
        """Count one failure of ``term`` on ``sequence``; the first is kept, and logged in short.

        Args:
            term: its name.
            sequence: what it failed on.
            what: went wrong, in full.
            short: a sentence about it.
        """
        self._tally(term)
        if self.first is None:
            self.first = f"rule {term!r} failed on tokens {sequence.tolist()}: {what}"
            logger.warning("%s; it scores as invalid, later cases are counted", short)

    def _tally(self, term: str) -> None:
        self.count += 1
        self.by_term[term] = self.by_term.get(term, 0) + 1

    def add_all(self, others: Mapping[str, Any]) -> None:
        """Count what :meth:`state_dict` of another task's failures has."""
        self.count += others["count"]
        for term, count in others["by_term"].items():
            self.by_term[term] = self.by_term.get(term, 0) + count
        self.first = self.first or others["first"]
        self.worked |= set(others["worked"])

    def state_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {**vars(self), "by_term": dict(self.by_term), "worked": sorted(self.worked)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        vars(self).update(state, worked=set(state["worked"]))


class MissingArgumentError(ValueError):
    """A task cannot be made without one of several arguments, none of which was given."""


class RuleError(ValueError):
    """A rule has a fault that no sequence is to blame for: it ends the run."""


class Task:
    """Named, weighted rules whose sum is the task reward of a step.

    One bad sequence never ends a run: where a rule raises or returns NaN, the terms of that step
    become what :meth:`settle` says (0) and ``failures`` counts it. With ``on_error="raise"`` (what
    :func:`seqgen_envs.checks.check_domain` uses) it raises instead. A rule that raises the same
    for every sequence of a batch is an error of the program and ends the run.

    Args:
        name: for messages and reports.
        terms: distinct names; the order is that of ``reward_terms``.
        on_error: ``"invalid"`` or ``"raise"``.
        facts: what the task takes for granted and others have to know, by the names of keywords:
            metrics, pictures and files of the domain get those that they take (see
            :meth:`~seqgen_envs.domain.Domain.beside`). A melody task's are its ``key`` and its
            ``bar_length``.

    Raises:
        ValueError: no terms, repeated names, or an unknown ``on_error``.
    """

    #: Sequences that may be scored in all; None: there is no limit. A subclass may have one.
    budget: int | None = None

    def __init__(
        self,
        name: str,
        terms: Sequence[Term],
        *,
        on_error: str = "invalid",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.facts = dict(facts or {})
        self.terms = tuple(terms)
        self.names = tuple(term.name for term in self.terms)
        self._weights = np.array([term.weight for term in self.terms])
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
        task.terms = tuple(replace(t, weight=weights.get(t.name, t.weight)) for t in self.terms)
        task._weights = np.array([term.weight for term in task.terms])
        task.failures = RuleFailures()
        return task

    def state_dict(self) -> dict[str, Any]:
        """What the task remembers from one sequence to the next, JSON-able: nothing, unless a
        subclass has a memory. Agents' checkpoints keep it. A task with a memory has entries from
        the start, also while they are empty: by them it is known for one.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: it is another task's.
        """
        if state:
            raise ValueError(f"task {self.name!r} remembers nothing, got {sorted(state)}")

    def for_vocabulary(self: SelfTask, vocabulary: Vocabulary) -> SelfTask:
        """This task for sequences of other tokens: itself, where its rules ask nothing of them."""
        return self

    def remarks(self, ids: Tokens) -> dict[str, Any]:
        """What more is to be told of a sequence int64 [n] when it has just been scored for the
        first time, the same names for each: nothing, unless a subclass has something to say.
        """
        return {}

    @property
    def spent(self) -> bool:
        """Whether the task has a budget and nothing is left of it: training ends then."""
        return False

    def has_scored(self, ids: Tokens) -> bool:
        """Whether a finished sequence int64 [n] got what it is worth: not so where a budget was
        spent before its turn.
        """
        return True

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

    def begin(self, state: tuple[Values, ...], lengths: Tokens) -> tuple[Values, ...]:
        """The scan rules' states where episodes begin: see :meth:`ScanRule.begin`."""
        rules = [term.rule for term in self.terms if isinstance(term.rule, ScanRule)]
        return tuple(rule.begin(one, lengths) for rule, one in zip(rules, state, strict=True))

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

        Raises:
            RuleError: a rule has a fault that no sequence is to blame for.
        """
        values = np.zeros((len(tokens), len(self.terms)))
        errors: Errors = {}
        carried = iter(state)
        next_state = []
        for column, term in enumerate(self.terms):
            if isinstance(term.rule, ScanRule):
                values[:, column], after = self._ask(term, tokens, lengths, next(carried), errors)
                next_state.append(after)
            elif term.at == "step":
                values[:, column] = self._ask(term, tokens, lengths, None, errors)[0]
            elif finished.any():
                rows = np.flatnonzero(finished)
                values[rows, column] = self._ask(term, tokens[rows], lengths[rows], None, errors)[0]
        finite = np.isfinite(values)
        if not finite.all():
            for row, column in np.argwhere(~finite).tolist():
                sequence, value = tokens[row, : lengths[row]], values[row, column]
                self._blame(self.terms[column], sequence, value, errors)
            failed = ~finite.all(axis=1)
            values[failed] = self.settle(values[failed], finished[failed])
        return values * self._weights, tuple(next_state)

    def settle(self, values: Values, finished: NDArray[np.bool_]) -> Values:
        """What steps count as, in which a rule failed: 0 in every term.

        Args:
            values: of the terms before their weights, [N, terms]; not finite where a rule failed.
            finished: bool [N], whose sequence ends with that step.
        """
        return np.zeros_like(values)

    def expect(self, tokens: Tokens, lengths: Tokens) -> None:
        """Sequences that have ended and that :meth:`score` will judge later, together with more:
        what takes time may begin. Nothing, unless a subclass has something to begin.

        Raises:
            RuleError: as :meth:`score`.
        """

    def prepare(self) -> None:
        """Load what the rules need and load at their first call otherwise: nothing, unless a
        subclass has something. Trainings call it before they begin.

        Raises:
            RuleError: it cannot be loaded.
        """

    def close(self) -> None:
        """End what runs beside this process for the task, such as its workers; what is asked
        later starts them again. Environments call it when they are closed.
        """

    def _ask(
        self, term: Term, tokens: Tokens, lengths: Tokens, state: Any, errors: Errors
    ) -> tuple[Values, Any]:
        """A rule's values [N] and its state after them; where it raises, NaN and ``state``.

        If it raises for several rows together, each row is asked once by itself. ``errors`` gets
        what was raised.
        """
        try:
            answer = self._checked(term, tokens, lengths, state)
        except RuleError:
            raise
        except Exception as error:
            if self.on_error == "raise":
                raise
            if len(tokens) == 1:
                errors[_key(term, tokens[0, : lengths[0]])] = error
                return np.full(1, np.nan), state
        else:
            self.failures.worked.add(term.name)
            return answer
        parts = [slice(row, row + 1) for row in range(len(tokens))]
        states = [None if state is None else state[part] for part in parts]
        answers = [
            self._ask(term, tokens[part], lengths[part], before, errors)
            for part, before in zip(parts, states, strict=True)
        ]
        self._check_hope(term, tokens, lengths, errors)
        after = None if state is None else np.concatenate([after for _, after in answers])
        return np.concatenate([values for values, _ in answers]), after

    def _checked(
        self, term: Term, tokens: Tokens, lengths: Tokens, state: Any
    ) -> tuple[Values, Any]:
        """What the rule says, if it has the right shapes."""
        if isinstance(term.rule, ScanRule):
            values, after = term.rule.update(state, tokens, lengths)
            if np.shape(after) != state.shape:
                raise RuleError(
                    f"rule {term.name!r} of task {self.name!r} returned a state of shape "
                    f"{np.shape(after)}; expected {state.shape}"
                )
        else:
            values, after = term.rule(tokens, lengths), None
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(tokens),):
            raise RuleError(
                f"rule {term.name!r} of task {self.name!r} returned shape {values.shape} for "
                f"{len(tokens)} prefixes; expected ({len(tokens)},)"
            )
        return values, after

    def _check_hope(self, term: Term, tokens: Tokens, lengths: Tokens, errors: Errors) -> None:
        """Raise a RuleError if no sequence can be to blame.

        That is where a rule that has never worked, or has for fewer than :data:`MANY` sequences at
        once, raises the same for all of several different ones.
        """
        keys = {_key(term, row[:length]) for row, length in zip(tokens, lengths, strict=True)}
        few = len(keys) < (MANY if term.name in self.failures.worked else 2)
        if few or not keys <= errors.keys() or len({type(errors[key]) for key in keys}) > 1:
            return
        error = errors[keys.pop()]
        raise RuleError(
            f"rule {term.name!r} of task {self.name!r} fails on every sequence "
            f"({type(error).__name__}: {error}): the error is the rule's, not a sequence's"
        ) from error

    def _blame(self, term: Term, sequence: Tokens, value: float, errors: Errors) -> None:
        """Count a failure, or raise it.

        Raises:
            ValueError: ``on_error`` is ``"raise"``.
        """
        what = f"returned {value}, expected a finite number"
        if self.on_error == "raise":
            raise ValueError(
                f"rule {term.name!r} of task {self.name!r} {what}, on tokens {sequence.tolist()}"
            )
        where = f"rule {term.name!r} failed on tokens {sequence.tolist()}"
        reason = what
        if (error := errors.get(_key(term, sequence))) is not None:
            what, reason = told(error), brief(error)
        elif (explain := getattr(term.rule, "explain", None)) is not None:
            what = explain(sequence)
            on, _, _ = what.partition(": ")
            who = self.name if term.name in self.name else f"{self.name}, rule {term.name!r},"
            where, reason = f"{who} failed {on}", last_line(what).removeprefix(f"{on}: ")
        self.failures.add(term.name, sequence, what, f"{where}: {reason}")


def _key(term: Term, sequence: Tokens) -> tuple[str, bytes]:
    return term.name, sequence.tobytes()


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
