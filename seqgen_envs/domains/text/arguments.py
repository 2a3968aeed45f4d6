"""Arguments of tasks, checked: each function raises a ValueError for what is not of its kind."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from seqgen_envs.domains.text.pronunciation import WORD, pronunciations, sound_of
from seqgen_envs.domains.text.scansion import LONGEST_LINE, Licences

#: Lines that a form may have.
MOST_LINES = 100


def checked_syllables(syllables: Any) -> tuple[int, ...]:
    """Syllables of each line wanted."""
    good = isinstance(syllables, (list, tuple)) and 1 <= len(syllables) <= MOST_LINES
    if not good or not all(is_whole(n) and 1 <= n < LONGEST_LINE for n in syllables):
        raise ValueError(
            f"syllables must be a list of 1 to {MOST_LINES} whole numbers from 1 to "
            f"{LONGEST_LINE - 1}, one a line, got {syllables!r}"
        )
    return tuple(syllables)


def checked_scheme(rhyme: Any, lines: int) -> str:
    """The scheme, in which each line that is not to rhyme has a letter of its own."""
    if rhyme is None:
        rhyme = " " * lines
    if not isinstance(rhyme, str) or len(rhyme) != lines:
        raise ValueError(
            f"rhyme must be a text of one letter for each of the {lines} lines, such as "
            f"{'ab' * (lines // 2) or 'a'!r}, got {rhyme!r}"
        )
    return "".join(c if c != " " else chr(0xE000 + at) for at, c in enumerate(rhyme))


def checked_licences(given: Mapping[str, Any]) -> Licences:
    """Licences of the metre by name. Raises: TypeError for an unknown one."""
    known = [one.name for one in fields(Licences)]
    if unknown := sorted(set(given) - set(known)):
        raise TypeError(f"unknown {unknown}; licences of the metre are {known}")
    return Licences(**{name: checked_truth(name, value) for name, value in given.items()})


def checked_truth(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def checked_words(what: str, given: Any) -> tuple[str, ...]:
    """Words as a list, or as a text with commas or spaces between them."""
    words = re.split(r"[,\s]+", given.strip()) if isinstance(given, str) else given
    if not isinstance(words, (list, tuple)):
        raise ValueError(f"{what} must be a list of words, got {given!r}")
    for word in words:
        if not isinstance(word, str) or not (WORD.fullmatch(word.lower()) or word == ""):
            raise ValueError(f"{what} must hold single words of letters, got {word!r}")
    return tuple(dict.fromkeys(word.lower() for word in words if word))


def check_known(word: str) -> None:
    """Refuse a word whose sound is only estimated."""
    if sound_of(word).how == "estimated":
        near = difflib.get_close_matches(word, pronunciations(), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(
            f"the word to use {word!r} is not in the dictionary{hint}: mend it, or give "
            "any_words: true"
        )
