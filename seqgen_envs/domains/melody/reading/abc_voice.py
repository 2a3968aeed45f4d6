"""One voice of an ABC tune: what is in force in it, and its notes.

Lengths are in quarter notes and exact (fractions) until the notes are handed out. Decorations,
annotations, chord symbols, slurs and grace notes hold no note of the line.
"""

from __future__ import annotations

import math
import re
from copy import copy
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from seqgen_envs.domains.melody.reading import abc_fields as fields
from seqgen_envs.domains.melody.reading.line import SourceNote, TuneError

LENGTH = r"\d*(?:/+\d*)?"
NOTE = rf"(?:[\^_]\d*/\d*|\^\^?|__?|=)?[A-Ga-g][,']*{LENGTH}"
_IN_CHORD = re.compile(rf'"[^"]*"|![^!|]*!|({NOTE})(\.?-)?')
_NOTE_PARTS = re.compile(rf"([\^_]\d*/\d*|\^\^?|__?|=)?([A-Ga-g])([,']*)({LENGTH})")
_STEPS = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
_ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
_TUPLET_TIMES = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # the others depend on the metre
_LONGEST = 9_999  # units of one note, and bars of one rest
_FINEST = 128  # of a unit: sums of finer fractions would grow without end


class _Head(NamedTuple):
    """A note as written: letter, octave (0 holds C4..B4), and its sounding pitch."""

    letter: str
    octave: int
    pitch: int


class _Event:
    """A note, chord or rest of a voice; or a mark: "|" a bar line, "&" an overlay."""

    def __init__(self, length: Fraction, heads: dict[_Head, bool], mark: str = "") -> None:
        self.length = length
        self.heads = heads  # to whether a tie joins it to the note before
        self.mark = mark


