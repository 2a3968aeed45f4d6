"""Melodies to hear: MIDI files, waveforms and WAV files.

One token is one sixteenth; ``tempo`` is in quarter notes a minute, so a token lasts
``15 / tempo`` seconds. No soundfont and no external program is needed.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domains.melody.notes import check_tokens, tokens_to_notes
from seqgen_envs.domains.melody.sheet import FASTEST, PLAIN, SLOWEST, Sheet, time_signature
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER

#: MIDI resolution, in ticks: every sixteenth is a whole number of them.
TICKS_PER_QUARTER = 480
TICKS_PER_STEP = TICKS_PER_QUARTER // STEPS_PER_QUARTER
#: Of waveforms, samples a second.
SAMPLE_RATE = 22050

_VELOCITY = 100
_PEAK = 0.9


def write_midi(
    tokens: ArrayLike | Sequence[Any], path: str | os.PathLike[str], sheet: Sheet = PLAIN
) -> None:
    """Write a melody as a one-track MIDI file.

    A note is let go at the tick at which the next is struck, the note off first, so a repeated
    pitch sounds again. The track ends after the last token: a rest at the end is kept. An upbeat
    is a first bar with a time signature of its own, so that bar lines fall where they belong.

    Args:
        tokens: ids, shape [n].
        path: the file to write.
        sheet: key, bars, tempo, instrument; the title is the track's name, the composer a text.

    Raises:
        ValueError: a bad token.
        OSError: the file cannot be written.
    """
    checked = check_tokens(tokens)
    import mido

    events = _front_matter(sheet)
    for note in sheet.written(tokens_to_notes(checked)):
        struck = mido.Message("note_on", note=note.pitch, velocity=_VELOCITY)
        let_go = mido.Message("note_off", note=note.pitch, velocity=0)
        events += [(note.onset, struck), (note.end, let_go)]
    events.sort(key=lambda event: event[0])  # stable: a note off stays before the next note on
    events.append((max(checked.size, events[-1][0]), mido.MetaMessage("end_of_track")))
    steps = [step for step, _ in events]
    track = mido.MidiTrack(
        message.copy(time=(step - before) * TICKS_PER_STEP)
        for before, (step, message) in zip([0, *steps], events, strict=False)
    )
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8", tracks=[track])
    file.save(os.fspath(path))


def _front_matter(sheet: Sheet) -> list[tuple[int, Any]]:
    """What a track says before its notes, with the step each message belongs to."""
    import mido

    key = sheet.signature.tonic + ("m" if sheet.signature.mode == "minor" else "")
    messages = [mido.MetaMessage("track_name", name=sheet.title)]
    if sheet.composer:
        messages.append(mido.MetaMessage("text", text=sheet.composer))
    messages += [
        mido.MetaMessage("set_tempo", tempo=round(60e6 / sheet.tempo)),
        mido.MetaMessage("key_signature", key=key),
        mido.Message("program_change", program=sheet.program),
    ]
    bars = [(0, sheet.metre)]
    if sheet.upbeat:
        bars = [(0, time_signature(sheet.upbeat)), (sheet.upbeat, sheet.metre)]
    return [(0, message) for message in messages] + [
        (step, mido.MetaMessage("time_signature", numerator=metre.beats, denominator=metre.unit))
        for step, metre in bars
    ]


def waveform(
    tokens: ArrayLike | Sequence[Any],
    tempo: float = 120.0,
    sample_rate: int = SAMPLE_RATE,
    shift: int = 0,
) -> NDArray[np.float32]:
    """Synthesize a melody.

    Args:
        tokens: ids, shape [n].
        tempo: quarter notes a minute, 5..1000.
        sample_rate: samples a second, at least 8000.
        shift: semitones by which it sounds higher.

    Returns:
        mono samples, shape [round(n * 15 / tempo * sample_rate)], the loudest at 0.9 in absolute
        value (all zero where there is no note).

    Raises:
        ValueError: a bad token, tempo or sample rate.
    """
    checked = check_tokens(tokens)
    _check_tempo(tempo)
    if sample_rate < 8000:
        raise ValueError(f"a sample rate of {sample_rate} is too low: at least 8000 a second")
    import pretty_midi

    step = 60.0 / STEPS_PER_QUARTER / tempo
    instrument = pretty_midi.Instrument(program=0)
    instrument.notes = [
        pretty_midi.Note(_VELOCITY, note.pitch + shift, note.onset * step, note.end * step)
        for note in tokens_to_notes(checked)
    ]
    samples = np.zeros(round(checked.size * step * sample_rate), dtype=np.float32)
    if instrument.notes:
        sound = instrument.synthesize(fs=sample_rate, wave=_timbre)[: samples.size]
        samples[: sound.size] = sound * (_PEAK / np.abs(sound).max())
    return samples


def write_wav(
    tokens: ArrayLike | Sequence[Any], path: str | os.PathLike[str], sheet: Sheet = PLAIN
) -> None:
    """Write :func:`waveform` as a mono 16-bit PCM WAV file, at the sheet's pitch and tempo.

    Raises:
        ValueError: a bad token.
        OSError: the file cannot be written.
    """
    samples = waveform(tokens, sheet.tempo, SAMPLE_RATE, sheet.shift)
    with open(path, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def _timbre(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """A soft organ-like tone: the fundamental and two harmonics; 0 at phase 0, so no click."""
    tone = np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)
    return np.asarray(tone)


def _check_tempo(tempo: float) -> None:
    if not SLOWEST <= tempo <= FASTEST:
        raise ValueError(
            f"a tempo of {tempo} is outside {SLOWEST}..{FASTEST} quarter notes a minute"
        )
