"""MusicXML files, read by music21, which is imported only when such a file is read.

Chord symbols (of a lead sheet) are no notes. What stands beside the notes, such as dynamics, is
left out before music21 reads: at an offset behind the last note it would make the bar longer. A
staff of its own, as the left hand of a piano, is a part. Text may be in UTF-8, UTF-16 or what the
XML declaration names, zipped (``.mxl``) or not.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from seqgen_envs.domains.melody.reading.line import Line, SourceNote, TuneError
from seqgen_envs.domains.melody.reading.parts import Metre, Part, one_part

MAX_BYTES = 8 * 2**20  # of text: tens of pages of orchestra
MAX_BEATS = 128
#: Elements of a bar that may have an offset.
_BESIDE = ("direction", "harmony", "figured-bass", "sound", "listening")
_ZIP = b"PK\x03\x04"
_CONTAINER = "META-INF/container.xml"
_ROOT_FILE = re.compile(r"""<rootfile\s[^>]*full-path\s*=\s*["']([^"']+)""")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
_BEATS = re.compile(r"<beats\b[^>]*>([^<]*)")
_SOME_BEATS = re.compile(r"[\d\s+]{0,100}")
_ENCODING = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)""")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)


def xml_line(path: Path, part: str | None = None) -> Line:
    """Notes, first key signature and bars of a MusicXML file's parts, or of those asked for.

    Raises:
        TuneError: it is too large or declares entities; or see
            :func:`~seqgen_envs.domains.melody.reading.parts.one_part`.
    """
    text = _notes_alone(xml_text(path))  # what is refused needs no music21, which loads slowly
    from music21 import converter, stream

    score = converter.parseData(text, format="musicxml")
    score.toSoundingPitch(inPlace=True)  # in place: copies take most of the time
    sharps = [int(key.sharps) for key in score.recurse().getElementsByClass("KeySignature")]
    staves = list(score.getElementsByClass(stream.Part))
    metres = _metres(staves[0]) if staves else ()
    parts = [Part(_notes(staff), (staff.partName or "").strip()) for staff in staves]
    known = sharps[0] if sharps and abs(sharps[0]) <= 7 else None
    return one_part(parts, known, part, metres)


def xml_text(path: Path) -> str:
    """The XML of a file, decoded, out of its archive if it is in one.

    Raises:
        TuneError: it is too large, declares entities or absurd bars, or the archive holds no music.
    """
    with path.open("rb") as file:
        data = _limited(file, path.stat().st_size)
    if data.startswith(_ZIP):
        data = _unzipped(data)
    text = _DECLARATION.sub("", _decoded(data), count=1)  # of an encoding that it has no longer
    if "<!ENTITY" in text:  # which may unfold to any size
        raise TuneError("unreadable", "it declares XML entities, which MusicXML has no use for")
    for beats in _BEATS.findall(text):  # music21 takes minutes over a thousand
        counts = map(int, re.findall(r"\d+", beats[:100]))
        if not _SOME_BEATS.fullmatch(beats) or sum(counts) > MAX_BEATS:
            raise TuneError("unreadable", f"a bar has {beats[:40]!r} beats, not up to {MAX_BEATS}")
    return text


def _notes_alone(text: str) -> str:
    root = ElementTree.fromstring(text)
    bars = list(root.iter("measure"))
    for bar in chain(bars, *(bar.iter("part") for bar in bars)):  # of score-timewise, its parts
        for element in [element for element in bar if element.tag in _BESIDE]:
            bar.remove(element)
    return ElementTree.tostring(root, encoding="unicode")


def _limited(file: Any, size: int) -> bytes:
    """The content of a file that says it has so many bytes."""
    data: bytes = file.read(MAX_BYTES + 1) if size <= MAX_BYTES else b""
    if size > MAX_BYTES or len(data) > MAX_BYTES:
        raise TuneError("unreadable", f"it has {size:,} bytes of XML; up to {MAX_BYTES:,} are read")
    return data


def _unzipped(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:

        def content(name: str) -> bytes:
            with archive.open(name) as file:
                return _limited(file, archive.getinfo(name).file_size)

        names = archive.namelist()
        if _CONTAINER in names:
            root = _ROOT_FILE.search(_decoded(content(_CONTAINER)))
            if root and root[1] in names:
                return content(root[1])
        music = [n for n in names if n.endswith((".xml", ".musicxml")) and n != _CONTAINER]
        if not music:
            raise TuneError("unreadable", "its archive holds no MusicXML")
        return content(music[0])


def _decoded(data: bytes) -> str:
    """Text by its byte order mark, the look of UTF-16, or the encoding that it names."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    named = _ENCODING.match(data.lstrip())
    # A text of single bytes is not in UTF-16, whatever it says; programs do write that.
    if named and not named[1].upper().startswith(b"UTF-16"):
        return data.decode(named[1].decode("ascii"))
    return data.decode("utf-8")


def _metres(part: Any) -> list[Metre]:
    """A metre a bar, of the length that the bar has."""
    from music21 import stream

    measures = list(part.getElementsByClass(stream.Measure))
    starts = [float(measure.offset) for measure in measures]
    if not measures:
        return []
    last = float(measures[-1].barDuration.quarterLength)
    ends = [*starts[1:], starts[-1] + last]
    return [Metre(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _notes(part: Any) -> list[SourceNote]:
    notes: list[SourceNote] = []
    part.stripTies(inPlace=True)
    for element in part.flatten().notes:
        if element.duration.isGrace or "ChordSymbol" in element.classes or not element.pitches:
            continue
        length = float(element.duration.quarterLength)
        onset = float(element.offset)
        notes.extend(SourceNote(onset, length, int(pitch.midi)) for pitch in element.pitches)
    return notes
