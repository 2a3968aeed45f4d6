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
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER

#: MIDI resolution, in ticks: every sixteenth is a whole number of them.
TICKS_PER_QUARTER = 480
TICKS_PER_STEP = TICKS_PER_QUARTER // STEPS_PER_QUARTER

_VELOCITY = 100
_PEAK = 0.9


def write_midi(
    tokens: ArrayLike | Sequence[Any],
    path: str | os.PathLike[str],
    tempo: float = 120.0,
    program: int = 0,
) -> None:
    """Write a melody as a one-track MIDI file.

    A note is let go at the tick at which the next is struck, the note off first, so a repeated
    pitch sounds again. The track ends after the last token: a rest at the end is kept.

    Args:
        tokens: ids, shape [n].
        path: the file to write.
        tempo: quarter notes a minute, 5..1000.
        program: General MIDI program, 0..127 (0: grand piano).

    Raises:
        ValueError: a bad token, tempo or program.
        OSError: the file cannot be written.
    """
    checked = check_tokens(tokens)
    _check_tempo(tempo)
    if not 0 <= program <= 127:
        raise ValueError(f"program {program} is not a General MIDI program: they are 0..127")
    import mido

    track = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo)),
            mido.Message("program_change", program=program),
        ]
    )
    now = 0
    for note in tokens_to_notes(checked):
        wait = (note.onset - now) * TICKS_PER_STEP
        length = note.duration * TICKS_PER_STEP
        track.append(mido.Message("note_on", note=note.pitch, velocity=_VELOCITY, time=wait))
        track.append(mido.Message("note_off", note=note.pitch, velocity=0, time=length))
        now = note.end
    track.append(mido.MetaMessage("end_of_track", time=(checked.size - now) * TICKS_PER_STEP))
    mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER, tracks=[track]).save(os.fspath(path))


def waveform(
    tokens: ArrayLike | Sequence[Any], tempo: float = 120.0, sample_rate: int = 22050
) -> NDArray[np.float32]:
    """Synthesize a melody.

    Args:
        tokens: ids, shape [n].
        tempo: quarter notes a minute, 5..1000.
        sample_rate: samples a second, at least 8000.

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
        pretty_midi.Note(_VELOCITY, note.pitch, note.onset * step, note.end * step)
        for note in tokens_to_notes(checked)
    ]
    samples = np.zeros(round(checked.size * step * sample_rate), dtype=np.float32)
    if instrument.notes:
        sound = instrument.synthesize(fs=sample_rate, wave=_timbre)[: samples.size]
        samples[: sound.size] = sound * (_PEAK / np.abs(sound).max())
    return samples


def write_wav(
    tokens: ArrayLike | Sequence[Any],
    path: str | os.PathLike[str],
    tempo: float = 120.0,
    sample_rate: int = 22050,
) -> None:
    """Write :func:`waveform` as a mono 16-bit PCM WAV file.

    Raises:
        ValueError: a bad token, tempo or sample rate.
        OSError: the file cannot be written.
    """
    samples = waveform(tokens, tempo, sample_rate)
    with open(path, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def _timbre(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """A soft organ-like tone: the fundamental and two harmonics; 0 at phase 0, so no click."""
    tone = np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)
    return np.asarray(tone)


def _check_tempo(tempo: float) -> None:
    if not 5 <= tempo <= 1000:
        raise ValueError(f"a tempo of {tempo} is outside 5..1000 quarter notes a minute")
