"""Rewards over prompts and completions, as people who fine-tune language models write them.

A reward function is ``(prompts, completions) -> list[float]``: two lists of texts of one length,
and one number for each pair. A prompt is the text of the primer that an episode began with (empty
where it began with none), a completion what was written after it, without the end token. Functions
written for TRL run as they are, if they get along with plain texts: parameters named ``prompts``
and ``completions`` are given by name, in any order, and a function may lack either.

What is returned means what :mod:`seqgen_envs.answers` says. Any vocabulary will do that turns ids
into text.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from seqgen_envs.answers import MANY, ask, values_of
from seqgen_envs.loading import load_callable
from seqgen_envs.rules import MANY as MANY_AT_ONCE
from seqgen_envs.rules import RuleError, ScanRule, Task, Term, Tokens, Values
from seqgen_envs.tracebacks import last_line
from seqgen_envs.vocabulary import Vocabulary

NAMES = ("prompts", "completions")
Pair = tuple[str, str]


class PromptedRule(ScanRule):
    """What a function makes of prompt and completion, paid with the last token; NaN where it fails.

    It carries the length of the primer.

    Args:
        function: see the module.
        name: the function's, for messages.
        vocabulary: of the sequences; None: not known yet.

    Raises:
        ValueError: the function takes neither two lists by place nor any by name.
    """

    width = 1

    def __init__(
        self, function: Callable[..., Any], name: str, vocabulary: Vocabulary | None = None
    ) -> None:
        self.function, self.name, self.vocabulary = function, name, vocabulary
        self._by_name = _names_taken(function, name)
        self._worked, self._failed = False, 0
        self._errors: dict[bytes, str] = {}

    def for_vocabulary(self, vocabulary: Vocabulary) -> PromptedRule:
        """The same rule for other tokens."""
        rule = copy.copy(self)
        rule.vocabulary, rule._errors = vocabulary, {}
        return rule

    def initial_state(self) -> Values:
        """No primer."""
        return np.zeros(1)

    def begin(self, state: Values, lengths: Tokens) -> Values:
        """See :class:`~seqgen_envs.rules.ScanRule`."""
        return lengths[:, None].astype(np.float64)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See :class:`~seqgen_envs.rules.ScanRule`."""
        if self.vocabulary is None:
            raise RuleError(f"{self.name} does not know its vocabulary: call for_vocabulary first")
        values = np.zeros(len(tokens))
        last = tokens[np.arange(len(tokens)), lengths - 1]
        ended = lengths == tokens.shape[1]
        if self.vocabulary.end_id is not None:
            ended |= last == self.vocabulary.end_id
        rows = np.flatnonzero(ended)
        if len(rows):
            primers = state[rows, 0].astype(np.int64)
            parts = [
                (tokens[row, : lengths[row]], given)
                for row, given in zip(rows.tolist(), primers.tolist(), strict=True)
            ]
            values[rows] = self._scored(parts)
        return values, state

    def explain(self, sequence: Tokens) -> str:
        """See :mod:`seqgen_envs.rules`: why it failed, if it has just done so."""
        return self._errors.get(sequence.tobytes(), f"{self.name} gave no finite number")

    def _scored(self, parts: list[tuple[Tokens, int]]) -> list[float]:
        """Values of sequences, given with the lengths of their primers.

        Raises:
            RuleError: the function fails on all, or its answer is no list of numbers.
        """
        pairs = [self._pair(ids, given) for ids, given in parts]
        answers = ask(self._call, pairs, self.name, "completions")
        wrong = [error for _, error in answers if error is not None]
        if len(wrong) < len(answers):
            self._worked = True
        else:
            self._watch(len(wrong), last_line(wrong[0]))
        self._errors = {
            ids.tobytes(): f"on {prompt + text!r}: {error}"
            for (ids, _), (prompt, text), (_, error) in zip(parts, pairs, answers, strict=True)
            if error is not None
        }
        return [math.nan if error else value for value, error in answers]

    def _watch(self, failed: int, reason: str) -> None:
        """A function that fails on all of a batch is broken, if the batch is not a lucky one."""
        self._failed += failed
        fresh = not self._worked and (failed >= 2 or self._failed >= MANY)
        if fresh or failed >= MANY_AT_ONCE:
            raise RuleError(
                f"{self.name} failed on each of {failed} completions, so it is not the "
                f"completions: {reason}"
            )

    def _pair(self, ids: Tokens, given: int) -> Pair:
        assert self.vocabulary is not None
        prompt = self.vocabulary.to_text(ids[:given])
        text = self.vocabulary.to_text(ids)
        if text.startswith(prompt):  # so that a space between the two is not lost
            return prompt, text[len(prompt) :]
        return prompt, self.vocabulary.to_text(ids[given:])

    def _call(self, pairs: list[Pair]) -> list[Any]:
        lists = dict(zip(NAMES, ([pair[i] for pair in pairs] for i in (0, 1)), strict=True))
        if self._by_name:
            answer = self.function(**{name: lists[name] for name in self._by_name})
        else:
            answer = self.function(*lists.values())
        return values_of(answer, len(pairs), self.name, "completions")


def _names_taken(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Which of :data:`NAMES` a function is given by name; none: both are given by place.

    Raises:
        ValueError: it takes neither.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # something that is not Python's
        return ()
    known = signature.parameters
    if any(one in known for one in NAMES):
        rest = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
        names = NAMES if rest else tuple(one for one in NAMES if one in known)
        return _bound(signature, name, (), names)
    return _bound(signature, name, ([], []), ())


def _bound(
    signature: inspect.Signature, name: str, places: tuple[Any, ...], names: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        signature.bind(*places, **dict.fromkeys(names))
    except TypeError as error:
        raise ValueError(
            f"reward function {name!r} must take (prompts, completions), two lists of texts; it "
            f"takes {signature}: {error}"
        ) from None
    return names


def prompted_rule(reference: str | Callable[..., Any]) -> PromptedRule:
    """The rule of a function that a text names, or of the function itself.

    Args:
        reference: ``"module:function"``, ``"FILE.py:function"``, or a function.

    Raises:
        ValueError: there is no such function, or it takes other arguments.
        UntrustedCodeError: see :func:`~seqgen_envs.loading.check_trusted`.
    """
    if isinstance(reference, str):
        function = load_callable(reference, "custom task")
        return PromptedRule(function, reference.rpartition(":")[2])
    name = getattr(reference, "__qualname__", type(reference).__name__)
    return PromptedRule(reference, name)


class PromptedTask(Task):
    """A task of one reward function: the term ``custom``.

    Args:
        reference: see :func:`prompted_rule`.
        weight: of the term.

    Raises:
        ValueError: as :func:`prompted_rule`.
    """

    def __init__(self, reference: str | Callable[..., Any], *, weight: float = 1.0) -> None:
        rule = prompted_rule(reference)
        super().__init__(f"custom:{rule.name}", [Term("custom", rule, weight)])

    def for_vocabulary(self, vocabulary: Vocabulary) -> PromptedTask:
        """See :class:`~seqgen_envs.rules.Task`."""
        task = copy.copy(self)
        task.terms = with_vocabulary(self.terms, vocabulary)
        return task


def with_vocabulary(terms: tuple[Term, ...], vocabulary: Vocabulary) -> tuple[Term, ...]:
    """Terms whose prompted rules know the vocabulary."""
    return tuple(
        Term(term.name, term.rule.for_vocabulary(vocabulary), term.weight, term.at)
        if isinstance(term.rule, PromptedRule)
        else term
        for term in terms
    )
