"""Key, bars, upbeat and transposition of written melodies."""

from __future__ import annotations

import numpy as np
import pytest

from seqgen_envs import SequenceEnv
from seqgen_envs.domains.melody import DOMAIN
from seqgen_envs.domains.melody.keys import MODES, TONICS, Key, key_signature
from seqgen_envs.domains.melody.metrics import melody_stats, summarize
from seqgen_envs.domains.melody.sheet import Sheet, instrument_program, time_signature
from seqgen_envs.rules import Task, Term


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(16, "4/4"), (12, "3/4"), (8, "2/4"), (20, "5/4"), (24, "6/4"), (6, "3/8"), (14, "7/8"),
     (18, "9/8"), (4, "1/4"), (1, "1/16"), (13, "13/16"), (255, "255/16")],
)  # fmt: skip
def test_time_signatures(steps: int, expected: str) -> None:
    assert "{}/{}".format(*time_signature(steps)) == expected


@pytest.mark.parametrize("steps", [0, -4, 256])
def test_bars_that_cannot_be_written(steps: int) -> None:
    with pytest.raises(ValueError, match=f"a bar of {steps} sixteenths is outside 1..255"):
        time_signature(steps)


@pytest.mark.parametrize(
    ("key", "fifths", "written"),
    [
        ("C major", 0, "C major"),
        ("A minor", 0, "A minor"),
        ("D minor", -1, "D minor"),
        ("F# minor", 3, "F# minor"),
        ("Gb major", -6, "Gb major"),
        ("F# major", 6, "F# major"),
        ("Cb major", -7, "Cb major"),
        ("D# major", -3, "Eb major"),  # nine sharps are none too few
        ("Fb minor", 1, "E minor"),
    ],
)
def test_key_signatures(key: str, fifths: int, written: str) -> None:
    signature = key_signature(key)
    assert (signature.fifths, signature.key) == (fifths, written)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tonic", TONICS)
def test_every_key_is_spelt_with_one_letter_a_degree(tonic: str, mode: str) -> None:
    key, signature = Key.parse(f"{tonic} {mode}"), key_signature(f"{tonic} {mode}")
    assert Key.parse(signature.key) == key
    assert -7 <= signature.fifths <= 7
    spelt = {pitch: signature.spelt(pitch) for pitch in range(128)}
    for pitch, (letter, alter, octave) in spelt.items():
        assert {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter] + alter + 12 * (
            octave + 1
        ) == pitch
    assert len({spelt[60 + pitch][0] for pitch in key.scale}) == 7


def test_the_leading_note_of_minor_is_raised_not_flattened() -> None:
    assert key_signature("D minor").spelt(61) == ("C", 1, 4)
    assert key_signature("G minor").spelt(66) == ("F", 1, 4)
    assert key_signature("C major").spelt(70) == ("B", -1, 4)


@pytest.mark.parametrize(
    ("key", "transpose", "shift", "written"),
    [
        ("C major", None, 0, "C major"),
        ("C major", 0, 0, "C major"),
        ("Gb major", "0", 0, "Gb major"),
        ("C major", "D", 2, "D major"),
        ("C major", "A", -3, "A major"),
        ("C major", "F# major", 6, "F# major"),
        ("C major", "Gb", 6, "Gb major"),
        ("C major", "D minor", 5, "D minor"),
        ("A minor", "D", 5, "D minor"),
        ("D minor", "E", 2, "E minor"),
        ("D minor", "+2", 2, "E minor"),
        ("C major", -3, -3, "A major"),
        ("C major", "12", 12, "C major"),
        ("C major", "1", 1, "Db major"),
    ],
)
def test_transposing(key: str, transpose: int | str | None, shift: int, written: str) -> None:
    sheet = Sheet(key, transpose=transpose)
    assert (sheet.shift, sheet.signature.key) == (shift, written)


@pytest.mark.parametrize(
    ("instrument", "program"),
    [(0, 0), ("40", 40), (127, 127), ("Violin", 40), ("acoustic  grand piano", 0), ("FLUTE", 73)],
)
def test_instruments(instrument: int | str, program: int) -> None:
    assert instrument_program(instrument) == program


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"tempo": 0}, "a tempo of 0 is outside 5..1000"),
        ({"tempo": float("nan")}, "a tempo of nan"),
        ({"instrument": 128}, "instrument 128 is not a General MIDI program"),
        ({"instrument": "-1"}, "instrument -1 is not"),
        ({"instrument": "piano"}, "did you mean .*'acoustic grand piano'"),
        ({"instrument": ""}, "unknown instrument ''"),
        ({"bar_length": 0}, "a bar of 0"),
        ({"pickup": -1}, "pickup of -1"),
        ({"key": "H major"}, "unknown key 'H major'"),
        ({"transpose": "D dorian"}, "unknown key 'D dorian'"),
        ({"transpose": -49}, "-48..44"),
        ({"composer": "a\x00"}, "the composer"),
    ],
)
def test_what_no_sheet_can_say(bad: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sheet(**bad)


# What a task says reaches metrics and pictures


def test_metrics_have_the_tasks_key_and_bars() -> None:
    ids = np.random.default_rng(0).integers(0, 38, (20, 48))
    task = DOMAIN.make_task({"key": "D minor", "bar_length": 12, "weights": {"key": 2.0}})
    ours = DOMAIN.beside(None, task)
    assert ours.metrics.each is not None
    for name, values in melody_stats(ids, "D minor", 12).items():
        np.testing.assert_array_equal(ours.metrics.each(ids)[name], values)
    assert DOMAIN.summary(ids, None, task) == summarize(ids, "D minor", 12)
    assert DOMAIN.summary(ids) == summarize(ids) != summarize(ids, "D minor", 12)


def test_a_task_of_ones_own_says_what_it_likes() -> None:
    term = Term("none", lambda tokens, lengths: np.zeros(len(tokens)))
    ids = np.random.default_rng(0).integers(0, 38, (5, 32))
    silent, key = Task("mine", [term]), Task("mine", [term], facts={"key": "E major", "mood": 1})
    assert DOMAIN.summary(ids, None, silent) == summarize(ids)
    assert DOMAIN.summary(ids, None, key.with_weights({"none": 2.0})) == summarize(ids, "E major")


def test_an_environment_is_rendered_in_its_bars() -> None:
    env = SequenceEnv("melody", task={"bar_length": 12}, length=24, render_mode="ansi")
    env.reset(seed=0)
    for _ in range(24):
        env.step(14)
    assert len(env.render().splitlines()) == 2
