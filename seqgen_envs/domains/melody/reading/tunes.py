"""Readers: one file of music to the tunes it holds.

Grace notes are dropped, tied notes are one note, and repeats are not written out: the text a
repeat would add is already there, and first and second endings follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from seqgen_envs.domains.melody.reading.abc import abc_line, read_text, split_abc
from seqgen_envs.domains.melody.reading.line import Line, TuneError
from seqgen_envs.domains.melody.reading.midi import midi_line
from seqgen_envs.domains.melody.reading.musicxml import xml_line

MIDI_SUFFIXES = (".mid", ".midi")
XML_SUFFIXES = (".xml", ".musicxml", ".mxl")
ABC_SUFFIXES = (".abc",)
SUFFIXES = (*MIDI_SUFFIXES, *XML_SUFFIXES, *ABC_SUFFIXES)

_Source = TypeVar("_Source")


class Tune(NamedTuple):
    """One tune of a file: its name there ("" in a file of one), and its line or what is wrong."""

    name: str
    line: Line | TuneError


def read_tunes(path: Path) -> list[Tune]:
    """The tunes of a MIDI, MusicXML or ABC file; a tune that cannot be read is a TuneError.

    Raises:
        ValueError: the suffix is none of ``SUFFIXES``.
    """
    suffix = path.suffix.lower()
    if suffix in ABC_SUFFIXES:
        return [Tune(name, _guarded(abc_line, text)) for name, text in split_abc(read_text(path))]
    if suffix in MIDI_SUFFIXES:
        return [Tune("", _guarded(midi_line, path))]
    if suffix in XML_SUFFIXES:
        return [Tune("", _guarded(xml_line, path))]
    raise ValueError(f"{path} does not end in one of {', '.join(SUFFIXES)}")


def _guarded(read: Callable[[_Source], Line], source: _Source) -> Line | TuneError:
    # The parsers raise anything at all on broken files; one of those never ends a corpus.
    try:
        return read(source)
    except TuneError as known:
        return known
    except Exception as error:
        said = [type(error).__name__, *str(error).strip().splitlines()[:1]]
        return TuneError("unreadable", f"it cannot be parsed ({': '.join(said)[:120]})")


def key_of(line: Line) -> int:
    """Sharps of the key signature, or of the key that music21's analysis finds."""
    if line.sharps is not None or not line.notes:
        return line.sharps or 0
    from music21 import note, stream

    part = stream.Part()
    for onset, length, number in line.notes:
        part.insert(onset, note.Note(number, quarterLength=length))
    return int(part.analyze("key").sharps)
