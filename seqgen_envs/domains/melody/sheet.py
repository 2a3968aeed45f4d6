"""What is written beside a melody's notes: key, bars, upbeat, tempo, instrument, title, composer.

All writers of files read it from one :class:`Sheet`, so that MIDI, MusicXML and the pictures agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from seqgen_envs.domains.melody.keys import KeySignature, key_signature
from seqgen_envs.domains.melody.notes import Note
from seqgen_envs.domains.melody.rules import DEFAULT_BAR_LENGTH, DEFAULT_KEY
from seqgen_envs.domains.melody.vocabulary import HIGHEST_PITCH, LOWEST_PITCH

#: The longest bar, in sixteenths: MIDI keeps a metre's upper number in one byte.
LONGEST_BAR = 255
SLOWEST, FASTEST = 5, 1000
#: Semitones that keep every pitch of the vocabulary within MIDI's 0..127.
FURTHEST_DOWN, FURTHEST_UP = -LOWEST_PITCH, 127 - HIGHEST_PITCH


class Metre(NamedTuple):
    """A time signature: so many of one note value, 4 being quarters."""

    beats: int
    unit: int


def time_signature(steps: int) -> Metre:
    """The time signature of a bar of ``steps`` sixteenths.

    In quarters where they are whole (16 is 4/4, 12 is 3/4, 20 is 5/4), otherwise in eighths (6 is
    3/8, 14 is 7/8), otherwise in sixteenths. A number of steps does not tell 3/4 from 6/8, nor 4/4
    from 2/2: the plain one is chosen.

    Raises:
        ValueError: ``steps`` is outside 1..255.
    """
    if not 1 <= steps <= LONGEST_BAR:
        raise ValueError(f"a bar of {steps} sixteenths is outside 1..{LONGEST_BAR}")
    size = next(size for size in (4, 2, 1) if steps % size == 0)
    return Metre(steps // size, 16 // size)


@dataclass(frozen=True)
class Sheet:
    """What is written beside the notes.

    Args:
        key: the tokens' key, such as ``"C major"``.
        bar_length: sixteenths in a bar, 1..255.
        pickup: sixteenths before the first bar line; the whole bars in it count as bars.
        transpose: semitones up (below 0: down), or a key or its tonic, in which the notes are
            written. A tonic alone keeps the mode. A key is reached by its signature, the nearer
            way: from C major, ``"D minor"`` is what ``"F major"`` is, five semitones up. None and
            0: the notes stay.
        tempo: quarter notes a minute, 5..1000.
        instrument: a General MIDI program, 0..127 (0: grand piano), or its name, such as
            ``"Violin"``.
        title: of the piece.
        composer: nobody where empty.

    Raises:
        ValueError: a value is out of range, or a key or an instrument is unknown.
    """

    key: str = DEFAULT_KEY
    bar_length: int = DEFAULT_BAR_LENGTH
    pickup: int = 0
    transpose: int | str | None = None
    tempo: float = 120.0
    instrument: int | str = 0
    title: str = "Melody"
    composer: str = ""

    def __post_init__(self) -> None:
        time_signature(self.bar_length)
        if self.pickup < 0:
            raise ValueError(f"a pickup of {self.pickup} sixteenths is below 0")
        if not (math.isfinite(self.tempo) and SLOWEST <= self.tempo <= FASTEST):
            raise ValueError(
                f"a tempo of {self.tempo} is outside {SLOWEST}..{FASTEST} quarter notes a minute"
            )
        for what, text in (("title", self.title), ("composer", self.composer)):
            if not text.isprintable():
                raise ValueError(f"the {what} {text!r} holds characters that cannot be written")
        _ = self.program, self._moved  # raise what is wrong with them now

    @property
    def metre(self) -> Metre:
        """Of the bars."""
        return time_signature(self.bar_length)

    @property
    def upbeat(self) -> int:
        """Sixteenths in a first bar that is not full; 0 where it is."""
        return self.pickup % self.bar_length

    @property
    def lead(self) -> int:
        """Sixteenths that a first bar lacks: step t stands at t + lead, bars counted from 0."""
        return -self.pickup % self.bar_length

    @property
    def shift(self) -> int:
        """Semitones by which the notes are written higher than the tokens say."""
        return self._moved[0]

    @property
    def signature(self) -> KeySignature:
        """Of the key in which the notes are written."""
        return self._moved[1]

    @cached_property
    def program(self) -> int:
        """The General MIDI program, 0..127."""
        return instrument_program(self.instrument)

    def written(self, notes: list[Note]) -> list[Note]:
        """The notes, transposed."""
        return [note._replace(pitch=note.pitch + self.shift) for note in notes]

    @cached_property
    def _moved(self) -> tuple[int, KeySignature]:
        here, way = key_signature(self.key), _semitones(self.transpose)
        if not way:
            return 0, here
        if isinstance(way, int):
            if not FURTHEST_DOWN <= way <= FURTHEST_UP:
                raise ValueError(
                    f"transposing by {way} semitones leaves what MIDI can hold: "
                    f"{FURTHEST_DOWN}..{FURTHEST_UP}"
                )
            return way, here._replace(fifths=_nearest(here.fifths + 7 * way))
        there = key_signature(way if " " in way else f"{way} {here.mode}")
        return _nearest(7 * (there.fifths - here.fifths)), there


def instrument_program(instrument: int | str) -> int:
    """The General MIDI program that a number or a name means.

    Args:
        instrument: 0..127, as a number or as text, or a name in any case.

    Raises:
        ValueError: it is neither; the message names the nearest names.
    """
    if isinstance(instrument, str) and not _is_whole(instrument):
        import difflib

        from pretty_midi.constants import INSTRUMENT_MAP

        names = [name.lower() for name in INSTRUMENT_MAP]
        if (wanted := " ".join(instrument.lower().split())) in names:
            return names.index(wanted)
        near = [name for name in names if wanted and wanted in name]
        near = near or difflib.get_close_matches(wanted, names, n=5, cutoff=0.4)
        hint = f"; did you mean {', '.join(map(repr, near[:5]))}?" if near else ""
        raise ValueError(
            f"unknown instrument {instrument!r}: give a General MIDI program, 0..127, or its name, "
            f"such as 'Violin'{hint}"
        )
    if not 0 <= int(instrument) <= 127:
        raise ValueError(f"instrument {instrument} is not a General MIDI program: they are 0..127")
    return int(instrument)


def instrument_name(program: int) -> str:
    """The General MIDI name of a program, 0..127."""
    from pretty_midi.constants import INSTRUMENT_MAP

    return str(INSTRUMENT_MAP[program])


def _semitones(transpose: int | str | None) -> int | str | None:
    """A number where ``transpose`` is one, otherwise the key it names."""
    return int(transpose) if isinstance(transpose, str) and _is_whole(transpose) else transpose


def _is_whole(text: str) -> bool:
    digits = text.strip().removeprefix("+").removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 10


def _nearest(number: int) -> int:
    """What is congruent to ``number`` modulo 12 within -5..6."""
    return (number + 5) % 12 - 5


#: What is written where nobody asks for anything else.
PLAIN = Sheet()
