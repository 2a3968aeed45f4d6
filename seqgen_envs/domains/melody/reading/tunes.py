"""Readers: a folder to its files of music, and one file to the tunes it holds.

====================  =====================================================================
.mid .midi .smf       standard MIDI files, of type 0 and 1; of type 2 every track is a tune
.kar                  MIDI with words (karaoke)
.rmi                  MIDI in a RIFF wrapper; any of these names may hold any of these
.musicxml .xml        MusicXML (score-partwise), in UTF-8, UTF-16 or as it declares
.mxl                  MusicXML, zipped
.abc                  ABC, every ``X:`` a tune
====================  =====================================================================

Of an arrangement one part is read: see :mod:`~seqgen_envs.domains.melody.reading.parts`.

Grace notes are dropped, tied notes are one note, and repeats are not written out: the text a
repeat would add is already there, and first and second endings follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from seqgen_envs.datasets.corpus import types_of
from seqgen_envs.domains.melody.reading.abc import abc_line, read_text, split_abc
from seqgen_envs.domains.melody.reading.line import Line, TuneError
from seqgen_envs.domains.melody.reading.midi import midi_line, split_midi
from seqgen_envs.domains.melody.reading.musicxml import xml_line

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf")
XML_SUFFIXES = (".xml", ".musicxml", ".mxl")
ABC_SUFFIXES = (".abc",)
SUFFIXES = (*MIDI_SUFFIXES, *XML_SUFFIXES, *ABC_SUFFIXES)

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")


class Tune(NamedTuple):
    """One tune of a file: its name there ("" in a file of one), and its line or what is wrong."""

    name: str
    line: Line | TuneError


def music_files(path: Path) -> tuple[list[Path], list[Path]]:
    """The music files below a folder, or the one that ``path`` is; and those of other types.

    Raises:
        ValueError: there are none that are read.
    """
    expected = f"expected some of {', '.join(SUFFIXES)}"
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is no music file that is read; {expected}")
        return [path], []
    if not path.is_dir():
        raise ValueError(f"{path} is neither a folder nor a file")
    found = sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in found if file.suffix.lower() in SUFFIXES]
    others = [file for file in found if file.suffix.lower() not in SUFFIXES]
    if not files:
        held = f", and it has files of other types: {types_of(map(str, others))}" if others else ""
        raise ValueError(f"{path} holds no music files{held}; {expected}")
    return files, [file for file in others if not file.name.startswith(".")]


def read_tunes(path: Path, part: str | None = None) -> list[Tune]:
    """The tunes of a MIDI, MusicXML or ABC file; a tune that cannot be read is a TuneError.

    Args:
        path: the file.
        part: of an arrangement the part to read; see
            :mod:`~seqgen_envs.domains.melody.reading.parts`.

    Raises:
        ValueError: the suffix is none of ``SUFFIXES``.
    """
    suffix = path.suffix.lower()
    if suffix in ABC_SUFFIXES:
        tunes = split_abc(read_text(path))
        return [Tune(name, _guarded(partial(abc_line, part=part), text)) for name, text in tunes]
    if suffix in MIDI_SUFFIXES:
        found = _guarded(split_midi, path)
        if isinstance(found, TuneError):
            return [Tune("", found)]
        return [Tune(name, _guarded(partial(midi_line, part=part), tune)) for name, tune in found]
    if suffix in XML_SUFFIXES:
        return [Tune("", _guarded(partial(xml_line, part=part), path))]
    raise ValueError(f"{path} does not end in one of {', '.join(SUFFIXES)}")


def _guarded(read: Callable[[_Source], _Result], source: _Source) -> _Result | TuneError:
    # The parsers raise anything at all on broken files; one of those never ends a corpus.
    try:
        return read(source)
    except TuneError as known:
        return known
    except Exception as error:
        said = [type(error).__name__, *str(error).strip().splitlines()[:1]]
        return TuneError("unreadable", f"it cannot be parsed ({': '.join(said)[:120]})")
