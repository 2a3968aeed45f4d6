"""Files that are there whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEMPORARY = ".tmp"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path``, which takes its place when the block ends without error.

    What was written is on the disk before the name changes, so a crash leaves the old file or the
    new one. Missing folders are made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # the process's number keeps two writers apart; the suffix is kept for those who look at it
    temporary = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for leftover in folder.glob(f".*{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_arrays(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays as one compressed .npz file, whole or not at all."""
    import numpy as np

    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def write_csv(
    path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]], raw: bool = False
) -> None:
    """``rows`` as CSV, a column for each name in any of them; whole or not at all.

    Args:
        path: the file.
        rows: values by column.
        raw: texts as they are; otherwise see :func:`safe_cell`.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        write_rows(file, columns, [dict(zip(columns, columns, strict=True)), *rows], raw)


def write_rows(
    file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]], raw: bool = False
) -> None:
    """Append ``rows`` to an open CSV file; see :func:`write_csv`."""
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    for row in rows:
        safe = {name: value if raw else safe_cell(value) for name, value in row.items()}
        writer.writerow(safe)


def safe_cell(value: Any) -> Any:
    """What a spreadsheet shows and does not compute: a text it takes for a formula gets a ``'``.

    Those are texts that begin with ``= + - @``, a tab or a carriage return, unless they are
    numbers. :func:`bare_cell` is the inverse.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def bare_cell(text: str) -> str:
    """What :func:`safe_cell` was given."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


#: Those that have the apostrophe already get another one, so that nothing is lost.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-?(inf|nan)")
