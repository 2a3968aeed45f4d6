"""``seqgen score``: what a prior and a task's rules say of the user's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen_envs.cli.common import (
    PriorOption,
    TaskOption,
    fail,
    figures_table,
    parse_task,
    progress,
    say,
    show,
)

FILES_A_TABLE = 5
_NOT_FIGURES = ("name", "text", "tokens")


def score(
    files: Annotated[list[Path], typer.Argument(help="Files of one sequence each.")],
    domain: Annotated[str, typer.Option(help="Their domain.")] = "melody",
    prior: PriorOption = None,
    task: TaskOption = None,
    c: Annotated[float, typer.Option(help="return = log-prior + task return / c.")] = 0.5,
    csv: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
) -> None:
    """Score files: log-prior, every rule's total and every metric.

    A sequence is judged as an episode of its own length. A file that cannot be scored is named;
    the others are scored all the same, and the exit code is 1.
    """
    from seqgen_envs.cli.episodes import replay, score_rows, write_csv
    from seqgen_envs.domain import get_domain
    from seqgen_envs.lanes import LaneSettings

    kind = get_domain(domain)
    if kind.read_sequence is None:
        raise ValueError(f"domain {kind.name!r} reads no files")
    judge, rules = kind.load_prior(prior), kind.make_task(parse_task(task))
    LaneSettings(kind, judge, rules, c)  # what is wrong with an option is not each file's fault
    rows: list[dict[str, Any]] = []
    problems = []
    for file in progress(files, "scoring", "file"):
        try:
            episode = replay(kind, kind.read_sequence(file), judge, rules, c)
        except (ValueError, OSError) as error:
            problems.append(_naming(file, error))
            continue
        rows += score_rows(kind, episode, [str(file)], c)
    _show(rows)
    if csv is not None and rows:
        write_csv(csv, rows)
        say(f"{csv} has the scores of {len(rows)} {kind.plural}")
    for problem in problems:
        fail(problem)
    if problems:
        raise typer.Exit(1)


def _naming(file: Path, error: Exception) -> str:
    message = str(error)
    return message if str(file) in message else f"{file}: {message}"


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), FILES_A_TABLE):
        part = rows[start : start + FILES_A_TABLE]
        labels = _labels([row["name"] for row in part])
        columns = {
            label: {name: value for name, value in row.items() if name not in _NOT_FIGURES}
            for label, row in zip(labels, part, strict=True)
        }
        show(figures_table("Scores", columns))


def _labels(names: Sequence[str]) -> list[str]:
    """File names without their folders, where that keeps them apart."""
    short = [Path(name).name for name in names]
    if len(set(short)) == len(names):
        return short
    return [f"{i + 1}: {name}" for i, name in enumerate(names)]
