"""Arrangements of 25 kinds: which give a line, and whether it is the one that others read.

``python tests/seqgen_envs/domains/melody/reading/test_arrangements.py`` (with ``tests`` on the
path) prints the table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from helpers.arrangements import KINDS, legato, three_tracks
from seqgen_envs.domains.melody.files import MelodyFileError, read_melody
from seqgen_envs.domains.melody.notes import tokens_to_notes

#: Kinds that pretty_midi or verovio cannot read, or read otherwise: the same notes, plainly.
SAME_NOTES = {
    "RIFF wrapper (.rmi)": three_tracks,
    "key signature of eight sharps, foreign chunks": three_tracks,
    "notes of no length among others": legato,
}
WITHOUT_A_LINE = {"drums alone": "no notes"}
#: Kinds that music21 writes, which takes seconds.
OF_SCORES = {
    "chorale of Bach, a track a voice",
    "chorale of Bach, MusicXML",
    "piano, two hands in MusicXML",
    "lead sheet: melody and chord symbols, UTF-16 in .mxl",
}

Placed = list[tuple[int, int]]


def heard(file: Path) -> list[tuple[int, int, int]]:
    """(first step, step after the end, pitch) of all notes but drums, by another reader."""
    import pretty_midi
    import verovio

    if file.suffix in (".musicxml", ".mxl"):
        toolkit = verovio.toolkit()
        toolkit.loadData(file.with_suffix(".musicxml").read_text(encoding="utf-8"))
        file = file.with_suffix(".verovio.mid")
        toolkit.renderToMIDIFile(str(file))
    song = pretty_midi.PrettyMIDI(str(file))
    steps = song.resolution / 4

    def step(seconds: float) -> int:
        return int(song.time_to_tick(seconds) / steps + 0.5)

    return [
        (step(note.start), max(step(note.start) + 1, step(note.end)), note.pitch)
        for instrument in song.instruments
        if not instrument.is_drum
        for note in instrument.notes
    ]


def top_onsets(notes: Iterable[tuple[int, int, int]]) -> Placed:
    """(step, pitch) of the notes that begin as the highest that sounds, from the first on."""
    notes = list(notes)
    top = {
        start: max(pitch for on, end, pitch in notes if on <= start < end) for start, _, _ in notes
    }
    starting = {(start, pitch) for start, _, pitch in notes}
    line = sorted(place for place in top.items() if place in starting)
    return [(step - line[0][0], pitch) for step, pitch in line]


def read_onsets(file: Path) -> Placed:
    tokens = read_melody(file, part="highest")
    return [(note.onset, note.pitch) for note in tokens_to_notes(tokens)]


def test_there_are_25_kinds() -> None:
    assert len(KINDS) == 25
    assert set(SAME_NOTES) | set(WITHOUT_A_LINE) | OF_SCORES < set(KINDS)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if kind in OF_SCORES else [])
        for kind in sorted(set(KINDS) - set(WITHOUT_A_LINE))
    ],
)
def test_the_top_line_is_what_another_reader_hears(kind: str, tmp_path: Path) -> None:
    file = KINDS[kind](tmp_path / "song")
    same = SAME_NOTES.get(kind)
    line = read_onsets(file)
    assert len(line) >= 16
    assert line == top_onsets(heard(same(tmp_path / "same") if same else file))


@pytest.mark.parametrize("kind", sorted(WITHOUT_A_LINE))
def test_what_gives_no_line_says_why(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MelodyFileError, match=WITHOUT_A_LINE[kind]):
        read_onsets(KINDS[kind](tmp_path / "song"))


def table() -> None:
    for kind, make in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            file = make(Path(folder) / "song")
            same = SAME_NOTES.get(kind)
            other = heard(same(Path(folder) / "same") if same else file)
            results = []
            for part in (None, "highest"):
                try:
                    results.append(f"{len(tokens_to_notes(read_melody(file, part=part)))} notes")
                except MelodyFileError as error:
                    results.append(str(error).partition("melody: ")[2].partition(":")[0])
            if results[1].endswith("notes"):
                line, expected = read_onsets(file), top_onsets(other)
                wrong = len(set(line) ^ set(expected))
                results.append(f"{wrong} differ")
            print(" | ".join((kind, *results)))


if __name__ == "__main__":
    table()
