"""MIDI files, read tick by tick with mido: a file of one note an onset comes back exactly, at any
tempo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from seqgen_envs.domains.melody.reading.line import Line, SourceNote, TuneError, one_part

DRUM_CHANNEL = 9


def midi_line(path: Path) -> Line:
    """Notes and key of a MIDI file; drums are left out, and two melodic parts are too many.

    Raises:
        TuneError: there are several parts, or no ticks per quarter note.
    """
    import mido

    midi = mido.MidiFile(path, clip=True)
    if midi.ticks_per_beat <= 0:
        raise TuneError("unreadable", "it counts time in SMPTE frames, not in quarter notes")
    parts: dict[tuple[int, int], list[SourceNote]] = defaultdict(list)
    sharps: int | None = None
    for number, track in enumerate(midi.tracks):
        for channel, note in _midi_notes(track, midi.ticks_per_beat):
            parts[number, channel].append(note)
        keys = [message.key for message in track if message.type == "key_signature"]
        if keys and sharps is None:
            sharps = _named_sharps(keys[0])
    return one_part(list(parts.values()), sharps)


def _midi_notes(track: Iterable[Any], ticks_per_beat: int) -> Iterator[tuple[int, SourceNote]]:
    """(channel, note) of every note of a track; drums are left out."""
    now = 0
    sounding: dict[tuple[int, int], int] = {}

    def end(place: tuple[int, int]) -> Iterator[tuple[int, SourceNote]]:
        start = sounding.pop(place, now)
        if now > start:
            length = (now - start) / ticks_per_beat
            yield place[0], SourceNote(start / ticks_per_beat, length, place[1])

    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUM_CHANNEL:
            continue
        place = (message.channel, message.note)
        yield from end(place)  # a second note on, too, ends the first
        if message.type == "note_on" and message.velocity > 0:
            sounding[place] = now
    for place in list(sounding):  # never switched off: the track's end does it
        yield from end(place)


def _named_sharps(name: str) -> int:
    """Sharps of a MIDI key name such as ``Eb`` or ``F#m``."""
    major = "FCGDAEB".index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))
    return major - 3 if name.endswith("m") else major
