"""Files of molecules, as chemists have them: one reader for every command.

``.smi``, ``.smiles``, ``.txt``
    A SMILES a line, what follows a blank or tab being its name. A line that begins with ``#`` is a
    comment (no SMILES begins so), and a first line that says "smiles" is a header. Where most lines
    do not begin with a SMILES, the file is read as a table.
``.csv``, ``.tsv``
    A table; delimiter, header and columns are found (see :mod:`.columns`).
``.sdf``
    Structures as RDKit reads them; names are their titles, else a field of names. A field
    ``SMILES`` is taken for the spelling where it is of the same molecule.

Each may be gzipped. Text is UTF-8, UTF-16 or UTF-32 by its mark, else Latin-1; lines end as
anywhere. The extension of a CXSMILES (``CCO |...|``) is left out.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rdkit import Chem

from seqgen_envs.bounded import gunzip, read_bytes
from seqgen_envs.domains.molecule.corpus.columns import (
    SAMPLED,
    Layout,
    NoColumnError,
    check_quotes,
    layout_of,
    numbered_rows,
)
from seqgen_envs.domains.molecule.smiles import (
    canonical,
    canonicalize,
    is_written_like,
    parse,
    quiet,
)
from seqgen_envs.reporting.files import bare_cell

LINES, TABLES, STRUCTURES = (".smi", ".smiles", ".txt"), (".csv", ".tsv"), (".sdf",)
SUFFIXES = (*LINES, *TABLES, *STRUCTURES)
#: How the names of the files end that :func:`read_records` reads.
MAX_LINE = 1_000_000
ENDINGS = tuple(f"{suffix}{gzipped}" for suffix in SUFFIXES for gzipped in ("", ".gz"))
_GZIP = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Record(NamedTuple):
    """A molecule of a file.

    Args:
        place: where it stands: ``line 3``, or ``record 2`` of an SDF.
        smiles: as it is written; empty where there is none.
        name: its own; empty where it has none.
        fields: a table's other columns, or an SDF's fields, by name.
        problem: why there is no SMILES although something is written.
    """

    place: str
    smiles: str
    name: str = ""
    fields: Mapping[str, str] = {}
    problem: str = ""


def smiles_in(path: str | os.PathLike[str]) -> list[str]:
    """SMILES of a file, in order; see :func:`read_records`."""
    return [record.smiles for record in read_records(path)]


def read_records(
    path: str | os.PathLike[str], column: str | None = None, *, fields: bool = False
) -> list[Record]:
    """The molecules of a file in order; blank lines are left out.

    Args:
        path: whose name ends in one of :data:`ENDINGS`.
        column: name or number (from 1) of the column of SMILES (of an SDF: the field); None: it
            is found.
        fields: keep the other columns.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the name ends in something else, it is no text or a broken gzip, or a table has
            no column of SMILES, or several.
    """
    path = Path(path)
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = bare.suffix.lower()
    if kind not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"{path} is not a file of SMILES; expected {known}, gzipped or not")
    data = unpacked(path)
    if kind in STRUCTURES:
        return list(_structures(data, column, fields, path))
    text = decoded(data, path)
    try:
        if kind in LINES and column is None and (records := _lines(text)) is not None:
            return records
        layout = layout_of(text, "\t" if kind == ".tsv" else ",", column)
        check_quotes(text, layout.delimiter)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} {error.args[0]}") from error
    return list(_table(text, layout, fields))


# -- bytes and text -------------------------------------------------------------------------------


def unpacked(path: Path) -> bytes:
    """What a file holds, unpacked where it is a gzip, whatever its name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large (see :mod:`seqgen_envs.bounded`), the gzip is broken, or only
            the name says that it is one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    data = read_bytes(path)
    zipped = path.suffix.lower() == ".gz" or data.startswith(_GZIP)
    return gunzip(data, str(path)) if zipped else data


