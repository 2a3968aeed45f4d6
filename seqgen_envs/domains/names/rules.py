"""What a name may be asked for. Every rule judges a finished name, and remembers little of it.

Rules are frozen dataclasses, called as ``rule(tokens, lengths)`` (see :mod:`seqgen_envs.rules`);
``memory`` is what their value will depend on besides the letters to come, so that under a prior of
few states the optimum is known exactly (:mod:`seqgen_envs.graph`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqgen_envs.domains.names.known import beginning_of, is_known, known_names
from seqgen_envs.domains.names.vocabulary import (
    END,
    VOWEL,
    encode,
    last_letters,
    lengths_of,
    letters,
    starts_syllable,
)
from seqgen_envs.rules import Tokens, Values


@dataclass(frozen=True)
class SyllablesRule:
    """Minus the distance of the number of syllables from ``wanted``.

    Syllables are estimated as groups of vowels (a, e, i, o, u, y): "lydia" counts 2, "george" 2.
    """

    wanted: int = 3

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        found: Values = -np.abs(self.memory(tokens, lengths)[:, 0] - self.wanted)
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """The syllables so far, and whether the last letter is a vowel, [N, 2]."""
        text = letters(tokens, lengths)
        count = starts_syllable(text).sum(axis=1)
        return np.stack([count, VOWEL[last_letters(text)]], axis=1).astype(np.float64)


@dataclass(frozen=True)
class StartsRule:
    """1 for a name that starts with ``text``."""

    text: str

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        long_enough = lengths_of(letters(tokens, lengths)) >= len(self.text)
        found: Values = long_enough * self.memory(tokens, lengths)[:, 0]
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Whether the name starts so as far as it goes, [N, 1]."""
        size = min(len(self.text), tokens.shape[1])
        same = tokens[:, :size] == encode(self.text)[:size]
        same |= np.arange(size) >= lengths[:, None]
        found: Values = same.all(axis=1, keepdims=True).astype(np.float64)
        return found


@dataclass(frozen=True)
class EndsRule:
    """1 for a name that ends with ``text``."""

    text: str

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        found: Values = (self.memory(tokens, lengths)[:, 0] == len(self.text)).astype(np.float64)
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """How many letters at the end are the beginning of the text, [N, 1]."""
        text = letters(tokens, lengths)
        return _matched(text, lengths_of(text), self.text)[:, None].astype(np.float64)


@dataclass(frozen=True)
class AlliterationRule:
    """The share of the later syllables that begin with the first one's consonant ("lola": 1)."""

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        _, again, syllables, _ = self.memory(tokens, lengths).T
        found: Values = again / np.maximum(syllables - 1, 1)
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """The first onset (26: none), how many repeat it, syllables, the last letter, [N, 4]."""
        text = letters(tokens, lengths)
        begins, rows = starts_syllable(text), np.arange(len(text))
        onsets = np.full_like(text, END)
        onsets[:, 1:] = text[:, :-1]
        syllables = begins.sum(axis=1)
        first = np.where(syllables > 0, onsets[rows, begins.argmax(axis=1)], END)
        same = begins & (onsets == first[:, None]) & (first[:, None] != END)
        again = np.maximum(same.sum(axis=1) - 1, 0)
        return np.stack([first, again, syllables, last_letters(text)], axis=1).astype(np.float64)


@dataclass(frozen=True)
class ForbiddenRule:
    """Minus the number of the ``words`` that the name holds, as letters in a row."""

    words: tuple[str, ...]

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        found: Values = -self.memory(tokens, lengths)[:, : len(self.words)].sum(axis=1)
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """For each word whether it is there, and how much of it the end is, [N, 2 words]."""
        text = letters(tokens, lengths)
        ends = lengths_of(text)
        held = [_holds(text, word) for word in self.words]
        begun = [_matched(text, ends, word) for word in self.words]
        return np.stack([*held, *begun], axis=1).astype(np.float64)


@dataclass(frozen=True)
class NearRule:
    """Minus the edit distance (Levenshtein 1966) to ``name``."""

    name: str

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        return -self.memory(tokens, lengths)[:, -1]

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """The distances of what is written to each beginning of the name, [N, n + 1]."""
        text, wanted = letters(tokens, lengths), encode(self.name)
        row: Values = np.tile(np.arange(len(wanted) + 1.0), (len(text), 1))
        for column in text.T:
            before, row = row, row.copy()
            written = column < END
            row[written, 0] += 1
            for j, letter in enumerate(wanted):
                step = np.minimum(before[:, j] + (column != letter), before[:, j + 1] + 1)
                row[written, j + 1] = np.minimum(step, row[:, j] + 1)[written]
        return row


@dataclass(frozen=True)
class NovelRule:
    """1 for a name that the default prior's corpus does not have: no real name, as far as known."""

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Values [N]."""
        found: Values = 1.0 - is_known(letters(tokens, lengths), self._names).astype(np.float64)
        return found

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Which known names begin so, [N, 1]; -1 where none does: it stays new."""
        if not len(tokens):
            return np.zeros((0, 1))
        text = letters(tokens, lengths)
        return beginning_of(text, int(lengths[0]), self._names)[:, None].astype(np.float64)

    @cached_property
    def _names(self) -> np.ndarray:
        return known_names()

    def __getstate__(self) -> dict[str, object]:
        return {}  # another process reads its own list


def _holds(text: Tokens, word: str) -> np.ndarray:
    """Whether the letters [N, T] have the word's in a row, bool [N]."""
    if len(word) > text.shape[1]:
        return np.zeros(len(text), dtype=bool)
    windows = np.lib.stride_tricks.sliding_window_view(text, len(word), axis=1)
    found: np.ndarray = (windows == encode(word)).all(axis=2).any(axis=1)
    return found


def _matched(text: Tokens, ends: Tokens, word: str) -> Tokens:
    """The longest beginning of ``word`` that stands at the end of each text, [N]."""
    ids, found = encode(word), np.zeros(len(text), dtype=np.int64)
    rows = np.arange(len(text))
    for size in range(1, min(len(word), text.shape[1]) + 1):
        same = ends >= size
        for back in range(size):
            same &= text[rows, np.maximum(ends - 1 - back, 0)] == ids[size - 1 - back]
        found[same] = size
    return found
