"""Tasks of verse: forms (a couplet, a haiku, one of your own), words, sentiment, patterns.

What is judged of a form, and the range of each term before its weight:

============ ======= ================== ===========================================================
term         when    range              value
============ ======= ================== ===========================================================
syllables    a line  0 to 1             1, 0.2 less for each syllable too many or too few
metre        a line  0 to 1             the share of its iambic feet that scan
rhyme        a line  0 to 1             1 for a rhyme; up to 0.5 for endings that sound alike
repeats      a line  -1 to 0            -0.25 for each word written more often than allowed
words        a line  -1 to 0            minus the share of words that no dictionary knows
lines        at end  -1 to 1            1 for the number of lines, 1 less for each off; -1 cut off
============ ======= ================== ===========================================================

Terms of lines pay when the line is complete (see :mod:`~.terms`). The other tasks' terms pay at the
end; with ``form`` they come on top of a form's.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from seqgen_envs.domains.text.arguments import (
    check_known,
    checked_licences,
    checked_scheme,
    checked_syllables,
    checked_truth,
    checked_words,
    is_whole,
)
from seqgen_envs.domains.text.board import Board, TextRule
from seqgen_envs.domains.text.terms import (
    AvoidRule,
    KnownRule,
    LinesRule,
    MetreRule,
    RegexRule,
    RepeatRule,
    RhymeRule,
    SentimentRule,
    SyllableRule,
    UseRule,
)
from seqgen_envs.prompted import prompted_rule, with_vocabulary
from seqgen_envs.rules import MissingArgumentError, Task, Term
from seqgen_envs.vocabulary import Vocabulary

SelfTask = TypeVar("SelfTask", bound="TextTask")

COUPLET = (10, 10)
HAIKU = (5, 7, 5)
#: Weights of a form's terms that are not 1.
WEIGHTS = {"rhyme": 2.0}


class TextTask(Task):
    """A task whose rules read texts through one :class:`~.board.Board`."""

    def for_vocabulary(self: SelfTask, vocabulary: Vocabulary) -> SelfTask:
        """See :class:`~seqgen_envs.rules.Task`."""
        board = Board(vocabulary)
        task = copy.copy(self)
        task.terms = tuple(
            replace(term, rule=term.rule.for_board(board))
            if isinstance(term.rule, TextRule)
            else term
            for term in with_vocabulary(self.terms, vocabulary)
        )
        return task


def form_task(
    *,
    syllables: Sequence[int] = COUPLET,
    rhyme: str | None = None,
    metre: bool = True,
    most: int | None = 2,
    weights: Mapping[str, float] | None = None,
    name: str = "verse",
    **licences: bool,
) -> TextTask:
    """A form of verse.

    Args:
        syllables: of each line, and so how many lines.
        rhyme: a letter a line, such as ``"abab"``: lines with the same letter rhyme. A space stands
            for a line that rhymes with none. None: nothing rhymes.
        metre: whether lines are iambic.
        most: how often a word may stand in the text; None: as often as it likes.
        weights: of the terms, 1 where not named, but for :data:`WEIGHTS`.
        name: of the task.
        licences: of the metre, see :class:`~.scansion.Licences`.

    Raises:
        ValueError: an argument is not of its kind, or a weight is for no term.
    """
    pattern = checked_syllables(syllables)
    allowed = checked_licences(licences)
    scheme = checked_scheme(rhyme, len(pattern))
    board = Board()
    terms = [Term("syllables", SyllableRule(board, pattern, allowed))]
    if checked_truth("metre", metre):
        terms.append(Term("metre", MetreRule(board, pattern, allowed)))
    if len(set(scheme)) < len(scheme):
        terms.append(Term("rhyme", RhymeRule(board, scheme)))
    if most is not None:
        if not is_whole(most) or most < 1:
            raise ValueError(f"most must be a whole number of at least 1, or null, got {most!r}")
        terms.append(Term("repeats", RepeatRule(board, most)))
    terms.append(Term("words", KnownRule(board)))
    terms.append(Term("lines", LinesRule(board, len(pattern)), at="end"))
    facts = {"syllables": pattern, "scheme": scheme, "licences": allowed}
    task = TextTask(name, terms, facts=facts)
    standard = {term: weight for term, weight in WEIGHTS.items() if term in task.names}
    return task.with_weights(standard | dict(weights or {}))


def couplet_task(**others: Any) -> TextTask:
    """Two lines of ten syllables, iambic, that rhyme, with no word thrice."""
    return form_task(**{"name": "couplet", "syllables": COUPLET, "rhyme": "aa", **others})


def haiku_task(**others: Any) -> TextTask:
    """Three lines of 5, 7 and 5 syllables, with no word thrice."""
    return form_task(**{"name": "haiku", "syllables": HAIKU, "metre": False, **others})


FORMS: dict[str, Callable[..., TextTask]] = {"couplet": couplet_task, "haiku": haiku_task}


def lexicon_task(
    *,
    use: str | Sequence[str] = (),
    avoid: str | Sequence[str] = (),
    any_words: bool = False,
    **others: Any,
) -> TextTask:
    """Words to use, and words to avoid.

    Args:
        use: the term ``use`` is the share of them that the text has.
        avoid: the term ``avoid`` is -0.25 for each time that one is written, at least -1.
        any_words: whether words to use need not be in the dictionary.
        others: ``form`` and ``weights``, see :func:`with_form`.

    Raises:
        ValueError: there are no words, or some are none.
    """
    board = Board()
    used, avoided = checked_words("use", use), checked_words("avoid", avoid)
    if not used and not avoided:
        raise MissingArgumentError("task 'lexicon' needs words: give use, avoid or both")
    if both := sorted(set(used) & set(avoided)):
        raise ValueError(f"the words {both} are both to use and to avoid: leave them out of one")
    if not checked_truth("any_words", any_words):
        for word in used:
            check_known(word)
    terms = []
    if used:
        terms.append(Term("use", UseRule(board, used), at="end"))
    if avoided:
        terms.append(Term("avoid", AvoidRule(board, avoided), at="end"))
    return with_form("lexicon", terms, **others)


def sentiment_task(*, want: str = "positive", **others: Any) -> TextTask:
    """Pleasant or unpleasant words: the term ``sentiment``, -1 to 1.

    Args:
        want: ``"positive"`` or ``"negative"``.
        others: ``form`` and ``weights``, see :func:`with_form`.

    Raises:
        ValueError: it is neither.
    """
    signs = {"positive": 1.0, "negative": -1.0}
    if not isinstance(want, str) or want not in signs:
        raise ValueError(f"want must be 'positive' or 'negative', got {want!r}")
    rule = SentimentRule(Board(), signs[want])
    return with_form("sentiment", [Term("sentiment", rule, at="end")], **others)


def regex_task(pattern: str, *, whole: bool = False, **others: Any) -> TextTask:
    """A text that has a pattern: the term ``regex``, 0 or 1.

    Args:
        pattern: a regular expression of Python's ``re``, in which lines are parted by a newline.
        whole: whether it must match all of the text.
        others: ``form`` and ``weights``, see :func:`with_form`.

    Raises:
        ValueError: it is no regular expression.
    """
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"pattern must be a regular expression, got {pattern!r}")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"pattern {pattern!r} is no regular expression of Python's re: {error}"
        ) from None
    rule = RegexRule(Board(), compiled, checked_truth("whole", whole))
    return with_form(f"regex:{pattern}", [Term("regex", rule, at="end")], **others)


def custom_task(function: str | Callable[..., Any], **others: Any) -> TextTask:
    """A reward function of yours, ``(prompts, completions) -> list[float]``: the term ``custom``.

    Args:
        function: ``"module:function"``, ``"FILE.py:function"`` or the function itself; see
            :mod:`seqgen_envs.prompted`.
        others: ``form`` and ``weights``, see :func:`with_form`.

    Raises:
        ValueError: there is no such function, or it takes other arguments.
    """
    rule = prompted_rule(function)
    return with_form(f"custom:{rule.name}", [Term("custom", rule)], **others)


def with_form(
    name: str,
    terms: Sequence[Term],
    *,
    form: str | Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
) -> TextTask:
    """A task of some terms, and of a form's.

    Args:
        name: of the task.
        terms: its own.
        form: ``"couplet"``, ``"haiku"``, or the arguments of :func:`form_task`; None: no form.
        weights: of all terms.

    Raises:
        ValueError: there is no such form, or a weight is for no term.
    """
    if form is None:
        return TextTask(name, terms).with_weights(weights or {})
    if isinstance(form, str):
        if form not in FORMS:
            raise ValueError(f"unknown form {form!r}; forms: {sorted(FORMS)}, or a mapping")
        base = FORMS[form]()
    elif isinstance(form, Mapping):
        try:
            base = form_task(**form)
        except TypeError as error:
            raise ValueError(f"form does not take these arguments: {error}") from error
    else:
        raise ValueError(f"form must be one of {sorted(FORMS)} or a mapping, got {form!r}")
    task = TextTask(name, [*base.terms, *terms], facts=base.facts)
    return task.with_weights(weights or {})


TASKS: dict[str, Callable[..., Task]] = {
    **FORMS,
    "verse": form_task,
    "lexicon": lexicon_task,
    "sentiment": sentiment_task,
    "regex": regex_task,
    "regex:": regex_task,
    "custom": custom_task,
    "custom:": custom_task,
    "positive": partial(sentiment_task, want="positive"),
    "negative": partial(sentiment_task, want="negative"),
}
