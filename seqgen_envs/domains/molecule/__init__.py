"""Molecules as SMILES, judged by RDKit.

RDKit is imported here, PyTorch and matplotlib are not: the functions that need them bring them in.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from seqgen_envs.domain import Domain, StoredPrior
from seqgen_envs.domain_groups import Corpora, Files, Metrics, Templates, View
from seqgen_envs.domains.molecule.corpus.augment import augment
from seqgen_envs.domains.molecule.corpus.entries import read_beginnings, read_molecules
from seqgen_envs.domains.molecule.corpus.named import CORPORA, read_corpus
from seqgen_envs.domains.molecule.corpus.offspring import cross
from seqgen_envs.domains.molecule.corpus.reading import ENDINGS
from seqgen_envs.domains.molecule.grammar.decoration import DecoratingMask
from seqgen_envs.domains.molecule.grammar.mask import PartialSmilesMask
from seqgen_envs.domains.molecule.grammar.scaffold import read_template
from seqgen_envs.domains.molecule.metrics import summary
from seqgen_envs.domains.molecule.objectives.classifiers import fetch_models
from seqgen_envs.domains.molecule.objectives.listed import ingredients
from seqgen_envs.domains.molecule.output.files import write_collection
from seqgen_envs.domains.molecule.output.render import draw_svg, render_image, render_text
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode, is_of_smiles
from seqgen_envs.domains.molecule.tasks import TASKS
from seqgen_envs.vocabulary import Vocabulary

PRIORS = Path(__file__).parents[2] / "priors" / "molecule"
HORIZON = 100
MIN_HORIZON = 2


def make_domain(vocabulary: Vocabulary) -> Domain:
    """Molecules in the tokens of a prior's own vocabulary.

    Raises:
        ValueError: the tokens are not those of SMILES.
    """
    if not is_of_smiles(vocabulary):
        VOCABULARY.check_same(vocabulary, "domain 'molecule'", "the prior")
    in_tokens: Any = partial(partial, vocabulary=vocabulary)  # what reads tokens is told of them
    return Domain(
        name="molecule",
        vocabulary=vocabulary,
        of_vocabulary=make_domain,
        priors={name: StoredPrior(PRIORS / name) for name in ("zinc250k", "moses")},
        tasks=TASKS,
        default_prior="zinc250k",
        default_task="sequence-tutor",
        horizon=HORIZON,
        min_horizon=MIN_HORIZON,
        encode=in_tokens(encode),
        masks={"partial-smiles": in_tokens(PartialSmilesMask)},
        ingredients=ingredients,
        templates=Templates(
            read=in_tokens(read_template), masks={"partial-smiles": in_tokens(DecoratingMask)}
        ),
        view=View(in_tokens(render_text), in_tokens(render_image), svg=draw_svg),
        metrics=_metrics(None, vocabulary),
        files=Files(
            read_many=read_molecules,
            read_beginnings=in_tokens(read_beginnings),
            write_many=in_tokens(write_collection),
            suffixes=ENDINGS,
        ),
        corpora=Corpora(
            read=in_tokens(read_corpus),
            names=CORPORA,
            suffixes=ENDINGS,
            downloads={"oracles": fetch_models},
            presets=PRIORS / "presets.yaml",
            augment=in_tokens(augment),
            cross=in_tokens(cross),
            valid=in_tokens(summary.are_valid),
            describe=summary.describe_corpus,
            columns=summary.corpus_columns,
        ),
    )


def _metrics(folder: Path | None, vocabulary: Vocabulary) -> Metrics:
    """Metrics that compare with the corpus of the prior in ``folder``; None: the default one's."""
    return Metrics(
        each=partial(summary.sequence_metrics, folder=folder, vocabulary=vocabulary),
        summary=partial(summary.summarize, folder=folder, vocabulary=vocabulary),
        published=summary.PUBLISHED,
        against=partial(_metrics, vocabulary=vocabulary),
    )


DOMAIN = make_domain(VOCABULARY)
