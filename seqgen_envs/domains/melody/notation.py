"""Melodies as scores: MusicXML (by music21) and engraved SVG (by verovio, the ``notation`` extra).

A bar is ``bar_length`` sixteenths: 16 is 4/4, 12 is 3/4. A note that crosses a bar line, or whose
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
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER, pitch_name
from seqgen_envs.extras import require

_FLATS = {"C#": "D-", "D#": "E-", "F#": "G-", "G#": "A-", "A#": "B-"}
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


def musicxml(
    tokens: ArrayLike | Sequence[Any],
    bar_length: int = 16,
    fifths: int = 0,
    tempo: float | None = 120.0,
    title: str = "Melody",
) -> str:
    """A melody as MusicXML.

    Args:
        tokens: ids, shape [n]; none at all gives one bar of rest.
        bar_length: sixteenths in a bar, 1..64.
        fifths: the key signature, -7 (seven flats) to 7 (seven sharps); 0 is C major. Black keys
            are spelt as flats where it is negative, as sharps otherwise.
        tempo: the metronome mark, in quarter notes a minute; None writes no mark.
        title: the work's title.

    Raises:
        ValueError: a bad token, bar length, key signature or tempo.
    """
    checked = check_tokens(tokens)
    if not 1 <= bar_length <= 64:
        raise ValueError(f"a bar of {bar_length} sixteenths is outside 1..64")
    if not -7 <= fifths <= 7:
        raise ValueError(f"a key signature of {fifths} fifths is outside -7..7")
    if tempo is not None and not tempo > 0:
        raise ValueError(f"a tempo of {tempo} is not positive")
    notes = tokens_to_notes(checked)
    bars = max(1, -(-checked.size // bar_length))
    pieces = list(_pieces(notes, bars * bar_length, bar_length))
    front = _front_matter(notes, bar_length, fifths, tempo)
    return _export(pieces, front, bar_length, fifths < 0, title)


def write_musicxml(
    tokens: ArrayLike | Sequence[Any],
    path: str | os.PathLike[str],
    bar_length: int = 16,
    fifths: int = 0,
    tempo: float | None = 120.0,
    title: str = "Melody",
) -> None:
    """Write :func:`musicxml` to a file, uncompressed, in UTF-8.

    Raises:
        ValueError: a bad token, bar length, key signature or tempo.
        OSError: the file cannot be written.
    """
    Path(path).write_text(musicxml(tokens, bar_length, fifths, tempo, title), encoding="utf-8")


def svg(tokens: ArrayLike | Sequence[Any], bar_length: int = 16, fifths: int = 0) -> str:
    """A melody engraved as one SVG picture, as tall as its staves need.

    Args:
        tokens: ids, shape [n].
        bar_length: sixteenths in a bar, 1..64.
        fifths: the key signature, see :func:`musicxml`.

    Raises:
        ValueError: a bad token, bar length or key signature.
        ImportError: verovio is not installed (``pip install 'seqgen[notation]'``).
    """
    # No metronome mark: its glyph is text in a web font, which few programs but browsers draw.
    score = musicxml(tokens, bar_length, fifths, tempo=None)
    toolkit = require("verovio", "notation").toolkit()
    toolkit.setOptions(_ENGRAVING)
    if not toolkit.loadData(score):
        raise RuntimeError("verovio could not read the MusicXML of this melody")
    return str(toolkit.renderToSVG(1))


def write_svg(
    tokens: ArrayLike | Sequence[Any],
    path: str | os.PathLike[str],
    bar_length: int = 16,
    fifths: int = 0,
) -> None:
    """Write :func:`svg` to a file.

    Raises:
        ValueError: a bad token, bar length or key signature.
        ImportError: verovio is not installed (``pip install 'seqgen[notation]'``).
        OSError: the file cannot be written.
    """
    Path(path).write_text(svg(tokens, bar_length, fifths), encoding="utf-8")


def _pieces(notes: Sequence[Note], end: int, bar_length: int) -> Iterator[_Piece]:
    """Notes and the rests between them up to ``end``, cut into single note values, by onset."""
    now = 0
    for note in notes:
        yield from _cut(None, now, note.onset, bar_length)
        yield from _cut(note.pitch, note.onset, note.end, bar_length)
        now = note.end
    yield from _cut(None, now, end, bar_length)


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


def _front_matter(
    notes: Sequence[Note], bar_length: int, fifths: int, tempo: float | None
) -> list[Any]:
    """Instrument, clef, key, time signature and metronome mark, as music21 objects."""
    from music21 import clef, instrument, key, meter
    from music21 import tempo as marks

    low = bool(notes) and float(np.median([note.pitch for note in notes])) < _BASS_BELOW
    player = instrument.Instrument()
    player.partId, player.instrumentId = "P1", "P1-I1"  # music21 would draw them at random
    unit = next(unit for unit in (4, 2, 1) if bar_length % unit == 0)
    front = [
        player,
        clef.BassClef() if low else clef.TrebleClef(),
        key.KeySignature(fifths),
        meter.TimeSignature(f"{bar_length // unit}/{16 // unit}"),
    ]
    return front if tempo is None else [*front, marks.MetronomeMark(number=tempo)]


def _element(piece: _Piece, bar_length: int, flats: bool) -> Any:
    """The music21 note or rest of one piece."""
    from music21 import note, tie

    length = piece.duration / STEPS_PER_QUARTER
    if piece.pitch is None:
        rest = note.Rest(quarterLength=length)
        rest.fullMeasure = piece.duration == bar_length
        return rest
    name = pitch_name(piece.pitch)
    written = note.Note(_FLATS.get(name[:-1], name[:-1]) + name[-1] if flats else name)
    written.quarterLength = length
    if piece.tie:
        written.tie = tie.Tie(piece.tie)
    return written


def _export(
    pieces: Sequence[_Piece], front: Sequence[Any], bar_length: int, flats: bool, title: str
) -> str:
    """The MusicXML of pieces that fill whole bars."""
    from music21 import bar, metadata, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    bars = 1 + pieces[-1].onset // bar_length
    measures = [stream.Measure(number=number + 1) for number in range(bars)]
    for element in front:
        measures[0].insert(0, element)
    for piece in pieces:
        measures[piece.onset // bar_length].append(_element(piece, bar_length, flats))
    measures[-1].rightBarline = bar.Barline("final")
    part = stream.Part(id="melody")
    part.append(measures)
    part.makeAccidentals(inPlace=True)
    _spell_ties_alike(part)
    part.makeBeams(inPlace=True)
    score = stream.Score([part])
    score.metadata = metadata.Metadata(title=title)
    exporter = GeneralObjectExporter(score)
    exporter.makeNotation = False
    return str(exporter.parse().decode("utf-8"))


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
