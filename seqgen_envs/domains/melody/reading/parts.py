"""The parts of an arrangement, and the line that is read of them.

A part is one voice or instrument as the file has it: a channel of a MIDI track, a part of a
MusicXML score, a voice of an ABC tune. Parts that never sound together are one line. Of others
the user chooses, with a text that is, in this order:

* ``highest``: the top line of all parts, at every onset the highest note that sounds then. A note
  below one that sounds on is no part of it; where the upper parts rest, the lower ones are heard.
* a number: the first part is 1.
* a name, in capitals or not: the MIDI track's, the MusicXML part's, the ABC voice's.
* ``channel 1`` to ``channel 16``: of MIDI.

A name or a channel that several parts have takes them together.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqgen_envs.domains.melody.reading.line import (
    LEGATO,
    SAME_ONSET,
    Line,
    SourceNote,
    TuneError,
    nearest_step,
)
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER, pitch_name

HIGHEST = "highest"
_CHANNEL = re.compile(r"channel[ :=]?(\d{1,2})")
_SHOWN = 16  # parts that a message names
_NAME_SHOWN = 30  # characters
_NEAR = 1e-6  # of a quarter


class Part(NamedTuple):
    """The notes of one part, in any order; its name and its MIDI channel (1..16) where known."""

    notes: list[SourceNote]
    name: str = ""
    channel: int | None = None


class Metre(NamedTuple):
    """From ``start`` on bars last ``bar``, both in quarter notes, until another metre begins."""

    start: float
    bar: float


def one_part(
    parts: Sequence[Part],
    sharps: int | None,
    part: str | None = None,
    metres: Sequence[Metre] = (),
) -> Line:
    """The line of those of the parts that ``part`` asks for.

    Args:
        parts: those of the file; numbers count the ones that hold notes.
        sharps: of the key signature; None where the file has none.
        part: see the module. None: all, if they are one line.
        metres: in time.

    Raises:
        TuneError: ``part`` is None and parts sound together ("polyphonic"), or there is no such
            part; both messages name the parts there are, the first in a second line.
    """
    parts = [each for each in parts if each.notes]
    notes = [note for each in _chosen(parts, part) for note in each.notes]
    if _folded(part) == HIGHEST:
        notes = top_line(notes)
    if not notes:
        return Line([], sharps)
    first, end = min(notes).onset, max(note.onset + note.duration for note in notes)
    return Line(notes, sharps, *bar_and_pickup(metres, first, end))


def _folded(part: str | None) -> str:
    return "" if part is None else part.strip().casefold()


def _chosen(parts: Sequence[Part], part: str | None) -> Sequence[Part]:
    if part is None:
        if sound_together(parts):
            raise TuneError(
                "polyphonic",
                f"it has {len(parts)} parts that sound together\n{_listing(parts)}",
            )
        return parts
    wanted = _folded(part)
    if wanted == HIGHEST or not parts:
        return parts
    if wanted.isdecimal() and 1 <= int(wanted) <= len(parts):
        return [parts[int(wanted) - 1]]
    found = [each for each in parts if _folded(each.name) == wanted]
    channel = _CHANNEL.fullmatch(wanted)
    if not found and channel:
        found = [each for each in parts if each.channel == int(channel[1])]
    if not found:
        raise TuneError("no such part", f"it has no part {part!r}; its parts are {_listing(parts)}")
    return found


def _listing(parts: Sequence[Part]) -> str:
    named = [_description(i + 1, part) for i, part in enumerate(parts[:_SHOWN])]
    if len(parts) > _SHOWN:
        named.append(f"{len(parts) - _SHOWN} more")
    return "; ".join(named)


def _description(number: int, part: Part) -> str:
    name = f" {part.name[:_NAME_SHOWN]!r}" if part.name else ""
    channel = "" if part.channel is None else f"channel {part.channel}, "
    pitches = [note.pitch for note in part.notes]
    lowest, highest = pitch_name(min(pitches)), pitch_name(max(pitches))
    return f"{number}{name} ({channel}notes {lowest}..{highest}: {len(pitches)})"


def sound_together(parts: Sequence[Part]) -> bool:
    """Whether notes of two parts begin at once, or one begins while another's sounds on."""
    until, owner = -math.inf, -1  # what sounds longest, and in which part
    previous, its_part = -math.inf, -1
    for note, part in sorted((note, i) for i, each in enumerate(parts) for note in each.notes):
        if part != its_part and note.onset - previous < SAME_ONSET:
            return True
        if part != owner and until > note.onset + LEGATO:
            return True
        previous, its_part = note.onset, part
        if note.onset + note.duration > until:
            until, owner = note.onset + note.duration, part
    return False


def top_line(notes: Sequence[SourceNote]) -> list[SourceNote]:
    """At every onset the highest note, unless a higher one sounds on; each ends by the next.

    Notes that begin within ``LEGATO`` are one onset, the first's: a chord that is strummed. Those
    that stop before the last of them begins are ornaments, and not looked at.
    """
    line: list[SourceNote] = []
    sounding: list[tuple[int, float]] = []  # a heap of (-pitch, end)
    for group in _onsets(notes):
        held = [note for note in group if note.onset + note.duration > group[-1].onset + SAME_ONSET]
        highest = max(held or group, key=lambda note: (note.pitch, note.duration))
        while sounding and sounding[0][1] <= highest.onset + LEGATO:
            heapq.heappop(sounding)
        if not sounding or -sounding[0][0] <= highest.pitch:
            end = highest.onset + highest.duration
            onset = group[0].onset
            line.append(SourceNote(onset, end - onset, highest.pitch))
        for note in group:
            heapq.heappush(sounding, (-note.pitch, note.onset + note.duration))
    following = [*(note.onset for note in line), math.inf][1:]
    return [
        note._replace(duration=min(note.duration, after - note.onset))
        for note, after in zip(line, following, strict=True)
    ]


def _onsets(notes: Sequence[SourceNote]) -> Iterator[list[SourceNote]]:
    group: list[SourceNote] = []
    for note in sorted(notes):
        if group and note.onset - group[0].onset >= LEGATO:
            yield group
            group = []
        group.append(note)
    if group:
        yield group


def bar_and_pickup(metres: Sequence[Metre], first: float, end: float) -> tuple[int | None, int]:
    """Steps of the bar that most of ``first..end`` has, and from ``first`` to the next bar line.

    None where no metre is known, or its bar is no whole number of steps.
    """
    metres = [metre for metre in metres if metre.bar > _NEAR]
    if not metres:
        return None, 0
    ends = [metre.start for metre in metres[1:]] + [math.inf]
    lasting: dict[float, float] = {}
    for metre, until in zip(metres, ends, strict=True):
        lasting[metre.bar] = lasting.get(metre.bar, 0.0) + max(
            0.0, min(until, end) - max(metre.start, first)
        )
    bar = max(lasting, key=lambda length: lasting[length])
    steps = bar * STEPS_PER_QUARTER
    if abs(steps - round(steps)) > _NEAR:
        return None, 0
    inside = [i for i, metre in enumerate(metres) if metre.start <= first + _NEAR]
    here = inside[-1] if inside else 0
    phase = (first - metres[here].start + _NEAR) % metres[here].bar
    to_next = min(metres[here].bar - phase + _NEAR, ends[here] - first)
    pickup = nearest_step(first + to_next) - nearest_step(first)
    return round(steps), pickup % round(steps)
