"""Major and minor keys, as the melody rules use them, and how they are written.

Pitch classes are 0..11 with C = 0. Minor is the natural minor. The *line of fifths* numbers the
names of notes: ... Bb -2, F -1, C 0, G 1, D 2 ... B 5, F# 6 ...; a key signature is the number of a
major key's tonic on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from seqgen_envs.domains.melody.vocabulary import PITCH_OFFSET, pitch_to_token

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_MIDDLE_C = 60
_BY_FIFTHS = "FCGDAEB"  # F is -1 on the line of fifths
_MOST_SIGNS = 7
#: On the line of fifths, from the major tonic: the twelve notes that a key's music is spelt with.
#: In C major and A minor, Eb to G#.
_LOWEST_SPELT = -3
_FLATTEST, _SHARPEST = -8, 12  # Fb and B#: no double sharps or flats

#: Pitch class of every tonic's name, ``C`` to ``Bb``.
TONICS = {
    letter + sign: (pitch_class + shift) % 12
    for letter, pitch_class in _LETTERS.items()
    for sign, shift in _ACCIDENTALS.items()
}
MODES = tuple(_SCALES)


@dataclass(frozen=True)
class Key:
    """A major or natural minor key.

    Args:
        tonic: pitch class of the tonic, 0..11.
        mode: ``"major"`` or ``"minor"``.
    """

    tonic: int
    mode: str

    @classmethod
    def parse(cls, name: str) -> Key:
        """The key called ``name``: ``"C major"``, ``"F# minor"``, ``"Bb major"``.

        Raises:
            ValueError: not a tonic and a mode in that spelling; the valid ones are listed.
        """
        tonic, _, mode = name.partition(" ") if isinstance(name, str) else ("", "", "")
        if tonic not in TONICS or mode not in MODES:
            raise ValueError(
                f"unknown key {name!r}; expected a tonic, one space and a mode, such as "
                f"'C major' or 'F# minor'; tonics: {', '.join(TONICS)}; modes: {', '.join(MODES)}"
            )
        return cls(TONICS[tonic], mode)

    @property
    def scale(self) -> frozenset[int]:
        """Pitch classes of the scale."""
        return frozenset((self.tonic + step) % 12 for step in _SCALES[self.mode])

    @property
    def third_interval(self) -> int:
        """Semitones from the tonic to the third: 4 in major, 3 in minor."""
        return _SCALES[self.mode][2]

    @property
    def third(self) -> int:
        """Pitch class of the third degree."""
        return (self.tonic + self.third_interval) % 12

    @property
    def fifth(self) -> int:
        """Pitch class of the fifth degree."""
        return (self.tonic + 7) % 12

    @property
    def tonic_token(self) -> int:
        """Token of the tonic from middle C up (MIDI 60..71)."""
        return pitch_to_token(_MIDDLE_C + self.tonic)


def pitch_class(token: int) -> int:
    """Pitch class of a note-on token."""
    return (token + PITCH_OFFSET) % 12


class KeySignature(NamedTuple):
    """What stands at the start of a staff: sharps (flats < 0), -7..7; and the mode meant."""

    fifths: int
    mode: str

    @property
    def tonic(self) -> str:
        """The tonic's name."""
        return _name_of(self.fifths + (3 if self.mode == "minor" else 0))

    @property
    def key(self) -> str:
        """The key's name, as :meth:`Key.parse` reads it."""
        return f"{self.tonic} {self.mode}"

    def spelt(self, pitch: int) -> tuple[str, int, int]:
        """Letter, alteration in semitones (1: sharp), and octave of a MIDI pitch in this key."""
        lowest = min(max(self.fifths + _LOWEST_SPELT, _FLATTEST), _SHARPEST - 11)
        place = lowest + (7 * pitch - lowest) % 12
        name = _name_of(place)
        alter = _ACCIDENTALS[name[1:]]
        return name[0], alter, (pitch - alter) // 12 - 1


def key_signature(name: str) -> KeySignature:
    """The signature of the key called ``name``; of D# major, which has none, that of Eb major.

    Raises:
        ValueError: as :meth:`Key.parse`.
    """
    mode = Key.parse(name).mode
    tonic = name.partition(" ")[0]
    fifths = _BY_FIFTHS.index(tonic[0]) - 1 + 7 * _ACCIDENTALS[tonic[1:]]
    fifths -= 3 if mode == "minor" else 0
    if abs(fifths) > _MOST_SIGNS:
        fifths -= 12 if fifths > 0 else -12
    return KeySignature(fifths, mode)


def _name_of(place: int) -> str:
    """The note at a place of the line of fifths, ``Fb`` to ``B#``."""
    return _BY_FIFTHS[(place + 1) % 7] + {-1: "b", 0: "", 1: "#"}[(place + 1) // 7]
