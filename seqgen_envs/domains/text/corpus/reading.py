"""Files of texts, in UTF-8: what priors learn from, what is scored, and prompts.

``.txt``
    To learn from: passages between blank lines, of which every two neighbouring lines are a
    sequence. To be scored: a text between two blank lines. Prompts: one a line.
``.csv``
    A table with a column ``text``.
``.jsonl``
    A JSON object a line, whose ``text`` is a whole sequence (of prompts ``prompt`` or ``text``); to
    learn from, its ``work`` says which belong together.

A line feed within a text is written ``\\n`` in ``.txt`` files of prompts; the others can hold it.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seqgen_envs.bounded import read_bytes
from seqgen_envs.documents import parse_json
from seqgen_envs.domain_groups import Entry
from seqgen_envs.reporting.files import bare_cell

SUFFIXES = (".txt", ".csv", ".jsonl")
#: Those that priors learn from.
CORPUS_SUFFIXES = (".txt", ".jsonl")
#: Those that files of no other domain have.
OWN_SUFFIXES = (".jsonl",)
#: Bytes of a file of texts.
MAX_TEXT = 256 * 1024**2


class Record(NamedTuple):
    """A text of a file.

    Args:
        place: where it stands, such as ``line 3``.
        text: as it is written.
        fields: what else the file says of it.
    """

    place: str
    text: str
    fields: Mapping[str, str] = {}


def read_text(path: str | os.PathLike[str]) -> str:
    """All of a file, with line feeds as ends of lines.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8.
    """
    data = read_bytes(path, MAX_TEXT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not UTF-8: byte {data[error.start]:#04x} in line {line}; save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_records(path: str | os.PathLike[str], names: Sequence[str] = ("text",)) -> list[Record]:
    """The texts of a file.

    Args:
        path: whose name ends in one of :data:`SUFFIXES`.
        names: of the column or key that holds the text, the first that is there.

    Raises:
        OSError: it cannot be read.
        ValueError: its name ends in something else, or it is not what that says.
    """
    kind = Path(path).suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is not a file of texts; expected one of {', '.join(SUFFIXES)}")
    text = read_text(path)
    if kind == ".txt":
        return [Record(f"line {line}", block) for line, block in blocks(text)]
    rows = _objects(text, path) if kind == ".jsonl" else _rows(text, path)
    return [_record(place, row, names, path) for place, row in rows]


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Texts between blank lines, each with the number of its first line."""
    for found in re.finditer(r"(?:[^\n]*\S[^\n]*(?:\n|$))+", text):
        yield text.count("\n", 0, found.start()) + 1, found.group().rstrip("\n")


def read_many(path: Path) -> list[Entry]:
    """Texts to be scored; see the module. Raises as :func:`read_records`."""
    return [
        Entry(record.fields.get("name", ""), record.text, record.place, fields=record.fields)
        for record in read_records(path)
    ]


def read_prompts(path: Path) -> list[Entry]:
    """Prompts; one that is empty has a problem. Raises as :func:`read_records`."""
    if path.suffix.lower() != ".txt":
        records = read_records(path, ("prompt", "text"))
    else:
        lines = read_text(path).removesuffix("\n").split("\n")
        records = [
            Record(f"line {number}", line.replace("\\n", "\n"))
            for number, line in enumerate(lines, 1)
        ]
    empty = "it is empty: give a prompt in every line"
    return [Entry("", r.text, r.place, problem="" if r.text.strip() else empty) for r in records]


def _objects(text: str, path: str | os.PathLike[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = parse_json(line)
        except ValueError as error:
            raise ValueError(f"line {number} of {path} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"line {number} of {path} must be an object with a key 'text'")
        yield f"line {number}", found


def _rows(text: str, path: str | os.PathLike[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        for row in reader:
            kept = {name: bare_cell(v) for name, v in row.items() if name and isinstance(v, str)}
            yield f"line {reader.line_num}", kept
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}") from error


def _record(
    place: str, row: Mapping[str, object], names: Sequence[str], path: str | os.PathLike[str]
) -> Record:
    name = next((name for name in names if name in row), None)
    if name is None or not isinstance(row[name], str):
        wanted = " or ".join(map(repr, names))
        raise ValueError(f"{place} of {path} has no text {wanted}; it has {sorted(row)[:12]}")
    others = {key: str(value) for key, value in row.items() if key != name}
    return Record(place, str(row[name]), others)
