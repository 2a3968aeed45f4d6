"""Verse lines in works, and the couplets that they make.

A *passage* is what stands between two blank lines: a stanza, or what one speaker says. In a play
its first line may be the speaker's name, and stage directions stand in brackets. A passage is verse
where each line begins with a capital; lines far shorter or longer than a pentameter are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seqgen_envs.domains.text.pronunciation import rhyme_key, sound_of, words_of
from seqgen_envs.domains.text.vocabulary import plain

#: Characters of a verse line.
SHORTEST, LONGEST = 30, 56
_DIRECTION = re.compile(r"\[[^\]]*\]|_", re.DOTALL)
_HEADING = re.compile(r"(act|scene|prologue|epilogue|chorus)\b[^a-z]*", re.IGNORECASE)
_NAME = re.compile(r"[A-Z][A-Za-z']*(?:[ ,&][ A-Za-z']+){0,4}\.?|[^a-z]+")
_QUOTE = re.compile(r"(?<![\w])'(?=\w+)|(?<=[^\w])'(?!\w)")
#: Words that begin with an apostrophe of their own; other such apostrophes are quotation marks.
_ELIDED = re.compile(
    r"'(?=(?:tis|twas|twere|twill|twould|twixt|tween|gainst|mongst|mong|scape|scaped|em|fore|st|"
    r"gins|gin|gan|cause|stroy|larum|less|longs|long|bout|twere|ld|ll|s|d|t|a)\b)"
)


def passages(text: str, *, play: bool = True) -> Iterator[list[str]]:
    """Passages of verse in a text, each a list of its lines as they stand there.

    Args:
        text: of a work.
        play: leave out speakers' names, stage directions and headings, and prose.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if play:
        text = _DIRECTION.sub("", text)
    for block in re.split(r"\n[^\S\n]*\n", text):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        if play and lines and len(lines[0]) < 30 and _NAME.fullmatch(lines[0]):
            del lines[0]
        if lines and (not play or _is_verse(lines)):
            yield lines


def _is_verse(lines: list[str]) -> bool:
    """Whether all lines begin with a capital, as those of prose do not."""
    letters = (re.search(r"[A-Za-z]", line) for line in lines)
    begin = [found is not None and found.group().isupper() for found in letters]
    return all(begin) and not _HEADING.match(lines[0])


def couplets(lines: list[str]) -> list[str]:
    """Every two neighbouring lines of a passage, as one plain text each; see :func:`plain_line`."""
    made = [plain_line(line) for line in lines]
    fits = [SHORTEST <= len(line) <= LONGEST for line in made]
    return [f"{made[i]}\n{made[i + 1]}" for i in range(len(made) - 1) if fits[i] and fits[i + 1]]


def plain_line(line: str) -> str:
    """A line in lower case, without brackets and quotation marks."""
    line = plain(line.replace("(", "").replace(")", ""))
    line = _ELIDED.sub("\0", line)
    return _QUOTE.sub("", line).strip("'").replace("\0", "'").lstrip(" ,;:.!?-").rstrip(" -")


def rhymes(couplet: str) -> bool:
    """Whether the two lines end in different words that rhyme, by the table of pronunciations."""
    last = [words_of(line)[-1:] for line in couplet.split("\n")]
    if not all(last) or last[0] == last[1]:
        return False
    first, second = ({rhyme_key(one) for one in sound_of(word).spoken} for (word,) in last)
    return not first.isdisjoint(second)
