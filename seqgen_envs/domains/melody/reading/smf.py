"""Standard MIDI files: chunks and events, as the files in the world have them.

Written here because the readers at hand (mido, and pretty_midi through it) stop at the first thing
they do not know, and follow every length that a file declares. The standard (RP-001, 1996) asks a
reader to skip chunks and events it does not know; the ``RIFF`` wrapper of ``.rmi`` is RP-029.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from seqgen_envs.domains.melody.reading.line import TuneError

META = 0xFF
END_OF_TRACK = 0x2F
_SYSTEM_EXCLUSIVE = (0xF0, 0xF7)
_SYSTEM_COMMON = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes; the others have none
_ONE_BYTE = (0xC0, 0xD0)  # program change and channel pressure
_MOST_DIGITS = 4  # bytes of a variable-length quantity


class Event(NamedTuple):
    """A note on or off (status 0x80..0x9F), or a meta event (``META``, its type first in data)."""

    tick: int
    status: int
    data: bytes


class Track(NamedTuple):
    """The events of one track in time, and the tick at which it ends."""

    events: list[Event]
    end: int


class MidiData(NamedTuple):
    """A file's tracks.

    Args:
        kind: 0: one track; 1: tracks that sound together; 2: tracks that are a piece each.
        ticks: per quarter note.
        tracks: all that the file has.
        cut_off: whether the file ends before its last track does.
    """

    kind: int
    ticks: int
    tracks: list[Track]
    cut_off: bool


def parse_smf(data: bytes) -> MidiData:
    """The tracks of a standard MIDI file, bare or in a RIFF wrapper.

    Raises:
        TuneError: it has no header, counts no ticks per quarter note, or has bytes that are no
            event.
    """
    head: bytes | None = None
    tracks, cut_off = [], False
    for name, body, whole in _chunks(_unwrapped(data)):
        if name == b"MThd" and head is None and whole:
            head = body
        elif name == b"MTrk" and head is not None:
            track, complete = _track(body)
            tracks.append(track)
            cut_off |= not (whole and complete)
    if head is None or len(head) < 6:
        raise _unreadable("it has no MIDI header")
    kind, count, division = (int.from_bytes(head[i : i + 2], "big") for i in (0, 2, 4))
    if division >= 0x8000:
        raise TuneError("unreadable", "it counts time in SMPTE frames, not in quarter notes")
    if division == 0:
        raise TuneError("unreadable", "it has 0 ticks per quarter note")
    cut_off |= len(tracks) < count
    if cut_off and not any(event.status != META for track in tracks for event in track.events):
        raise _unreadable("it ends before the first note")
    return MidiData(kind, division, tracks, cut_off)


def _unreadable(why: str) -> TuneError:
    return TuneError("unreadable", f"it cannot be parsed as MIDI ({why})")


def _unwrapped(data: bytes) -> bytes:
    """What begins at the header, without a RIFF wrapper's other chunks."""
    if data[:4] == b"RIFF":
        at = 12
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at : at + 4] == b"data":
                return data[at + 8 : at + 8 + size]
            at += 8 + size + size % 2
    start = data.find(b"MThd")  # some programs write a header of their own before it
    return b"" if start < 0 else data[start:]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """(name, content, whether all of it is there) of every chunk."""
    at = 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        body = data[at + 8 : at + 8 + size]
        yield name, body, len(body) == size
        at += 8 + size


def _track(data: bytes) -> tuple[Track, bool]:
    """One track, and whether its events end where it does."""
    events: list[Event] = []
    try:
        for event in _events(data):
            events.append(event)
            if event.status == META and event.data[0] == END_OF_TRACK:
                break
    except IndexError:
        return Track(events, events[-1].tick if events else 0), False
    return Track(events, events[-1].tick if events else 0), True


def _events(data: bytes) -> Iterator[Event]:
    """Notes and meta events; raises an IndexError where the bytes end inside an event."""
    at, tick, running = 0, 0, 0
    while at < len(data):
        delta, at = _quantity(data, at)
        tick += delta
        status = data[at]
        if status >= 0x80:
            at += 1
        else:  # running status; many programs go on with it behind a meta event, too
            status = running
        if status == META:
            size, after = _quantity(data, at + 1)
            yield Event(tick, META, data[at : at + 1] + _slice(data, after, size))
            at = after + size
        elif status in _SYSTEM_EXCLUSIVE:
            size, at = _quantity(data, at)
            at += size
        elif status > 0xF0:
            at += _SYSTEM_COMMON.get(status, 0)
        elif status >= 0x80:
            running = status
            size = 1 if status & 0xF0 in _ONE_BYTE else 2
            if status < 0xA0:
                yield Event(tick, status, _slice(data, at, size))
            at += size
        else:
            raise _unreadable("a track has data that belong to no event")
    if at > len(data):
        raise IndexError


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise IndexError
    return data[start : start + size]


def _quantity(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length quantity, and where it ends."""
    value = 0
    for i in range(_MOST_DIGITS):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    raise _unreadable(f"a number has more than {_MOST_DIGITS} bytes")
