"""How pleasant words are: VADER's lexicon of 7,000 words rated by people.

Source: Hutto & Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text"; the package ``vaderSentiment`` 3.3.2, whose licence lies beside the table. The
lexicon alone is used: neither negations nor capitals nor punctuation count.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from seqgen_envs.domains.text.pronunciation import words_of

LEXICON = Path(__file__).parent / "data" / "vader.txt"
#: VADER's constant: the sum of valences that is worth about half of the scale is its root.
ALPHA = 15


@cache
def valences() -> dict[str, float]:
    """Words to their valence, -4 (most unpleasant) to 4."""
    rows = (line.split("\t") for line in LEXICON.read_text(encoding="utf-8").splitlines())
    return {word: float(value) for word, value in rows}


def sentiment(text: str) -> float:
    """VADER's compound score of the words' valences: s / sqrt(s^2 + 15), above -1 and below 1."""
    known = valences()
    total = sum(known.get(word, 0.0) for word in words_of(text))
    return total / math.sqrt(total * total + ALPHA)
