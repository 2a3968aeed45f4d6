"""Messages, tables and progress bars on a terminal or in a log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console()
errors = Console(stderr=True)


def fail(message: str) -> None:
    """One red line on stderr."""
    errors.print(f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """One yellow line on stderr."""
    text = f"Warning: {message}"
    errors.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line on stdout, taken literally."""
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def show(table: Table) -> None:
    """A table whose cells are taken literally: file names and SMILES hold brackets."""
    console.print(table, markup=False)


def progress(items: Iterable[Any], what: str, unit: str) -> Iterable[Any]:
    """``items`` with a progress bar on stderr."""
    from tqdm import tqdm

    found: Iterable[Any] = tqdm(items, desc=what, unit=unit, leave=False, disable=None)
    return found


def progress_bar(total: int, what: str, unit: str) -> Any:
    """A tqdm bar on stderr, to be updated by its user and used as a context manager."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=None)
