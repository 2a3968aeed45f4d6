"""Molecules as SMILES, judged by RDKit.

RDKit is imported here, PyTorch and matplotlib are not: the functions that need them bring them in.
"""

from __future__ import annotations

import functools  # a module beside this one is called partial
from pathlib import Path
from typing import Any

from seqgen_envs.domain import Domain, StoredPrior
from seqgen_envs.domain_groups import Corpora, Files, Metrics, View
from seqgen_envs.domains.molecule.augment import augment as other_spelling
from seqgen_envs.domains.molecule.classifiers import fetch_models
from seqgen_envs.domains.molecule.corpora import CORPORA, read_corpus
from seqgen_envs.domains.molecule.dataset import ENDINGS
from seqgen_envs.domains.molecule.files import read_molecules, write_collection
from seqgen_envs.domains.molecule.masking import PartialSmilesMask
from seqgen_envs.domains.molecule.metrics import (
    PUBLISHED,
    are_valid,
    corpus_columns,
    describe_corpus,
    sequence_metrics,
    summarize,
)
from seqgen_envs.domains.molecule.render import render_image, render_text
from seqgen_envs.domains.molecule.rules import TASKS
from seqgen_envs.domains.molecule.vocabulary import VOCABULARY, encode

PRIORS = Path(__file__).parents[2] / "priors" / "molecule"
HORIZON = 100
MIN_HORIZON = 2


def _metrics(folder: Path | None) -> Metrics:
    """Metrics that compare with the corpus of the prior in ``folder``; None: the default one's."""
    return Metrics(
        each=functools.partial(sequence_metrics, folder=folder),
        summary=functools.partial(summarize, folder=folder),
        published=PUBLISHED,
        against=_metrics,
    )


def _write_many(ids: Any, folder: Path, names: Any, rows: Any, prior: Any) -> list[Path]:
    return write_collection(ids, folder, names, rows, getattr(prior, "source", None))


DOMAIN = Domain(
    name="molecule",
    vocabulary=VOCABULARY,
    priors={name: StoredPrior(PRIORS / name) for name in ("zinc250k", "moses")},
    tasks=TASKS,
    default_prior="zinc250k",
    default_task="sequence-tutor",
    horizon=HORIZON,
    min_horizon=MIN_HORIZON,
    encode=encode,
    masks={"partial-smiles": PartialSmilesMask},
    view=View(render_text, render_image),
    metrics=_metrics(None),
    files=Files(read_many=read_molecules, write_many=_write_many, suffixes=ENDINGS),
    corpora=Corpora(
        read=read_corpus,
        names=CORPORA,
        suffixes=ENDINGS,
        downloads={"oracles": fetch_models},
        presets=PRIORS / "presets.yaml",
        augment=other_spelling,
        valid=are_valid,
        describe=describe_corpus,
        columns=corpus_columns,
    ),
)
