"""Melodies as scores: MusicXML (by music21) and engraved SVG (by verovio, the ``notation`` extra).

A note that crosses a bar line, or whose
length no single note value has, is written as tied notes, cut so that a note crosses a beat only if
it starts on one. The last bar is filled with rests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from seqgen_envs.domains.melody.notes import Note, check_tokens, tokens_to_notes
from seqgen_envs.domains.melody.sheet import PLAIN, Sheet, instrument_name
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER
from seqgen_envs.extras import require

_BASS_BELOW = 57  # MIDI: a melody whose median pitch is lower is written in the bass clef

#: Sixteenths of one note value each, dotted ones included; 6 is used only where it fits exactly,
#: since 7 reads better as 4 + 3.
_NOTE_VALUES = (16, 12, 8, 4, 3, 2, 1)
_ENGRAVING = {
    "adjustPageHeight": True,
    "pageHeight": 60000,
    "breaks": "auto",
    "header": "none",
    "footer": "none",
    "scale": 50,
    "xmlIdSeed": 1,
}


class _Piece(NamedTuple):
    """One written note or rest (pitch None): MIDI pitch, times in sixteenths, its ties."""

    pitch: int | None
    onset: int
    duration: int
    tied_from: bool
    tied_to: bool

    @property
    def tie(self) -> str | None:
        """What music21 calls this tie, or None."""
        if self.tied_from:
            return "continue" if self.tied_to else "stop"
        return "start" if self.tied_to else None


def musicxml(tokens: ArrayLike | Sequence[Any], sheet: Sheet = PLAIN) -> str:
    """A melody as MusicXML.

    Args:
        tokens: ids, shape [n]; none at all gives one bar of rest.
        sheet: key, bars, upbeat, tempo, instrument, title and composer.

    Raises:
        ValueError: a bad token.
    """
    return _musicxml(tokens, sheet, played=True)


def write_musicxml(
    tokens: ArrayLike | Sequence[Any], path: str | os.PathLike[str], sheet: Sheet = PLAIN
) -> None:
    """Write :func:`musicxml` to a file, uncompressed, in UTF-8.

    Raises:
        ValueError: a bad token.
        OSError: the file cannot be written.
    """
    Path(path).write_text(musicxml(tokens, sheet), encoding="utf-8")


def svg(tokens: ArrayLike | Sequence[Any], sheet: Sheet = PLAIN) -> str:
    """A melody engraved as one SVG picture, as tall as its staves need.

    Args:
        tokens: ids, shape [n].
        sheet: key, bars and upbeat.

    Raises:
        ValueError: a bad token.
        ImportError: verovio is not installed (``pip install 'seqgen[notation]'``).
    """
    # No metronome mark: its glyph is text in a web font, which few programs but browsers draw.
    # No instrument: verovio would cut off its name at the picture's edge.
    score = _musicxml(tokens, sheet, played=False)
    toolkit = require("verovio", "notation").toolkit()
    toolkit.setOptions(_ENGRAVING)
    if not toolkit.loadData(score):
        raise RuntimeError("verovio could not read the MusicXML of this melody")
    return str(toolkit.renderToSVG(1))


def write_svg(
    tokens: ArrayLike | Sequence[Any], path: str | os.PathLike[str], sheet: Sheet = PLAIN
) -> None:
    """Write :func:`svg` to a file.

    Raises:
        ValueError: a bad token.
        ImportError: verovio is not installed (``pip install 'seqgen[notation]'``).
        OSError: the file cannot be written.
    """
    Path(path).write_text(svg(tokens, sheet), encoding="utf-8")


def _musicxml(tokens: ArrayLike | Sequence[Any], sheet: Sheet, *, played: bool) -> str:
    checked = check_tokens(tokens)
    notes = sheet.written(tokens_to_notes(checked))
    bars = max(1, -(-(checked.size + sheet.lead) // sheet.bar_length))
    pieces = list(_pieces(notes, bars * sheet.bar_length, sheet))
    return _export(pieces, _front_matter(notes, sheet, played), sheet)


def _pieces(notes: Sequence[Note], end: int, sheet: Sheet) -> Iterator[_Piece]:
    """Notes and the rests between them, cut into single note values, by onset.

    Times are counted from the bar line before the first note, as if an upbeat's bar were full; the
    pieces fill what there is from the first step up to ``end``.
    """
    now = lead = sheet.lead
    for note in notes:
        yield from _cut(None, now, note.onset + lead, sheet.bar_length)
        yield from _cut(note.pitch, note.onset + lead, note.end + lead, sheet.bar_length)
        now = note.end + lead
    yield from _cut(None, now, end, sheet.bar_length)


def _cut(pitch: int | None, start: int, end: int, bar_length: int) -> Iterator[_Piece]:
    """Cut start..end at bar lines, and so that only a piece that starts on a beat crosses one."""
    now = start
    while now < end:
        in_bar = now % bar_length
        room = min(end - now, bar_length - in_bar)
        to_beat = -in_bar % STEPS_PER_QUARTER
        limit = min(room, to_beat) if to_beat else room
        length = 6 if limit == 6 else next(value for value in _NOTE_VALUES if value <= limit)
        yield _Piece(pitch, now, length, tied_from=now > start, tied_to=now + length < end)
        now += length


def _front_matter(notes: Sequence[Note], sheet: Sheet, played: bool) -> list[Any]:
    """Clef, key, time signature; instrument and metronome mark if ``played``: music21 objects."""
    from music21 import clef, instrument, key, meter, tempo

    low = bool(notes) and float(np.median([note.pitch for note in notes])) < _BASS_BELOW
    player = instrument.Instrument()
    player.partId, player.instrumentId = "P1", "P1-I1"  # music21 would draw them at random
    front = [
        player,
        clef.BassClef() if low else clef.TrebleClef(),
        key.KeySignature(sheet.signature.fifths).asKey(sheet.signature.mode),
        meter.TimeSignature(f"{sheet.metre.beats}/{sheet.metre.unit}"),
    ]
    if not played:
        return front
    player.instrumentName = instrument_name(sheet.program)
    player.midiProgram, player.midiChannel = sheet.program, 0
    return [*front, tempo.MetronomeMark(number=sheet.tempo)]


def _element(piece: _Piece, sheet: Sheet) -> Any:
    """The music21 note or rest of one piece."""
    from music21 import note, pitch, tie

    length = piece.duration / STEPS_PER_QUARTER
    if piece.pitch is None:
        rest = note.Rest(quarterLength=length)
        rest.fullMeasure = piece.duration == sheet.bar_length
        return rest
    letter, alter, octave = sheet.signature.spelt(piece.pitch)
    written = note.Note(pitch.Pitch(letter, octave=octave, accidental=alter or None))
    written.quarterLength = length
    if piece.tie:
        written.tie = tie.Tie(piece.tie)
    return written


def _export(pieces: Sequence[_Piece], front: Sequence[Any], sheet: Sheet) -> str:
    """The MusicXML of pieces that fill whole bars, but for an upbeat's."""
    from music21 import bar, metadata, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    measures = _empty_measures(1 + pieces[-1].onset // sheet.bar_length, sheet)
    for element in front:
        measures[0].insert(0, element)
    for piece in pieces:
        measures[piece.onset // sheet.bar_length].append(_element(piece, sheet))
    measures[-1].rightBarline = bar.Barline("final")
    part = stream.Part(id="melody")
    part.append(measures)
    part.makeAccidentals(inPlace=True)
    _spell_ties_alike(part)
    part.makeBeams(inPlace=True)
    score = stream.Score([part])
    score.metadata = metadata.Metadata(title=sheet.title)
    if sheet.composer:
        score.metadata.composer = sheet.composer
    exporter = GeneralObjectExporter(score)
    exporter.makeNotation = False
    return str(exporter.parse().decode("utf-8"))


def _empty_measures(bars: int, sheet: Sheet) -> list[Any]:
    """Bars numbered from 1; an upbeat's has the number 0, which is not shown."""
    from music21 import stream

    first = 0 if sheet.upbeat else 1
    measures = [stream.Measure(number=number) for number in range(first, first + bars)]
    if sheet.upbeat:
        measures[0].paddingLeft = sheet.lead / STEPS_PER_QUARTER
        measures[0].showNumber = stream.enums.ShowNumber.NEVER
    return measures


def _spell_ties_alike(part: Any) -> None:
    """Give each tied-to note the accidental, hidden, of the note before it.

    music21 leaves a natural out of the notes that continue a tie, and then does not join them when
    it reads the file back (``stripTies``), taking C and C natural for different pitches.
    """
    from music21 import note, pitch

    before: Any = None
    for written in part.recurse().getElementsByClass(note.Note):
        tied = written.tie is not None and written.tie.type != "start"
        if tied and written.pitch.accidental is None and before.pitch.accidental is not None:
            written.pitch.accidental = pitch.Accidental("natural")
            written.pitch.accidental.displayStatus = False
        before = written
