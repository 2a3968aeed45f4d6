"""Molecules as SMILES, judged by RDKit.

RDKit is imported here, PyTorch and matplotlib are not: the functions that need them bring them in.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from seqgen_envs.domain import Domain, prior_in
from seqgen_envs.domains.molecule import smiles
from seqgen_envs.domains.molecule.corpus.augment import augment as other_spelling
from seqgen_envs.domains.molecule.corpus.cleaning import ENDINGS
from seqgen_envs.domains.molecule.corpus.named import CORPORA, read_corpus
from seqgen_envs.domains.molecule.grammar.mask import PartialSmilesMask
from seqgen_envs.domains.molecule.metrics import summary
from seqgen_envs.domains.molecule.objectives.classifiers import fetch_models
from seqgen_envs.domains.molecule.output.files import read_molecules, write_collection
from seqgen_envs.domains.molecule.output.render import render_image, render_text
from seqgen_envs.domains.molecule.tasks import TASKS
from seqgen_envs.vocabulary import Vocabulary

PRIORS = Path(__file__).parents[2] / "priors" / "molecule"
HORIZON = 100
MIN_HORIZON = 2


def make_domain(vocabulary: Vocabulary) -> Domain:
    """Molecules in the tokens of a prior's own vocabulary."""
    own: Any = partial(partial, vocabulary=vocabulary)
    return Domain(
        name="molecule",
        vocabulary=vocabulary,
        of_vocabulary=make_domain,
        priors={name: prior_in(PRIORS / name) for name in ("zinc250k", "moses")},
        tasks=TASKS,
        default_prior="zinc250k",
        default_task="sequence-tutor",
        horizon=HORIZON,
        min_horizon=MIN_HORIZON,
        encode=own(smiles.encode),
        render_text=own(render_text),
        render_image=own(render_image),
        sequence_metrics=own(summary.sequence_metrics),
        summarize=own(summary.summarize),
        compared_with=own(_compared_with),
        describe_corpus=summary.describe_corpus,
        corpus_columns=summary.corpus_columns,
        write_collection=own(write_collection),
        read_sequences=read_molecules,
        suffixes=ENDINGS,
        read_corpus=own(read_corpus),
        corpora=CORPORA,
        corpus_files=ENDINGS,
        downloads={"oracles": fetch_models},
        augment=own(other_spelling),
        valid=own(summary.are_valid),
        masks={"partial-smiles": own(PartialSmilesMask)},
        published=summary.PUBLISHED,
        presets=PRIORS / "presets.yaml",
    )


def _compared_with(folder: Path, vocabulary: Vocabulary) -> dict[str, Any]:
    own: Any = partial(partial, vocabulary=vocabulary)
    return {
        "sequence_metrics": own(summary.sequence_metrics, folder=folder),
        "summarize": own(summary.summarize, folder=folder),
        "write_collection": own(write_collection, prior_folder=folder),
    }


DOMAIN = make_domain(smiles.VOCABULARY)
