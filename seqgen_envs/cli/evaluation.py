"""``seqgen prior evaluate``: the metrics of many samples, beside published ones."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    COMMAND_KEY,
    FLAGS,
    AsWrittenOption,
    ColumnOption,
    DomainArgument,
    MaskOption,
    NeutralizeOption,
    NoStereoOption,
    PartOption,
    PriorOption,
    SeedOption,
    TaskOption,
    ThreadsOption,
    TrustOption,
    load_corpus,
    parse_task,
    set_threads,
    set_trust,
)
from seqgen_envs.reporting.console import progress, say, show_metrics
from seqgen_envs.reporting.machine import machine, now
from seqgen_envs.reporting.tables import beside_published, markdown_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.domain import Domain
    from seqgen_envs.lanes import Lanes
    from seqgen_envs.prior import Prior

LANES = 1024
BATCH = 64
OURS = "this prior"


def evaluate(
    ctx: typer.Context,
    domain: DomainArgument,
    prior: PriorOption = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Samples.")] = 100_000,
    data: Annotated[
        str | None,
        typer.Option(
            help="Also nats per token on the test split: 'corpus' (the domain's own) or another "
            "name, a file or folder that `seqgen data` reads, or a corpus (.npz)."
        ),
    ] = None,
    part: PartOption = None,
    column: ColumnOption = None,
    no_stereo: NoStereoOption = False,
    neutralize: NeutralizeOption = False,
    as_written: AsWrittenOption = False,
    task: TaskOption = None,
    length: Annotated[int | None, typer.Option(help="Tokens in a sequence.")] = None,
    mask: MaskOption = None,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the report to this file, as .json and as .md.")
    ] = None,
    threads: ThreadsOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that read files (default: one a core).")
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Measure a prior by its samples, beside the domain's published figures if it has any."""
    from seqgen_envs.lanes import Lanes
    from seqgen_envs.registration import get_domain
    from seqgen_envs.settings import LaneSettings

    kind = get_domain(domain).for_prior(prior)
    if out is not None and out.suffix not in ("", ".json", ".md"):
        raise ValueError(f"--out {out} must end in .json or .md (both are written)")
    reading = {
        "part": part,
        "column": column,
        "no_stereo": no_stereo,
        "neutralize": neutralize,
        "as_written": as_written,
    }
    set_threads(threads)
    set_trust(ctx, trust, domain, parse_task(task))
    chosen = LaneSettings(kind, prior, parse_task(task), length=length, mask=mask)
    lanes = Lanes(min(n, LANES), chosen)
    corpus = _corpus(kind, data, jobs, reading)
    metrics, seconds = sample_metrics(lanes, n, seed)
    report: dict[str, Any] = {
        "command": ctx.meta[COMMAND_KEY],
        "date": now(),
        "machine": machine(),
        "seed": seed,
        "samples": n,
        "length": lanes.horizon,
        "mask": mask,
        "prior": prior or kind.default_prior,
        "fingerprint": lanes.prior.fingerprint,
        "metrics": metrics,
        "seconds": seconds,
        "corpus": corpus_metrics(kind, lanes.prior),
        "published": {name: dict(column) for name, column in kind.metrics.published.items()},
        "test_split": {} if corpus is None else held_out_nats(kind, lanes.prior, corpus),
    }
    for title, columns in _tables(report).items():
        show_metrics(title, columns)
    say(_took(report))
    if out is not None:
        _write(report, out)


def _corpus(
    domain: Domain, data: str | None, jobs: int | None, reading: Mapping[str, Any]
) -> Corpus | None:
    """Raises: ValueError if there are options for a reader and nothing to read."""
    if data is not None:
        return load_corpus(domain, data, jobs, reading)
    if given := [FLAGS[name] for name, value in reading.items() if value]:
        raise ValueError(f"{', '.join(given)}: for a --data that is read from files; give one")
    return None


