"""Names of people: a real corpus of 91,910, and under a trigram prior an optimum known exactly.

A name is at most 13 letters and the end token. Nothing heavy is imported here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from seqgen_envs.domain import Domain, StoredPrior
from seqgen_envs.domain_groups import Corpora, Files, Metrics
from seqgen_envs.domains.names.dataset import CORPORA, read_corpus
from seqgen_envs.domains.names.files import read_names, write_names
from seqgen_envs.domains.names.known import PRIORS, describe_corpus
from seqgen_envs.domains.names.metrics import name_stats, summarize
from seqgen_envs.domains.names.tasks import wanted_task
from seqgen_envs.domains.names.vocabulary import HORIZON, VOCABULARY, encode


def _metrics(folder: Path | None) -> Metrics:
    """Metrics that compare with the corpus of the prior in ``folder``; None: the default one's."""
    return Metrics(
        partial(name_stats, folder=folder), partial(summarize, folder=folder), against=_metrics
    )


# Files of names end as others do (.txt, .csv): commands are told by --domain whose they are.
DOMAIN = Domain(
    name="names",
    vocabulary=VOCABULARY,
    priors={name: StoredPrior(PRIORS / name) for name in ("default", "trigram")},
    tasks={"wanted": wanted_task},
    default_prior="default",
    default_task="wanted",
    horizon=HORIZON,
    encode=encode,
    plural="names",
    metrics=_metrics(None),
    files=Files(read_many=read_names, write_many=write_names),
    corpora=Corpora(
        read=read_corpus,
        names=CORPORA,
        presets=PRIORS / "presets.yaml",
        describe=describe_corpus,
    ),
)
