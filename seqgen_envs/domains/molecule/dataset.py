"""Molecule corpora: lines of SMILES, cleaned, canonical, each once.

A line is parsed, reduced to its largest fragment and written as RDKit's canonical SMILES; what
does not parse, holds a token outside the vocabulary, is too short or too long for the horizon, or
repeats an earlier molecule is dropped and counted. A sequence is the SMILES' tokens and the end
token.
"""

from __future__ import annotations

import csv
import gzip
import io
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from seqgen_envs.datasets.corpus import FRACTIONS, Corpus, SkipReport, split_of
from seqgen_envs.domains.molecule.smiles import canonical, largest_fragment, parse
from seqgen_envs.domains.molecule.vocabulary import VOCABULARY, encode

SUFFIXES = (".smi", ".smiles", ".txt", ".csv", ".tsv")
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
        canonicalize: write RDKit's canonical SMILES; False keeps a line's own spelling where it
            is one fragment.
        stereo: keep stereochemistry.
        max_tokens: longest sequence kept, end token included.

    Raises:
        ValueError: ``max_tokens`` is below 2.
    """

    canonicalize: bool = True
    stereo: bool = True
    max_tokens: int = MAX_TOKENS

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ValueError(f"max_tokens must be at least 2, got {self.max_tokens}")


class Outcome(NamedTuple):
    """One line: its sequence, or why it was dropped."""

    tokens: NDArray[np.int8] | None
    reason: str = ""
    detail: str = ""


def clean(smiles: str, cleaning: Cleaning) -> Outcome:
    """The sequence of one SMILES, end token included, or why there is none."""
    molecule = parse(smiles)
    if molecule is None:
        return Outcome(None, "unreadable", "it is not a valid SMILES")
    rewrite = cleaning.canonicalize or "." in smiles
    if "." in smiles:
        molecule = largest_fragment(molecule)
    if not cleaning.stereo:
        rewrite = True
        Chem.RemoveStereochemistry(molecule)
    text = canonical(molecule) if rewrite else smiles
    try:
        ids = encode(text)
    except ValueError as error:
        return Outcome(None, "unknown token", str(error).partition(";")[0])
    if len(ids) + 1 > cleaning.max_tokens:
        detail = f"it has {len(ids) + 1} tokens, more than {cleaning.max_tokens}"
        return Outcome(None, "too long", detail)
    assert VOCABULARY.end_id is not None
    return Outcome(np.append(ids, VOCABULARY.end_id).astype(np.int8))


def smiles_corpus(
    lines: Sequence[str],
    source: str,
    *,
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
        cleaning: see :class:`Cleaning`.
        fractions: shares of the train, validation and test splits, drawn from each sequence's own
            content.
        splits: the split of each line instead, where the corpus prescribes them.
        n_jobs: worker processes; default one a core.
        progress: show a progress bar.

    Raises:
        ValueError: no line could be used; the message gives the reasons and their counts.
    """
    report = SkipReport()
    kept: dict[bytes, int] = {}
    sequences: list[NDArray[np.integer]] = []
    outcomes = _outcomes(lines, cleaning or Cleaning(), n_jobs, progress)
    for number, (line, outcome) in enumerate(zip(lines, outcomes, strict=True), start=1):
        if outcome.tokens is None:
            named = f"line {number}, {line[:80]!r}: {outcome.detail}"
            report.drop(outcome.reason, named if len(report.problems) < MAX_PROBLEMS else None)
        elif outcome.tokens.tobytes() in kept:
            report.drop("duplicate")
        else:
            kept[outcome.tokens.tobytes()] = number - 1
            sequences.append(outcome.tokens)
    report.kept = len(sequences)
    if not sequences:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
        raise ValueError(
            f"none of the {len(lines)} lines of {source} could be used ({reasons or 'it is empty'})"
        )
    chosen = (
        [split_of(sequence, fractions) for sequence in sequences]
        if splits is None
        else [splits[at] for at in kept.values()]
    )
    return Corpus(
        sequences=sequences,
        names=[f"{at + 1}" for at in kept.values()],
        splits=np.array(chosen),
        source=source,
        vocabulary_fingerprint=VOCABULARY.fingerprint,
        report=report,
    )


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

    if workers <= 1:
        yield from bar(map(work, chunks))
        return
    # spawn: a fork of a process that already runs torch's threads can hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from bar(pool.map(work, chunks))


def _clean_all(lines: Sequence[str], cleaning: Cleaning) -> list[Outcome]:
    return [clean(line, cleaning) for line in lines]


def read_smiles(path: str | os.PathLike[str]) -> list[str]:
    """SMILES of a file, one a line, blank lines left out.

    ``.smi``, ``.smiles`` and ``.txt`` have the SMILES first, what follows a blank being its name;
    ``.csv`` and ``.tsv`` have a header that names a column of :data:`SMILES_COLUMNS`. Each may be
    gzipped (``.gz``).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the name ends in something else, the text is no UTF-8, the gzip is broken, or a
            table has no column of SMILES.
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
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from error
    if bare.suffix.lower() in (".csv", ".tsv"):
        return _smiles_column(text, "," if bare.suffix.lower() == ".csv" else "\t", path)
    return [line.split(maxsplit=1)[0] for line in text.splitlines() if line.strip()]


def _smiles_column(text: str, delimiter: str, path: Path) -> list[str]:
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    header = [name.strip().lower() for name in next(rows, [])]
    column = next((header.index(name) for name in SMILES_COLUMNS if name in header), None)
    if column is None:
        raise ValueError(
            f"{path} has no column of SMILES: its header is {header}; name one of "
            f"{', '.join(SMILES_COLUMNS)}"
        )
    cells = (row[column].strip() for row in rows if len(row) > column)
    return [cell for cell in cells if cell]
