"""ABC files, after the standard 2.1: split into tunes, and each tune into fields and music lines.

music21's reader is not used: it reads the lines of symbols and of continued text as notes, joins
unequal notes at a hyphen, and loses notes at ``::`` and behind some decorations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from seqgen_envs.bounded import read_bytes
from seqgen_envs.domains.melody.reading.abc_music import AbcMusic
from seqgen_envs.domains.melody.reading.line import Line, TuneError
from seqgen_envs.domains.melody.reading.parts import Part, one_part

# A letter with a colon at the start of a line; but "G:|" is a note and a bar line.
_FIELD = re.compile(r"\s*(?![A-Ga-g]:[|:])([A-Za-z+]):(.*)")
_COMMENT = re.compile(r"(?<!\\)%.*")  # of a field; "\\%" is a percent sign
_MUSIC_COMMENT = re.compile(r'("(?:\\%|[^"%])*")|%.*')
_LONGEST_FIELD = 1000  # what is longer says nothing of the notes
_LONGEST_TUNE = 50_000  # the longest of the bundled tunes has 2,439
MAX_BYTES = 64 * 2**20  # O'Neill's 2,009 tunes have one million


def read_text(path: Path) -> str:
    """The text of a file: UTF-16 by its mark, or UTF-8, or else Latin-1."""
    data = read_bytes(path, MAX_BYTES)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # what older ABC files are written in


def split_abc(text: str) -> list[tuple[str, str]]:
    """(name, text) of every tune of an ABC file; the name is ``#reference title``.

    Fields before the first tune hold for all of them. Text without any ``X:`` is one tune.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    head, *tunes = re.split(r"(?m)^(?=X:)", "\n".join(_without_blocks(text.split("\n"))))
    if not tunes:
        return [("", head)]
    fields = {line[0]: line[:_LONGEST_FIELD] for line in head.split("\n") if line[1:2] == ":"}
    shared = "".join(f"{fields[letter]}\n" for letter in "LMIK" if letter in fields)
    return [(_abc_name(tune), tune.replace("\n", f"\n{shared}", 1)) for tune in tunes]


def _without_blocks(lines: list[str]) -> list[str]:
    """The lines without ``%%begin...`` to ``%%end...``; without its end, a block is one line."""
    ends = {m[1]: i for i, line in enumerate(lines) if (m := re.match(r"%%\s*end(\w+)", line))}
    kept: list[str] = []
    block = ""
    for i, line in enumerate(lines):
        begun = re.match(r"%%\s*begin(\w+)", line)
        if block:
            block = "" if re.match(rf"%%\s*end{block}\b", line) else block
        elif begun and ends.get(begun[1], -1) > i:
            block = begun[1]
        else:
            kept.append(line)
    return kept


def _abc_name(tune: str) -> str:
    number = re.match(r"X:[ \t]*(\S*)", tune)
    title = re.search(r"(?m)^T:[ \t]*(.*)", tune)
    return f"#{number[1] if number else ''} {title[1].strip() if title else ''}".strip()


def abc_line(text: str, part: str | None = None) -> Line:
    """Notes, first key signature and bars of one ABC tune; of its voices those ``part`` asks for.

    Raises:
        TuneError: several voices hold notes, a chord or a group of grace notes is not closed, the
            ``K:`` is missing that every ABC tune has, or it is too long.
    """
    if len(text) > _LONGEST_TUNE:
        raise TuneError(
            "unreadable",
            f"it has {len(text):,} characters, tunes with at most {_LONGEST_TUNE:,} are read",
        )
    music = AbcMusic()
    in_header = True
    for letter, content in _logical_lines(text):
        if letter:
            music.field(letter, content)
            in_header = in_header and letter != "K"
        elif not in_header:
            music.line(content)
    if in_header:
        raise TuneError("unreadable", "it is not ABC: it has no K: field")
    voices = {name: voice for name, voice in music.voices.items() if voice.has_notes}
    if not voices:
        return Line([], None)
    first = next(iter(voices.values()))
    parts = [Part(voice.notes(), name) for name, voice in voices.items()]
    return one_part(parts, first.sharps, part)._replace(bar=first.bar, pickup=first.pickup)


def _logical_lines(tune: str) -> Iterator[tuple[str, str]]:
    """(letter, content) of every field of a tune, and ("", content) of every other line.

    A directive (``%%name``) is the field ``I:name``; comments are left out. The tune ends at the
    first empty line below its ``K:``.
    """
    kept: tuple[str, str] | None = None
    goes_on = seen_key = False
    for raw in tune.split("\n"):
        if not raw.strip() and seen_key:
            break
        letter, content = _split_line(re.sub(r"^%%", "I:", raw))
        if not letter and not content:
            continue
        # A field goes on at "+:", and, in ABC 2.0, behind a backslash.
        if letter == "+" or (goes_on and not letter):
            if kept is not None and kept[0]:
                kept = (kept[0], f"{kept[1]} {content}"[:_LONGEST_FIELD])
        else:
            if kept is not None:
                yield kept
            kept = (letter, content.rstrip("\\")[:_LONGEST_FIELD] if letter else content)
            seen_key = seen_key or letter == "K"
        goes_on = bool(kept and kept[0]) and content.endswith("\\")
    if kept is not None:
        yield kept


def _split_line(line: str) -> tuple[str, str]:
    """The letter of a field, or "", and the content without its comment."""
    field = _FIELD.match(line)
    if field is None:
        return "", _MUSIC_COMMENT.sub(lambda match: match[1] or "", line).rstrip()
    return field[1], _COMMENT.sub("", field[2]).rstrip()
