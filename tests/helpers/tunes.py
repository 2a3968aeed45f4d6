"""Tunes written by hand as ABC, MIDI and MusicXML."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np

from seqgen_envs.domains.melody.reading.abc import abc_line
from seqgen_envs.domains.melody.reading.line import line_tokens
from seqgen_envs.domains.melody.vocabulary import VOCABULARY

SCALE = "CDEF GABc | cBAG FEDC | CDEF GABc | cBAG FEDC |\n"


def abc(body: str, key: str = "C", length: str = "1/8", number: int = 1) -> str:
    return f"X:{number}\nT:Tune {number}\nM:4/4\nL:{length}\nK:{key}\n{body}\n"


def text(tokens: np.ndarray) -> str:
    return VOCABULARY.to_text(tokens)


def abc_text(body: str, *, transpose: bool = False, **header: str) -> str:
    return text(line_tokens(abc_line(abc(body, **header)), transpose=transpose))


def write_midi(
    path: Path,
    notes: list[tuple[float, float, int]],
    *,
    ticks: int = 480,
    tempo: int = 500_000,
    channels: list[int] | None = None,
    key: str | None = None,
) -> Path:
    """Notes of (onset, duration, pitch) in quarter notes, as one track."""
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)])
    if key is not None:
        track.append(mido.MetaMessage("key_signature", key=key))
    events = []
    for i, (onset, duration, pitch) in enumerate(notes):
        channel = channels[i] if channels else 0
        # note offs sort before the note ons of the same tick
        events.append((round(onset * ticks), 1, "note_on", pitch, channel))
        events.append((round((onset + duration) * ticks), 0, "note_off", pitch, channel))
    now = 0
    for tick, _, kind, pitch, channel in sorted(events):
        track.append(mido.Message(kind, note=pitch, channel=channel, time=tick - now))
        now = tick
    midi = mido.MidiFile(ticks_per_beat=ticks)
    midi.tracks.append(track)
    midi.save(path)
    return path


def write_xml(path: Path, *parts: str, fifths: int = 0) -> Path:
    listing = "".join(
        f'<score-part id="P{i}"><part-name>p</part-name></score-part>' for i in range(len(parts))
    )
    bodies = "".join(
        f'<part id="P{i}"><measure number="1"><attributes><divisions>4</divisions>'
        f"<key><fifths>{fifths}</fifths></key><time><beats>4</beats><beat-type>4</beat-type></time>"
        f"</attributes>{body}</measure></part>"
        for i, body in enumerate(parts)
    )
    path.write_text(
        f'<?xml version="1.0"?><score-partwise version="3.1"><part-list>{listing}</part-list>'
        f"{bodies}</score-partwise>"
    )
    return path


def xml_note(step: str, octave: int, duration: int, extra: str = "", before: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    length = f"<duration>{duration}</duration>" if duration else ""
    return f"<note>{before}{pitch}{length}{extra}</note>"
