"""Statistics of sampled molecules: each one's, and the quality table of a whole batch.

Validity, uniqueness, novelty and internal diversity are as MOSES defines them (Polykovskiy et al.
2020, arXiv 1811.12823); the rows the paper reports (Jaques et al. 2017, section 5.2) have its
signs: penalties are negative. Novelty and property distances are taken against the corpus of a
prior (see :mod:`~.reference`), the default one's unless a folder is named.

Molecules are int [N, T] token ids, padded with V.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domains.molecule.metrics.measured import (
    MEASURED,
    Description,
    describe,
    internal_diversity,
)
from seqgen_envs.domains.molecule.metrics.reference import (
    COMPARED,
    REFERENCE_FILE,
    CorpusReference,
    reference_of,
    sampled,
)
from seqgen_envs.domains.molecule.smiles import VOCABULARY, carbon_ids, parse
from seqgen_envs.vocabulary import Vocabulary, sequence_array

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus

logger = logging.getLogger(__name__)

Tokens = NDArray[np.int64]
Values = NDArray[np.float64]

DEFAULT_REFERENCE = Path(__file__).parents[3] / "priors" / "molecule" / "zinc250k"
#: Valid molecules whose internal diversity is exact; of more, that of so many drawn with seed 0.
DIVERSITY_OF = 10_000
#: Training molecules that the corpus's own column is made of.
YARDSTICK = 10_000
# What stands for the molecules of a batch without any: the worst of each scale, or 0.
_NOTHING = MappingProxyType({"logp": 0.0, "qed": 0.0, "sa": 10.0, "weight": 0.0})

#: Published columns, by the keys of :func:`summarize`. The first two are the paper's prior and its
#: Q model; CharRNN is three LSTM layers of 600 on MOSES (Polykovskiy et al. 2020); REINVENT's
#: prior, three GRU layers of 512, writes about 94 to 97% valid SMILES (Olivecrona et al. 2017).
PUBLISHED = {
    "MLE RNN": {
        "valid": 0.303,
        "logp": 2.07,
        "qed": 0.678,
        "sa_penalty": -2.77,
        "ring_penalty": -0.096,
    },
    "Q": {
        "valid": 0.358,
        "logp": 4.21,
        "qed": 0.417,
        "sa_penalty": -1.79,
        "ring_penalty": -0.001,
    },
    "CharRNN (MOSES)": {"valid": 0.975, "unique": 0.999, "internal_diversity": 0.856},
    "REINVENT (ZINC)": {"valid": 0.94},
}


def are_valid(ids: Tokens, vocabulary: Vocabulary = VOCABULARY) -> NDArray[np.bool_]:
    """Which of the sequences [N, T] are SMILES of a molecule, bool [N]."""
    return np.array([parse(vocabulary.to_text(row)) is not None for row in ids], dtype=np.bool_)


def sequence_metrics(
    tokens: ArrayLike,
    folder: str | Path | None = None,
    vocabulary: Vocabulary = VOCABULARY,
    parts: Callable[[Sequence[str]], dict[str, Values]] | None = None,
) -> dict[str, Values]:
    """Statistics of each sequence, float64 [N] each.

    ``valid``: 0 or 1. ``longest_carbon_run``: most equal carbon tokens in a row. NaN for an
    invalid SMILES: ``novel`` (1: not in the training split), ``logp``, ``qed``, ``sa``,
    ``sa_penalty`` (-SA), ``ring_penalty`` (-max(largest ring - 6, 0)), ``weight`` (g/mol).

    Args:
        tokens: int [N, T].
        folder: of the prior whose training split is meant; None: the default prior.
        vocabulary: of the ids.
        parts: further columns, of SMILES: the parts of a task's objective.

    Raises:
        ValueError: not such an array, or an id outside 0..V.
    """
    ids = _checked(tokens, vocabulary)
    found = _describe_all(ids, vocabulary)
    table = np.full((len(found), len(MEASURED)), np.nan)
    novel = np.full(len(found), np.nan)
    valid = [row for row, molecule in enumerate(found) if molecule is not None]
    if valid:
        molecules = [molecule for molecule in found if molecule is not None]
        table[valid] = [molecule.values for molecule in molecules]
        novel[valid] = ~reference(folder).known([molecule.canonical for molecule in molecules])
    columns = dict(zip(MEASURED, table.T, strict=True))
    measured = {
        "valid": np.array([molecule is not None for molecule in found], dtype=np.float64),
        "novel": novel,
        "logp": columns["logp"],
        "qed": columns["qed"],
        "sa": columns["sa"],
        "sa_penalty": 0.0 - columns["sa"],
        "ring_penalty": 0.0 - columns["ring_penalty"],  # no -0.0
        "weight": columns["weight"],
        "longest_carbon_run": longest_carbon_run(ids, vocabulary),
    }
    return measured | (parts([vocabulary.to_text(row) for row in ids]) if parts else {})


def summarize(
    tokens: ArrayLike, folder: str | Path | None = None, vocabulary: Vocabulary = VOCABULARY
) -> dict[str, float]:
    """The quality table of a batch; every value is a finite number.

    ``valid``: share of the N sequences. ``unique``: distinct canonical SMILES, as a share of the
    valid ones. ``novel``: share of the distinct ones that are not in the training split.
    ``internal_diversity``: IntDiv1 of the valid ones (exact up to :data:`DIVERSITY_OF`).
    ``scaffolds``: number of distinct Bemis-Murcko scaffolds. ``logp`` ... ``weight``: means over
    the valid ones. ``mean_length`` (tokens, end token left out) and ``longest_carbon_run``: means
    over all. ``distance_*``: Wasserstein-1 distance of the valid ones' property to the corpus's
    held-out split, in the property's units.

    Where nothing is valid, shares and counts are 0, and one molecule of logP 0, QED 0, SA 10 and
    weight 0 stands for the properties.

    Args:
        tokens: int [N, T], N > 0.
        folder: of the prior whose corpus is compared with; None: the default prior.
        vocabulary: of the ids.

    Raises:
        ValueError: not such an array, no rows, or an id outside 0..V.
    """
    ids = _checked(tokens, vocabulary)
    if not len(ids):
        raise ValueError("no molecules to summarize: tokens has 0 rows")
    return _summary(ids, reference(folder), vocabulary)


def _summary(ids: Tokens, corpus: CorpusReference, vocabulary: Vocabulary) -> dict[str, float]:
    molecules = [molecule for molecule in _describe_all(ids, vocabulary) if molecule is not None]
    distinct = {molecule.canonical: molecule for molecule in molecules}
    novel = ~corpus.known(list(distinct))
    properties = {name: _defined(molecules, name) for name in MEASURED}
    averages = {name: float(values.mean()) for name, values in properties.items()}
    prints = [molecule.fingerprint for molecule in molecules]
    chosen = sampled(range(len(prints)), DIVERSITY_OF)
    summary = {
        "valid": len(molecules) / len(ids),
        "unique": len(distinct) / max(len(molecules), 1),
        "novel": float(novel.sum()) / max(len(distinct), 1),
        "internal_diversity": internal_diversity([prints[i] for i in chosen]),
        "scaffolds": float(len({m.scaffold for m in distinct.values() if m.scaffold})),
        "logp": averages["logp"],
        "qed": averages["qed"],
        "sa": averages["sa"],
        "sa_penalty": 0.0 - averages["sa"],
        "ring_penalty": 0.0 - averages["ring_penalty"],
        "weight": averages["weight"],
        "mean_length": float(_lengths(ids, vocabulary).mean()),
        "longest_carbon_run": float(longest_carbon_run(ids, vocabulary).mean()),
    }
    distances = {f"distance_{name}": corpus.distance(name, properties[name]) for name in COMPARED}
    return summary | distances


def _defined(molecules: Sequence[Description], name: str) -> Values:
    """A property of the molecules where it could be computed; what stands for it if nowhere."""
    column = MEASURED.index(name)
    values = np.array([molecule.values[column] for molecule in molecules])
    values = values[np.isfinite(values)]
    return values if values.size else np.array([_NOTHING.get(name, 0.0)])


def longest_carbon_run(tokens: ArrayLike, vocabulary: Vocabulary = VOCABULARY) -> Values:
    """Most ``C``, or most ``c``, tokens in a row, float64 [N], of ids [N, T]."""
    ids = np.asarray(tokens)
    longest = np.zeros(len(ids))
    for carbon in carbon_ids(vocabulary):
        run = np.zeros(len(ids))
        for column in ids.T:
            run = np.where(column == carbon, run + 1, 0)
            longest = np.maximum(longest, run)
    return longest


def corpus_columns(folder: str | Path | None = None) -> dict[str, dict[str, float]]:
    """What training molecules themselves score: the column a summary is best read beside."""
    corpus = reference(folder)
    size = min(corpus.counts["sampled"], YARDSTICK)
    return {f"{size:,} of {corpus.source}": dict(corpus.yardstick)} if corpus.yardstick else {}


def describe_corpus(corpus: Corpus, folder: str | Path, *, progress: bool = True) -> Path:
    """Write ``reference.npz`` of a corpus beside a prior trained on it; returns its path.

    Hashes cover the whole training split; properties are measured on the whole test split and on
    20,000 training molecules. That takes about four minutes for ZINC250k.

    Raises:
        ValueError: the corpus has no training sequences.
    """
    described = reference_of(corpus, progress=progress)
    train = sampled(corpus.split("train"), described.counts["sampled"])[:YARDSTICK]
    yardstick = _summary(corpus.vocabulary.padded(train), described, corpus.vocabulary)
    return replace(described, yardstick=yardstick).save(folder)


def reference(folder: str | Path | None = None) -> CorpusReference:
    """The reference beside the prior in ``folder``; the default prior's where it has none."""
    if folder is None:
        return CorpusReference.load(DEFAULT_REFERENCE)
    if not (Path(folder) / REFERENCE_FILE).is_file():
        _say_default_is_used(str(folder))
        return CorpusReference.load(DEFAULT_REFERENCE)
    return CorpusReference.load(folder)


@cache
def _say_default_is_used(folder: str) -> None:
    logger.warning(
        "%s holds no %s: novelty and property distances are taken against the default prior's "
        "corpus",
        folder,
        REFERENCE_FILE,
    )


def _describe_all(ids: Tokens, vocabulary: Vocabulary) -> list[Description | None]:
    return [describe(vocabulary.to_text(row)) for row in ids]


def _lengths(ids: Tokens, vocabulary: Vocabulary) -> Values:
    inside = (ids < vocabulary.size) & (ids != vocabulary.end_id)
    found: Values = inside.sum(axis=1).astype(np.float64)
    return found


def _checked(tokens: ArrayLike, vocabulary: Vocabulary) -> Tokens:
    ids = sequence_array(tokens)
    if ids.size and not (ids.min() >= 0 and ids.max() <= vocabulary.pad_id):
        raise ValueError(f"tokens must be ids 0..{vocabulary.pad_id}, got {ids.min()}..{ids.max()}")
    return ids
