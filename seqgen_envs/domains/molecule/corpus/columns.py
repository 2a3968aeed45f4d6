"""Tables of molecules: what parts the columns, and which of them holds the SMILES.

The delimiter is sniffed, and the column of SMILES is found by a header that says so, else by what
RDKit reads. Where several columns would do, nobody guesses: the user is asked for ``--column``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from seqgen_envs.domains.molecule.smiles import is_written_like, parse
from seqgen_envs.reporting.files import bare_cell

#: Delimiters and their names; a blank stands for any run of white space.
DELIMITERS = (",", ";", "\t", "|", " ")
#: Rows that are looked at to find delimiter and columns.
SAMPLED = 50
#: Headers that may well be above SMILES, where none says "smiles" and RDKit does not decide;
#: "text" is that of ``seqgen sample``.
_LIKELY = ("molecule", "structure", "text")
_NAMES = {"name", "title", "id", "identifier", "cid", "compound", "chemblid", "zincid", "molid"}
Rows = Sequence[tuple[int, list[str]]]


class NoColumnError(ValueError):
    """No column holds SMILES, or several do, or there is none of the name asked for.

    Args:
        message: what is wrong, to follow the file's name.
        columns: how many the delimiter parts.
        share: of the rows, those that RDKit reads in the best of several columns.
    """

    def __init__(self, message: str, columns: int, share: float = 0.0) -> None:
        super().__init__(message)
        self.columns, self.share = columns, share


@dataclass(frozen=True)
class Layout:
    """How a table is laid out.

    Args:
        delimiter: one of :data:`DELIMITERS`.
        smiles: index of the column of SMILES.
        names: index of the column of names, or None.
        header: the columns' names; None where the first row is a molecule already.
        share: of the rows sampled, those whose SMILES RDKit reads.
    """

    delimiter: str
    smiles: int
    names: int | None
    header: tuple[str, ...] | None
    share: float

    def others(self, row: Sequence[str]) -> dict[str, str]:
        """The cells besides SMILES and name by their column's name (its number without one)."""
        heads = self.header or ()
        found: dict[str, str] = {}
        for at, cell in enumerate(row):
            if at not in (self.smiles, self.names):
                head = (heads[at] if at < len(heads) else "") or str(at + 1)
                found[f"{head}_{at + 1}" if head in found else head] = cell
        return found


def numbered_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the numbers of their first lines (a cell may hold breaks)."""
    if delimiter == " ":
        lines = enumerate(io.StringIO(text), start=1)
        yield from ((number, line.split()) for number, line in lines if line.strip())
        return
    with _any_cell_length(len(text)):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        first = 1
        for row in reader:
            if any(cell.strip() for cell in row):
                yield first, [bare_cell(cell.strip()) for cell in row]
            first = reader.line_num + 1


def check_quotes(text: str, delimiter: str) -> None:
    """A quoted cell that is never closed would swallow the rest of the table.

    Raises:
        ValueError: there is one.
    """
    if delimiter == " " or '"' not in text:
        return
    first = 1
    with _any_cell_length(len(text)):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            for _ in reader:
                first = reader.line_num + 1
        except csv.Error as error:
            if "unexpected end" in str(error):  # of other sloppiness csv makes the best
                raise ValueError(f"has a quoted cell in line {first} that never ends") from error


@contextmanager
def _any_cell_length(length: int) -> Iterator[None]:
    """The csv module's limit is the whole process's: raised for the time of a ``with``."""
    before = csv.field_size_limit(max(length, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def layout_of(text: str, first: str = ",", column: str | None = None) -> Layout:
    """The layout of a table.

    Args:
        text: the whole table.
        first: the delimiter that is taken where several would do.
        column: name or number (from 1) of the column of SMILES; None: it is found.

    Raises:
        NoColumnError: no column, or more than one, would do; the message names them.
    """
    if not text.strip():
        raise NoColumnError("is empty: there is no row in it", 0)
    found: list[tuple[bool, Layout]] = []
    errors: list[NoColumnError] = []
    for delimiter in sorted(DELIMITERS, key=lambda one: one != first):
        rows = list(islice(numbered_rows(text, delimiter), SAMPLED))
        if not rows or (len(rows[0][1]) < 2 and delimiter != first):
            continue
        try:
            found.append(_layout(rows, delimiter, column))
        except NoColumnError as error:
            errors.append(error)
    best = max(found, key=lambda one: (one[1].share > 0, one[0], one[1].share), default=None)
    # what is said of most columns is said of the true delimiter
    worst = max(errors, key=lambda error: (error.share, error.columns), default=_nothing([]))
    if best is None or worst.share > best[1].share:
        raise worst
    if column is not None and not best[1].share:
        _check_any(text, best[1])
    return best[1]


def _check_any(text: str, layout: Layout) -> None:
    """Refuse a column that was asked for, if there is no molecule in it.

    Raises:
        NoColumnError: so it is.
    """
    rows = [row for _, row in numbered_rows(text, layout.delimiter)]
    at, body = layout.smiles, rows[1:] if layout.header is not None else rows
    cells = [row[at] for row in body if at < len(row) and row[at]]
    if any(parse(cell.split()[0]) is not None or ">" in cell for cell in cells):
        return  # reactions are refused one by one
    head = "" if layout.header is None else f" {layout.header[at][:40]!r}"
    first = f", {cells[0][:40]!r} first" if cells else ""
    raise NoColumnError(
        f"has no molecules: no value of column {at + 1}{head} is one{first}; columns count from 1 "
        f"and are {_listed(rows[0])}",
        len(rows[0]),
    )


def _layout(rows: Rows, delimiter: str, column: str | None) -> tuple[bool, Layout]:
    """The layout if ``delimiter`` parts the columns, and whether a header said so."""
    head, shares = rows[0][1], _shares(rows)
    at, named = _asked_for(head, column) if column is not None else _found(head, rows, shares)
    if not named:
        named = column is None and "smi" in _plain(head[at])
    has_header = named or not is_written_like(head[at].partition(" ")[0])
    header = tuple(head) if has_header else None
    names = _names_column(header, rows, at)
    return named, Layout(delimiter, at, names, header, shares[at])


def _plain(header: str) -> str:
    return re.sub(r"[^a-z0-9]", "", header.lower())


def _shares(rows: Rows) -> list[float]:
    """Of each column, the share of cells that RDKit reads, empty ones and the first row's aside."""
    body = [row for _, row in rows[1:]] or [row for _, row in rows]
    shares = []
    for at in range(len(rows[0][1])):
        words = [(row[at] if at < len(row) else "-").split() for row in body]
        cells = [word[0] for word in words if word]
        shares.append(sum(parse(cell) is not None for cell in cells) / max(len(cells), 1))
    return shares


