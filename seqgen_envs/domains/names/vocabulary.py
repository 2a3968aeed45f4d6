"""The 26 letters and an end token."""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.rules import Tokens
from seqgen_envs.vocabulary import Vocabulary

VOCABULARY = Vocabulary((*string.ascii_lowercase, "."), end=".", joiner="")
END = 26
#: The longest name of the corpus has 13 letters; the end token is one more.
HORIZON = 14
VOWELS = frozenset("aeiouy")
#: By a token's id; the last is the end token.
VOWEL = np.array([*(letter in VOWELS for letter in string.ascii_lowercase), False])


def encode(text: str) -> Tokens:
    """Ids of a name's letters, whatever their case.

    Raises:
        UnknownTokenError: something else than a letter from a to z.
    """
    return VOCABULARY.encode(text.lower())


def letters(tokens: Tokens, lengths: Tokens) -> Tokens:
    """The letters of prefixes [N, T], 26 (:data:`END`) from where a name or its prefix ends on."""
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    found: Tokens = np.where(inside, np.minimum(tokens, END), END)
    return found


def lengths_of(tokens: Tokens) -> Tokens:
    """Letters of names [N, T], padded with V, the end token not counted."""
    ended = tokens >= END
    found: Tokens = np.where(ended.any(axis=1), ended.argmax(axis=1), tokens.shape[1])
    return found


def last_letters(text: Tokens) -> Tokens:
    """The last letter of each name, [N], 26 where it has none; ``text`` as of :func:`letters`."""
    ends = lengths_of(text)
    found: Tokens = text[np.arange(len(text)), np.maximum(ends - 1, 0)]
    return found


def starts_syllable(text: Tokens) -> NDArray[np.bool_]:
    """Where a group of vowels begins, bool [N, T]; ``text`` as of :func:`letters`."""
    vowel = VOWEL[text]
    before = np.zeros_like(vowel)
    before[:, 1:] = vowel[:, :-1]
    found: NDArray[np.bool_] = vowel & ~before
    return found
