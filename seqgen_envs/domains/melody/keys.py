"""Major and minor keys, as the melody rules use them.

Pitch classes are 0..11 with C = 0. Minor is the natural minor. No key signatures or modes.
"""

from __future__ import annotations

from dataclasses import dataclass

from seqgen_envs.domains.melody.vocabulary import PITCH_OFFSET, pitch_to_token

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_MIDDLE_C = 60

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
