"""The 38 melody tokens: one token is one sixteenth.

====== =========================================================
token  meaning
====== =========================================================
0      note off: the sounding note stops, a rest starts
1      no event: the note is held, or the rest goes on
2..37  note on, MIDI pitch ``token + 46``: 48..83, C3..B5
====== =========================================================

Middle C (MIDI 60, the tonic of C major) is token 14. Source: Jaques et al. 2017, section 4.1.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.vocabulary import Vocabulary

NOTE_OFF = 0
HOLD = 1
FIRST_NOTE = 2
LOWEST_PITCH = 48
HIGHEST_PITCH = 83
PITCH_OFFSET = LOWEST_PITCH - FIRST_NOTE
SIZE = FIRST_NOTE + HIGHEST_PITCH - LOWEST_PITCH + 1
STEPS_PER_QUARTER = 4

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"#": 1, "\u266f": 1, "b": -1, "\u266d": -1}
_NOTE = re.compile(r"([A-G])([#\u266f]{0,2}|[b\u266d]{0,2})(-?\d)")
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """Scientific name of a MIDI pitch: 60 is ``C4``."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_to_token(pitch: int) -> int:
    """Token of a note on.

    Raises:
        ValueError: the pitch is outside C3..B5.
    """
    if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
        raise ValueError(
            f"MIDI pitch {pitch} ({pitch_name(pitch)}) is outside "
            f"{LOWEST_PITCH}..{HIGHEST_PITCH} (C3..B5)"
        )
    return pitch - PITCH_OFFSET


def token_to_pitch(token: int) -> int:
    """MIDI pitch of a note-on token.

    Raises:
        ValueError: the token is not a note on (2..37).
    """
    if not FIRST_NOTE <= token < SIZE:
        raise ValueError(f"token {token} is not a note on; note-on tokens are 2..{SIZE - 1}")
    return token + PITCH_OFFSET


#: Text form: ``.`` note off, ``-`` no event, otherwise the pitch's name.
VOCABULARY = Vocabulary(
    (".", "-", *(pitch_name(pitch) for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1)))
)
_KNOWN = frozenset(VOCABULARY.tokens)


def encode(text: str) -> NDArray[np.int64]:
    """Tokens of a melody's text, shape [n]; notes may be spelt with flats too, as ``Bb4``.

    Octaves are the letters', as in scientific notation: ``Cb4`` is ``B3`` and ``B#3`` is ``C4``.

    Raises:
        UnknownTokenError: a token is unknown, or a note outside C3..B5.
    """
    return VOCABULARY.encode([_in_sharps(token) for token in text.split()])


def _in_sharps(token: str) -> str:
    """The vocabulary's name of a note however it is spelt; other tokens as they are."""
    if token in _KNOWN or not (note := _NOTE.fullmatch(token)):
        return token
    letter, signs, octave = note.groups()
    pitch = _LETTERS[letter] + sum(_SIGNS[sign] for sign in signs) + 12 * (int(octave) + 1)
    return pitch_name(pitch) if LOWEST_PITCH <= pitch <= HIGHEST_PITCH else token
