"""Numbers and texts in tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

#: Columns of a terminal that a word of a table is sure to get; longer ones may be broken.
LONGEST_WORD = 24


_WIDE = Console(width=10_000)


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


def metrics_table(title: str, columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each name that occurs in any column, a column for each mapping of names.

    Underscores of the names are shown as spaces. No column is narrower than its longest word, up to
    :data:`LONGEST_WORD`.
    """
    table = Table("", *columns, title=title, title_justify="left")
    for name, values in _rows(columns).items():
        table.add_row(name.replace("_", " "), *values)
    for i, column in enumerate(table.columns):
        column.justify = "right" if i else "left"
        column.overflow = "fold"
        words = " ".join([str(column.header), *map(str, column.cells)]).split()
        column.min_width = min(max(map(cell_len, words), default=1), LONGEST_WORD)
    return table


def metrics_tables(
    title: str, columns: Mapping[str, Mapping[str, Any]], width: int
) -> Iterator[Table]:
    """:func:`metrics_table`, cut into several of the same rows where ``width`` cannot hold it."""
    names = _rows(columns)
    whole = {n: {row: values.get(row) for row in names} for n, values in columns.items()}
    rest = list(whole)
    while rest or not whole:
        count = len(rest)
        table = metrics_table(title, {name: whole[name] for name in rest})
        while count > 1 and _least_width(table) > width:
            count -= 1
            table = metrics_table(title, {name: whole[name] for name in rest[:count]})
        if Measurement.get(_WIDE, _WIDE.options, table).maximum > width:
            first, *others = table.columns
            for column in others:  # rich would take from the widest, whatever its words are
                column.max_width = column.min_width
            spare = width - _least_width(table)
            first.max_width = (first.min_width or 1) + max(spare, 0)
        yield table
        if not (rest := rest[count:]):
            return


def _least_width(table: Table) -> int:
    """With the lines between columns and a blank on either side of each."""
    return sum((column.min_width or 1) + 3 for column in table.columns) + 1


def markdown_table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The same rows and columns as lines of Markdown."""
    heads = " | ".join(map(markdown_cell, columns))
    lines = [f"| | {heads} |", "| --- |" + " ---: |" * len(columns)]
    rows = _rows(columns).items()
    return lines + [f"| {markdown_cell(name)} | {' | '.join(row)} |" for name, row in rows]


def _rows(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for values in columns.values() for name in values)
    return {n: [format_number(values.get(n)) for values in columns.values()] for n in names}
