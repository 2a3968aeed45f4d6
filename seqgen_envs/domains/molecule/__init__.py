"""Molecules as SMILES, judged by RDKit.

RDKit is imported here, PyTorch and matplotlib are not: the functions that need them bring them in.
"""

from __future__ import annotations

import functools  # a module beside this one is called partial
from pathlib import Path
from typing import Any

from seqgen_envs.domain import Domain, prior_in
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


def _compared_with(folder: Path) -> dict[str, Any]:
    return {
        "sequence_metrics": functools.partial(sequence_metrics, folder=folder),
        "summarize": functools.partial(summarize, folder=folder),
        "write_collection": functools.partial(write_collection, prior_folder=folder),
    }


DOMAIN = Domain(
    name="molecule",
    vocabulary=VOCABULARY,
    priors={name: prior_in(PRIORS / name) for name in ("zinc250k", "moses")},
    tasks=TASKS,
    default_prior="zinc250k",
    default_task="sequence-tutor",
    horizon=HORIZON,
    min_horizon=MIN_HORIZON,
    encode=encode,
    render_text=render_text,
    render_image=render_image,
    sequence_metrics=sequence_metrics,
    summarize=summarize,
    compared_with=_compared_with,
    describe_corpus=describe_corpus,
    corpus_columns=corpus_columns,
    write_collection=write_collection,
    read_sequences=read_molecules,
    suffixes=ENDINGS,
    read_corpus=read_corpus,
    corpora=CORPORA,
    corpus_files=ENDINGS,
    downloads={"oracles": fetch_models},
    augment=other_spelling,
    valid=are_valid,
    masks={"partial-smiles": PartialSmilesMask},
    published=PUBLISHED,
    presets=PRIORS / "presets.yaml",
)