def decoded(data: bytes, path: Path) -> str:
    r"""Text with ``\n`` at the ends of its lines.

    Raises:
        ValueError: it is no text, or one of lines that no molecule has.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"{path} cannot be read as text: {error}") from error
        text = data.decode("latin-1")
    if "\0" in text:
        raise ValueError(f"{path} cannot be read as text: it holds zero bytes; save it as UTF-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (longest := max(map(len, text.split("\n")))) > MAX_LINE:
        raise ValueError(
            f"{path} has a line of {longest:,} characters; files of molecules with at most "
            f"{MAX_LINE:,} are read"
        )
    return text


# -- lines ----------------------------------------------------------------------------------------


def _lines(text: str) -> list[Record] | None:
    """A record a line; None where most lines begin otherwise and a table is to be seen."""
    lines = [
        (number, line.strip())
        for number, line in enumerate(io.StringIO(text), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if lines and _is_header(lines[0][1]):
        lines = lines[1:]
    words = [line.split()[0] for _, line in lines[:SAMPLED]]
    share = sum(parse(word) is not None for word in words) / max(len(words), 1)
    if words and share < 0.5 and _is_table(text):
        return None
    return [_line(number, line) for number, line in lines]


def _is_header(line: str) -> bool:
    first = line.split()[0]
    return "smi" in first.lower() and not is_written_like(first) and not re.search("[,;|]", first)


def _is_table(text: str) -> bool:
    """Whether SMILES stand elsewhere than at the beginnings of lines, before white space."""
    try:
        layout = layout_of(text)
    except NoColumnError as error:
        if "several" in error.args[0]:
            raise
        return False
    first = next(line for line in text.split("\n") if line.strip())
    elsewhere = layout.smiles > 0 or (layout.delimiter not in " \t" and layout.delimiter in first)
    return elsewhere and layout.share >= 0.5


def _line(number: int, line: str) -> Record:
    smiles, _, rest = line.replace("\t", " \t ").partition(" ")
    rest = re.sub(r"^\s*\|[^|]*\|", "", rest)
    name = next((part.strip() for part in rest.split("\t") if part.strip()), "")
    return Record(f"line {number}", smiles, name)


# -- tables ---------------------------------------------------------------------------------------


def _table(text: str, layout: Layout, fields: bool) -> Iterator[Record]:
    rows = numbered_rows(text, layout.delimiter)
    if layout.header is not None:
        next(rows)
    for number, row in rows:
        cell = bare_cell(row[layout.smiles]) if len(row) > layout.smiles else ""
        smiles = cell.split()[0] if cell else ""
        named = layout.names is not None and layout.names < len(row)
        name = bare_cell(row[layout.names]) if named and layout.names is not None else ""
        others = layout.others(row) if fields else {}
        yield Record(f"line {number}", smiles, " ".join(name.split()), others)


# -- structures -----------------------------------------------------------------------------------


def _structures(data: bytes, column: str | None, fields: bool, path: Path) -> Iterator[Record]:
    """Raises: ValueError if no molecule has the field asked for."""
    met: set[str] = set()
    with quiet():
        molecules = list(Chem.ForwardSDMolSupplier(io.BytesIO(data)))
    for number, molecule in enumerate(molecules, start=1):
        place = f"record {number}"
        if molecule is None or not molecule.GetNumAtoms():
            yield Record(place, "", problem="its structure cannot be read")
            continue
        held = {name: molecule.GetProp(name).strip() for name in molecule.GetPropNames()}
        met.update(held)
        written = next((held[name] for name in held if name.lower() == "smiles"), "")
        smiles = canonical(molecule)
        if column is not None:
            smiles = held.get(column, "")
        elif written and canonicalize(written) == smiles:
            smiles = written
        title = molecule.GetProp("_Name").strip() if molecule.HasProp("_Name") else ""
        title = title or next((held[name] for name in held if name.lower() in ("name", "id")), "")
        yield Record(place, smiles, " ".join(title.split()), held if fields else {})
    if column is not None and column not in met:
        raise ValueError(f"{path} has no field {column!r}: the fields are {sorted(met)[:20]}")
