"""ABC files: split into tunes, reduced to the notes of the line, and read by music21, which is
imported only when such a file is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqgen_envs.domains.melody.reading.line import Line, SourceNote, TuneError
from seqgen_envs.domains.melody.reading.parts import Part, one_part

# Printed music, and the four collections with it, lets an accidental hold to the end of the bar;
# music21 does so only for text that calls itself ABC 2.
_ABC_VERSION = (2, 1, 0)
_FIELD = re.compile(r"[A-Za-z]:|%")
_INLINE_FIELD = re.compile(r"\[([A-Za-z]:[^\]]*)\]")
# Annotations, grace notes, decorations, slurs. They carry no note of the line, but music21 loses
# notes behind some of them ('">"g2') and the broken rhythm of "a>vb" and "a>(bc)".
_ORNAMENTS = re.compile(r'"[^"]*"|\{[^}]*\}|![^!]*!|[H-WYh-wy~.!]|\((?!\d)|\)')


def read_text(path: Path) -> str:
    """The text of a file, in UTF-8 or else Latin-1."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # what older ABC files are written in


def split_abc(text: str) -> list[tuple[str, str]]:
    """(name, text) of every tune of an ABC file; the name is ``#reference title``.

    Fields before the first tune hold for all of them. Text without any ``X:`` is one tune.
    """
    head, *tunes = re.split(r"(?m)^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not tunes:
        return [("", head)]
    shared = "".join(f"{line}\n" for line in head.splitlines() if re.match(r"[LMK]:", line))
    return [(_abc_name(tune), tune.replace("\n", f"\n{shared}", 1)) for tune in tunes]


def _abc_name(tune: str) -> str:
    number = re.match(r"X:\s*(\S*)", tune)
    title = re.search(r"(?m)^T:\s*(.*)", tune)
    return f"#{number[1] if number else ''} {title[1].strip() if title else ''}".strip()


def plain_abc(text: str) -> str:
    """ABC text reduced to fields, bars and the notes of the line."""
    lines = []
    for line in text.splitlines():
        if _FIELD.match(line):
            lines.append(line)
            continue
        for piece in _INLINE_FIELD.sub(r"\n\1\n", line.split("%")[0]).split("\n"):
            field = _FIELD.match(piece)
            lines.append(piece if field else _ORNAMENTS.sub("", piece).replace("x", "z"))
    return "\n".join(lines)


def abc_line(text: str, part: str | None = None) -> Line:
    """Notes and first key signature of one ABC tune.

    Raises:
        TuneError: the tune has several voices, or lacks the ``K:`` that every ABC tune has.
    """
    from music21 import abcFormat

    text = plain_abc(text)
    if not re.search(r"(?m)^K:", text):
        raise TuneError("unreadable", "it is not ABC: it has no K: field")
    if not re.search(r"(?m)^[LM]:", text):
        text = f"L:1/8\n{text}"  # what ABC means by naming neither length nor meter
    tokens = abcFormat.ABCFile(abcVersion=_ABC_VERSION).readstr(text).tokens
    fields = [token for token in tokens if isinstance(token, abcFormat.ABCMetadata)]
    voices = {token.data.split()[0] for token in fields if token.isVoice() and token.data.split()}
    if len(voices) > 1:
        raise TuneError("polyphonic", f"it has {len(voices)} voices")
    keys = [token for token in fields if token.isKey()]
    shift = (keys[0].getClefObject()[1] or 0) if keys else 0
    sharps = keys[0].getKeySignatureParameters()[0] if keys else None
    sounding = [token for token in tokens if isinstance(token, abcFormat.ABCNote)]
    return one_part([Part(_abc_notes(sounding, shift))], sharps, part)


def _abc_notes(tokens: Iterable[Any], shift: int) -> list[SourceNote]:
    """Notes of ABC note, chord and rest tokens, moved by ``shift`` semitones."""
    from music21 import pitch

    notes: list[SourceNote] = []
    now = 0.0
    for token in tokens:
        length = float(token.quarterLength)
        if token.activeTuplet is not None:
            length *= float(token.activeTuplet.tupletMultiplier())
        heads = [head.pitchName for head in getattr(token, "subTokens", [token]) if head.pitchName]
        tied = token.tie in ("stop", "continue") and notes and heads
        if tied and notes[-1].onset + notes[-1].duration > now - 1e-6:
            # The tie carries an accidental over the bar line, so the pitch is the first note's.
            notes[-1] = notes[-1]._replace(duration=now + length - notes[-1].onset)
        else:
            midi = [int(pitch.Pitch(name).midi) + shift for name in heads]
            notes.extend(SourceNote(now, length, number) for number in midi)
        now += length
    return notes
