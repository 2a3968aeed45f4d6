"""``seqgen score``: what a prior and a task's rules say of the user's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    PriorOption,
    RawCsvOption,
    TaskOption,
    TrustOption,
    installed_domains,
    parse_task,
    set_trust,
)
from seqgen_envs.cli.listing import show_sequences
from seqgen_envs.reporting.console import fail, progress, say, show
from seqgen_envs.reporting.tables import metrics_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqgen_envs.domain import Domain

FILES_A_TABLE = 5
#: Longest message about one sequence: what is wrong with it may quote it.
MESSAGE = 300
_NOT_METRICS = ("name", "text", "tokens")


def score(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files of one sequence or of many.")],
    domain: Annotated[
        str | None, typer.Option(help="Their domain (default: the one their names belong to).")
    ] = None,
    prior: PriorOption = None,
    task: TaskOption = None,
    c: Annotated[float, typer.Option(help="return = log-prior + task return / c.")] = 0.5,
    csv: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
    raw_csv: RawCsvOption = False,
    trust: TrustOption = False,
) -> None:
    """Score files: log-prior, every rule's total and every metric.

    A sequence is judged as the episode that would have made it. A file or a sequence that cannot
    be scored is named; the others are scored all the same, and the exit code is 1.
    """
    from seqgen_envs.cli.episodes import replay_all, score_rows
    from seqgen_envs.registration import get_domain
    from seqgen_envs.reporting.files import write_csv
    from seqgen_envs.settings import LaneSettings

    set_trust(ctx, trust, domain, parse_task(task))
    kind = get_domain(domain or domain_of(files)).for_prior(prior)
    if kind.files.read is None and kind.files.read_many is None:
        raise ValueError(f"domain {kind.name!r} reads no files")
    judge, rules = kind.load_prior(prior), kind.make_task(parse_task(task))
    kind = kind.beside(judge)
    LaneSettings(kind, judge, rules, c)  # what is wrong with an option is not each file's fault
    names, sequences, problems = _read_all(kind, files)
    rows: list[dict[str, Any]] = [{} for _ in sequences]
    for indices, episodes in replay_all(kind, sequences, judge, rules, c):
        scored = score_rows(kind, episodes, [names[i] for i in indices], c)
        for i, row in zip(indices, scored, strict=True):
            rows[i] = row
    if rows and kind.files.read_many is not None:
        show_sequences(kind, rows, kind.vocabulary.padded(sequences), names=_labels(names))
    if kind.files.read_many is None or len(rows) <= FILES_A_TABLE:
        _show_metrics(rows)
    if csv is not None and rows:
        write_csv(csv, rows, raw=raw_csv)
        say(f"{csv} has the scores of {len(rows)} {kind.plural}")
    for problem in problems:
        fail(problem)
    if problems:
        raise typer.Exit(1)


def domain_of(files: Sequence[Path]) -> str:
    """The domain whose files have such names.

    Raises:
        ValueError: there is none, or several.
    """
    suffixes = {domain.name: tuple(domain.files.suffixes) for domain in installed_domains()}
    found: set[str] = set()
    for file in files:
        owners = {name for name, ends in suffixes.items() if file.name.lower().endswith(ends)}
        if len(owners) != 1:
            raise ValueError(f"the name of {file} does not tell its domain; give --domain")
        found |= owners
    if len(found) > 1:
        raise ValueError(f"the files are of the domains {sorted(found)}; give those of one")
    return found.pop()


def _read_all(
    domain: Domain, files: Sequence[Path]
) -> tuple[list[str], list[NDArray[np.int64]], list[str]]:
    """Names and ids of all sequences that can be scored, and what is wrong with the others."""
    from seqgen_envs.cli.episodes import complete

    names, sequences, problems = [], [], []
    for file in progress(files, "reading", "file"):
        try:
            for name, given in _sequences_of(domain, file):
                try:
                    ids = domain.to_ids(given) if isinstance(given, str) else given
                    sequences.append(complete(domain, ids))
                    names.append(name)
                except ValueError as error:
                    problems.append(_naming(name, error))
        except (ValueError, OSError) as error:
            problems.append(_naming(str(file), error))
    return names, sequences, problems


def _sequences_of(domain: Domain, file: Path) -> Iterator[tuple[str, str | NDArray[np.int64]]]:
    """Names of a file's sequences, and their texts or ids."""
    if domain.files.read_many is not None:
        for name, text in domain.files.read_many(file):
            yield f"{file}, {name}", text
    else:
        assert domain.files.read is not None
        yield str(file), domain.files.read(file)


def _naming(name: str, error: Exception) -> str:
    message = str(error)
    message = message if len(message) <= MESSAGE else f"{message[:MESSAGE]}..."
    return message if name in message else f"{name}: {message}"


def _show_metrics(rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), FILES_A_TABLE):
        part = rows[start : start + FILES_A_TABLE]
        labels = _labels([row["name"] for row in part])
        columns = {
            label: {name: value for name, value in row.items() if name not in _NOT_METRICS}
            for label, row in zip(labels, part, strict=True)
        }
        show(metrics_table("Scores", columns))


def _labels(names: Sequence[str]) -> list[str]:
    """File names without their folders, where that keeps them apart."""
    short = [Path(name).name for name in names]
    if len(set(short)) == len(names):
        return short
    return [f"{i + 1}: {name}" for i, name in enumerate(names)]
