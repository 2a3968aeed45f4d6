"""abc2midi (Debian: abcmidi), an independent reader of ABC, to compare ours with.

abc2midi plays what is printed around the notes, our reader reads the notes alone: repeats are
turned to plain bar lines for it, endings are written one after the other, and grace notes, chord
symbols, the spread of chords, and the single letters that it plays as ornaments are switched off
or left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import mido

from seqgen_envs.domains.melody.reading.abc import abc_line
from seqgen_envs.domains.melody.reading.line import TuneError

PROGRAM = shutil.which("abc2midi")
_INLINE_FIELD = re.compile(r"(\[[A-Za-z]:[^\]]*\])")
_TEXT = re.compile(r'"[^"]*"|![^!|]*!|[H-WYh-wy~.]')
_ENDING = re.compile(r"\[\s*\d+(?:[,-]\d+)*|(?<=[|:])\d+(?:[,-]\d+)*")
_BAR = re.compile(r":*(?:\[?\|)+\]?:*|::+")
_TOLERANCE = 0.015  # of a quarter: abc2midi starts at tick 1, and counts in 480ths


class Comparison(NamedTuple):
    """How many tunes came out alike, and the names of those that did not."""

    equal: int
    different: list[str]
    one_refused: list[str]

    @property
    def share(self) -> float:
        """Of the tunes that both readers take."""
        return self.equal / max(1, self.equal + len(self.different))


def compare(tunes: list[tuple[str, str]], folder: Path) -> Comparison:
    """Onsets and pitches of (name, text) by both readers."""
    equal, different, refused = 0, [], []
    for name, text in tunes:
        ours, theirs = _ours(text), _theirs(text, folder)
        if ours is None or theirs is None:
            refused.append(name)
        elif len(ours) == len(theirs) and all(
            abs(a - b) < _TOLERANCE and p == q for (a, p), (b, q) in zip(ours, theirs, strict=True)
        ):
            equal += 1
        else:
            different.append(name)
    return Comparison(equal, different, refused)


def _ours(text: str) -> list[tuple[float, int]] | None:
    try:
        return _in_order([(note.onset, note.pitch) for note in abc_line(text).notes])
    except TuneError:
        return None


def _in_order(notes: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """By onset, then pitch, with onsets as near as the tolerance taken for one."""
    return sorted((round(onset * 96) / 96, pitch) for onset, pitch in notes)


def _theirs(text: str, folder: Path) -> list[tuple[float, int]] | None:
    source, target = folder / "tune.abc", folder / "tune.mid"
    target.unlink(missing_ok=True)
    source.write_text(for_abc2midi(text), encoding="utf-8")
    command = [str(PROGRAM), source.name, "-o", target.name, "-NGRA", "-NFER", "-silent"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)  # it crashes on some
    if not target.is_file():
        return None
    notes = []
    for track in (midi := mido.MidiFile(target)).tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity > 0:
                notes.append((now / midi.ticks_per_beat, message.note))
    return _in_order(notes)


def for_abc2midi(text: str) -> str:
    """A tune as abc2midi is to play it."""
    first, *lines = text.split("\n")
    kept = [first, "%%MIDI gchordoff", "%%MIDI chordattack 0"]
    seen_key = False
    for line in lines:
        if not line.strip() and seen_key:
            break  # here the tune ends
        seen_key = seen_key or line.startswith("K:")
        if re.match(r"[PRQI]:", line) or not line.strip():
            continue  # a hornpipe is swung, parts are played in their order
        kept.append(line if re.match(r"[A-Za-z+]:|%", line) else _plain(line))
    return "\n".join(kept) + "\n"


def _plain(line: str) -> str:
    parts = _INLINE_FIELD.split(line)
    for i in range(0, len(parts), 2):
        parts[i] = _BAR.sub(" | ", _ENDING.sub("", _TEXT.sub("", parts[i])))
    return "".join(parts)
