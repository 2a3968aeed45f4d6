"""Whether a line of verse can be read in iambic feet of a number of syllables, and how.

An iambic line is a row of feet, each a weak syllable and a strong one. A *reading* chooses one
stress pattern for each word. A syllable *fights* the metre where

- it bears the primary stress of a word of several syllables, none beside it in the word does too,
  and its place is weak;
- it is unstressed in such a word, its place is strong, and *promotion* does not help it.

Words of one syllable may stand anywhere, and so may secondary stress. A foot *scans* if neither of
its syllables fights. A reading *is metrical* if all its feet scan and the number of syllables is
the one wanted. What poets allow themselves besides are the :class:`Licences`.

Sources: Halle & Keyser 1966, "Chaucer and the Study of Prosody" (a stress maximum in a weak place
is what a line cannot have), for the first of the two; the licences are those of any handbook.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from seqgen_envs.domains.text.pronunciation import sound_of, words_of

#: Syllables of a line beyond which it is not read on.
LONGEST_LINE = 40
#: Lines whose readings are kept.
KEPT_LINES = 50_000

#: Of readings of one length so far: feet that scan, whether the open foot does, the last word's
#: last syllable, and the patterns chosen as a linked list.
_State = tuple[int, bool, "_Chosen | None"]
_Chosen = tuple["_Chosen | None", str]


@dataclass(frozen=True)
class Licences:
    """What an iambic line may do besides.

    Attributes:
        trochee: the first foot may be inverted: *never resting time*.
        promotion: an unstressed syllable may stand in a strong place if neither neighbour within
            the word bears the primary stress: *memoRY*.
        feminine: one more syllable, which is weak, may stand at the end; it is not counted among
            the syllables wanted.
    """

    trochee: bool = True
    promotion: bool = True
    feminine: bool = False


#: What is allowed unless something else is said.
USUAL = Licences()


@dataclass(frozen=True)
class Reading:
    """The best reading of a line.

    Attributes:
        syllables: of the reading.
        wanted: how many there should be, one more where the line ends on the licence for that.
        feet: how many of the feet wanted scan; a foot that is missing does not.
        all_feet: how many are wanted.
        patterns: the stress pattern chosen for each word.
        unknown: words whose sound is estimated.
        words: of the line.
    """

    syllables: int
    wanted: int
    feet: int
    all_feet: int
    patterns: tuple[str, ...]
    unknown: int
    words: tuple[str, ...]

    @property
    def distance(self) -> int:
        """Syllables too many or too few."""
        return abs(self.syllables - self.wanted)

    @property
    def metrical(self) -> bool:
        """Whether the line is iambic and has the syllables wanted."""
        return self.distance == 0 and self.feet == self.all_feet


@lru_cache(maxsize=KEPT_LINES)
def read_line(line: str, syllables: int = 10, licences: Licences = USUAL) -> Reading:
    """The best reading of a line: of those whose number of syllables is nearest to the one wanted
    (the lower of two), the one with most feet that scan.

    Args:
        line: any text of one line.
        syllables: wanted, at least 1. Of an odd number the last foot is a weak syllable alone.
        licences: see there.
    """
    words = words_of(line)
    sounds = [sound_of(word) for word in words]
    found: dict[int, _State] = {0: (0, True, None)}
    for sound in sounds:
        found = _extended(found, sound.patterns, syllables, licences)
    wanted = syllables
    if licences.feminine and syllables not in found and syllables + 1 in found:
        wanted = syllables + 1
    length = min(found, key=lambda n: (abs(n - wanted), n))
    feet, open_scans, chosen = found[length]
    if length % 2 and length == syllables:
        feet += open_scans  # the weak syllable alone
    patterns: list[str] = []
    while chosen is not None:
        chosen, pattern = chosen
        patterns.append(pattern)
    unknown = sum(sound.how == "estimated" for sound in sounds)
    all_feet = (syllables + 1) // 2
    return Reading(length, wanted, feet, all_feet, tuple(reversed(patterns)), unknown, words)


def _extended(
    found: dict[int, _State], patterns: tuple[str, ...], wanted: int, licences: Licences
) -> dict[int, _State]:
    """Readings by length after one more word; of one length the one with most feet is kept, and of
    those one whose open foot scans.
    """
    after: dict[int, _State] = {}
    for length, (feet, open_scans, chosen) in found.items():
        for pattern in patterns:
            n = min(length + len(pattern), LONGEST_LINE)
            more, scans = _feet(pattern, length, open_scans, wanted, licences)
            best = after.get(n)
            if best is None or (feet + more, scans) > best[:2]:
                after[n] = (feet + more, scans, (chosen, pattern))
    return after


@lru_cache(maxsize=100_000)
def _feet(
    pattern: str, start: int, open_scans: bool, wanted: int, licences: Licences
) -> tuple[int, bool]:
    """Feet that a word closes and that scan, and whether the foot it leaves open does.

    Args:
        pattern: of the word.
        start: the place of its first syllable, from 0.
        open_scans: whether the first syllable of the foot before does not fight; True if no foot is
            open.
        wanted: syllables of the line; feet beyond them do not count.
        licences: see there.
    """
    feet, scans = 0, open_scans
    for at, _ in enumerate(pattern):
        place = start + at
        if place >= LONGEST_LINE:
            break
        if place % 2 == 0:
            scans = True
        scans = scans and not _fights(pattern, at, place, licences)
        if place % 2:
            feet += scans and place < wanted
            scans = True
    return feet, scans


def _fights(pattern: str, at: int, place: int, licences: Licences) -> bool:
    """Whether a syllable fights the metre in its place."""
    if licences.trochee and place < 2:
        return False
    beside = pattern[max(at - 1, 0) : at] + pattern[at + 1 : at + 2]
    if place % 2 == 0:
        return pattern[at] == "1" and "1" not in beside
    return pattern[at] == "0" and (not licences.promotion or "1" in beside)


def syllable_counts(line: str) -> tuple[int, ...]:
    """All numbers of syllables that a line can be read in, from few to many."""
    counts = {0}
    for word in words_of(line):
        counts = {min(n + m, LONGEST_LINE) for n in counts for m in sound_of(word).syllables}
    return tuple(sorted(counts))


def marked(line: str, syllables: int = 10, licences: Licences = USUAL) -> tuple[str, str]:
    """Stress marks over the syllables of a line's best reading, for a page in fixed width.

    Returns:
        the marks, ``x`` weak and ``/`` strong, each over about the middle of its syllable's
        letters, and the line as the words of it with one space between. A syllable that fights the
        metre bears its own stress. Words that are shorter than their marks are spaced out.
    """
    reading = read_line(line, syllables, licences)
    above, below, place = [], [], 0
    for word, pattern in zip(reading.words, reading.patterns, strict=True):
        marks = []
        for at, stress in enumerate(pattern):
            strong = place % 2 == 1
            if stress in "01" and (place < 2 or _fights(pattern, at, place, licences)):
                strong = stress == "1"
            marks.append("/" if strong else "x")
            place += 1
        width = max(len(word), 2 * len(marks) - 1)
        row = [" "] * width
        for at, mark in enumerate(marks):
            row[(2 * at + 1) * width // (2 * len(marks))] = mark
        above.append("".join(row))
        below.append(word.ljust(width))
    return " ".join(above).rstrip(), " ".join(below).rstrip()
