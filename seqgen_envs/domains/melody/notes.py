"""Tokens as notes with an onset and a duration, and back.

Times are in sixteenths (one token each), pitches are MIDI numbers. Many token sequences sound the
same: a note off while nothing sounds is as silent as a hold. :func:`notes_to_tokens` writes the
*canonical* one, where a note off stands only at the step at which a sounding note stops; every
other silent step is a hold. On canonical tokens the two functions invert each other, given the
length; what is lost otherwise is only which silent token was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domains.melody.vocabulary import (
    FIRST_NOTE,
    HOLD,
    NOTE_OFF,
    SIZE,
    VOCABULARY,
    pitch_to_token,
    token_to_pitch,
)


class Note(NamedTuple):
    """One note.

    Args:
        pitch: MIDI number, 48..83.
        onset: first step that sounds, in sixteenths from the start.
        duration: number of steps that sound, in sixteenths, at least 1.
    """

    pitch: int
    onset: int
    duration: int

    @property
    def end(self) -> int:
        """The first step that no longer sounds."""
        return self.onset + self.duration


def check_tokens(tokens: ArrayLike | Sequence[Any]) -> NDArray[np.int64]:
    """The melody in ``tokens`` as an array, shape [n]; pads (38) at its end are cut off.

    Raises:
        ValueError: not a one-dimensional sequence of integers, or a token outside 0..37 (named
            with its position).
    """
    array = np.asarray(tokens)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            "a melody is a one-dimensional sequence of integer tokens; "
            f"got shape {list(array.shape)} of {array.dtype}"
        )
    inside = np.flatnonzero(array != VOCABULARY.pad_id)
    array = array[: inside[-1] + 1] if inside.size else array[:0]
    bad = np.flatnonzero((array < 0) | (array >= SIZE))
    if bad.size:
        raise ValueError(
            f"token {array[bad[0]]} at position {bad[0]} is not a melody token: they are "
            f"0..{SIZE - 1} (and {VOCABULARY.pad_id} pads the end)"
        )
    return array.astype(np.int64)


def tokens_to_notes(tokens: ArrayLike | Sequence[Any]) -> list[Note]:
    """The notes of a melody, by onset.

    A note lasts until the next note on, a note off, or the end. Holds and note offs while nothing
    sounds are silence.

    Raises:
        ValueError: see :func:`check_tokens`.
    """
    checked = check_tokens(tokens)
    events = np.flatnonzero(checked != HOLD)
    ends = np.append(events[1:], checked.size)
    return [
        Note(token_to_pitch(int(checked[onset])), int(onset), int(end - onset))
        for onset, end in zip(events, ends, strict=False)
        if checked[onset] >= FIRST_NOTE
    ]


def notes_to_tokens(notes: Iterable[Note], length: int | None = None) -> NDArray[np.int64]:
    """The canonical tokens of ``notes``, shape [length].

    Args:
        notes: notes that do not overlap, in any order.
        length: number of tokens; None: up to the end of the last note, so that a rest after it is
            not written.

    Raises:
        ValueError: notes overlap, reach past ``length``, start before 0, last no time, or have a
            pitch outside C3..B5.
    """
    ordered = sorted(notes, key=lambda note: note.onset)
    _check_notes(ordered)
    last = ordered[-1].end if ordered else 0
    size = last if length is None else length
    if size < last:
        raise ValueError(f"the notes end at step {last}, past the length of {length} steps")
    tokens = np.full(size, HOLD, dtype=np.int64)
    for note in ordered:
        # In order of onset, a note that starts where this one ends overwrites the note off.
        tokens[note.onset] = pitch_to_token(note.pitch)
        if note.end < size:
            tokens[note.end] = NOTE_OFF
    return tokens


def _check_notes(ordered: Sequence[Note]) -> None:
    """Raise a ValueError for the first note that one monophonic line cannot hold."""
    end = 0
    for note in ordered:
        if note.onset < 0 or note.duration < 1:
            raise ValueError(f"{note} needs an onset of at least 0 and a duration of at least 1")
        if note.onset < end:
            raise ValueError(
                f"{note} starts before the note that ends at step {end}: "
                "a melody is one voice, shorten or drop one of them"
            )
        end = note.end
