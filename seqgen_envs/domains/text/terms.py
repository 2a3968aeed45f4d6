"""Rules that judge lines of verse when they are complete, and whole texts when they end.

A line is complete when its newline is written, when the text ends, or when the horizon cuts it off.
A rule of lines (``at="step"``) pays at that very token, so what a line earns comes as soon as it
can; a rule of whole texts pays at the last token. Both are pure functions of the prefix. All rules
of a task share a :class:`~.board.Board`, which takes each prefix apart once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from seqgen_envs.domains.text.board import Board, Passage, TextRule
from seqgen_envs.domains.text.pronunciation import rhyme, sound_of, words_of
from seqgen_envs.domains.text.scansion import USUAL, Licences, Reading, read_line
from seqgen_envs.domains.text.sentiment import sentiment

#: Syllables too many or too few from which on a line earns nothing for their number.
SLOPE = 5


@dataclass
class _LineRule(TextRule):
    """A rule of lines by the number of syllables wanted in each.

    Args:
        board: see :class:`TextRule`.
        syllables: of each line wanted.
        licences: of the metre.
    """

    board: Board
    syllables: Sequence[int]
    licences: Licences = USUAL

    def value(self, passage: Passage) -> float:
        """The sum over the lines just completed; lines beyond those wanted earn nothing."""
        wanted = range(passage.new, min(len(passage.lines), len(self.syllables)))
        readings = (
            read_line(passage.lines[at], self.syllables[at], self.licences) for at in wanted
        )
        return float(sum(map(self.of_reading, readings)))

    def of_reading(self, reading: Reading) -> float:
        """What a line earns."""
        raise NotImplementedError


class SyllableRule(_LineRule):
    """0 to 1 a line: 1 for the number of syllables wanted, 0.2 less for each too many or few."""

    def of_reading(self, reading: Reading) -> float:
        """See :class:`_LineRule`."""
        return 1 - min(reading.distance, SLOPE) / SLOPE


class MetreRule(_LineRule):
    """0 to 1 a line: the share of the iambic feet wanted that scan."""

    def of_reading(self, reading: Reading) -> float:
        """See :class:`_LineRule`."""
        return reading.feet / reading.all_feet


@dataclass
class RhymeRule(TextRule):
    """0 to 1 a line that is to rhyme with an earlier one: :func:`~.pronunciation.rhyme`.

    Args:
        board: see :class:`TextRule`.
        scheme: a letter a line; lines with the same letter rhyme, each with the one before.
    """

    board: Board
    scheme: str

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        return sum(
            line_rhyme(passage.lines, self.scheme, at) or 0.0
            for at in range(passage.new, len(passage.lines))
        )


def line_rhyme(lines: Sequence[str], scheme: str, at: int) -> float | None:
    """How well a line rhymes with the last one before it that has its letter in the scheme; None
    where there is none such.
    """
    before = scheme.rfind(scheme[at], 0, at) if at < len(scheme) else -1
    if before < 0:
        return None
    one, other = words_of(lines[before]), words_of(lines[at])
    return rhyme(one[-1], other[-1]) if one and other else 0.0


@dataclass
class LinesRule(TextRule):
    """-1 to 1 at the end: 1 for the number of lines wanted, 1 less for each too many or few; -1 for
    a text that the horizon has cut off.

    Args:
        board: see :class:`TextRule`.
        wanted: how many lines.
    """

    board: Board
    wanted: int

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        cut = passage.cut and self.board.vocabulary and self.board.vocabulary.end is not None
        return -1.0 if cut else 1.0 - min(abs(len(passage.lines) - self.wanted), 2)


@dataclass
class RepeatRule(TextRule):
    """-1 to 0 a line: -0.25 for each word in it that has been written more often than allowed.

    Args:
        board: see :class:`TextRule`.
        most: how often a word may stand in a text.
    """

    board: Board
    most: int

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        before, value = Counter(words_of("\n".join(passage.lines[: passage.new]))), 0.0
        for line in passage.lines[passage.new :]:
            words = Counter(words_of(line))
            over = (
                max(before[word] + n - max(self.most, before[word]), 0) for word, n in words.items()
            )
            value -= min(sum(over) / 4, 1.0)
            before.update(words)
        return value


@dataclass
class KnownRule(TextRule):
    """-1 to 0 a line: minus the share of its words whose sound is only estimated; -1 without words.

    Args:
        board: see :class:`TextRule`.
    """

    board: Board

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        return sum(known_share(line) - 1 for line in passage.lines[passage.new :])


@lru_cache(maxsize=50_000)
def known_share(text: str) -> float:
    """The share of a text's words that are in the dictionary or derived from its words; 0 without
    words.
    """
    words = words_of(text)
    return sum(sound_of(word).how != "estimated" for word in words) / max(len(words), 1)


@dataclass
class UseRule(TextRule):
    """0 to 1 at the end: the share of the words that are to be used which the text has.

    Args:
        board: see :class:`TextRule`.
        words: in lower case.
    """

    board: Board
    words: Sequence[str]

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        return len(set(self.words) & _bare(passage.text).keys()) / len(self.words)


@dataclass
class AvoidRule(TextRule):
    """-1 to 0 at the end: -0.25 for each time that one of the words to be avoided is written.

    Args:
        board: see :class:`TextRule`.
        words: in lower case.
    """

    board: Board
    words: Sequence[str]

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        found = _bare(passage.text)
        return 0.0 - min(sum(found[word] for word in self.words) / 4, 1.0)


def _bare(text: str) -> Counter[str]:
    """How often each word stands in a text, quotation marks left out too."""
    words = words_of(text)
    return Counter(words) + Counter(w.strip("'") for w in words if w != w.strip("'"))


@dataclass
class SentimentRule(TextRule):
    """-1 to 1 at the end: :func:`~.sentiment.sentiment`, or what is wanted of it.

    Args:
        board: see :class:`TextRule`.
        sign: 1 for pleasant words, -1 for unpleasant ones.
    """

    board: Board
    sign: float

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        return self.sign * sentiment(passage.text)


@dataclass
class RegexRule(TextRule):
    """1 at the end for a text that has the pattern, or is it as a whole; 0 for another.

    Args:
        board: see :class:`TextRule`.
        pattern: a regular expression of Python's ``re``.
        whole: whether it must match all of the text.
    """

    board: Board
    pattern: re.Pattern[str]
    whole: bool

    def value(self, passage: Passage) -> float:
        """See :class:`TextRule`."""
        match = self.pattern.fullmatch if self.whole else self.pattern.search
        return float(match(passage.text) is not None)
