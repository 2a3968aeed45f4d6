"""Molecule corpora: lines of SMILES, cleaned, canonical, each once.

A line is parsed, reduced to its largest fragment and written as RDKit's canonical SMILES; what
does not parse, holds a token outside the vocabulary, is too short or too long for the horizon, or
repeats an earlier molecule is dropped and counted. A sequence is the SMILES' tokens and the end
token. The vocabulary may also come from the corpus: then it has the tokens of all that is kept.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from seqgen_envs.datasets.corpus import FRACTIONS, Corpus, SkipReport, split_of
from seqgen_envs.datasets.parallel import in_processes
from seqgen_envs.domains.molecule.smiles import (
    MAX_CHARACTERS,
    VOCABULARY,
    canonical,
    encode,
    largest_fragment,
    parse,
    tokenize,
    vocabulary_of,
)
from seqgen_envs.vocabulary import Vocabulary

SUFFIXES = (".smi", ".smiles", ".txt", ".csv", ".tsv")
#: How the names of the files end that :func:`numbered_smiles` reads.
ENDINGS = tuple(f"{suffix}{gzipped}" for suffix in SUFFIXES for gzipped in ("", ".gz"))
#: Columns of a table that hold the SMILES, in order of preference (compared in lower case).
SMILES_COLUMNS = ("smiles", "canonical_smiles", "molecule", "structure")
#: Longest sequence kept, end token included: the default horizon.
MAX_TOKENS = 100
#: Most problems a report keeps in words; further ones are only counted.
MAX_PROBLEMS = 1000
_CHUNK = 2000
# Below this many lines a worker costs more than it saves.
_LINES_A_WORKER = 5000


@dataclass(frozen=True)
class Cleaning:
    """How lines of SMILES become sequences.

    Args:
        canonicalize: write RDKit's canonical SMILES; False keeps a line's own spelling unless a
            fragment or stereochemistry is taken from it.
        stereo: keep stereochemistry.
        max_tokens: longest sequence kept, end token included.
        vocabulary: the tokens allowed; None allows any, and the corpus's own become its vocabulary.

    Raises:
        ValueError: ``max_tokens`` is below 2.
    """

    canonicalize: bool = True
    stereo: bool = True
    max_tokens: int = MAX_TOKENS
    vocabulary: Vocabulary | None = VOCABULARY

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ValueError(f"max_tokens must be at least 2, got {self.max_tokens}")


class Outcome(NamedTuple):
    """One line: its SMILES, or why it was dropped; ``length`` of one too long is in tokens."""

    text: str
    reason: str = ""
    detail: str = ""
    length: int = 0
    unknown: tuple[str, ...] = ()


def clean(smiles: str, cleaning: Cleaning) -> Outcome:
    """The SMILES that becomes a sequence, or why there is none."""
    if not smiles:
        return Outcome("", "unreadable", "there is no SMILES")
    if len(smiles) > MAX_CHARACTERS:
        detail = f"it has {len(smiles):,} characters, more than {MAX_CHARACTERS:,}"
        return Outcome("", "too long", detail)
    molecule = parse(smiles)
    if molecule is None:
        return Outcome("", "unreadable", "it is not a valid SMILES")
    rewrite = cleaning.canonicalize or "." in smiles
    if "." in smiles:
        molecule = largest_fragment(molecule)
    if not cleaning.stereo and any(mark in smiles for mark in "@/\\"):
        rewrite = True
        Chem.RemoveStereochemistry(molecule)
    text = canonical(molecule) if rewrite else smiles
    tokens = tokenize(text)
    if cleaning.vocabulary is not None:
        try:
            cleaning.vocabulary.encode(tokens)
        except ValueError as error:
            unknown = sorted(set(tokens).difference(cleaning.vocabulary.tokens))
            detail = str(error).partition(";")[0]
            return Outcome("", "unknown token", detail, unknown=tuple(unknown))
    if len(tokens) + 1 > cleaning.max_tokens:
        detail = f"it has {len(tokens) + 1} tokens, more than {cleaning.max_tokens}"
        return Outcome("", "too long", detail, len(tokens) + 1)
    return Outcome(text)


def smiles_corpus(
    lines: Sequence[str],
    source: str,
    *,
    names: Sequence[str] | None = None,
    cleaning: Cleaning | None = None,
    fractions: Sequence[float] = FRACTIONS,
    splits: Sequence[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Corpus:
    """A corpus of lines of SMILES.

    Args:
        lines: one SMILES each.
        source: what the corpus is called.
        names: what each line is called, in the corpus and in reports; default its number.
        cleaning: see :class:`Cleaning`.
        fractions: shares of the train, validation and test splits, drawn from each sequence's own
            content.
        splits: the split of each line instead, where the corpus prescribes them.
        n_jobs: worker processes; default one a core.
        progress: show a progress bar.

    Raises:
        ValueError: no line could be used; the message gives the reasons and their counts.
    """
    cleaning = cleaning or Cleaning()
    if names is None:
        names = [str(number) for number in range(1, len(lines) + 1)]
    report = SkipReport()
    kept: dict[str, int] = {}
    shortest: int | None = None  # of those too long
    for at, outcome in enumerate(_outcomes(lines, cleaning, n_jobs, progress)):
        if not outcome.text:
            line = (
                f"line {names[at]}, {lines[at][:80]!r}" if len(report.items) < MAX_PROBLEMS else ""
            )
            report.drop(outcome.reason, line, outcome.detail)
            for token in outcome.unknown:
                report.unknown[token] = report.unknown.get(token, 0) + 1
            if outcome.length:
                shortest = min(outcome.length, shortest or outcome.length)
        elif outcome.text in kept:
            report.drop("duplicate")
        else:
            kept[outcome.text] = at
    report.kept = len(kept)
    if not kept:
        raise ValueError(_nothing_left(source, report, cleaning.max_tokens, shortest))
    vocabulary = cleaning.vocabulary or vocabulary_of(kept)
    sequences = [_sequence(text, vocabulary) for text in kept]
    chosen = (
        [split_of(sequence, fractions) for sequence in sequences]
        if splits is None
        else [splits[at] for at in kept.values()]
    )
    return Corpus(
        sequences=sequences,
        names=[names[at] for at in kept.values()],
        splits=np.array(chosen),
        source=source,
        vocabulary=vocabulary,
        report=report,
    )


def _sequence(text: str, vocabulary: Vocabulary) -> NDArray[np.integer]:
    """Ids, end token included, in as few bytes as the vocabulary allows."""
    assert vocabulary.end_id is not None
    ids = np.append(encode(text, vocabulary), vocabulary.end_id)
    return ids.astype(np.int8 if vocabulary.size <= 128 else np.int16)


def _nothing_left(source: str, report: SkipReport, allowed: int, shortest: int | None) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
    text = f"none of the {report.found} lines of {source} could be used ({reasons or 'no lines'})"
    if report.unknown:
        lacking = ", ".join(sorted(report.unknown))
        text += f"; the vocabulary 'corpus' would keep {lacking}"
    if shortest is not None:
        text += f"; the shortest valid one has {shortest} tokens, allow more than {allowed}"
    return text


def _outcomes(
    lines: Sequence[str], cleaning: Cleaning, n_jobs: int | None, progress: bool
) -> Iterator[Outcome]:
    """One outcome a line, in order, whatever the number of workers."""
    from tqdm import tqdm

    work = partial(_clean_all, cleaning=cleaning)
    chunks = [lines[start : start + _CHUNK] for start in range(0, len(lines), _CHUNK)]
    workers = min(n_jobs or os.cpu_count() or 1, max(len(lines) // _LINES_A_WORKER, 1))

    def bar(results: Iterable[list[Outcome]]) -> Iterator[Outcome]:
        with tqdm(total=len(lines), desc="cleaning", unit="line", disable=not progress) as shown:
            for part in results:
                shown.update(len(part))
                yield from part

    yield from bar(in_processes(work, chunks, workers))


def _clean_all(lines: Sequence[str], cleaning: Cleaning) -> list[Outcome]:
    return [clean(line, cleaning) for line in lines]


def smiles_in(path: str | os.PathLike[str]) -> list[str]:
    """SMILES of a file, in order; see :func:`numbered_smiles`."""
    return [smiles for _, smiles in numbered_smiles(path)]


def numbered_smiles(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """SMILES of a file with the numbers of their lines, from 1; blank lines are left out.

    ``.smi``, ``.smiles`` and ``.txt`` have the SMILES first, what follows a blank being its name;
    ``.csv`` and ``.tsv`` have a header that names a column of :data:`SMILES_COLUMNS`. Each may be
    gzipped (``.gz``). A row of a table that ends before that column has an empty SMILES.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the name ends in something else, the text is no UTF-8, the gzip is broken, or a
            table cannot be read or has no column of SMILES.
    """
    path = Path(path)
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if bare.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"{path} is not a file of SMILES; expected {known}, gzipped or not")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix.lower() == ".gz" else data).decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from error
    if bare.suffix.lower() in (".csv", ".tsv"):
        return _smiles_column(text, "," if bare.suffix.lower() == ".csv" else "\t", path)
    lines = enumerate(io.StringIO(text, newline=None), start=1)
    return [(number, line.split(maxsplit=1)[0]) for number, line in lines if line.strip()]


def _smiles_column(text: str, delimiter: str, path: Path) -> list[tuple[int, str]]:
    try:
        with _any_cell_length(len(text)):
            rows = _numbered_rows(text, delimiter)
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from error
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    column = next((header.index(name) for name in SMILES_COLUMNS if name in header), None)
    if column is None:
        raise ValueError(
            f"{path} has no column of SMILES: its header is {str(header)[:200]}; name one of "
            f"{', '.join(SMILES_COLUMNS)}"
        )
    return [(at, row[column].strip() if len(row) > column else "") for at, row in rows[1:]]


def _numbered_rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with the number of its first line (a cell may hold breaks)."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, first = [], 1
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append((first, row))
        first = reader.line_num + 1
    return rows


@contextmanager
def _any_cell_length(length: int) -> Iterator[None]:
    """The csv module's limit is the whole process's: raised for the time of a ``with``."""
    before = csv.field_size_limit(max(length, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)
