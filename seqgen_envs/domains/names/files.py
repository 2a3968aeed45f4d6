"""Lists of names as files.

``.txt``
    A name a line.
``.csv``
    A table, of which one column has the names: the one that is asked for, else the one that its
    first row calls "name", else the first.

Text is UTF-8. Blank lines are left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqgen_envs.bounded import read_bytes
from seqgen_envs.domain_groups import Entry
from seqgen_envs.domains.names.vocabulary import HORIZON, VOCABULARY
from seqgen_envs.reporting.files import bare_cell, write_text
from seqgen_envs.rules import Tokens

if TYPE_CHECKING:
    from seqgen_envs.prior import Prior

SUFFIXES = (".txt", ".csv")
#: Characters of a name that reports show.
LONGEST_SHOWN = 40
#: What the first row may call the column of names, in lower case.
_HEADERS = ("name", "names", "text")


class Line(NamedTuple):
    """A name of a file, and where it stands there."""

    place: str
    text: str


def problem_of(name: str, length: int = HORIZON) -> str:
    """Why a text in lower case is no name of at most ``length`` tokens; empty where it is one."""
    if not (name.isascii() and name.isalpha()):
        return "it must be letters from a to z"
    if len(name) >= length:
        return f"it has {len(name)} letters, more than {length - 1}"
    return ""


def read_lines(path: Path, column: str | None = None) -> list[Line]:
    """The names of a list as they are written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it ends in something else, is not UTF-8, or a table without the column.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is no list of names; expected {' or '.join(SUFFIXES)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}; save it as UTF-8") from error
    if kind == ".txt":
        if column is not None:
            raise ValueError(f"{path} has no columns: leave column out")
        texts = list(enumerate(text.splitlines(), start=1))
    else:
        texts = _column(text, path, column)
    return [Line(f"line {number}", name.strip()) for number, name in texts if name.strip()]


def _column(text: str, path: Path, column: str | None) -> list[tuple[int, str]]:
    """Cells of a table's column of names, each with the number of its line."""
    reader = csv.reader(io.StringIO(text))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}") from error
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    known = [name for name in _HEADERS if name in header]
    if column is None:
        at, named = (header.index(known[0]), True) if known else (0, False)
    elif column.lower() in header:
        at, named = header.index(column.lower()), True
    elif column.isdecimal() and 1 <= int(column) <= len(header):
        at, named = int(column) - 1, bool(known)
    else:
        raise ValueError(f"{path} has no column {column!r}; it has {', '.join(header) or 'none'}")
    return [(number, bare_cell(row[at])) for number, row in rows[named:] if at < len(row)]


def read_names(path: Path, *, column: str | None = None) -> list[Entry]:
    """The names of a list in lower case, to be scored.

    Args:
        path: a file that ends in one of :data:`SUFFIXES`.
        column: name or number of a table's column of names.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_lines`, or it holds no names.
    """
    lines = read_lines(path, column)
    if not lines:
        raise ValueError(f"{path} holds no names")
    entries = []
    for place, text in lines:
        name = text.lower()
        entries.append(Entry(text, name, place, problem=problem_of(name)))
    return entries


def write_names(
    tokens: Tokens,
    folder: Path,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    prior: Prior | None = None,
) -> list[Path]:
    """Write ``names.txt``, a name a line; see :class:`~seqgen_envs.domain_groups.Files`."""
    path = folder / "names.txt"
    write_text(path, "".join(f"{VOCABULARY.to_text(ids)}\n" for ids in tokens))
    return [path]
