"""MIDI files, read tick by tick: a file of one note an onset comes back exactly, at any tempo.

Every channel of every track is a part; drums (channel 10) are left out. A key signature that
stands for no key counts as none. A file that ends too early is read as far as it goes, and that
is said.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqgen_envs.domains.melody.reading.line import Line, SourceNote, TuneError
from seqgen_envs.domains.melody.reading.parts import Metre, Part, one_part
from seqgen_envs.domains.melody.reading.smf import META, Event, Track, parse_smf

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**20  # an hour of piano has a tenth of that
DRUM_CHANNEL = 10
_TRACK_NAME, _TIME_SIGNATURE, _KEY_SIGNATURE = 0x03, 0x58, 0x59
_INDEPENDENT = 2  # the kind of file whose tracks are a piece each
_MAX_DENOMINATOR = 6  # as a power of two: 64th notes


class MidiTune(NamedTuple):
    """Tracks that sound together, and the ticks per quarter note that they count in."""

    tracks: list[Track]
    ticks: int


def split_midi(path: Path) -> list[tuple[str, MidiTune]]:
    """(name, tune) of every piece of a MIDI file: one, or each sounding track of a type 2 file.

    Raises:
        TuneError: it is too large, or cannot be parsed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TuneError("unreadable", f"it has {size:,} bytes; MIDI is read up to {MAX_BYTES:,}")
    midi = parse_smf(path.read_bytes())
    if midi.cut_off:
        logger.warning("%s ends inside a track: what is there is read", path)
    if midi.kind != _INDEPENDENT:
        return [("", MidiTune(midi.tracks, midi.ticks))]
    sounding = [track for track in midi.tracks if any(e.status != META for e in track.events)]
    if len(sounding) < 2:
        return [("", MidiTune(midi.tracks, midi.ticks))]
    return [
        (f"#{i + 1} {_name_of(track)}".strip(), MidiTune([track], midi.ticks))
        for i, track in enumerate(sounding)
    ]


def midi_line(tune: MidiTune, part: str | None = None) -> Line:
    """Notes, key and bars of a MIDI file's parts, or of those that ``part`` asks for.

    Raises:
        TuneError: see :func:`~seqgen_envs.domains.melody.reading.parts.one_part`.
    """
    parts: list[Part] = []
    metres: dict[int, float] = {}
    sharps: int | None = None
    for track in tune.tracks:
        channels: dict[int, list[SourceNote]] = defaultdict(list)
        for channel, note in _notes(track, tune.ticks):
            channels[channel].append(note)
        name = _name_of(track)
        parts.extend(Part(channels[channel], name, channel) for channel in sorted(channels))
        for tick, kind, data in _metas(track):
            if kind == _TIME_SIGNATURE and (bar := _bar(data)) is not None:
                metres.setdefault(tick, bar)
            if kind == _KEY_SIGNATURE and sharps is None:
                sharps = _sharps(data)
    in_time = [Metre(tick / tune.ticks, metres[tick]) for tick in sorted(metres)]
    return one_part(parts, sharps, part, in_time)


def _metas(track: Track) -> Iterator[tuple[int, int, bytes]]:
    """(tick, type, data) of a track's meta events."""
    for tick, status, data in track.events:
        if status == META:
            yield tick, data[0], data[1:]


def _notes(track: Track, ticks: int) -> Iterator[tuple[int, SourceNote]]:
    """(channel, note) of every note of a track that lasts; drums are left out."""
    starts: dict[tuple[int, int], int] = {}
    renewed: dict[tuple[int, int], int] = {}  # where a second note on ended the first

    def end(place: tuple[int, int], now: int) -> Iterator[tuple[int, SourceNote]]:
        start = starts.pop(place, now)
        if now > start:
            yield place[0], SourceNote(start / ticks, (now - start) / ticks, place[1])

    for tick, channel, pitch, is_on in _switches(track.events):
        place = (channel, pitch)
        if is_on:
            if starts.get(place, tick) < tick:
                renewed[place] = tick
            yield from end(place, tick)
            starts[place] = tick
        elif renewed.pop(place, None) != tick:  # else it was for the first, written too late
            yield from end(place, tick)
    for place in list(starts):  # never switched off: the track's end does it
        yield from end(place, track.end)


def _switches(events: Sequence[Event]) -> Iterator[tuple[int, int, int, bool]]:
    """(tick, channel 1..16, pitch, whether it begins) of notes on and off; drums are left out."""
    for tick, status, data in events:
        channel = (status & 0x0F) + 1
        if status == META or channel == DRUM_CHANNEL or data[0] > 0x7F:
            continue
        yield tick, channel, data[0], status >= 0x90 and data[1] > 0


def _sharps(data: bytes) -> int | None:
    """Sharps (flats < 0) of a key signature, None if it stands for no key."""
    if len(data) != 2 or data[1] > 1:
        return None
    sharps = int.from_bytes(data[:1], "big", signed=True)
    return sharps if abs(sharps) <= 7 else None


def _bar(data: bytes) -> float | None:
    """Quarter notes in a bar of a time signature, None if it stands for no metre."""
    if len(data) < 2 or data[0] == 0 or data[1] > _MAX_DENOMINATOR:
        return None
    return data[0] * 4 / (1 << data[1])


def _name_of(track: Track) -> str:
    """The track's name, without what would steer a terminal."""
    for _, kind, data in _metas(track):
        if kind == _TRACK_NAME:
            text = _text(data)
            return "".join(letter for letter in text if letter.isprintable()).strip()
    return ""


def _text(data: bytes) -> str:
    """Text of a meta event: UTF-8, or else Shift-JIS or Latin-1, which has no letters 80..9F."""
    japanese = any(0x80 <= byte < 0xA0 for byte in data)
    for encoding in ("utf-8", "shift_jis") if japanese else ("utf-8",):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
