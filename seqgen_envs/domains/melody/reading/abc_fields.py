"""What the fields of ABC say: key, metre, unit length, and what moves a voice up or down."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from seqgen_envs.domains.melody.reading.line import TuneError

_SHARPENED = "FCGDAEB"  # in the order in which sharps are added
_MODES = {
    **{"maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3},
    **{"lyd": 1, "mix": -1, "dor": -2, "phr": -4, "loc": -5},
}
_KEY = re.compile(r"\s*(?:([A-G])([#b]?)(\s+(?!m=)[A-Za-z]+|[A-Za-z]*)|(H[Pp]\b|none\b))")
_ALTERED = re.compile(r"(\^\^?|__?|=)([A-Ga-g])")
_SEMITONES = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
_FINEST = 512  # of a whole note
_BAGPIPE_SHARPS = 2  # the scale of HP and Hp: F sharp, C sharp, G natural


class Key(NamedTuple):
    """Sharps (flats < 0) of a signature, None for none that has a number, and the semitones that
    it adds to each letter."""

    sharps: int | None
    altered: dict[str, int]


class Metre(NamedTuple):
    """Length of a bar in whole notes, and whether its beats are divided in three."""

    length: Fraction
    compound: bool


class Moves(NamedTuple):
    """Semitones that a field moves a voice by; None where it says nothing of the kind."""

    clef: int | None
    octave: int | None
    transpose: int | None


def signature(sharps: int) -> dict[str, int]:
    """Semitones that a signature adds to each letter."""
    return {letter: (sharps + 6 - i) // 7 for i, letter in enumerate(_SHARPENED)}


def key(text: str) -> Key | None:
    """The key that a ``K:`` names; None where it names none (``K:clef=bass``)."""
    named = _KEY.match(text)
    words = text.split()
    # "Dmix=c" and "D mix =c" are the same; "D middle=c" is no mode.
    behind = text[named.end(3 if _mode(named) in _MODES else 2) :] if named and named[1] else text
    given = [word for word in behind.split() if re.fullmatch(f"(?:{_ALTERED.pattern})+", word)]
    if named is None and words and not given:
        return None
    sharps = _key_sharps(named) if named else None
    if "exp" in words:
        sharps = None
    altered = signature(sharps or 0)
    for sign, letter in _ALTERED.findall(" ".join(given)):
        altered[letter.upper()] = _SEMITONES[sign]
    if sharps is None:
        sharps = next((n for n in range(-7, 8) if given and signature(n) == altered), None)
    return Key(sharps, altered)


def _key_sharps(named: re.Match[str]) -> int | None:
    tonic, sign, _, special = named.groups()
    if special:
        return None if special == "none" else _BAGPIPE_SHARPS
    major = _SHARPENED.index(tonic) - 1 + 7 * {"#": 1, "b": -1, "": 0}[sign]
    return major + _MODES.get(_mode(named), 0)


def _mode(named: re.Match[str]) -> str:
    return named[3].strip().lower()[:3]  # the standard ignores case: "M", too, is minor


def metre(text: str) -> Metre | None:
    """The metre that an ``M:`` names; None for free metre."""
    if text.strip().startswith("C"):
        return Metre(Fraction(1), compound=False)
    found = re.search(r"(\d{1,4}(?:\s*\+\s*\d{1,4})*)\s*\)?\s*/\s*(\d{1,4})", text)
    if found is None:
        return None
    beats = sum(int(beat) for beat in found[1].split("+"))
    if not beats or not 0 < int(found[2]) <= _FINEST:
        raise TuneError("unreadable", f"its metre is M:{text.strip()[:20]}")
    return Metre(Fraction(beats, int(found[2])), compound=beats > 3 and beats % 3 == 0)


def unit_length(text: str) -> Fraction | None:
    """The length that an ``L:`` names, in whole notes; None where it names none."""
    found = re.match(r"\s*(\d{1,4})(?:\s*/\s*(\d{1,4}))?", text)
    if found is None:
        return None
    if not int(found[1]) or not 0 < int(found[2] or 1) <= _FINEST:
        raise TuneError("unreadable", f"its unit length is L:{text.strip()[:20]}")
    return Fraction(int(found[1]), int(found[2] or 1))


def default_unit(metre: Metre | None) -> Fraction:
    """The unit length of a tune that names none."""
    return (
        Fraction(1, 16) if metre is not None and metre.length < Fraction(3, 4) else Fraction(1, 8)
    )


def moves(text: str) -> Moves:
    """What ``K:`` or ``V:`` says of clef, octave and transposition. A clef alone moves nothing."""
    octave = re.search(r"\boctave=\s*([-+]?\d{1,2})\b", text)
    transpose = re.search(r"\b(?:transpose|t)=\s*([-+]?\d{1,3})\b", text)
    rest = re.sub(r'\b(?!clef=)\w+=\s*("[^"]*"|\S*)', "", text)
    by_clef = re.search(r"([-+])(8|15)(?!\d)", rest)
    clef = None
    if by_clef:
        clef = int(f"{by_clef[1]}1") * {"8": 12, "15": 24}[by_clef[2]]
    elif re.search(r"\bclef=|\b(treble|bass|tenor|alto|perc)", rest):
        clef = 0
    return Moves(
        clef, 12 * int(octave[1]) if octave else None, int(transpose[1]) if transpose else None
    )