class Voice:
    """What is in force in a voice, and its events so far."""

    def __init__(self) -> None:
        self.key = fields.Key(0, fields.signature(0))
        self.metre: fields.Metre | None = None
        self.unit: Fraction | None = None
        self.moves = {"clef": 0, "octave": 0, "transpose": 0}
        self.propagate = "pitch"
        self.events: list[_Event] = []
        self.sharps: int | None = None
        self.bar: int | None = None
        self.pickup = 0
        self._accidentals: dict[str, int] = {}  # of this bar, in semitones
        self._ties: list[_Head] = []
        self._last: _Event | None = None
        self._broken = Fraction(1)
        self._tuplet = (Fraction(1), 0)  # factor, and notes that it still holds for

    @property
    def has_notes(self) -> bool:
        """Whether it holds any note."""
        return any(event.heads for event in self.events)

    def copy(self) -> Voice:
        """Another voice with the same in force, before any event."""
        other = copy(self)
        other.moves, other.events, other._accidentals = dict(self.moves), [], {}
        return other

    def move(self, text: str) -> None:
        """Take over what a ``K:`` or ``V:`` says of clef, octave and transposition."""
        said = fields.moves(text)._asdict()
        self.moves |= {name: value for name, value in said.items() if value is not None}

    # --- one token each --------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A note."""
        head, length = self._head(text)
        self._sound(length, [head])

    def chord(self, text: str) -> None:
        """A chord, ``[CEG]`` or as ABC 1 has it ``+CEG+``; it lasts as long as its first note."""
        inner, outer = text[1:].rsplit("]" if text[0] == "[" else "+", 1)
        found = [match for match in _IN_CHORD.finditer(inner) if match[1]]
        if not found:
            return
        heads, lengths = zip(*(self._head(match[1]) for match in found), strict=True)
        self._sound(lengths[0] * _length(outer), list(heads))
        self._ties = [head for head, match in zip(heads, found, strict=True) if match[2]]

    def rest(self, text: str) -> None:
        """A rest, shown or not."""
        self._sound(_length(text[1:]), [])

    def bars(self, text: str) -> None:
        """A rest of whole bars."""
        whole = self.metre.length if self.metre else Fraction(1)
        self._add(_Event(_count(text[1:]) * whole * 4, {}))
        self.mark("|")

    def mark(self, mark: str) -> None:
        """A bar line or an overlay."""
        self.events.append(_Event(Fraction(0), {}, mark))
        if mark == "|":
            self._accidentals.clear()
        else:
            self._ties = []

    def tie(self) -> None:
        """A tie, or else a slur: which one, the next note tells."""
        self._ties = list(self._last.heads) if self._last else []

    def broken(self, text: str) -> None:
        """``>``: the note before gets half of the next one's length; ``<`` the other way."""
        if self._last is None or self._broken != 1:
            return
        shorter = Fraction(1, 2 ** min(len(text), 8))
        longer = 2 - shorter
        before, self._broken = (longer, shorter) if text[0] == ">" else (shorter, longer)
        self._last.length *= before

    def tuplet(self, text: str) -> None:
        """``(p:q:r``: p notes in the time of q, for the next r notes."""
        given = [_count(number) if number else 0 for number in f"{text[1:]}::".split(":")[:3]]
        p = given[0] or 1
        q = given[1] or _TUPLET_TIMES.get(p) or (3 if self.metre and self.metre.compound else 2)
        self._tuplet = (Fraction(q, p), given[2] or p)

    # --- what they share -------------------------------------------------------------------------

    def _head(self, text: str) -> tuple[_Head, Fraction]:
        sign, letter, marks, length = _NOTE_PARTS.fullmatch(text).groups()  # type: ignore[union-attr]
        octave = letter.islower() + marks.count("'") - marks.count(",")
        letter = letter.upper()
        natural = _STEPS[letter] + 12 * octave + sum(self.moves.values())
        tied = [head for head in self._ties if head[:2] == (letter, octave)]
        if tied and not sign:  # the tie carries an accidental over the bar line
            return tied[0], _length(length)
        # An accidental holds for its letter to the end of the bar, by default in every octave.
        place = f"{letter}{octave}" if self.propagate == "octave" else letter
        altered = self._accidentals.get(place, self.key.altered[letter])
        if sign:
            altered = _semitones(sign)
        if sign and self.propagate != "not":
            self._accidentals[place] = altered
        return _Head(letter, octave, natural + altered), _length(length)

    def _sound(self, units: Fraction, heads: list[_Head]) -> None:
        if not units:
            return
        if self.unit is None:
            self.unit = fields.default_unit(self.metre)
        factor, left = self._tuplet
        length = _quarters(units, self.unit)
        if left or self._broken != 1:  # most notes are spared the arithmetic
            length *= self._broken * (factor if left else 1)
            self._tuplet, self._broken = (factor, max(0, left - 1)), Fraction(1)
        tied = {head.pitch for head in self._ties}
        if heads and not self.has_notes:
            self._set_out()
        self._add(_Event(length, {head: head.pitch in tied for head in heads}))

    def _set_out(self) -> None:
        moved, sharps = self.moves["transpose"], self.key.sharps
        self.sharps = sharps if sharps is None or not moved else (sharps + 7 * moved + 5) % 12 - 5
        steps = self.metre.length * 16 if self.metre else None
        self.bar = int(steps) if steps and steps.denominator == 1 else None

    def _add(self, event: _Event) -> None:
        self.events.append(event)
        self._last, self._ties = event, []

    def notes(self) -> list[SourceNote]:
        """The notes so far, tied ones joined; the length of the upbeat becomes known."""
        ticks = math.lcm(*(event.length.denominator for event in self.events))  # of a quarter
        result: list[tuple[int, int, int]] = []  # onset, end, pitch
        place: dict[int, int] = {}  # pitch to the last note of that pitch
        now = bar_start = latest = upbeat = 0
        for event in self.events:
            if event.mark:
                latest = max(latest, now)
                now = bar_start if event.mark == "&" else latest
                if event.mark == "|":
                    bar_start = now
                    upbeat = upbeat or now
                continue
            end = now + event.length.numerator * (ticks // event.length.denominator)
            for (_, _, pitch), joins in event.heads.items():
                i = place.get(pitch)
                if joins and i is not None and result[i][1] == now:
                    result[i] = (result[i][0], end, pitch)
                else:
                    place[pitch] = len(result)
                    result.append((now, end, pitch))
            now = end
        if result and self.bar:
            first_bar = upbeat * 4 if upbeat * 4 < self.bar * ticks else 0
            self.pickup = int(Fraction(first_bar - result[0][0] * 4, ticks)) % self.bar
        return [SourceNote(on / ticks, (end - on) / ticks, pitch) for on, end, pitch in result]


@lru_cache(maxsize=1000)
def _quarters(units: Fraction, unit: Fraction) -> Fraction:
    """Units of a voice in quarter notes."""
    return units * unit * 4


@lru_cache(maxsize=1000)
def _length(text: str) -> Fraction:
    """``3/2``, ``/``, ``//`` and their like, in units."""
    over, slashes, under = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    parts = _count(under) if under else 2 if slashes else 1
    parts = max(1, parts) * 2 ** min(max(0, len(slashes) - 1), 16)
    if parts > _FINEST:
        raise TuneError(
            "unreadable", f"a note is {text[:20]} of a unit long, finer than 1/{_FINEST}"
        )
    return Fraction(_count(over), parts)


def _count(digits: str) -> int:
    if len(digits) > 9 or int(digits or 1) > _LONGEST:
        raise TuneError("unreadable", f"a note or rest is {digits[:20]} units or bars long")
    return int(digits or 1)


def _semitones(sign: str) -> int:
    if sign in _ACCIDENTALS:
        return _ACCIDENTALS[sign]
    over, under = sign[1:].split("/")  # microtones: towards the natural note
    return int(Fraction(int(over or 1), int(under or 2) or 2)) * (1 if sign[0] == "^" else -1)
