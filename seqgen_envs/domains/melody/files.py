"""One file of music as melodies: what ``seqgen score`` and ``--primer`` read."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain_groups import Entry
from seqgen_envs.domains.melody.keys import MODES, KeySignature
from seqgen_envs.domains.melody.reading.line import (
    Line,
    TuneError,
    fits_white_notes,
    key_and_shift,
    line_tokens,
)
from seqgen_envs.domains.melody.reading.parts import HIGHEST
from seqgen_envs.domains.melody.reading.tunes import SUFFIXES, Tune, read_tunes
from seqgen_envs.domains.melody.vocabulary import VOCABULARY

logger = logging.getLogger(__name__)

POLYPHONIC = "polyphonic"


class MelodyFileError(ValueError):
    """A file that is not one melody; the message names the file and says why in one sentence."""


def read_melody(
    path: str | os.PathLike[str], *, transpose: bool = False, part: str | None = None
) -> NDArray[np.int64]:
    """Tokens of the one melody in a MIDI, MusicXML or ABC file, shape [steps].

    Rests before the first note and everything after the last note's end are left out. A warning is
    logged where the key is another than that of corpora (:func:`key_notice`).

    Args:
        path: a file ending in one of ``reading.tunes.SUFFIXES``.
        transpose: move the melody to C major or A minor and into C3..B5, as corpora are.
        part: of an arrangement the part to read: see ``reading.parts``.

    Raises:
        MelodyFileError: the file is missing, broken, polyphonic, empty, off the grid of
            sixteenths or out of range, or holds several tunes.
    """
    line = read_line(path, part=part)
    try:
        tokens = line_tokens(line, transpose=transpose)
    except TuneError as error:
        raise MelodyFileError(f"{path} {_unusable(error)}") from error
    if notice := key_notice(line, transpose):
        logger.warning("%s: %s", path, notice)
    return tokens


def read_line(path: str | os.PathLike[str], *, part: str | None = None) -> Line:
    """The notes, key and bars of what :func:`read_melody` reads, which makes tokens of them.

    Raises:
        MelodyFileError: the file is missing, broken or polyphonic, or holds several tunes.
    """
    tunes = _tunes_of(Path(path), part)
    if len(tunes) != 1:
        raise MelodyFileError(f"{path} holds {len(tunes)} tunes; give a file that holds one")
    try:
        return line_of(tunes[0])
    except TuneError as error:
        raise MelodyFileError(f"{path} {_unusable(error)}") from error


def read_melodies(
    path: str | os.PathLike[str], *, transpose: bool = False, part: str | None = None
) -> list[Entry]:
    """All tunes of a file, as :func:`read_melody` reads the one of a file of one.

    A tune that cannot be read is an entry whose ``problem`` says why; the ``notice`` is
    :func:`key_notice`.

    Raises:
        MelodyFileError: the file is missing or of another type.
    """
    tunes = _tunes_of(Path(path), part)
    return [_entry(tune, tune.name if len(tunes) > 1 else "", transpose) for tune in tunes]


def _entry(tune: Tune, place: str, transpose: bool) -> Entry:
    try:
        line = line_of(tune)
        text = VOCABULARY.to_text(line_tokens(line, transpose=transpose))
        return Entry("", text, place, notice=key_notice(line, transpose))
    except TuneError as error:
        return Entry("", "", place, problem=f"it {_unusable(error)}")


def key_notice(line: Line, transposed: bool) -> str:
    """What to know of the key of a tune that was read: that it was moved, or could be.

    Empty where the tune is in the keys of corpora, C major and A minor, and stays there.
    """
    if not transposed and fits_white_notes(line):
        return ""
    sharps, shift = key_and_shift(line)
    if transposed:
        moved = f"moved by {shift:+d} semitones to C major or A minor"
        return f"{_keys(sharps)}, {moved}" if shift else ""
    if sharps == 0:
        return ""
    return (
        f"its key is {_keys(sharps)}; the priors' tunes were all moved to C major and A minor: add "
        "--fit-key to have it moved there"
    )


def _keys(sharps: int) -> str:
    fifths = (sharps + 5) % 12 - 5  # a signature of eight flats is written as four sharps
    return " or ".join(KeySignature(fifths, mode).key for mode in MODES)


def _tunes_of(path: Path, part: str | None) -> list[Tune]:
    if path.suffix.lower() not in SUFFIXES:
        raise MelodyFileError(f"{path} is not a melody file; expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise MelodyFileError(f"{path} does not exist or is not a file")
    return read_tunes(path, part)


def _unusable(error: TuneError) -> str:
    said, _, parts = error.detail.partition("\n")
    if parts:
        said += f", choose with --part (number, name, 'channel N' or {HIGHEST}): {parts}"
    elif error.reason == POLYPHONIC:
        said += f"; --part {HIGHEST} reads the top line"
    return f"is not usable as a melody: {error.reason}: {said}"


def line_of(tune: Tune) -> Line:
    """The line of a tune that was read.

    Raises:
        TuneError: what is wrong with it.
    """
    if isinstance(tune.line, TuneError):
        raise tune.line
    return tune.line
