"""MusicXML files, read by music21, which is imported only when such a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqgen_envs.domains.melody.reading.line import Line, SourceNote, one_part


def xml_line(path: Path) -> Line:
    """Notes and first key signature of a MusicXML file.

    Raises:
        TuneError: several parts hold notes.
    """
    from music21 import converter, stream

    score = converter.parse(path, format="musicxml", forceSource=True, storePickle=False)
    score = score.toSoundingPitch()
    signatures = list(score.recurse().getElementsByClass("KeySignature"))
    parts = [_xml_notes(part) for part in score.getElementsByClass(stream.Part)]
    return one_part(parts, int(signatures[0].sharps) if signatures else None)


def _xml_notes(part: Any) -> list[SourceNote]:
    notes: list[SourceNote] = []
    for element in part.stripTies().flatten().notes:
        if element.duration.isGrace or "ChordSymbol" in element.classes or not element.pitches:
            continue
        length = float(element.duration.quarterLength)
        onset = float(element.offset)
        notes.extend(SourceNote(onset, length, int(pitch.midi)) for pitch in element.pitches)
    return notes
