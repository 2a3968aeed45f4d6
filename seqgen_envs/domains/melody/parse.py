"""Readers: one file of music to the tunes it holds.

MIDI is read tick by tick with mido, so a file of one note per onset comes back exactly, at any
tempo. MusicXML and ABC go through music21, which is imported only when such a file is read.
Grace notes are dropped, tied notes are one note, and repeats are not written out: the text a
repeat would add is already there, and first and second endings follow each other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from seqgen_envs.domains.melody.line import Line, SourceNote, TuneError

MIDI_SUFFIXES = (".mid", ".midi")
XML_SUFFIXES = (".xml", ".musicxml", ".mxl")
ABC_SUFFIXES = (".abc",)
SUFFIXES = (*MIDI_SUFFIXES, *XML_SUFFIXES, *ABC_SUFFIXES)
DRUM_CHANNEL = 9

# Printed music, and the four collections with it, lets an accidental hold to the end of the bar;
# music21 does so only for text that calls itself ABC 2.
_ABC_VERSION = (2, 1, 0)
_FIELD = re.compile(r"[A-Za-z]:|%")
_INLINE_FIELD = re.compile(r"\[([A-Za-z]:[^\]]*)\]")
# Annotations, grace notes, decorations, slurs. They carry no note of the line, but music21 loses
# notes behind some of them ('">"g2') and the broken rhythm of "a>vb" and "a>(bc)".
_ORNAMENTS = re.compile(r'"[^"]*"|\{[^}]*\}|![^!]*!|[H-WYh-wy~.!]|\((?!\d)|\)')


_Source = TypeVar("_Source")


class Tune(NamedTuple):
    """One tune of a file: its name there ("" in a file of one), and its line or what is wrong."""

    name: str
    line: Line | TuneError


def read_tunes(path: Path) -> list[Tune]:
    """The tunes of a MIDI, MusicXML or ABC file; a tune that cannot be read is a TuneError.

    Raises:
        ValueError: the suffix is none of ``SUFFIXES``.
    """
    suffix = path.suffix.lower()
    if suffix in ABC_SUFFIXES:
        return [Tune(name, _guarded(abc_line, text)) for name, text in split_abc(_read_text(path))]
    if suffix in MIDI_SUFFIXES:
        return [Tune("", _guarded(midi_line, path))]
    if suffix in XML_SUFFIXES:
        return [Tune("", _guarded(xml_line, path))]
    raise ValueError(f"{path} does not end in one of {', '.join(SUFFIXES)}")


def _guarded(read: Callable[[_Source], Line], source: _Source) -> Line | TuneError:
    # The parsers raise anything at all on broken files; one of those never ends a corpus.
    try:
        return read(source)
    except TuneError as known:
        return known
    except Exception as error:
        said = [type(error).__name__, *str(error).strip().splitlines()[:1]]
        return TuneError("unreadable", f"it cannot be parsed ({': '.join(said)[:120]})")


def midi_line(path: Path) -> Line:
    """Notes and key of a MIDI file; drums are left out, and two melodic parts are too many.

    Raises:
        TuneError: there are several parts, or no ticks per quarter note.
    """
    import mido

    midi = mido.MidiFile(path, clip=True)
    if midi.ticks_per_beat <= 0:
        raise TuneError("unreadable", "it counts time in SMPTE frames, not in quarter notes")
    parts: dict[tuple[int, int], list[SourceNote]] = defaultdict(list)
    sharps: int | None = None
    for number, track in enumerate(midi.tracks):
        for channel, note in _midi_notes(track, midi.ticks_per_beat):
            parts[number, channel].append(note)
        keys = [message.key for message in track if message.type == "key_signature"]
        if keys and sharps is None:
            sharps = _named_sharps(keys[0])
    return _one_part(list(parts.values()), sharps)


def _midi_notes(track: Iterable[Any], ticks_per_beat: int) -> Iterator[tuple[int, SourceNote]]:
    """(channel, note) of every note of a track; drums are left out."""
    now = 0
    sounding: dict[tuple[int, int], int] = {}

    def end(place: tuple[int, int]) -> Iterator[tuple[int, SourceNote]]:
        start = sounding.pop(place, now)
        if now > start:
            length = (now - start) / ticks_per_beat
            yield place[0], SourceNote(start / ticks_per_beat, length, place[1])

    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUM_CHANNEL:
            continue
        place = (message.channel, message.note)
        yield from end(place)  # a second note on, too, ends the first
        if message.type == "note_on" and message.velocity > 0:
            sounding[place] = now
    for place in list(sounding):  # never switched off: the track's end does it
        yield from end(place)


def _one_part(parts: list[list[SourceNote]], sharps: int | None) -> Line:
    parts = [part for part in parts if part]
    if len(parts) > 1:
        raise TuneError("polyphonic", f"it has {len(parts)} parts")
    return Line(parts[0] if parts else [], sharps)


def _named_sharps(name: str) -> int:
    """Sharps of a MIDI key name such as ``Eb`` or ``F#m``."""
    major = "FCGDAEB".index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))
    return major - 3 if name.endswith("m") else major


def xml_line(path: Path) -> Line:
    """Notes and first key signature of a MusicXML file.

    Raises:
        TuneError: several parts hold notes.
    """
    from music21 import converter, stream

    score = converter.parse(path, format="musicxml", forceSource=True, storePickle=False)
    score = score.toSoundingPitch()
    signatures = list(score.recurse().getElementsByClass("KeySignature"))
    parts = [_xml_notes(part) for part in score.getElementsByClass(stream.Part)]
    return _one_part(parts, int(signatures[0].sharps) if signatures else None)


def _xml_notes(part: Any) -> list[SourceNote]:
    notes: list[SourceNote] = []
    for element in part.stripTies().flatten().notes:
        if element.duration.isGrace or "ChordSymbol" in element.classes or not element.pitches:
            continue
        length = float(element.duration.quarterLength)
        onset = float(element.offset)
        notes.extend(SourceNote(onset, length, int(pitch.midi)) for pitch in element.pitches)
    return notes


def _read_text(path: Path) -> str:
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


def abc_line(text: str) -> Line:
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
    return Line(_abc_notes(sounding, shift), sharps)


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


def key_of(line: Line) -> int:
    """Sharps of the key signature, or of the key that music21's analysis finds."""
    if line.sharps is not None or not line.notes:
        return line.sharps or 0
    from music21 import note, stream

    part = stream.Part()
    for onset, length, number in line.notes:
        part.insert(onset, note.Note(number, quarterLength=length))
    return int(part.analyze("key").sharps)
