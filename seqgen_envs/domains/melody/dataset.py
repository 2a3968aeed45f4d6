"""Melody corpora: the folk tunes that music21 carries, or a folder of the user's own music.

The built-in corpus is four collections in ABC: the Essen folk songs, O'Neill's Music of Ireland
(1850), Ryan's Mammoth Collection and Aird's Airs. Every tune is brought to one line of sixteenths
in C (see :mod:`~seqgen_envs.domains.melody.reading.line`); rests of more than 16 steps are
shortened by whole bars, tunes longer than 2048 steps are cut into pieces at bar lines, tunes
shorter than the default melody are dropped, and so is every exact repetition of a tune already
kept. Variants of a tune are not recognised: they may fall into different splits.

Parsed corpora are cached in the user's cache folder, or the one ``SEQGEN_CACHE`` names.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.datasets.cache import cached_corpus
from seqgen_envs.datasets.corpus import FRACTIONS, MAX_NAMED, Corpus, SkipReport, split_of
from seqgen_envs.datasets.parallel import in_processes
from seqgen_envs.domains.melody.files import POLYPHONIC, line_of
from seqgen_envs.domains.melody.reading.line import TuneError, line_tokens
from seqgen_envs.domains.melody.reading.parts import HIGHEST
from seqgen_envs.domains.melody.reading.pieces import BAR, pieces
from seqgen_envs.domains.melody.reading.tunes import Tune, music_files, read_tunes
from seqgen_envs.domains.melody.vocabulary import VOCABULARY

logger = logging.getLogger(__name__)

COLLECTIONS = ("essenFolksong", "oneills1850", "ryansMammoth", "airdsAirs")
MIN_STEPS = 32
MAX_STEPS = 2048
LONGEST_REST = 16
_TOP_LINE = (
    f"of a polyphonic tune --part {HIGHEST} reads the top line, be it of parts or of chords; a "
    "number, a name or 'channel N' reads one part"
)
# Part of the cache's key: raise it whenever a tune's tokens would come out differently.
FORMAT = 3
# Below this many files a worker costs more than it saves (it imports music21 anew).
_FILES_A_WORKER = 8


class Outcome(NamedTuple):
    """One tune of a file: its tokens, or why it was dropped."""

    name: str
    tokens: NDArray[np.int8] | None
    error: TuneError | None


def builtin_corpus(
    *,
    collections: Sequence[str] = COLLECTIONS,
    fractions: Sequence[float] = FRACTIONS,
    cache_dir: str | os.PathLike[str] | None = None,
    refresh: bool = False,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Corpus:
    """The folk tunes that music21 carries.

    Args:
        collections: which of ``COLLECTIONS``.
        fractions: shares of the train, validation and test splits.
        cache_dir: where the parsed corpus is kept; default the ``SEQGEN_CACHE`` environment
            variable, else the user's cache folder.
        refresh: parse again even if the cache has the corpus.
        n_jobs: worker processes; default one a core.
        progress: show a progress bar.

    Raises:
        ValueError: a collection is unknown or missing from this installation of music21.
    """
    unknown = [name for name in collections if name not in COLLECTIONS]
    if unknown or not collections:
        raise ValueError(f"collections must be among {', '.join(COLLECTIONS)}, got {unknown}")
    root = _music21_corpus()
    files = [file for name in collections for file in music_files(root / name)[0]]
    key = f"music21 {version('music21')}: {', '.join(collections)}"
    build = partial(_build, files, [], root, key, fractions, n_jobs, progress, None)
    return _cached(build, "builtin", f"{key} {tuple(fractions)}", cache_dir, refresh)


def _music21_corpus() -> Path:
    spec = find_spec("music21")  # found, not imported: that would take half a second
    if spec is None or spec.origin is None:
        raise ValueError("music21 is not installed; it carries the built-in tunes")
    return Path(spec.origin).parent / "corpus"


def folder_corpus(
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    fractions: Sequence[float] = FRACTIONS,
    cache_dir: str | os.PathLike[str] | None = None,
    refresh: bool = False,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Corpus:
    """The tunes of every MIDI, MusicXML and ABC file below a folder, or of one such file.

    A file that cannot be read is skipped with one warning that names it; the report names those of
    other types, but for hidden ones. The arguments are those of :func:`builtin_corpus`, and
    ``part`` (see ``reading.parts``) of arrangements; the cache notices when a file is added,
    changed or removed.

    Raises:
        ValueError: there is no such folder or file, it holds no music files, or none of them could
            be used.
    """
    whole = Path(path).resolve()
    files, others = music_files(whole)
    root = whole if whole.is_dir() else whole.parent
    unread = [file.relative_to(root).as_posix() for file in others]
    stamps = [(str(file.relative_to(root)), file.stat()) for file in files]
    listing = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stamps]
    key = "\n".join([str(whole), f"part {part}", version("music21"), *listing, "unread", *unread])
    build = partial(_build, files, unread, root, str(whole), fractions, n_jobs, progress, part)
    return _cached(build, "folder", f"{key} {tuple(fractions)}", cache_dir, refresh)


def _cached(
    build: Callable[[], Corpus],
    kind: str,
    key: str,
    cache_dir: str | os.PathLike[str] | None,
    refresh: bool,
) -> Corpus:
    return cached_corpus(
        build,
        kind=f"melody-{kind}",
        key=f"{FORMAT} {key}",
        vocabulary=VOCABULARY,
        cache_dir=cache_dir,
        refresh=refresh,
    )


def _build(
    files: Sequence[Path],
    unread: Sequence[str],
    root: Path,
    source: str,
    fractions: Sequence[float],
    n_jobs: int | None,
    progress: bool,
    part: str | None,
) -> Corpus:
    report = SkipReport(unread=list(unread[:MAX_NAMED]))
    kept: dict[bytes, Outcome] = {}
    broken: list[Outcome] = []
    for outcome in _outcomes(files, root, n_jobs, progress, part):
        if outcome.tokens is None:
            assert outcome.error is not None
            report.drop(outcome.error.reason, outcome.name, outcome.error.detail)
            if outcome.error.reason == "unreadable":
                broken.append(outcome)
        elif outcome.tokens.tobytes() in kept:
            twin = kept[outcome.tokens.tobytes()].name
            report.drop("duplicate", outcome.name, f"its notes are those of {twin}")
        else:
            kept[outcome.tokens.tobytes()] = outcome
    for outcome in broken:  # after the progress bar, which would swallow the lines
        logger.warning("skipped %s: %s", outcome.name, outcome.error)
    report.kept = len(kept)
    if POLYPHONIC in report.dropped:
        report.hints.append(_TOP_LINE)
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
        hint = "".join(f": {hint}" for hint in report.hints)
        raise ValueError(f"none of the tunes of {source} could be used ({reasons}){hint}")
    sequences: list[NDArray[np.integer]] = [
        outcome.tokens for outcome in kept.values() if outcome.tokens is not None
    ]
    return Corpus(
        sequences=sequences,
        names=[outcome.name for outcome in kept.values()],
        splits=np.array([split_of(sequence, fractions) for sequence in sequences]),
        source=source,
        vocabulary=VOCABULARY,
        report=report,
    )


def _outcomes(
    files: Sequence[Path], root: Path, n_jobs: int | None, progress: bool, part: str | None
) -> Iterator[Outcome]:
    """Every tune of every file, in the order of the files whatever the number of workers."""
    from tqdm import tqdm

    workers = min(n_jobs or os.cpu_count() or 1, math.ceil(len(files) / _FILES_A_WORKER))
    work = partial(_file_outcomes, root=root, part=part)

    def bar(results: Iterable[list[Outcome]]) -> Iterator[Outcome]:
        for outcomes in tqdm(
            results,
            total=len(files),
            desc="parsing",
            unit="file",
            disable=None if progress else True,
        ):
            yield from outcomes

    yield from bar(in_processes(work, files, workers))


def _file_outcomes(file: Path, root: Path, part: str | None = None) -> list[Outcome]:
    """Every tune of one file; whatever is wrong with it becomes an outcome."""
    name = file.relative_to(root).as_posix()
    try:
        tunes = read_tunes(file, part)
    except OSError as error:
        return [Outcome(name, None, TuneError("unreadable", f"it cannot be opened ({error})"))]
    return [outcome for tune in tunes for outcome in _outcomes_of(name + tune.name, tune)]


def _outcomes_of(name: str, tune: Tune) -> list[Outcome]:
    """One tune, or the pieces of a long one."""
    try:
        line = line_of(tune)
        bar = line.bar or BAR
        rest = bar * math.ceil(LONGEST_REST / bar)  # whole bars: what follows keeps its place
        tokens = line_tokens(line, transpose=True, longest_rest=rest)
    except TuneError as error:
        return [Outcome(name, None, error)]
    if len(tokens) <= MAX_STEPS:
        return [_outcome(name, tokens)]
    cut = pieces(tokens, bar, line.pickup, MAX_STEPS)
    return [_outcome(f"{name} piece {i}", piece) for i, piece in enumerate(cut, 1)]


def _outcome(name: str, tokens: NDArray[np.int64]) -> Outcome:
    if len(tokens) < MIN_STEPS:
        short = TuneError("too short", f"it lasts {len(tokens)} steps, fewer than {MIN_STEPS}")
        return Outcome(name, None, short)
    return Outcome(name, tokens.astype(np.int8), None)
