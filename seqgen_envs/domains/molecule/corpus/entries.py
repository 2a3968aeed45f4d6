"""A user's molecules, one by one: those to be scored, and beginnings of molecules."""

from __future__ import annotations

import logging
from pathlib import Path

from seqgen_envs.domain_groups import Entry
from seqgen_envs.domains.molecule.corpus.cleaning import Cleaning, is_reaction, rewrite
from seqgen_envs.domains.molecule.corpus.reading import Record, read_records
from seqgen_envs.domains.molecule.grammar.scaffold import has_points
from seqgen_envs.domains.molecule.smiles import VOCABULARY, tokenize
from seqgen_envs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


def read_molecules(
    path: Path,
    *,
    column: str | None = None,
    no_stereo: bool = False,
    neutralize: bool = False,
    as_written: bool = False,
    keep_columns: bool = False,
) -> list[Entry]:
    """The molecules of a file, cleaned as those of a corpus are; what is not valid stays as it is.

    Args:
        path: see :mod:`.reading`.
        column: name or number of a table's column of SMILES.
        no_stereo, neutralize, as_written: see :func:`~.named.read_corpus`.
        keep_columns: keep a table's other columns.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or holds no SMILES.
    """
    cleaning = Cleaning(as_written, not no_stereo, neutralize)
    return [_entry(record, cleaning) for record in _records(path, column, keep_columns)]


def _records(path: Path, column: str | None = None, fields: bool = False) -> list[Record]:
    records = read_records(path, column, fields=fields)
    if not records:
        raise ValueError(f"{path} holds no SMILES")
    return records


def _entry(record: Record, cleaning: Cleaning) -> Entry:
    text, problem, invalid = record.smiles, record.problem, ""
    rewritten = rewrite(text, cleaning)
    if is_reaction(text):
        problem = problem or rewritten.problem
    elif not problem:
        invalid = rewritten.problem
    return Entry(record.name, rewritten.text, record.place, text, record.fields, problem, invalid)


def read_beginnings(path: Path, vocabulary: Vocabulary = VOCABULARY) -> list[Entry]:
    """A file of beginnings of molecules, as primers are, read as one of molecules is.

    A beginning need not be a molecule, and another spelling of it begins otherwise: it stays as it
    is written. Only where it holds tokens that the vocabulary lacks and is a whole molecule is it
    cleaned, which is said. Scaffolds with attachment points stay as they are too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or holds no SMILES.
    """
    entries = []
    for record in _records(path):
        fits = set(tokenize(record.smiles)) <= set(vocabulary.tokens)
        entry = _entry(record, Cleaning(as_written=fits or has_points(record.smiles)))
        if entry.text != record.smiles:
            logger.warning(
                "%s, %s: %s has tokens that the prior lacks and is read as %s",
                *(path, record.place, record.smiles[:80], entry.text[:80]),
            )
        entries.append(entry)
    return entries
