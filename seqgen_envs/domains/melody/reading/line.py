"""From the notes of a file to one line of melody tokens.

Units: onsets and durations are in quarter notes from the start of the file, pitches are MIDI
numbers, a step is a sixteenth. The choices made here, in the order they are made:

* A chord in an otherwise single line gives its highest note, and a note still sounding when the
  next begins is cut there; where that happens at more than ``MAX_DOUBLED`` of the onsets (and
  more than once) the piece is "polyphonic".
* Every onset and end is rounded to the nearest step, each by itself so that errors never add up.
  Triplet eighths survive that (0, 1.33, 2.67 become 0, 1, 3). Of notes that land on one step the
  one nearest to it stays. A piece where this costs more than ``MAX_COLLIDING`` of its notes is
  "too fast"; one with more than ``MAX_OFF_GRID`` of its onsets off the grid is "off grid".
* Rests before the first note and everything after the last note's end are cut.
* Transposing is by key signature to no sharps or flats, so major lands in C, minor in A minor and
  the modes on the white notes; up or down, whichever fits C3..B5 with the smaller shift, further
  octaves if neither does. Single notes still outside, at most ``MAX_FOLDED`` of them, move by
  octaves; more is "out of range".
* The signature is the notated one unless another leaves fewer of the notes altered by more than
  ``BETTER_FIT`` of them all. The Essen collection in ABC notates every tune in the major key of
  its tonic: 18% of it is minor or modal music spelt out in accidentals.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.melody.vocabulary import (
    HIGHEST_PITCH,
    HOLD,
    LOWEST_PITCH,
    NOTE_OFF,
    STEPS_PER_QUARTER,
    pitch_name,
    pitch_to_token,
)

MAX_DOUBLED = 0.1
MAX_OFF_GRID = 0.25
MAX_COLLIDING = 0.05
MAX_FOLDED = 0.05
BETTER_FIT = 0.05
OFF_GRID = 0.1  # of a step
MAX_QUARTERS = 24 * 60 * 120  # 24 hours at 120 a minute
SAME_ONSET = 1 / 32  # of a quarter: a played chord is never quite together
LEGATO = 1 / 8  # of a quarter: played notes run into each other by less than this
_WHITE = np.array([0, 2, 4, 5, 7, 9, 11])  # pitch classes of no sharps or flats


class SourceNote(NamedTuple):
    """A sounding note of a file: onset and duration in quarter notes, MIDI pitch."""

    onset: float
    duration: float
    pitch: int


class Line(NamedTuple):
    """The notes of one tune, in any order, its key signature (sharps > 0, flats < 0) and its bars.

    ``bar`` is the length of a bar in sixteenths, None where the file names no metre; ``pickup`` is
    the number of sixteenths from the first note to the first bar line; 0 where it starts a bar.
    """

    notes: list[SourceNote]
    sharps: int | None
    bar: int | None = None
    pickup: int = 0


class StepNote(NamedTuple):
    """A note on the grid: first step, step after its end, MIDI pitch."""

    start: int
    end: int
    pitch: int


class TuneError(ValueError):
    """One tune that cannot become tokens: ``reason`` in a word or two, ``detail`` in a clause.

    Where the detail has a second line, lists of many tunes leave that out.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives pickling
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


def line_tokens(
    line: Line, *, transpose: bool, longest_rest: int | None = None
) -> NDArray[np.int64]:
    """Tokens of one tune, shape [steps].

    Args:
        line: the notes and the key signature.
        transpose: move to no sharps or flats and into C3..B5; otherwise pitches stay as they are.
        longest_rest: longer rests are shortened to at most this many steps, by multiples of it,
            so that what follows keeps its place in the bar. None keeps all rests.

    Raises:
        TuneError: the tune is empty, too long, polyphonic, off grid, too fast or out of range.
    """
    single, notes = _on_grid(line)
    pitches = [note.pitch for note in notes]
    if transpose:
        pitches = transpose_pitches(pitches, _signature(line, single, pitches))
    check_range(pitches)
    if longest_rest is not None:
        notes = shorten_rests(notes, longest_rest)
    first = notes[0].start
    tokens = np.full(notes[-1].end - first, HOLD, dtype=np.int64)
    for note in notes[:-1]:
        tokens[note.end - first] = NOTE_OFF  # overwritten where the next note follows at once
    for note, pitch in zip(notes, pitches, strict=True):
        tokens[note.start - first] = pitch_to_token(pitch)
    return tokens


