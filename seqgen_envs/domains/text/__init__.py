"""Texts, verse above all, in the tokens of a prior.

Nothing heavy (PyTorch, matplotlib, tokenizers) is imported here; the functions below bring in what
they need when they are called.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from seqgen_envs.documents import read_json
from seqgen_envs.domain import Domain, StoredPrior
from seqgen_envs.domain_groups import Corpora, Files, View
from seqgen_envs.domains.text.copying import describe_corpus
from seqgen_envs.domains.text.corpus.named import CORPORA, MAX_TOKENS, read_corpus
from seqgen_envs.domains.text.corpus.reading import (
    OWN_SUFFIXES,
    SUFFIXES,
    read_many,
    read_prompts,
)
from seqgen_envs.domains.text.metrics import metrics_of
from seqgen_envs.domains.text.output.files import write_collection
from seqgen_envs.domains.text.output.render import draw_svg, render_text
from seqgen_envs.domains.text.tasks import TASKS
from seqgen_envs.domains.text.vocabulary import encode, is_of_characters
from seqgen_envs.vocabulary import Vocabulary

PRIORS = Path(__file__).parents[2] / "priors" / "text"


def make_domain(vocabulary: Vocabulary) -> Domain:
    """Texts in the tokens of a prior's own vocabulary, such as a language model's.

    Texts are cut by :func:`~.vocabulary.encode` where the vocabulary has their single characters,
    otherwise as the vocabulary itself does it.

    Raises:
        ValueError: no token ends a text.
    """
    if vocabulary.end is None:
        raise ValueError("texts end by a token, and the prior's vocabulary has no end token")
    in_tokens: Any = partial(partial, vocabulary=vocabulary)  # what reads tokens is told of them
    return Domain(
        name="text",
        vocabulary=vocabulary,
        of_vocabulary=make_domain,
        priors={"default": StoredPrior(PRIORS / "default")},
        tasks=TASKS,
        default_prior="default",
        default_task="couplet",
        horizon=MAX_TOKENS,
        min_horizon=2,
        encode=in_tokens(encode) if is_of_characters(vocabulary) else None,
        view=View(in_tokens(render_text), svg=draw_svg),
        metrics=metrics_of(vocabulary),
        files=Files(
            read_many=read_many,
            read_beginnings=read_prompts,
            write_many=in_tokens(write_collection),
            suffixes=OWN_SUFFIXES,
            also=SUFFIXES,
        ),
        corpora=Corpora(
            read=in_tokens(read_corpus),
            names=CORPORA,
            suffixes=OWN_SUFFIXES,
            presets=PRIORS / "presets.yaml",
            describe=describe_corpus,
        ),
    )


def _bundled_vocabulary() -> Vocabulary:
    """The default prior's, which no weights are read for."""
    return Vocabulary(**read_json(PRIORS / "default" / "config.json")["vocabulary"])


DOMAIN = make_domain(_bundled_vocabulary())
