"""Many sequences on a screen: the first of them line by line, and a summary of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqgen_envs.reporting.console import say, show, show_metrics
from seqgen_envs.reporting.tables import format_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqgen_envs.domain import Domain

SHOWN = 20


def show_sequences(
    domain: Domain,
    rows: Sequence[Mapping[str, Any]],
    tokens: NDArray[np.int64],
    *,
    names: Sequence[str] | None = None,
) -> None:
    """The rows of :func:`~seqgen_envs.cli.episodes.score_rows`, and a summary.

    Where rows are per token and their sequences of several lengths, that is what is shown of them:
    totals do not compare, and texts may be long.

    Args:
        domain: of the sequences, :meth:`~seqgen_envs.domain.Domain.beside` their prior.
        rows: one a sequence, at least one.
        tokens: the sequences, int [N, T], padded.
        names: shown instead of the rows' own.
    """
    from rich.table import Table

    from seqgen_envs.cli.episodes import row_means

    columns = ("log_prior", "task_return", "return")
    compared = "return_per_token" in rows[0] and len({row["length"] for row in rows}) > 1
    title = f"{domain.plural.capitalize()}{', per token' if compared else ''}"
    table = Table(title=title, title_justify="left")
    table.add_column("name", no_wrap=names is None, overflow="fold")
    table.add_column("length" if compared else "text", overflow="fold")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for i, row in enumerate(rows[:SHOWN]):
        name = row["name"] if names is None else names[i]
        values = [row[f"{column}_per_token" if compared else column] for column in columns]
        text = str(row["length"]) if compared else row["text"]
        table.add_row(name, text, *map(format_number, values))
    show(table)
    if len(rows) > SHOWN:
        say(f"... and {len(rows) - SHOWN} more")
    means = row_means(rows)
    if compared:
        summary = {name: mean for name, mean in means.items() if name.endswith("_per_token")}
    else:
        summary = means | domain.summary(tokens)
    show_metrics("Summary", {f"{len(rows)} {domain.plural}": summary})