def key_and_shift(line: Line) -> tuple[int, int]:
    """The key of a tune, and where :func:`line_tokens` transposes it from there.

    Returns:
        sharps (flats < 0), and semitones up (below 0: down).

    Raises:
        TuneError: as :func:`line_tokens`, but for the range.
    """
    single, notes = _on_grid(line)
    pitches = [note.pitch for note in notes]
    sharps = _signature(line, single, pitches)
    return sharps, _nearest_fitting_shift(pitches, -7 * sharps)


def fits_white_notes(line: Line) -> bool:
    """Whether no other signature than none fits a tune much better.

    A tune whose file has no signature is judged without music21, which takes a second to load.
    """
    _, notes = _on_grid(line)
    return fitting_signature([note.pitch for note in notes], line.sharps or 0) == 0


def _on_grid(line: Line) -> tuple[list[SourceNote], list[StepNote]]:
    """The single line of a tune, before and after it is on the grid."""
    if not line.notes:
        raise TuneError("empty", "it holds no notes")
    check_length(line.notes)
    single = single_line(line.notes)
    return single, quantise(single)


def _signature(line: Line, single: Sequence[SourceNote], pitches: Sequence[int]) -> int:
    notated = analysed_key(single) if line.sharps is None else line.sharps
    return fitting_signature(pitches, notated)


def check_length(notes: Sequence[SourceNote]) -> None:
    """Raise a TuneError where the notes last longer than ``MAX_QUARTERS``, before memory is taken.

    A file of twenty bytes can name a time of years.
    """
    first = min(note.onset for note in notes)
    length = max(note.onset + note.duration for note in notes) - first
    if not length <= MAX_QUARTERS:  # neither does infinity
        raise TuneError(
            "too long",
            f"it lasts more than {MAX_QUARTERS:,} quarter notes (24 hours at 120 a minute)",
        )


def analysed_key(notes: Sequence[SourceNote]) -> int:
    """Sharps of the key that music21 finds by how long each pitch class sounds."""
    from music21 import note, stream

    lengths: dict[int, float] = defaultdict(float)
    for _, duration, pitch in notes:
        lengths[pitch % 12] += duration
    part = stream.Part()  # of one note a pitch class, which is all that the method looks at
    for pitch_class in sorted(lengths):
        part.append(note.Note(60 + pitch_class, quarterLength=lengths[pitch_class]))
    return int(part.analyze("key").sharps)


def single_line(notes: Sequence[SourceNote]) -> list[SourceNote]:
    """The highest note of every onset, in time, each cut where the next begins.

    Raises:
        TuneError: too many onsets have a chord, or an earlier note that sounds on ("polyphonic").
    """
    groups: list[list[SourceNote]] = []
    for note in sorted(notes):
        if groups and note.onset - groups[-1][0].onset < SAME_ONSET:
            groups[-1].append(note)
        else:
            groups.append([note])
    doubled, sounding_until = 0, -math.inf
    for group in groups:
        doubled += len(group) > 1 or sounding_until > group[0].onset + LEGATO
        sounding_until = max(sounding_until, *(note.onset + note.duration for note in group))
    if doubled > max(1, MAX_DOUBLED * len(groups)):  # a closing chord is no second part
        raise TuneError(
            "polyphonic", f"several notes sound together at {doubled} of {len(groups)} onsets"
        )
    return [max(group, key=lambda note: note.pitch) for group in groups]


