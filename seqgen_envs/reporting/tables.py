"""Numbers in tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table


def format_number(value: Any) -> str:
    """A number as tables show it; ``-`` for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float) and not value.is_integer() and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


def measured_title(name: str) -> str:
    """A column's title, where others are of published figures."""
    return f"{name} (measured)"


def published_title(name: str) -> str:
    """The title of a column of published figures."""
    return f"{name} (published)"


def beside_published(
    measured: Mapping[str, Mapping[str, Any]], published: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Columns of both kinds, titled by their kind; where nothing is published, as they are."""
    if not published:
        return dict(measured)
    ours = {measured_title(name): column for name, column in measured.items()}
    return ours | {published_title(name): column for name, column in published.items()}


def metrics_table(title: str, columns: Mapping[str, Mapping[str, float]]) -> Table:
    """A row for each name that occurs in any column, a column for each mapping of names.

    Underscores of the names are shown as spaces.
    """
    table = Table("", *columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, values in _rows(columns).items():
        table.add_row(name.replace("_", " "), *values)
    return table


def markdown_table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The same rows and columns as lines of Markdown."""
    lines = [f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    return lines + [f"| {name} | {' | '.join(row)} |" for name, row in _rows(columns).items()]


def _rows(columns: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for values in columns.values() for name in values)
    return {n: [format_number(values.get(n)) for values in columns.values()] for n in names}