def sample_metrics(lanes: Lanes, n: int, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of ``n`` samples, and the seconds that sampling and measuring took.

    The metrics are mean log-prior and task return, and the domain's summary.
    """
    import numpy as np

    from seqgen_envs.cli.episodes import sample_chunks
    from seqgen_envs.rollout import PriorPolicy

    began = time.perf_counter()
    log_priors, returns, tokens = [], [], []
    for episodes in sample_chunks(lanes, PriorPolicy(seed), n):
        log_priors.append(episodes.log_prior_total)
        returns.append(episodes.task_return)
        tokens.append(episodes.tokens)
    metrics = {
        "mean_log_prior": float(np.concatenate(log_priors).mean()),
        "mean_task_return": float(np.concatenate(returns).mean()),
    }
    sampled = time.perf_counter()
    metrics |= lanes.domain.summary(np.concatenate(tokens), lanes.prior, lanes.task)
    seconds = {"sampling": sampled - began, "measuring": time.perf_counter() - sampled}
    return metrics, seconds


def corpus_metrics(domain: Domain, prior: Prior) -> dict[str, dict[str, float]]:
    """Columns of what the prior's corpus itself scores, if the domain knows."""
    if domain.corpora.columns is None:
        return {}
    columns = domain.corpora.columns(getattr(prior, "source", None))
    return {name: dict(column) for name, column in columns.items()}


def held_out_nats(domain: Domain, prior: Prior, corpus: Corpus) -> dict[str, float]:
    """Nats per token of the test split, and a 5-gram's fitted on the training split.

    Raises:
        ValueError: the corpus has no test or no training sequences.
    """
    from seqgen_envs.ngram import NGram

    train, test = corpus.split("train"), corpus.split("test")
    if not train or not test:
        raise ValueError(
            f"the corpus has {len(train)} training and {len(test)} test sequences; both are needed"
        )
    baseline = NGram(domain.vocabulary, 5).fit(train)
    return {
        "tokens": float(sum(map(len, test))),
        "nats_per_token": _nats(prior, test),
        "nats_per_token_5gram": -float(baseline.log_probs(test).mean()),
    }


def _nats(prior: Prior, sequences: Sequence[NDArray[np.integer]]) -> float:
    import torch

    ordered = sorted(sequences, key=len)
    total = 0.0
    for start in progress(range(0, len(ordered), BATCH), "test split", "batch"):
        batch = ordered[start : start + BATCH]
        tokens = torch.from_numpy(prior.vocabulary.padded(batch))
        inside = tokens != prior.vocabulary.pad_id
        log_probs = prior.sequence_log_probs(tokens)
        chosen = log_probs.gather(-1, torch.where(inside, tokens, 0)[..., None])[..., 0]
        total -= float(chosen.double()[inside].sum())
    return total / sum(map(len, sequences))


def _tables(report: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, float]]]:
    """The report's metrics by title, then by column, then by row."""
    samples = f"{report['samples']:,} samples of prior {report['prior']}"
    measured = {OURS: report["metrics"], **report["corpus"]}
    tables = {samples: beside_published(measured, report["published"])}
    split = report["test_split"]
    if split:
        tables[f"Test split ({split['tokens']:,.0f} tokens)"] = {
            OURS: {"nats per token": split["nats_per_token"]},
            "5-gram": {"nats per token": split["nats_per_token_5gram"]},
        }
    return tables


def _took(report: Mapping[str, Any]) -> str:
    seconds = report["seconds"]
    return (
        f"Sampling and judging took {seconds['sampling']:,.1f} s, "
        f"measuring {seconds['measuring']:,.1f} s"
    )


def _write(report: Mapping[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = out.with_suffix(".json"), out.with_suffix(".md")
    as_json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    as_markdown.write_text(_markdown(report), encoding="utf-8")
    say(f"The report is {as_json} and {as_markdown}")


def _markdown(report: Mapping[str, Any]) -> str:
    lines = [f"# Prior {report['prior']} ({report['fingerprint']})", ""]
    for title, columns in _tables(report).items():
        lines += [f"## {title}", "", *markdown_table(columns), ""]
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines += [f"Made on {report['date']} with seed {report['seed']} by", ""]
    lines += [f"    {report['command']}", "", f"on {facts}. {_took(report)}.", ""]
    return "\n".join(lines)