def quantise(notes: Sequence[SourceNote]) -> list[StepNote]:
    """The notes of a single line on the grid of sixteenths, no two on one step.

    Raises:
        TuneError: too many onsets are off the grid ("off grid") or fall together ("too fast").
    """
    nearest: dict[int, tuple[float, SourceNote]] = {}
    off_grid = 0
    for note in notes:
        step = nearest_step(note.onset)
        error = abs(note.onset * STEPS_PER_QUARTER - step)
        off_grid += error > OFF_GRID
        if step not in nearest or error < nearest[step][0]:
            nearest[step] = (error, note)
    lost = len(notes) - len(nearest)
    if lost > MAX_COLLIDING * len(notes):
        raise TuneError(
            "too fast", f"{lost} of {len(notes)} notes are shorter than a sixteenth can show"
        )
    if off_grid > MAX_OFF_GRID * len(notes):
        raise TuneError(
            "off grid", f"{off_grid} of {len(notes)} onsets are not on a grid of sixteenths"
        )
    starts = sorted(nearest)
    following = [*starts[1:], None]
    return [
        _place(nearest[step][1], step, after) for step, after in zip(starts, following, strict=True)
    ]


def _place(note: SourceNote, start: int, following: int | None) -> StepNote:
    end = max(start + 1, nearest_step(note.onset + note.duration))
    return StepNote(start, end if following is None else min(end, following), note.pitch)


def nearest_step(quarters: float) -> int:
    """The step nearest a time in quarter notes, halves up (round() would go to even ones)."""
    return math.floor(quarters * STEPS_PER_QUARTER + 0.5)


def shorten_rests(notes: Sequence[StepNote], longest: int) -> list[StepNote]:
    """The same notes with no rest longer than ``longest`` steps."""
    result: list[StepNote] = []
    shift, previous_end = 0, None
    for note in notes:
        if previous_end is not None and note.start - previous_end > longest:
            excess = note.start - previous_end - longest
            shift += longest * math.ceil(excess / longest)
        previous_end = note.end
        result.append(StepNote(note.start - shift, note.end - shift, note.pitch))
    return result


def fitting_signature(pitches: Sequence[int], notated: int) -> int:
    """Sharps (flats < 0) of ``notated``, or of the signature that fits the notes much better."""
    counts = np.bincount(np.asarray(pitches) % 12, minlength=12) / len(pitches)

    def altered(sharps: int) -> float:
        return 1.0 - float(counts[(_WHITE + 7 * sharps) % 12].sum())

    by_nearness = sorted(range(notated - 6, notated + 6), key=lambda sharps: abs(sharps - notated))
    best = min(by_nearness, key=lambda sharps: round(altered(sharps), 9))
    return best if altered(notated) - altered(best) > BETTER_FIT else notated


def transpose_pitches(pitches: Sequence[int], sharps: int) -> list[int]:
    """``pitches`` moved from a key signature to no sharps or flats, into C3..B5.

    Raises:
        TuneError: too many notes stay outside C3..B5 wherever the tune is put ("out of range").
    """
    shift = _nearest_fitting_shift(pitches, -7 * sharps)
    moved = [pitch + shift for pitch in pitches]
    outside = [pitch for pitch in moved if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH]
    if len(outside) > MAX_FOLDED * len(pitches):
        raise TuneError(
            "out of range",
            f"{len(outside)} of {len(pitches)} notes lie outside C3..B5 in every octave",
        )
    return [_fold(pitch) for pitch in moved]


def _nearest_fitting_shift(pitches: Sequence[int], shift: int) -> int:
    """Of the shifts congruent to ``shift``, the smallest of those that leave fewest notes out."""

    def cost(candidate: int) -> tuple[int, int]:
        outside = sum(not LOWEST_PITCH <= p + candidate <= HIGHEST_PITCH for p in pitches)
        return outside, abs(candidate)

    return min(range(shift % 12 - 96, 97, 12), key=cost)


def _fold(pitch: int) -> int:
    while pitch < LOWEST_PITCH:
        pitch += 12
    while pitch > HIGHEST_PITCH:
        pitch -= 12
    return pitch


def check_range(pitches: Sequence[int]) -> None:
    """Raise a TuneError that names the first pitch outside 48..83, if there is one."""
    outside = [pitch for pitch in pitches if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH]
    if outside:
        raise TuneError(
            "out of range",
            f"{len(outside)} of {len(pitches)} notes, the first MIDI pitch {outside[0]} "
            f"({pitch_name(outside[0])}), lie outside the valid range "
            f"{LOWEST_PITCH}..{HIGHEST_PITCH} (C3..B5); --fit-key moves a tune into it",
        )
