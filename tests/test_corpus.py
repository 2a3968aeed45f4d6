"""Music files to tokens, tunes to corpora, corpora to files and back."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from seqgen_envs.datasets import corpus as corpus_module
from seqgen_envs.datasets.corpus import SPLITS, Corpus, SkipReport, split_of
from seqgen_envs.domains.melody import dataset
from seqgen_envs.domains.melody.dataset import MelodyFileError, folder_corpus, read_melody
from seqgen_envs.domains.melody.line import (
    Line,
    SourceNote,
    TuneError,
    line_tokens,
    quantise,
    transpose_pitches,
)
from seqgen_envs.domains.melody.parse import abc_line, key_of, read_tunes, split_abc
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
    with pytest.raises(TuneError, match="2 voices") as caught:
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
    assert key_of(Line([SourceNote(i, 1, pitch) for i, pitch in enumerate(a_major)], None)) == 3


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
    notes = [SourceNote(0, 1, 60), SourceNote(11.5, 1, 62), SourceNote(16.5, 1, 64)]  # rests of 42 and 16 steps
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


# --- read_melody's errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mid", b"not midi at all", "cannot be parsed"),
        ("a.mid", b"", "cannot be parsed"),
        ("a.xml", b"<score-partwise>", "cannot be parsed"),
        ("a.mxl", b"PK\x03\x04 cut off", "cannot be parsed"),
        ("a.abc", b"Dear diary, a bad day", "no K: field"),
        ("a.abc", b"X:1\nK:C\n", "no notes"),
        ("a.abc", b"X:1\nK:C\nC|\nX:2\nK:C\nD|\n", "holds 2 tunes"),
        ("a.wav", b"RIFF", "expected one of"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(MelodyFileError, match=message) as caught:
        read_melody(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_pitch_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(MelodyFileError, match="does not exist"):
        read_melody(tmp_path / "none.mid")
    path = write_midi(tmp_path / "low.mid", [(0, 1, 60), (1, 1, 40)])
    with pytest.raises(MelodyFileError, match=r"low\.mid.*pitch 40 \(E2\).*48\.\.83 \(C3\.\.B5\)"):
        read_melody(path)


# --- corpora -----------------------------------------------------------------------------------


def make_folder(root: Path) -> Path:
    """Nine tunes: one of each kind kept, and one for each reason to drop."""
    (root / "deep").mkdir(parents=True)
    (root / "tunes.abc").write_text(
        abc("DEFG ABcd | dcBA GFED |" * 2, key="D", number=1)
        + abc("CDEF GABc | cBAG FEDC |" * 2, number=2)
        + abc("CDE|", number=3)
    )
    eighths = [(i / 2, 0.5, 60 + (i * 5) % 12) for i in range(40)]
    write_midi(root / "deep" / "line.mid", eighths, key="C")
    write_midi(root / "two.MID", [*eighths, *[(on, n, p + 7) for on, n, p in eighths]])
    write_midi(root / "thirds.mid", [(i / 3, 1 / 3, 60) for i in range(60)])
    (root / "deep" / "broken.mid").write_bytes(b"MThd, or so it says")
    write_xml(root / "empty.musicxml", "<note><rest/><duration>16</duration></note>")
    write_midi(root / "long.mid", [(i, 1.0, 60 + i % 7) for i in range(600)])
    (root / "notes.txt").write_text("not music")
    return root


def test_a_folder_becomes_a_corpus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folder(tmp_path / "music")
    with caplog.at_level(logging.WARNING):
        corpus = folder_corpus(root, cache_dir=tmp_path / "cache", progress=False)
    assert corpus.names == ["deep/line.mid", "tunes.abc#1 Tune 1"]
    assert corpus.vocabulary_fingerprint == VOCABULARY.fingerprint
    assert text(corpus.sequences[1][:8]) == "C4 - D4 - E4 - F4 -"
    assert corpus.report.kept == 2
    assert corpus.report.dropped == {
        "unreadable": 1,
        "empty": 1,
        "too long": 1,
        "off grid": 1,
        "duplicate": 1,
        "too short": 1,
        "polyphonic": 1,
    }
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert warnings[0].startswith("skipped deep/broken.mid: ")
    assert "\n" not in warnings[0]
    assert any(line.startswith("tunes.abc#3 Tune 3: ") for line in corpus.report.problems)


def test_workers_give_the_same_corpus(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    for i in range(2 * dataset._FILES_A_WORKER):
        notes = [(j / 4, 0.25, 60 + (i * j) % 13) for j in range(40)]
        write_midi(root / f"{i:02}.mid", notes, key="C")
    (root / "05.mid").write_bytes(b"broken")
    alone, together = (
        folder_corpus(root, cache_dir=tmp_path / str(jobs), n_jobs=jobs, progress=False)
        for jobs in (1, 2)
    )
    assert alone.names == together.names
    assert alone.report == together.report
    for a, b in zip(alone.sequences, together.sequences, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_cache_is_used_until_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "music", tmp_path / "cache"
    root.mkdir()
    (root / "a.abc").write_text(abc(SCALE))
    monkeypatch.setenv("SEQGEN_CACHE", str(cache))
    parsed = Counter()
    original = dataset._file_outcomes

    def counting(file: Path, root: Path) -> list[dataset.Outcome]:
        parsed[file.name] += 1
        return original(file, root)

    monkeypatch.setattr(dataset, "_file_outcomes", counting)
    first = folder_corpus(root, progress=False)
    again = folder_corpus(root, progress=False)
    assert parsed == {"a.abc": 1}
    assert again.report == first.report
    np.testing.assert_array_equal(again.sequences[0], first.sequences[0])

    folder_corpus(root, progress=False, refresh=True)
    assert parsed == {"a.abc": 2}
    (root / "b.abc").write_text(abc(SCALE, key="Am", number=2) + abc("G8|" * 6, number=3))
    assert len(folder_corpus(root, progress=False)) == 2
    assert parsed == {"a.abc": 3, "b.abc": 1}
    for file in cache.iterdir():
        file.write_bytes(b"spoilt")
    assert len(folder_corpus(root, progress=False)) == 2
    assert parsed == {"a.abc": 4, "b.abc": 2}


def test_folders_without_music_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        folder_corpus(tmp_path / "none")
    (tmp_path / "readme.txt").write_text("no music")
    with pytest.raises(ValueError, match=r"holds no music files; expected some of \.mid"):
        folder_corpus(tmp_path)
    (tmp_path / "short.abc").write_text(abc("CDE|"))
    with pytest.raises(ValueError, match=r"none of the tunes .* \(1 too short\)"):
        folder_corpus(tmp_path, cache_dir=tmp_path / "cache", progress=False)


def test_the_builtin_corpus_and_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = dataset._music21_corpus()
    files = ("han1", "0101-0200", "AcaciaReel", "book1")
    for name, file in zip(dataset.COLLECTIONS, files, strict=True):
        tunes = split_abc((whole / name / f"{file}.abc").read_text())[:3]
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{file}.abc").write_text("".join(tune for _, tune in tunes))
    monkeypatch.setattr(dataset, "_music21_corpus", lambda: tmp_path)
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    dataset.main(["--out", str(tmp_path / "out" / "corpus.npz")])
    assert "kept" in capsys.readouterr().out
    corpus = Corpus.load(tmp_path / "out" / "corpus.npz", VOCABULARY)
    assert {name.split("/")[0] for name in corpus.names} == set(dataset.COLLECTIONS)
    assert corpus.report.found == 10  # 3 + 3 + 3, and Ryan's has one tune a file
    with pytest.raises(ValueError, match="essenFolksong"):
        dataset.builtin_corpus(collections=["bach"])


def test_importing_the_module_leaves_music21_alone() -> None:
    code = (
        "import sys, seqgen_envs.domains.melody.dataset; "
        "print(sorted({'music21', 'mido', 'rdkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- Corpus ------------------------------------------------------------------------------------


def make_corpus(n: int = 5) -> Corpus:
    sequences = [np.arange(i + 1, dtype=np.int8) for i in range(n)]
    return Corpus(
        sequences,
        [f"tune {i} ü" for i in range(n)],
        np.array([SPLITS[i % 3] for i in range(n)]),
        "a test",
        VOCABULARY.fingerprint,
        SkipReport(n, {"empty": 2}, ["x.mid: it holds no notes"]),
    )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_corpus_survives_saving(tmp_path: Path, n: int) -> None:
    corpus = make_corpus(n)
    path = tmp_path / "new" / "c.npz"
    corpus.save(path)
    loaded = Corpus.load(path, VOCABULARY)
    assert loaded.names == corpus.names
    assert loaded.splits.tolist() == corpus.splits.tolist()
    assert (loaded.source, loaded.report) == (corpus.source, corpus.report)
    assert loaded.n_tokens == n * (n + 1) // 2
    for a, b in zip(loaded.sequences, corpus.sequences, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.int8
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]  # nothing temporary stays


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.npz"
    make_corpus(2).save(path)

    def half(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(corpus_module.np, "savez_compressed", half)
    with pytest.raises(OSError, match="disk full"):
        make_corpus(5).save(path)
    monkeypatch.undo()
    assert len(Corpus.load(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_loading_what_is_no_corpus_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"c\.npz is not a corpus file"):
        Corpus.load(path)
    with pytest.raises(FileNotFoundError):
        Corpus.load(tmp_path / "none.npz")
    corpus = make_corpus()
    Corpus(corpus.sequences, corpus.names, corpus.splits, "s", "0" * 16).save(path)
    with pytest.raises(ValueError, match="another vocabulary"):
        Corpus.load(path, VOCABULARY)


def test_a_corpus_checks_its_parts() -> None:
    corpus = make_corpus(3)
    assert [len(sequence) for sequence in corpus.split("validation")] == [2]
    with pytest.raises(ValueError, match="no split 'valid'"):
        corpus.split("valid")
    with pytest.raises(ValueError, match="3 sequences need as many names"):
        Corpus(corpus.sequences, ["one"], corpus.splits, "s", "v")
    with pytest.raises(ValueError, match=r"unknown splits \['dev'\]"):
        Corpus(corpus.sequences, corpus.names, np.array(["dev"] * 3), "s", "v")


def test_splits_follow_content_alone() -> None:
    tunes = [np.random.default_rng(i).integers(0, 38, 40) for i in range(3000)]
    splits = [split_of(tune) for tune in tunes]
    shares = {name: splits.count(name) / len(splits) for name in SPLITS}
    assert shares == pytest.approx({"train": 0.9, "validation": 0.05, "test": 0.05}, abs=0.015)
    assert [split_of(tune.astype(np.int8)) for tune in tunes[:50]] == splits[:50]
    # The values themselves are part of the contract: published test scores rest on them.
    assert [split_of([i]) for i in (0, 1, 13, 26, 49, 59)] == [
        *("train", "train", "test", "test", "validation", "validation")
    ]
    assert split_of(tunes[0], (0, 0, 1)) == "test"
    with pytest.raises(ValueError, match="sum to 1"):
        split_of(tunes[0], (0.9, 0.2, 0.1))


def test_the_report_counts_and_shows() -> None:
    report = SkipReport(kept=6)
    report.drop("empty", "a.mid: it holds no notes")
    for _ in range(3):
        report.drop("duplicate")
    console = Console(record=True, width=80)
    console.print(report.table("Tunes"))
    shown = console.export_text()
    for expected in ("Tunes", "60.0%", "30.0%", "10.0%", "dropped: duplicate"):
        assert expected in shown
    assert json.loads(json.dumps(report.to_dict())) == {
        "kept": 6,
        "dropped": {"empty": 1, "duplicate": 3},
        "problems": ["a.mid: it holds no notes"],
    }
