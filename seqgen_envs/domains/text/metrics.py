"""Numbers that describe texts, and the table of a batch of them.

What form a text should have is the task's (its facts ``syllables``, ``scheme`` and ``licences``); a
couplet's where the task has none. Metre, rhyme and syllables are those of :mod:`~.scansion` and
:mod:`~.pronunciation`, copies those of :mod:`~.copying`. Nothing is in percent.

Texts are int [N, T] token ids, padded with V.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domain_groups import Metrics
from seqgen_envs.domains.text.copying import copied_runs, six_grams_beside
from seqgen_envs.domains.text.pronunciation import words_of
from seqgen_envs.domains.text.scansion import USUAL, Licences, Reading, read_line
from seqgen_envs.domains.text.terms import known_share, line_rhyme
from seqgen_envs.vocabulary import Vocabulary, sequence_array

Values = NDArray[np.float64]

#: The form of a couplet, where the task has none.
COUPLET = (10, 10)
SCHEME = "aa"
#: What :func:`text_metrics` tells of each text.
EACH = ("lines", "syllables", "metrical_lines", "rhymed", "known_words", "copied")


def texts_of(tokens: ArrayLike, vocabulary: Vocabulary) -> list[str]:
    """The texts of ids [N, T].

    Raises:
        ValueError: not such an array, or an id outside 0..V.
    """
    ids = sequence_array(tokens)
    if ids.size and not (ids.min() >= 0 and ids.max() <= vocabulary.pad_id):
        raise ValueError(f"tokens must be ids 0..{vocabulary.pad_id}, got {ids.min()}..{ids.max()}")
    return [vocabulary.to_text(row) for row in ids]


def lines_of(text: str) -> list[str]:
    """Its lines; the newline at its end begins none."""
    return text.removesuffix("\n").split("\n") if text else []


def text_metrics(
    tokens: ArrayLike,
    vocabulary: Vocabulary,
    folder: str | Path | None = None,
    syllables: Sequence[int] = COUPLET,
    scheme: str = SCHEME,
    licences: Licences = USUAL,
) -> dict[str, Values]:
    """Statistics of each text, float64 [N] each.

    ``lines``: how many. ``syllables``: a line has on average. ``metrical_lines``: the share of the
    lines that are iambic and have the syllables wanted; lines beyond those wanted are not.
    ``rhymed``: the share of the rhymes wanted that are there, nan where none is wanted.
    ``known_words``: the share of words in the dictionary or derived from its words. ``copied``: the
    share of runs of six words that the corpus has too, nan where there are none, or no corpus is
    known. A text without lines or words has 0 of them.

    Args:
        tokens: int [N, T].
        vocabulary: of the ids.
        folder: of the prior whose corpus is meant; None: no corpus.
        syllables, scheme, licences: of the form, as a task's facts.

    Raises:
        ValueError: not such an array, or an id outside 0..V.
    """
    rows = [
        _facts(text, folder, syllables, scheme, licences) for text in texts_of(tokens, vocabulary)
    ]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in EACH}


def summarize(
    tokens: ArrayLike,
    vocabulary: Vocabulary,
    folder: str | Path | None = None,
    syllables: Sequence[int] = COUPLET,
    scheme: str = SCHEME,
    licences: Licences = USUAL,
) -> dict[str, float]:
    """The table of a batch.

    ``metrical_lines``: metrical ones as a share of all lines. ``rhymed_texts``: the share of the
    texts in which all rhymes wanted are there (of couplets: those that rhyme); nan where none is
    wanted. ``whole_forms``: the share of the texts that are all of it: as many lines as wanted, all
    metrical, all rhymes. ``mean_lines`` and ``mean_syllables`` (of a line); ``known_words`` as a
    share of all words; ``copied_six_grams`` of all runs of six words, nan where no corpus is known;
    ``distinct``: how many texts are left when copies are dropped, as a share.

    Args and errors as for :func:`text_metrics`; ValueError for no texts as well.
    """
    texts = texts_of(tokens, vocabulary)
    if not texts:
        raise ValueError("no texts to summarize: tokens has 0 rows")
    rows = [_facts(text, folder, syllables, scheme, licences) for text in texts]
    each = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    rhymed, asked = each["rhymed"] == 1, np.isfinite(each["rhymed"])
    whole = (each["lines"] == len(syllables)) & (each["metrical_lines"] == 1) & (rhymed | ~asked)
    return {
        "metrical_lines": _mean(each["metrical_lines"], each["lines"]),
        "rhymed_texts": float(rhymed.mean()) if asked.any() else math.nan,
        "whole_forms": float(whole.mean()),
        "mean_lines": float(each["lines"].mean()),
        "mean_syllables": _mean(each["syllables"], each["lines"]),
        "known_words": _mean(each["known_words"], each["words"]),
        "copied_six_grams": _mean(np.nan_to_num(each["copied"]), each["runs"], math.nan),
        "distinct": len(set(texts)) / len(texts),
    }


def metrics_of(vocabulary: Vocabulary, folder: Path | None = None) -> Metrics:
    """The metrics of texts in a vocabulary; copies are taken from the corpus of the prior in
    ``folder``.
    """
    return Metrics(
        each=partial(text_metrics, vocabulary=vocabulary, folder=folder),
        summary=partial(summarize, vocabulary=vocabulary, folder=folder),
        against=partial(metrics_of, vocabulary),
    )


def _facts(
    text: str,
    folder: str | Path | None,
    syllables: Sequence[int],
    scheme: str,
    licences: Licences,
) -> dict[str, float]:
    """The statistics of one text, and what they are shares of: ``words`` and ``runs``."""
    lines = lines_of(text)
    readings = _readings(lines, syllables, licences)
    copied, runs = _copies(text, folder)
    return {
        "lines": len(lines),
        "syllables": sum(one.syllables for one in readings) / max(len(lines), 1),
        "metrical_lines": _metrical(readings, syllables) / max(len(lines), 1),
        "rhymed": _rhymed(lines, scheme),
        "known_words": known_share(text),
        "copied": copied / runs if runs else math.nan,
        "words": len(words_of(text)),
        "runs": runs,
    }


def _mean(values: Values, weights: Values, nothing: float = 0.0) -> float:
    """The weighted mean; ``nothing`` where all weights are 0."""
    return float(values @ weights / weights.sum()) if weights.any() else nothing


def _readings(lines: Sequence[str], syllables: Sequence[int], licences: Licences) -> list[Reading]:
    """Of all lines; those beyond the form's are read as its last one."""
    return [
        read_line(line, syllables[min(at, len(syllables) - 1)], licences)
        for at, line in enumerate(lines)
    ]


def _metrical(readings: Sequence[Reading], syllables: Sequence[int]) -> int:
    return sum(reading.metrical for reading in readings[: len(syllables)])


def _rhymed(lines: Sequence[str], scheme: str) -> float:
    """The share of a scheme's rhymes that are there; a line that is missing does not rhyme."""
    padded = [*lines, *[""] * (len(scheme) - len(lines))]
    found = (line_rhyme(padded, scheme, at) for at in range(len(scheme)))
    rhymes = [value == 1 for value in found if value is not None]
    return sum(rhymes) / len(rhymes) if rhymes else math.nan


def _copies(text: str, folder: str | Path | None) -> tuple[int, int]:
    """Copied runs and all runs; (0, 0) where no corpus is known."""
    corpus = None if folder is None else six_grams_beside(Path(folder))
    return (0, 0) if corpus is None else copied_runs(text, corpus)
