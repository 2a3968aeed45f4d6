"""``seqgen prior count``: a prior that is the table of an n-gram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqgen_envs.cli.common import DomainArgument, PartOption, load_corpus
from seqgen_envs.reporting.console import say, show_metrics


def count(
    domain: DomainArgument,
    out: Annotated[Path, typer.Option(help="Folder of the prior.")],
    order: Annotated[
        int, typer.Option(min=1, max=3, help="n: each token depends on the n - 1 before it.")
    ] = 2,
    data: Annotated[
        str,
        typer.Option(help="As of `seqgen prior train`; its training split is counted."),
    ] = "corpus",
    part: PartOption = None,
    length: Annotated[
        int | None, typer.Option(min=2, help="Longest sequence kept, in tokens.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that read files (default: one a core).")
    ] = None,
) -> None:
    """Count n-grams, smoothed by Witten and Bell, into a prior of few states.

    Under such a prior, and rules that remember little, the optimum of KL-control is known exactly.
    """
    from seqgen_envs.ngram import NGram, NGramPrior
    from seqgen_envs.prior import save_ngram
    from seqgen_envs.registration import get_domain

    kind = get_domain(domain)
    corpus = load_corpus(kind, data, jobs, {"part": part, "length": length})
    model = NGram(kind.vocabulary, order).fit(corpus.split("train"))
    splits = {name: corpus.split(name) for name in ("train", "validation", "test")}
    nats = {
        f"{name}_nats_per_token": -float(model.log_probs(sequences).mean())
        for name, sequences in splits.items()
        if sequences
    }
    facts = {"corpus": corpus.source, "order": order, "smoothing": "Witten-Bell (method C)", **nats}
    prior = NGramPrior(model.table(), kind.vocabulary, facts)
    save_ngram(prior, out)
    show_metrics("Counted prior", {"this prior": nats})
    say(f"The prior is {out}; its fingerprint is {prior.fingerprint}")
