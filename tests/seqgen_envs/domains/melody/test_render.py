"""Notes, sound, notation and pictures of melodies."""

from __future__ import annotations

import subprocess
import sys
import wave
import xml.etree.ElementTree as ET

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.melody import notation, render, sound
from seqgen_envs.domains.melody.keys import key_signature
from seqgen_envs.domains.melody.notes import Note, check_tokens, notes_to_tokens, tokens_to_notes
from seqgen_envs.domains.melody.sheet import Sheet
from seqgen_envs.domains.melody.vocabulary import HIGHEST_PITCH, SIZE
from seqgen_envs.extras import require

PAD = SIZE
MELODIES = st.lists(st.one_of(st.just(1), st.integers(0, SIZE - 1)), max_size=48)
# A dotted note, a tie over the bar line (onset 14, 9 long), 5 and 7 steps, rests, a repeated pitch,
# both ends of the range, note offs in silence, and an unfinished last bar.
TUNE = [
    *(1, 1, 14, 1, 1, 1, 1, 16, 0, 0, 1, 18, 18, 1, 15, 1),
    *(1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 37, 0),
    *(1, 1, 24),
]
TUNE_NOTES = [
    *(Note(60, 2, 5), Note(62, 7, 1), Note(64, 11, 1), Note(64, 12, 2), Note(61, 14, 9)),
    *(Note(48, 23, 7), Note(83, 30, 1), Note(70, 34, 1)),
]
SILENT = pytest.mark.parametrize("tokens", [[], [1] * 16, [0, 0, 1], [PAD] * 4])
WRITERS = [
    lambda tokens, path: sound.write_midi(tokens, path),
    lambda tokens, path: sound.write_wav(tokens, path),
    lambda tokens, path: notation.write_musicxml(tokens, path),
    lambda tokens, path: notation.write_svg(tokens, path),
    lambda tokens, path: render.write_piano_roll(tokens, path),
    lambda tokens, path: render.write_probability_heatmap(tokens, uniform(len(tokens)), path),
    lambda tokens, path: render.render_text(tokens),
    lambda tokens, path: render.render_image(tokens),
]


def uniform(steps: int) -> np.ndarray:
    return np.full((max(1, steps), SIZE), -np.log(SIZE))


def naive_notes(tokens: list[int]) -> list[Note]:
    """The definition, a step at a time."""
    sounding: list[int | None] = []
    struck = []
    for step, token in enumerate(tokens):
        if token == 1:
            sounding.append(sounding[-1] if sounding else None)
        else:
            sounding.append(None if token == 0 else step)
            struck += [step] if token > 1 else []
    return [Note(tokens[step] + 46, step, sounding.count(step)) for step in struck]


# Notes


def test_notes_of_a_tune() -> None:
    assert tokens_to_notes(TUNE) == TUNE_NOTES


@given(MELODIES)
def test_notes_agree_with_the_definition(tokens: list[int]) -> None:
    assert tokens_to_notes(tokens) == naive_notes(tokens)


@given(MELODIES)
def test_round_trip_through_notes(tokens: list[int]) -> None:
    canonical = notes_to_tokens(tokens_to_notes(tokens), len(tokens))
    assert tokens_to_notes(canonical) == tokens_to_notes(tokens)
    assert np.array_equal(notes_to_tokens(tokens_to_notes(canonical), len(tokens)), canonical)
    # Only silent tokens may change: a note on stays, and a note off stays where it ends a note.
    changed = np.flatnonzero(canonical != np.asarray(tokens, dtype=np.int64))
    assert all(tokens[step] == 0 and canonical[step] == 1 for step in changed)
    ends = {note.end for note in tokens_to_notes(tokens)}
    assert not ends & set(changed.tolist())


def test_length_defaults_to_the_end_of_the_last_note() -> None:
    assert notes_to_tokens([Note(62, 4, 1), Note(60, 1, 2)]).tolist() == [1, 14, 1, 0, 16]
    assert notes_to_tokens([Note(60, 0, 1)], length=3).tolist() == [14, 0, 1]
    assert notes_to_tokens([]).tolist() == []


