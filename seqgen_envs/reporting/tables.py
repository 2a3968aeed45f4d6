"""Numbers and texts in tables."""

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


def printable(text: str) -> str:
    """``text`` with what a terminal would obey, or would not show, as Python spells it.

    That is escape sequences and other control characters, line ends among them, marks that turn
    the direction of writing, and halves of characters (a file's name that is no UTF-8).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (c.isspace() and c > "\x9f" and c not in _BREAKS)
                   else c.encode("unicode_escape").decode() for c in text)  # fmt: skip


#: Line and paragraph separators.
_BREAKS = "\u2028\u2029"


def markdown_cell(text: str) -> str:
    """``text`` as one cell of a Markdown table."""
    return printable(" ".join(text.splitlines())).replace("\\", "\\\\").replace("|", "\\|")


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
    heads = " | ".join(map(markdown_cell, columns))
    lines = [f"| | {heads} |", "| --- |" + " ---: |" * len(columns)]
    rows = _rows(columns).items()
    return lines + [f"| {markdown_cell(name)} | {' | '.join(row)} |" for name, row in rows]


def _rows(columns: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for values in columns.values() for name in values)
    return {n: [format_number(values.get(n)) for values in columns.values()] for n in names}
