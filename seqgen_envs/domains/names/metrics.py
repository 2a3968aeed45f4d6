"""Statistics of names: int [N, T] token ids, padded with V."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from seqgen_envs.domains.names.known import is_known, known_names
from seqgen_envs.domains.names.vocabulary import (
    END,
    VOCABULARY,
    lengths_of,
    letters,
    starts_syllable,
)
from seqgen_envs.rules import Tokens, Values
from seqgen_envs.vocabulary import sequence_array


def name_stats(tokens: ArrayLike, folder: Path | None = None) -> dict[str, Values]:
    """Statistics of each name, float64 [N] each.

    ``known``: 1 where it is in the corpus. ``letters``: how many. ``syllables``: groups of vowels.

    Args:
        tokens: int [N, T].
        folder: of the prior whose corpus is meant; None: the default prior.

    Raises:
        ValueError: not such an array, or an id outside 0..V.
    """
    text = _checked(tokens)
    return {
        "known": is_known(text, known_names(folder)).astype(np.float64),
        "letters": lengths_of(text).astype(np.float64),
        "syllables": starts_syllable(text).sum(axis=1).astype(np.float64),
    }


def summarize(tokens: ArrayLike, folder: Path | None = None) -> dict[str, float]:
    """Of a batch: ``known`` and ``distinct`` as shares, the means of the letters and syllables.

    Raises:
        ValueError: as :func:`name_stats`, or no rows.
    """
    stats, text = name_stats(tokens, folder), _checked(tokens)
    if not len(text):
        raise ValueError("no names to summarize: tokens has 0 rows")
    return {
        "known": float(stats["known"].mean()),
        "distinct": len({row.tobytes() for row in text.astype(np.uint8)}) / len(text),
        "mean_letters": float(stats["letters"].mean()),
        "mean_syllables": float(stats["syllables"].mean()),
    }


def _checked(tokens: ArrayLike) -> Tokens:
    ids = sequence_array(tokens)
    if ids.size and not 0 <= ids.min() <= ids.max() <= VOCABULARY.size:
        raise ValueError(f"tokens must be ids 0..{VOCABULARY.size}, got {ids.min()}..{ids.max()}")
    text = letters(ids, np.full(len(ids), ids.shape[1]))
    return letters(text, lengths_of(text)) if len(text) else np.minimum(text, END)
