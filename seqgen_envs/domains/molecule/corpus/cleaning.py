"""Molecule corpora: lines of SMILES, cleaned, canonical, each once.

A line is parsed, freed of counter-ions and solvents (see :mod:`.fragments`) and written as RDKit's
canonical SMILES; what does not parse, holds a token outside the vocabulary, is too short or too
long for the horizon, or repeats an earlier molecule is dropped and counted. A sequence is the
SMILES' tokens and the end token. The vocabulary may also come from the corpus: then it has the
tokens of all that is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from seqgen_envs.datasets.corpus import FRACTIONS, Corpus, SkipReport, split_of
from seqgen_envs.datasets.parallel import in_processes
from seqgen_envs.domains.molecule.corpus.fragments import is_charged, neutral, parent
from seqgen_envs.domains.molecule.smiles import (
    MAX_CHARACTERS,
    VOCABULARY,
    canonical,
    encode,
    parse,
    tokenize,
    vocabulary_of,
)
from seqgen_envs.vocabulary import UnknownTokenError, Vocabulary

#: Longest sequence kept, end token included: the default horizon.
MAX_TOKENS = 100
#: Characters of a line that reports show.
SHOWN = 80
#: Rewritten SMILES that a report shows.
MAX_EXAMPLES = 3
#: What may be noted of a molecule that is kept.
STRIPPED = "stripped of counter-ions or solvents"
NEUTRALIZED, CHARGED, REWRITTEN = "neutralized", "charged", "rewritten"
_CHUNK = 2000
# Below this many lines a worker costs more than it saves.
_LINES_A_WORKER = 5000


#: Pieces of a substance, its counter-ions and waters among them.
MAX_PIECES = 50


@dataclass(frozen=True)
class Cleaning:
    """How SMILES become sequences.

    Args:
        as_written: leave every SMILES as it is.
        stereo: keep stereochemistry.
        neutralize: take off charges by protons, as far as they go.
        max_tokens: longest sequence kept, end token included.
        vocabulary: the tokens allowed; None allows any, and the corpus's own become its vocabulary.

    Raises:
        ValueError: ``max_tokens`` is below 2, or what is left as written is to be changed.
    """

    as_written: bool = False
    stereo: bool = True
    neutralize: bool = False
    max_tokens: int = MAX_TOKENS
    vocabulary: Vocabulary | None = VOCABULARY

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise ValueError(f"max_tokens must be at least 2, got {self.max_tokens}")
        if self.as_written and (self.neutralize or not self.stereo):
            raise ValueError(
                "as_written leaves every SMILES as it is: leave out no_stereo and neutralize"
            )


class Rewritten(NamedTuple):
    """A SMILES after cleaning.

    Args:
        text: cleaned; as it was given where something is wrong with it.
        notes: of :data:`STRIPPED` and so on, what holds.
        problem: why it is no molecule; empty where it is one.
    """

    text: str
    notes: tuple[str, ...] = ()
    problem: str = ""


class Outcome(NamedTuple):
    """One line: its SMILES, or why it was dropped; ``length`` of one too long is in tokens."""

    text: str
    reason: str = ""
    detail: str = ""
    length: int = 0
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_reaction(smiles: str) -> bool:
    """Whether it has the two arrows of a reaction SMILES, ``A>>B`` or ``A>C>B``."""
    return smiles.replace("->", "").count(">") == 2  # a dative bond is no arrow


def rewrite(smiles: str, cleaning: Cleaning) -> Rewritten:
    """A SMILES as ``cleaning`` writes it, whatever its tokens and length."""
    if not smiles:
        return Rewritten(smiles, problem="there is no SMILES")
    if is_reaction(smiles):
        return Rewritten(smiles, problem="it is a reaction SMILES; give one molecule instead")
    if len(smiles) > MAX_CHARACTERS:
        detail = f"it has {len(smiles):,} characters, more than {MAX_CHARACTERS:,}"
        return Rewritten(smiles, problem=detail)
    if (pieces := smiles.count(".") + 1) > MAX_PIECES:  # RDKit takes seconds over a thousand
        detail = f"it has {pieces:,} pieces, more than the {MAX_PIECES} of any substance"
        return Rewritten(smiles, problem=detail)
    molecule = parse(smiles)
    if molecule is None:
        return Rewritten(smiles, problem="it is not a valid SMILES")
    return _cleaned(smiles, molecule, cleaning)


def _cleaned(smiles: str, molecule: Chem.Mol, cleaning: Cleaning) -> Rewritten:
    notes = []
    if not cleaning.as_written and "." in smiles:
        whole, molecule = molecule, parent(molecule)
        if molecule.GetNumAtoms() < whole.GetNumAtoms():
            notes.append(STRIPPED)
    if not cleaning.stereo and any(mark in smiles for mark in "@/\\"):
        Chem.RemoveStereochemistry(molecule)
    if cleaning.neutralize and any(atom.GetFormalCharge() for atom in molecule.GetAtoms()):
        charged, molecule = canonical(molecule), neutral(molecule)
        if canonical(molecule) != charged:
            notes.append(NEUTRALIZED)
    if is_charged(molecule):
        notes.append(CHARGED)
    text = smiles if cleaning.as_written else canonical(molecule)
    if text != smiles and parse(text) is None:  # RDKit writes, very rarely, what it does not read
        text = smiles
    return Rewritten(text, (*notes, REWRITTEN) if text != smiles else tuple(notes))


def clean(smiles: str, cleaning: Cleaning) -> Outcome:
    """The SMILES that becomes a sequence, or why there is none."""
    text, notes, problem = rewrite(smiles, cleaning)
    if problem:
        long = len(smiles) > MAX_CHARACTERS
        reason = "too long" if long else "reaction" if is_reaction(smiles) else "unreadable"
        return Outcome("", reason, problem)
    tokens = tokenize(text)
    if cleaning.vocabulary is not None:
        try:
            cleaning.vocabulary.encode(tokens)
        except UnknownTokenError as error:
            detail = str(error).partition(";")[0]
            return Outcome("", "unknown token", detail, unknown=tuple(sorted(error.tokens)))
    if len(tokens) + 1 > cleaning.max_tokens:
        detail = f"it has {len(tokens) + 1} tokens, more than {cleaning.max_tokens}"
        return Outcome("", "too long", detail, len(tokens) + 1)
    return Outcome(text, notes=notes)


def smiles_corpus(
    lines: Sequence[str],
    source: str,
    *,
    names: Sequence[str] | None = None,
    places: Sequence[str] | None = None,
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
        names: what each line is called in the corpus; default its number.
        places: what each line is called in reports; default ``line NAME``.
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
    names = [str(n) for n in range(1, len(lines) + 1)] if names is None else names
    places = [f"line {name}" for name in names] if places is None else places
    report = SkipReport()
    kept: dict[str, int] = {}
    shortest: int | None = None  # of those too long
    for at, outcome in enumerate(_outcomes(lines, cleaning, n_jobs, progress)):
        if not outcome.text:
            _drop(report, outcome, f"{places[at]}, {lines[at][:SHOWN]!r}")
            if outcome.length:
                shortest = min(outcome.length, shortest or outcome.length)
        elif outcome.text in kept:
            twin = f"it is the molecule of {places[kept[outcome.text]]}"
            report.drop("duplicate", f"{places[at]}, {lines[at][:SHOWN]!r}", twin)
        else:
            kept[outcome.text] = at
            _note(report, outcome, lines[at])
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
        max_tokens=cleaning.max_tokens,
    )


def _drop(report: SkipReport, outcome: Outcome, line: str) -> None:
    report.drop(outcome.reason, line, outcome.detail)
    for token in outcome.unknown:
        report.unknown[token] = report.unknown.get(token, 0) + 1


def _note(report: SkipReport, outcome: Outcome, line: str) -> None:
    for note in outcome.notes:
        report.noted[note] = report.noted.get(note, 0) + 1
    if REWRITTEN in outcome.notes and len(report.examples) < MAX_EXAMPLES:
        report.examples.append(f"{line[:SHOWN]} -> {outcome.text[:SHOWN]}")


def _sequence(text: str, vocabulary: Vocabulary) -> NDArray[np.integer]:
    """Ids, end token included, in as few bytes as the vocabulary allows."""
    assert vocabulary.end_id is not None
    ids = np.append(encode(text, vocabulary), vocabulary.end_id)
    return ids.astype(np.int8 if vocabulary.size <= 128 else np.int16)


def _nothing_left(source: str, report: SkipReport, allowed: int, shortest: int | None) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
    text = f"none of the {report.found} lines of {source} could be used ({reasons or 'no lines'})"
    if report.unknown:
        lacking = ", ".join(f"{token} ({n})" for token, n in sorted(report.unknown.items()))
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
        disable = None if progress else True  # None: where stderr is no terminal
        with tqdm(total=len(lines), desc="cleaning", unit="line", disable=disable) as shown:
            for part in results:
                shown.update(len(part))
                yield from part

    yield from bar(in_processes(work, chunks, workers))


def _clean_all(lines: Sequence[str], cleaning: Cleaning) -> list[Outcome]:
    return [clean(line, cleaning) for line in lines]
