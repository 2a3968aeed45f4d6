"""Music files to tokens: ABC, MIDI, MusicXML, and the line that comes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers.tunes import SCALE, abc, abc_text, text, write_midi, write_xml, xml_note
from seqgen_envs.domains.melody import dataset
from seqgen_envs.domains.melody.files import MelodyFileError, read_melody
from seqgen_envs.domains.melody.reading.abc import abc_line, split_abc
from seqgen_envs.domains.melody.reading.line import (
    Line,
    SourceNote,
    TuneError,
    analysed_key,
    line_tokens,
    quantise,
    transpose_pitches,
)
from seqgen_envs.domains.melody.reading.tunes import read_tunes

# --- ABC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C2 E G,/ c/ z2 G2|", "C4 - - - E4 - G3 C5 . - - - G4 - - -"),
        ("z2 z C D|", "C4 - D4 -"),  # the leading rest goes
        ("C D z4|", "C4 - D4 -"),  # and the trailing one
        ("C>D E<F|", "C4 - - D4 E4 F4 - -"),
        ("C2-C D|C-|C4|", "C4 - - - - - D4 - C4 - - - - - - - - -"),
        ("{cde}C2 {g}D2|", "C4 - - - D4 - - -"),
        ("C2 [K:G] F2|", "C4 - - - F#4 - - -"),
        ('C>(DE) C>vD ">"C2 "Am7"!trill!D2|', "C4 - - D4 E4 - C4 - - D4 C4 - - - D4 - - -"),
        ("^F F | F ^f-|f =f|", "F#4 - F#4 - F4 - F#5 - - - F5 -"),  # accidentals hold to the bar
        ("(3CDE FGABcdef|", "C4 D4 - E4 F4 - G4 - A4 - B4 - C5 - D5 - E5 - F5 -"),  # 0 1.33 2.67
        ("C2 D2 E2 x2 F2 [CEG]4|", "C4 - - - D4 - - - E4 - - - . - - - F4 - - - G4" + " -" * 7),
        ("|: C2 D2 :|1 E2 :|2 F2 |]", "C4 - - - D4 - - - E4 - - - F4 - - -"),  # not written out
    ],
)
def test_abc_to_tokens(body: str, expected: str) -> None:
    assert abc_text(body) == expected


def test_a_known_tune_of_the_essen_collection() -> None:
    file = dataset._music21_corpus() / "essenFolksong" / "han1.abc"
    name, tune = split_abc(file.read_text())[2]
    assert name == "#3 Tian xin shun"
    # d2A2 | ddA2 | dAd2 | GED2 | ... of the file, in G: a fifth lower in C, at the nearest octave
    start = "G4 - - - D4 - - - G4 - G4 - D4 - - - G4 - D4 - G4 - - - C4 - A3 - G3 - - -"
    tokens = line_tokens(abc_line(tune), transpose=True)
    assert text(tokens[:32]) == start
    assert len(tokens) == 64


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("D", "D2 F2 A2 c2|", "C4 - - - E4 - - - G4 - - - B4 - - -"),
        ("Bb", "B2 d2 f2|", "C5 - - - E5 - - - G5 - - -"),  # up 2, not down 10
        ("Em", "E2 G2 B2|", "A4 - - - C5 - - - E5 - - -"),  # E minor to A minor
        ("Ador", "A2 c2 ^f2 e2|", "D5 - - - F5 - - - B5 - - - A5 - - -"),  # to D dorian
        ("Dmix", "D2 F2 A2 c2|", "G4 - - - B4 - - - D5 - - - F5 - - -"),
    ],
)
def test_transposing_is_by_key_signature(key: str, body: str, expected: str) -> None:
    assert abc_text(body, key=key, transpose=True) == expected


def test_a_signature_that_does_not_fit_gives_way_to_one_that_does() -> None:
    # C minor spelt out under no signature, as the Essen collection does it
    tokens = line_tokens(abc_line(abc("CD_EF G_A_Bc | _BcG_E CDEC |")), transpose=True)
    pitch_classes = {int(token + 46) % 12 for token in tokens if token > 1}
    assert pitch_classes == {9, 11, 0, 2, 4, 5, 7}
    # one altered note of many is a passing note, and the notated key stands
    body = SCALE * 2 + "C2 ^F2 G4|"
    assert abc_text(body, transpose=True) == abc_text(body)


def test_abc_of_several_voices_is_polyphonic() -> None:
    with pytest.raises(TuneError, match="2 parts") as caught:
        abc_line("X:1\nL:1/8\nK:C\nV:1\nCDEF|\nV:2\nC,D,E,F,|\n")
    assert caught.value.reason == "polyphonic"


def test_tunes_of_one_abc_file_stand_or_fall_alone(tmp_path: Path) -> None:
    broken = "X:2\nT:Broken\nM:4/4\nL:1/8\nK:C\n[C2D|\n"
    file = tmp_path / "three.abc"
    file.write_bytes(("% a comment\n" + abc("C2D2|") + broken + abc("E4|", number=3)).encode())
    tunes = read_tunes(file)
    assert [tune.name for tune in tunes] == ["#1 Tune 1", "#2 Broken", "#3 Tune 3"]
    assert [isinstance(tune.line, Line) for tune in tunes] == [True, False, True]


def test_latin_1_abc_is_read(tmp_path: Path) -> None:
    file = tmp_path / "old.abc"
    file.write_bytes("X:1\nT:Gärtner\nL:1/8\nK:C\nC4|\n".encode("latin-1"))
    assert read_tunes(file)[0].name == "#1 Gärtner"
    assert text(read_melody(file)) == "C4 - - - - - - -"


# --- MIDI --------------------------------------------------------------------------------------

steps_of_notes = st.lists(
    st.tuples(st.integers(48, 83), st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=40
)


@given(
    notes=steps_of_notes,
    ticks=st.sampled_from([4, 24, 96, 220, 480, 960]),
    tempo=st.integers(60_000, 2_000_000),
)
@example(notes=[(60, 1, 0)] * 3, ticks=4, tempo=500_000)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_melody_survives_midi_exactly(
    tmp_path: Path, notes: list[tuple[int, int, int]], ticks: int, tempo: int
) -> None:
    tokens: list[int] = []
    timed = []
    for pitch, length, rest in notes:
        timed.append((len(tokens) / 4, length / 4, pitch))
        tokens += [pitch - 46] + [1] * (length - 1) + ([0] + [1] * (rest - 1) if rest else [])
    if notes[-1][2]:
        tokens = tokens[: -notes[-1][2]]
    path = write_midi(tmp_path / "m.mid", timed, ticks=ticks, tempo=tempo)
    melody = read_melody(path)
    assert melody.dtype == np.int64
    assert melody.tolist() == tokens


def test_midi_played_by_hand_is_rounded(tmp_path: Path) -> None:
    played = [(0.01, 0.52, 60), (0.49, 0.5, 62), (1.02, 0.93, 64)]  # legato, a little uneven
    path = write_midi(tmp_path / "m.mid", played)
    assert text(read_melody(path)) == "C4 - D4 - E4 - - -"


def test_a_chord_in_a_midi_line_gives_its_highest_note(tmp_path: Path) -> None:
    notes = [(i / 2, 0.5, 60 + i % 5) for i in range(16)] + [(8, 1, 60), (8, 1, 67), (8.005, 1, 64)]
    tokens = read_melody(write_midi(tmp_path / "m.mid", notes))
    assert text(tokens[-4:]) == "G4 - - -"
    assert np.sum(tokens > 1) == 17


@pytest.mark.parametrize("channels", [[0] * 8, [0, 1] * 4])
def test_two_midi_lines_are_polyphonic(tmp_path: Path, channels: list[int]) -> None:
    notes = [(i // 2, 1.0, 60 + 4 * (i % 2) + i // 2) for i in range(8)]
    path = write_midi(tmp_path / "two.mid", notes, channels=channels)
    with pytest.raises(MelodyFileError, match=r"two\.mid.*(sound together|2 parts)"):
        read_melody(path)


def test_a_drone_under_a_tune_is_polyphonic(tmp_path: Path) -> None:
    notes = [(0.0, 8.0, 48)] + [(i, 1.0, 60 + i) for i in range(1, 8)]
    with pytest.raises(MelodyFileError, match="sound together at 7 of 8"):
        read_melody(write_midi(tmp_path / "m.mid", notes))


def test_midi_drums_are_left_out(tmp_path: Path) -> None:
    notes = [(0.0, 1.0, 60), (0.0, 0.25, 36), (0.5, 0.25, 38), (1.0, 1.0, 62)]
    path = write_midi(tmp_path / "m.mid", notes, channels=[0, 9, 9, 0])
    assert text(read_melody(path)) == "C4 - - - D4 - - -"


@pytest.mark.parametrize(
    ("key", "expected"), [("D", "C4 - - - E4 - - -"), ("Bm", "C4 - - - E4 - - -")]
)
def test_the_key_of_a_midi_file_transposes_it(tmp_path: Path, key: str, expected: str) -> None:
    path = write_midi(tmp_path / "m.mid", [(0, 1, 62), (1, 1, 66)], key=key)
    assert text(read_melody(path, transpose=True)) == expected
    assert text(read_melody(path)) == "D4 - - - F#4 - - -"


@pytest.mark.parametrize(
    ("name", "sharps"), [("C", 0), ("Eb", -3), ("F#m", 3), ("Am", 0), ("Cb", -7), ("Abm", -7)]
)
def test_midi_key_names(tmp_path: Path, name: str, sharps: int) -> None:
    path = write_midi(tmp_path / "m.mid", [(0, 1, 60)], key=name)
    line = read_tunes(path)[0].line
    assert isinstance(line, Line)
    assert line.sharps == sharps


def test_without_a_key_the_key_is_analysed() -> None:
    a_major = [69, 71, 73, 74, 76, 78, 80, 81, 76, 73, 69]
    assert analysed_key([SourceNote(i, 1, pitch) for i, pitch in enumerate(a_major)]) == 3


# --- MusicXML ----------------------------------------------------------------------------------


def test_musicxml_to_tokens(tmp_path: Path) -> None:
    body = (
        xml_note("F", 4, 4)
        + xml_note("G", 5, 0, before="<grace/>")
        + xml_note("C", 4, 2, '<tie type="start"/>')
        + xml_note("C", 4, 2, '<tie type="stop"/>')
        + "<note><rest/><duration>4</duration></note>"
        + xml_note("D", 4, 4)
        + xml_note("B", 4, 4, before="<chord/>")
    )
    path = write_xml(tmp_path / "m.musicxml", body, fifths=0)
    assert text(read_melody(path)) == "F4 - - - C4 - - - . - - - B4 - - -"


def test_musicxml_key_and_parts(tmp_path: Path) -> None:
    body = "".join(xml_note(step, 4, 4) for step in "GBDG")
    one = write_xml(tmp_path / "one.xml", body, fifths=1)
    assert text(read_melody(one, transpose=True)).split()[::4] == ["C5", "E5", "G4", "C5"]
    with pytest.raises(MelodyFileError, match=r"two\.xml.*2 parts"):
        read_melody(write_xml(tmp_path / "two.xml", body, body))


# --- the line ----------------------------------------------------------------------------------


def test_a_few_notes_too_fast_are_merged_and_many_refused() -> None:
    slow = [SourceNote(i / 2, 0.5, 60) for i in range(40)]
    turn = [SourceNote(20, 0.125, 62), SourceNote(20.125, 0.125, 64), SourceNote(20.25, 0.75, 65)]
    assert [note.pitch for note in quantise([*slow, *turn])[-2:]] == [62, 65]
    with pytest.raises(TuneError) as caught:
        quantise([SourceNote(i / 8, 1 / 8, 60) for i in range(20)])
    assert caught.value.reason == "too fast"


def test_a_tune_in_triplets_is_off_grid() -> None:
    with pytest.raises(TuneError) as caught:
        quantise([SourceNote(i / 3, 1 / 3, 60) for i in range(30)])
    assert caught.value.reason == "off grid"


def test_rests_are_shortened_in_whole_bars() -> None:
    # with rests of 42 and 16 steps
    notes = [SourceNote(0, 1, 60), SourceNote(11.5, 1, 62), SourceNote(16.5, 1, 64)]
    tokens = line_tokens(Line(notes, 0), transpose=True, longest_rest=16)
    starts = np.flatnonzero(tokens > 1)
    assert starts.tolist() == [0, 14, 34]
    assert np.flatnonzero(tokens == 0).tolist() == [4, 18]
    assert len(line_tokens(Line(notes, 0), transpose=False)) == 70


def test_transposing_chooses_the_octave_and_folds_the_few() -> None:
    assert transpose_pitches([36, 40, 43], 0) == [48, 52, 55]
    assert transpose_pitches([90, 95], 0) == [78, 83]
    assert transpose_pitches([67, 71], 1) == [72, 76]  # up 5 is nearer than down 7
    assert transpose_pitches([53, 67], 1) == [58, 72]  # down 7 would leave the range
    wide = [48, 83] * 10
    assert transpose_pitches([*wide, 86], 0) == [*wide, 74]
    with pytest.raises(TuneError, match=r"outside C3\.\.B5") as caught:
        transpose_pitches([40, 90, 60], 0)
    assert caught.value.reason == "out of range"
