"""Statistics of finished melodies, and the table of the paper made of them.

Source: Jaques et al. 2017 (arXiv 1611.02796), section 5 and its table of statistics over 100,000
melodies a model. A "note" is there a time step, and here too: fractions of notes are of N * T
steps. What counts as repeated, in a motif or a resolved leap is where the rules of
:mod:`~seqgen_envs.domains.melody.rules` pay or fine; no threshold is stated twice.

Melodies are int [N, T] token ids, all of length T. Nothing is in percent.
"""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domains.melody.keys import Key
from seqgen_envs.domains.melody.rules import (
    DEFAULT_BAR_LENGTH,
    DEFAULT_KEY,
    LAGS,
    autocorrelation,
    unique_highest,
    unique_lowest,
)
from seqgen_envs.domains.melody.tasks import rl_tuner_task
from seqgen_envs.domains.melody.vocabulary import SIZE
from seqgen_envs.rules import Task, Tokens, Values, score_sequences
from seqgen_envs.vocabulary import sequence_array

_CHUNK = 4096

#: Statistics that count the steps at which a rule pays (1) or fines (-1): (rule, sign).
_COUNTS = {
    "leaps_resolved": ("leap_resolution", 1),
    "leaps_doubled": ("leap_resolution", -1),
    "notes_not_in_key": ("key", -1),
    "notes_in_motif": ("motif", 1),
    "notes_in_repeated_motif": ("repeated_motif", 1),
    "notes_excessively_repeated": ("repetition", -1),
}

_ROWS = (
    "notes_excessively_repeated",
    "mean_autocorrelation_lag1",
    "mean_autocorrelation_lag2",
    "mean_autocorrelation_lag3",
    "notes_not_in_key",
    "melodies_starting_with_tonic",
    "leaps_resolved",
    "melodies_with_unique_highest",
    "melodies_with_unique_lowest",
    "notes_in_motif",
    "notes_in_repeated_motif",
)
_COLUMNS = {
    "Note RNN": (0.633, -0.16, 0.14, -0.13, 0.001, 0.009, 0.772, 0.647, 0.494, 0.059, 0.00007),
    "Q": (0.0, -0.11, 0.03, 0.03, 0.01, 0.288, 0.911, 0.564, 0.519, 0.757, 0.0011),
    "Psi": (0.0002, -0.10, -0.01, 0.01, 0.006, 0.287, 0.9, 0.594, 0.583, 0.738, 0.0009),
    "G": (0.0003, 0.55, 0.31, 0.17, 0.287, 0.0, 0.522, 0.371, 0.565, 0.693, 0.0001),
}
#: The paper's figures by model, then by the keys of :func:`summarize` (``distinct_melodies`` was
#: not published). Note RNN's 63.3% of repeated notes is largely an artefact: its prior was trained
#: with note off and no event exchanged, so its holds were judged as rests.
PAPER_TABLE = MappingProxyType(
    {
        model: MappingProxyType(dict(zip(_ROWS, values, strict=True)))
        for model, values in _COLUMNS.items()
    }
)


def melody_stats(
    tokens: ArrayLike, key: str = DEFAULT_KEY, bar_length: int = DEFAULT_BAR_LENGTH
) -> dict[str, Values]:
    """Twelve statistics of each melody, float64 [N] each.

    ``starts_with_tonic``, ``unique_highest``, ``unique_lowest``: 0 or 1. ``leaps_resolved``,
    ``leaps_doubled``, ``notes_not_in_key``, ``notes_in_motif``, ``notes_in_repeated_motif``,
    ``notes_excessively_repeated``: counts of steps. ``autocorrelation_lag1`` to ``3``:
    coefficients of the whole melody, nan where all its tokens are equal.

    Args:
        tokens: int [N, T], melodies of length T.
        key: as for :func:`~seqgen_envs.domains.melody.tasks.rl_tuner_task`.
        bar_length: tokens in a bar.

    Raises:
        ValueError: not such an array, a token that is no melody token, or a bad key or bar length.
    """
    melodies = _checked(tokens)
    task = _counting_task(key, bar_length)
    tonic = Key.parse(key).tonic_token
    chunks = [
        _chunk_stats(melodies[start : start + _CHUNK], task, tonic)
        for start in range(0, max(len(melodies), 1), _CHUNK)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def summarize(
    tokens: ArrayLike, key: str = DEFAULT_KEY, bar_length: int = DEFAULT_BAR_LENGTH
) -> dict[str, float]:
    """The rows of the paper's table for a batch of melodies, and ``distinct_melodies``.

    ``notes_*`` are fractions of the N * T steps, ``melodies_*`` and ``distinct_melodies`` (how
    many are left when copies are dropped) of the N melodies. ``leaps_resolved`` is resolved /
    (resolved + doubled), nan where there are none. ``mean_autocorrelation_lag*`` leave out the
    melodies where it is undefined, and are nan where all are.

    Args and errors as for :func:`melody_stats`; ValueError for no melodies as well.
    """
    melodies = _checked(tokens)
    if not len(melodies):
        raise ValueError("no melodies to summarize: tokens has 0 rows")
    stats = melody_stats(melodies, key, bar_length)
    steps = melodies.size
    resolved, doubled = stats["leaps_resolved"].sum(), stats["leaps_doubled"].sum()
    means = [_mean_defined(stats[f"autocorrelation_lag{lag}"]) for lag in LAGS]
    row_values = (
        stats["notes_excessively_repeated"].sum() / steps,
        *means,
        stats["notes_not_in_key"].sum() / steps,
        stats["starts_with_tonic"].mean(),
        resolved / (resolved + doubled) if resolved + doubled else math.nan,
        stats["unique_highest"].mean(),
        stats["unique_lowest"].mean(),
        stats["notes_in_motif"].sum() / steps,
        stats["notes_in_repeated_motif"].sum() / steps,
    )
    table = {name: float(value) for name, value in zip(_ROWS, row_values, strict=True)}
    return table | {"distinct_melodies": _distinct(melodies) / len(melodies)}


def _checked(tokens: ArrayLike) -> Tokens:
    array = sequence_array(tokens)
    if array.size and not (array.min() >= 0 and array.max() < SIZE):
        raise ValueError(
            f"tokens must be ids 0..{SIZE - 1} throughout (melodies are of length T, unpadded), "
            f"got {array.min()}..{array.max()}"
        )
    return array


def _counting_task(key: str, bar_length: int) -> Task:
    """The rules whose steps are counted, unweighted."""
    counted = {rule for rule, _ in _COUNTS.values()}
    terms = [term for term in rl_tuner_task(key, bar_length).terms if term.name in counted]
    return Task("melody-metrics", terms, on_error="raise")


def _chunk_stats(melodies: Tokens, task: Task, tonic: int) -> dict[str, Values]:
    stats: dict[str, NDArray[np.generic]] = {
        "starts_with_tonic": melodies[:, 0] == tonic,
        "unique_highest": unique_highest(melodies),
        "unique_lowest": unique_lowest(melodies),
    }
    values = score_sequences(task, melodies)
    for name, (rule, sign) in _COUNTS.items():
        column = values[:, :, task.names.index(rule)]
        stats[name] = np.count_nonzero(sign * column > 0, axis=1)
    for lag, coefficients in zip(LAGS, autocorrelation(melodies), strict=True):
        stats[f"autocorrelation_lag{lag}"] = coefficients
    return {name: values.astype(np.float64) for name, values in stats.items()}


def _mean_defined(values: Values) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _distinct(melodies: Tokens) -> int:
    return len({row.tobytes() for row in melodies.astype(np.uint8)})