def _asked_for(head: Sequence[str], column: str) -> tuple[int, bool]:
    """The index of the column asked for, and whether by its header.

    Raises:
        NoColumnError: there is none.
    """
    for same in (str.strip, _plain):
        matching = [at for at, header in enumerate(head) if same(header) == same(column)]
        if len(matching) == 1:
            return matching[0], True
    if column.isdecimal() and 1 <= int(column) <= len(head):
        return int(column) - 1, False
    raise NoColumnError(f"has no column {column!r}: the columns are {_listed(head)}", len(head))


def _found(head: Sequence[str], rows: Rows, shares: Sequence[float]) -> tuple[int, bool]:
    """The index of the column of SMILES, and whether its header says so.

    Raises:
        NoColumnError: there is none, or several might be.
    """
    plain = [_plain(header) for header in head]
    if plain.count("smiles") == 1:
        return plain.index("smiles"), True
    named = [at for at, header in enumerate(plain) if "smiles" in header or header == "smi"]
    if len(named) > 1:  # "SMILES length" is one of them by name only
        named = [at for at in named if shares[at] >= 0.5] or named
    if named:
        return _only(named, head, shares), True
    read = [at for at, share in enumerate(shares) if share >= 0.5]
    if len(read) > 1:  # flags and classes of one letter may be read as atoms
        cells = [row for _, row in rows[1:]]
        read = [at for at in read if any(len(row[at]) > 1 for row in cells if at < len(row))]
    likely = [at for at, header in enumerate(plain) if header in _LIKELY]
    if len(likely) == 1 and (likely[0] in read or not read):
        return likely[0], True
    if not read:
        raise _nothing(head)
    return _only(read, head, shares), False


def _nothing(head: Sequence[str]) -> NoColumnError:
    return NoColumnError(
        f"has no column of SMILES: its first row is {_listed(head)}; name the column by --column "
        "NAME or NUMBER",
        len(head),
    )


def _only(columns: Sequence[int], head: Sequence[str], shares: Sequence[float]) -> int:
    if len(columns) == 1:
        return columns[0]
    raise NoColumnError(
        f"has several columns of SMILES, {_listed([head[at] for at in columns])}: choose one by "
        "--column NAME or NUMBER",
        len(head),
        max(shares[at] for at in columns),
    )


def _listed(names: Sequence[str]) -> str:
    return str([name[:40] for name in names])[:200]


def _names_column(header: Sequence[str] | None, rows: Rows, smiles: int) -> int | None:
    """The column of names: by its header, without headers the first that holds no numbers."""
    if header is None:
        others = [at for at in range(len(rows[0][1])) if at != smiles]
        return next((at for at in others if not any(_is_number(row, at) for _, row in rows)), None)
    words = [re.findall(r"[a-z0-9]+", name.lower()) or [""] for name in header]
    tests = (
        lambda at: words[at] == ["name"],
        lambda at: words[at][-1] == "name",
        lambda at: words[at][-1] in _NAMES or "".join(words[at]) in _NAMES,
    )
    for test in tests:
        for at in range(len(header)):
            if at != smiles and test(at):
                return at
    return None


def _is_number(row: Sequence[str], at: int) -> bool:
    try:
        float(row[at].replace(",", "."))
    except (ValueError, IndexError):
        return False
    return True