@pytest.mark.parametrize(
    ("notes", "length", "message"),
    [
        ([Note(60, 0, 3), Note(62, 2, 1)], None, "starts before"),
        ([Note(60, 0, 3)], 2, "past the length of 2"),
        ([Note(60, -1, 3)], None, "onset"),
        ([Note(60, 0, 0)], None, "duration"),
        ([Note(84, 0, 1)], None, "MIDI pitch 84"),
    ],
)
def test_notes_that_are_no_melody(notes: list[Note], length: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        notes_to_tokens(notes, length)


# Bad and empty input


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(("tokens", "named"), [([14, 99], 99), ([14, -1], -1), ([14, PAD, 1], PAD)])
def test_bad_token_is_named(writer, tokens, named, tmp_path) -> None:
    with pytest.raises(ValueError, match=rf"token {named} at position 1 .*0\.\.37"):
        writer(tokens, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tokens", [[1.5, 2.0], [[14, 1]], "C4", 14])
def test_tokens_of_another_kind(tokens: object) -> None:
    with pytest.raises(ValueError, match="one-dimensional sequence of integer"):
        check_tokens(tokens)


def test_pads_are_cut_off() -> None:
    assert check_tokens(np.array([14, 1, PAD, PAD])).tolist() == [14, 1]


@pytest.mark.parametrize("writer", WRITERS[:6])
def test_missing_folder_is_an_os_error(writer, tmp_path) -> None:
    with pytest.raises(OSError, match="missing"):
        writer([14], tmp_path / "missing" / "file")


# MIDI


@settings(deadline=None, max_examples=30)
@given(MELODIES, st.sampled_from([60.0, 97.3, 120.0]))
def test_midi_reads_back_exactly(tmp_path_factory, tokens: list[int], tempo: float) -> None:
    path = tmp_path_factory.mktemp("midi") / "tune.mid"
    sound.write_midi(tokens, path, Sheet(tempo=tempo, instrument=11))
    now, started, notes = 0, {}, []
    file = mido.MidiFile(path)
    for message in file.tracks[0]:
        now += message.time
        if message.type == "note_on":
            assert not started, "a note starts before the last is let go"
            started[message.note] = now
        elif message.type == "note_off":
            onset = started.pop(message.note)
            notes.append(Note(message.note, onset / 120, (now - onset) / 120))
    assert file.ticks_per_beat == 480
    assert notes == tokens_to_notes(tokens)
    assert now == 120 * len(tokens)


def test_midi_in_another_reader(tmp_path) -> None:
    sound.write_midi([21, 1, 21, 1, 0, 1], tmp_path / "tune.mid", Sheet(tempo=60, instrument=11))
    read = pretty_midi.PrettyMIDI(str(tmp_path / "tune.mid"))
    assert [i.program for i in read.instruments] == [11]
    heard = [(n.pitch, round(n.start, 6), round(n.end, 6)) for n in read.instruments[0].notes]
    assert heard == [(67, 0.0, 0.5), (67, 0.5, 1.0)]


def test_midi_of_an_upbeat_has_a_short_first_bar(tmp_path) -> None:
    sheet = Sheet(key="Eb major", bar_length=14, pickup=6)
    sound.write_midi([14, 1, 1, 1, 1, 1, 16, 1], tmp_path / "tune.mid", sheet)
    now, metres, keys = 0, [], []
    for message in mido.MidiFile(tmp_path / "tune.mid").tracks[0]:
        now += message.time
        if message.type == "time_signature":
            metres.append((now // 120, message.numerator, message.denominator))
        elif message.type == "key_signature":
            keys.append(message.key)
    assert metres == [(0, 3, 8), (6, 7, 8)]
    assert keys == ["Eb"]
    assert now == 8 * 120


# Sound


def test_wav_of_a_held_a4(tmp_path) -> None:
    sound.write_wav([11] + [1] * 31, tmp_path / "a.wav", Sheet(tempo=120, transpose=12))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
        assert file.getnframes() == 4 * 22050
        samples = np.frombuffer(file.readframes(4 * 22050), dtype="<i2")
    loudest = np.argmax(np.abs(np.fft.rfft(samples)))
    assert loudest * 22050 / samples.size == pytest.approx(440, abs=0.5)
    assert np.abs(samples.astype(int)).max() == round(0.9 * 32767)


def test_waveform_rests_are_silent_and_repeats_are_struck_again() -> None:
    step = 2000  # samples: 15 / 60 s at 8000 a second
    samples = sound.waveform([1, 23, 1, 23, 0, 1], tempo=60, sample_rate=8000)
    assert samples.dtype == np.float32
    assert samples.shape == (6 * step,)
    assert not samples[:step].any()
    assert not samples[4 * step :].any()
    assert np.abs(samples[3 * step - 10 : 3 * step + 1]).max() < 0.05
    assert np.abs(samples[3 * step : 4 * step]).max() > 0.3
    assert np.abs(np.diff(samples)).max() < 1.0  # no jump as large as the tone itself


@SILENT
def test_silence_in_every_format(tokens: list[int], tmp_path) -> None:
    for writer, name in zip(
        WRITERS[:6], ("mid", "wav", "musicxml", "svg", "png", "png"), strict=True
    ):
        writer(tokens, tmp_path / f"file.{name}")
    steps = len(check_tokens(tokens))
    assert mido.MidiFile(tmp_path / "file.mid").length == pytest.approx(steps / 8)
    with wave.open(str(tmp_path / "file.wav")) as file:
        assert file.getnframes() == round(steps / 8 * 22050)
    assert not sound.waveform(tokens).any()
    kinds = [
        note.find("rest") is not None for note in ET.parse(tmp_path / "file.musicxml").iter("note")
    ]
    assert kinds == [True]
    assert svg_groups((tmp_path / "file.svg").read_text())["note"] == 0


# Notation


def svg_groups(text: str) -> dict[str, int]:
    """How many notes, rests and ties an engraving has."""
    kinds = [group.get("class", "").split()[:1] for group in ET.fromstring(text).iter()]
    return {kind: kinds.count([kind]) for kind in ("note", "rest", "tie", "measure")}


def read_score(text: str, bar_quarters: float) -> list[Note]:
    """The notes of a MusicXML string as music21 reads them; every bar must be full."""
    from music21 import converter, note, stream

    score = converter.parseData(text, format="musicxml")
    for measure in score.recurse().getElementsByClass(stream.Measure):
        written = sum(item.quarterLength for item in measure.notesAndRests)
        assert written == bar_quarters == measure.barDuration.quarterLength
    flat = score.stripTies().flatten().getElementsByClass(note.Note)
    return [Note(n.pitch.midi, n.offset * 4, n.quarterLength * 4) for n in flat]


@pytest.mark.parametrize(
    ("tokens", "bar_length", "fifths"),
    [
        (TUNE, 16, 0),
        (TUNE, 12, -3),
        (TUNE, 6, 4),  # a tied C natural where the key has C sharp
        ([26] + [1] * 39, 16, 0),
        (list(range(2, 38)), 16, 2),
        ([14, 14, 14, 0, 0, 1, 15, 1, 1], 10, 0),
    ],
)
def test_musicxml_reads_back(tokens: list[int], bar_length: int, fifths: int) -> None:
    key = key_signature("C major")._replace(fifths=fifths).key
    text = notation.musicxml(tokens, Sheet(key, bar_length))
    assert read_score(text, bar_length / 4) == tokens_to_notes(tokens)
    root = ET.fromstring(text.encode())
    assert [key.findtext("fifths") for key in root.iter("key")] == [str(fifths)]
    named = {note.findtext("type") for note in root.iter("note")} - {None}
    assert named <= {"whole", "half", "quarter", "eighth", "16th"}


def test_musicxml_is_the_same_each_time(tmp_path) -> None:
    notation.write_musicxml(TUNE, tmp_path / "tune.musicxml")
    assert (tmp_path / "tune.musicxml").read_text(encoding="utf-8") == notation.musicxml(TUNE)
    assert notation.svg(TUNE) == notation.svg(TUNE)


@pytest.mark.parametrize("pickup", [4, 6, 13, 20])
def test_musicxml_of_an_upbeat_reads_back(pickup: int) -> None:
    from music21 import converter, note, stream

    sheet = Sheet(bar_length=16, pickup=pickup, transpose="A minor")
    text = notation.musicxml(TUNE, sheet)
    measures = list(ET.fromstring(text.encode()).iter("measure"))
    assert [m.get("implicit") for m in measures] == ["yes"] + ["no"] * (len(measures) - 1)
    score = converter.parseData(text, format="musicxml")
    written = [
        sum(item.quarterLength for item in measure.notesAndRests) * 4
        for measure in score.recurse().getElementsByClass(stream.Measure)
    ]
    assert written == [pickup % 16] + [16] * (len(measures) - 1)
    flat = score.stripTies().flatten().getElementsByClass(note.Note)
    assert [Note(n.pitch.midi, n.offset * 4, n.quarterLength * 4) for n in flat] == TUNE_NOTES


def test_musicxml_spelling_tempo_and_title() -> None:
    sheet = Sheet("Ab major", tempo=90, title="Étude")
    root = ET.fromstring(notation.musicxml([15], sheet).encode())
    assert (root.findtext(".//step"), root.findtext(".//alter")) == ("D", "-1")
    assert root.findtext(".//per-minute") == "90"
    assert root.findtext(".//work-title") == "Étude"
    assert ET.fromstring(notation.musicxml([15]).encode()).findtext(".//step") == "C"


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([14, 1, 1, 1] * 4, {"note": 4, "rest": 0, "tie": 0, "measure": 1}),
        ([1] * 12 + [14] + [1] * 7 + [0], {"note": 2, "rest": 2, "tie": 1, "measure": 2}),
        ([14, 1, 1, 1, 1, 0], {"note": 2, "rest": 2, "tie": 1, "measure": 1}),
    ],
)
def test_svg_has_the_notes(tokens: list[int], expected: dict[str, int], tmp_path) -> None:
    notation.write_svg(tokens, tmp_path / "tune.svg")
    assert svg_groups((tmp_path / "tune.svg").read_text(encoding="utf-8")) == expected


def test_svg_of_an_upbeat() -> None:
    tokens = [14, 1, 1, 1] * 7
    groups = svg_groups(notation.svg(tokens, Sheet("D minor", 12, pickup=4)))
    assert groups == {"note": 7, "rest": 0, "tie": 0, "measure": 3}


def test_missing_extra_names_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "verovio", None)
    with pytest.raises(ImportError, match=r"pip install 'seqgen\[notation\]'"):
        notation.svg(TUNE)


def test_require_returns_modules_and_lets_other_failures_through(tmp_path, monkeypatch) -> None:
    assert require("xml.etree", "notation").__name__ == "xml.etree"
    (tmp_path / "half_installed.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'not_there_either'"):
        require("half_installed", "notation")


# Pictures


def test_text_shows_every_token() -> None:
    lines = render.render_text(TUNE).splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert " ".join(lines[0].split()[2:-1]) == "- - C4 - - - - D4 . . - E4 E4 - C#4 -"
    assert lines[2].split()[2:-1] == ["-", "-", "A#4"]
    assert len({len(line) for line in lines}) == 1
    assert len(render.render_text(TUNE, bar_length=4).splitlines()) == 9


def test_image_has_one_size_and_changes_where_the_note_is() -> None:
    empty = render.render_image([1] * 32, length=32)
    image = render.render_image([1, 1, 14, 1, 1, 0] + [1] * 26, length=32)
    assert image.shape == empty.shape == render.render_image([], length=32).shape == (288, 536, 3)
    assert image.dtype == np.uint8
    changed = (image != empty).any(axis=2)
    top = (HIGHEST_PITCH - 60) * render.ROW_HEIGHT
    left = render.KEYBOARD_WIDTH + 2 * render.STEP_WIDTH
    expected = np.zeros_like(changed)
    expected[top : top + render.ROW_HEIGHT, left : left + 3 * render.STEP_WIDTH] = True
    assert np.array_equal(changed, expected)
    assert (image[top, left] != image[top, left + render.STEP_WIDTH]).any()


def test_image_greys_what_is_not_written_yet() -> None:
    whole = render.render_image([14] + [1] * 31)
    prefix = render.render_image([14] + [1] * 7 + [PAD] * 24)
    edge = render.KEYBOARD_WIDTH + 8 * render.STEP_WIDTH
    assert np.array_equal(whole[:, :edge], prefix[:, :edge])
    assert (prefix[:100, edge:].astype(int) < whole[:100, edge:]).all()
    assert np.array_equal(whole, render.render_image([14] + [1] * 31)), (
        "the cached roll was drawn on"
    )


def test_image_limits() -> None:
    with pytest.raises(ValueError, match="33 tokens do not fit"):
        render.render_image([1] * 33, length=32)
    assert render.render_image([14] * 4, length=2000).shape == (288, 24 + 2 * 2000, 3)


def read_png(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def test_piano_roll_png(tmp_path) -> None:
    render.write_piano_roll(TUNE, tmp_path / "tune.png", title="Tune")
    render.write_piano_roll([1] * len(TUNE), tmp_path / "rest.png")
    picture, rest = read_png(tmp_path / "tune.png"), read_png(tmp_path / "rest.png")
    assert picture.shape[1] == rest.shape[1] == round((1.2 + 0.24 * 35) * 150)
    assert picture.shape[0] > rest.shape[0], "three octaves are taller than one"
    blue = (picture[..., 2] - picture[..., 0] > 0.3).sum()
    assert blue > 2000
    assert (rest[..., 2] - rest[..., 0] > 0.3).sum() == 0


def test_probability_heatmap_png(tmp_path) -> None:
    sure = np.full((4, SIZE), -np.inf)
    sure[np.arange(4), [14, 1, 16, 0]] = 0.0
    dark = {}
    for name, logs in (("sure", sure), ("unsure", uniform(4))):
        render.write_probability_heatmap([14, 1, 16], logs, tmp_path / f"{name}.png")
        picture = read_png(tmp_path / f"{name}.png")[:, : 6 * 120]  # without the colour bar
        dark[name] = ((picture[..., 0] < 0.1) & (picture[..., 2] > 0.3)).sum()
        rings = (picture[..., 0] > 0.7) & (picture[..., 1] < 0.3)
        assert rings.sum() > 3 * 20
    assert dark["sure"] > 1000 > 10 * dark["unsure"]


@pytest.mark.parametrize(
    "logs", [uniform(2), uniform(3)[:, 1:], np.full((3, SIZE), np.nan), np.full((3, SIZE), 0.5)]
)
def test_heatmap_rejects_what_is_no_log_probability(logs: np.ndarray, tmp_path) -> None:
    with pytest.raises(ValueError, match="log_probs must be"):
        render.write_probability_heatmap([14, 1, 16], logs, tmp_path / "map.png")


def test_heavy_libraries_are_imported_late_and_pyplot_never(tmp_path) -> None:
    program = (
        "import sys\n"
        "from seqgen_envs.domains.melody import notation, notes, render, sound\n"
        "heavy = {'music21', 'verovio', 'matplotlib', 'pretty_midi', 'mido'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"render.write_piano_roll([14, 1], {str(tmp_path / 'a.png')!r})\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
