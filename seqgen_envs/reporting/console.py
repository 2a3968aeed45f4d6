"""Messages, tables and progress bars on a terminal or in a log.

Names, texts and messages may come out of anybody's files: whatever a terminal would obey is shown
as it is spelled, and nothing is taken for rich's markup or emoji.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from seqgen_envs.reporting.tables import metrics_tables, printable

console = Console(markup=False, emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


def fail(message: str) -> None:
    """One red line on stderr."""
    errors.print(f"Error: {_one_line(message)}", style="red", soft_wrap=True)


def warn(message: str) -> None:
    """One yellow line on stderr."""
    errors.print(f"Warning: {_one_line(message)}", style="yellow", soft_wrap=True)


class _LoggedWarnings(logging.Handler):
    """What is logged as a warning, shown as :func:`warn` shows one."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def show_logged_warnings() -> None:
    """Where nobody has set logging up, its warnings become lines like every other warning's."""
    logging.lastResort = _LoggedWarnings(logging.WARNING)


def say(message: str) -> None:
    """One line on stdout, taken literally."""
    console.print(_one_line(message), soft_wrap=True)


def show(table: Table) -> None:
    """A table whose cells are taken literally: file names and SMILES hold brackets."""
    if isinstance(table.title, str):
        table.title = printable(table.title)
    for column in table.columns:
        column.header, *column._cells = (
            printable(cell) if isinstance(cell, str) else cell
            for cell in (column.header, *column._cells)
        )
    console.print(table)


def show_metrics(title: str, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """:func:`~seqgen_envs.reporting.tables.metrics_table`; several where the terminal is narrow."""
    for table in metrics_tables(title, columns, console.width):
        show(table)


def _one_line(message: str) -> str:
    return printable(" ".join(message.splitlines()))


def progress(items: Iterable[Any], what: str, unit: str) -> Iterable[Any]:
    """``items`` with a progress bar on stderr."""
    from tqdm import tqdm

    found: Iterable[Any] = tqdm(items, desc=what, unit=unit, leave=False, disable=None)
    return found


def progress_bar(total: int, what: str, unit: str) -> Any:
    """A tqdm bar on stderr, to be updated by its user and used as a context manager."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=None)
