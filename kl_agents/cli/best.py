"""``seqgen best``: files of the best sequences that a training has found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    NoPicturesOption,
    RawCsvOption,
    TrustOption,
    check_folder,
    set_trust,
    taken,
)
from seqgen_envs.reporting.console import say

if TYPE_CHECKING:
    from kl_agents.runs import RunSpec
    from seqgen_envs.domain import Domain
    from seqgen_envs.prior import Prior

#: Columns that are no numbers, whatever they look like.
_TEXTS = {"name", "text"}


def best(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="A folder written by `seqgen train`.")],
    out: Annotated[Path, typer.Option(help="Folder of the files.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Sequences, at most.")] = 100,
    no_pictures: NoPicturesOption = False,
    raw_csv: RawCsvOption = False,
    trust: TrustOption = False,
) -> None:
    """Write the best sequences that a training has scored as files, and one CSV of all.

    They are distinct, the one of the largest task return first; those that were given
    (--seed-molecules) are not among them. Nothing is scored again.
    """
    from kl_agents.runs import make_lanes
    from kl_agents.runs.found import best_found
    from seqgen_envs.reporting.files import write_csv

    check_folder(out)
    set_trust(ctx, trust)
    lanes = make_lanes(_spec_of(run), 1)
    kind = lanes.domain.beside(lanes.prior, lanes.task)
    table = run / f"{kind.plural}.csv"
    found = best_found(table, n)
    if not found.rows:
        raise ValueError(f"{table} has no {kind.plural} that the training has found")
    names = [f"{kind.name}-{i:04d}" for i in range(len(found.rows))]
    rows = [
        {"name": name, **row, **{column: _number(row[column]) for column in row.keys() - _TEXTS}}
        for name, row in zip(names, found.rows, strict=True)
    ]
    write_csv(out / table.name, rows, raw=raw_csv)
    written = _write_files(kind, rows, out, lanes.prior, {"no_pictures": no_pictures})
    say(
        f"{out / table.name} has the {len(rows)} best of {found.scored:,} {kind.plural} that were "
        f"scored; {written} files are in {out}"
    )


def _spec_of(run: Path) -> RunSpec:
    """The run; without its task where that is code that nobody trusts: nothing is scored."""
    from kl_agents.runs.folder import read_spec, read_spec_without_task
    from seqgen_envs.loading import UntrustedCodeError

    try:
        return read_spec(run)
    except UntrustedCodeError:
        return read_spec_without_task(run)


def _number(value: str) -> Any:
    """A cell as a number, if it is one."""
    try:
        return float(value)
    except ValueError:
        return value


def _write_files(
    domain: Domain, rows: list[dict[str, Any]], out: Path, prior: Prior, given: dict[str, Any]
) -> int:
    """As ``seqgen sample`` writes them; how many there are."""
    from seqgen_envs.cli.episodes import write_each

    sequences = [domain.to_ids(row["text"]) for row in rows]
    names, written = [row["name"] for row in rows], set[Path]()
    if (write := domain.files.write) is not None:
        options = taken(write, given, domain, "files")
        written |= write_each(domain, sequences, names, out, prior, options)
    if (write_many := domain.files.write_many) is not None:
        options = taken(write_many, given, domain, "files")
        tokens = domain.vocabulary.padded(sequences)
        written |= set(write_many(tokens, out, names, rows, prior, **options))
    return len(written)
