"""MIDI files as they are in the world, written byte by byte."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.tunes import text, write_midi
from seqgen_envs.domains.melody.files import MelodyFileError, read_melody
from seqgen_envs.domains.melody.reading.line import Line
from seqgen_envs.domains.melody.reading.tunes import read_tunes

CASES = ROOT / "tests" / "data" / "cases" / "melody"
C_D_E = "C4 - - - D4 - - - E4 - - -"
ON, OFF, END = 0x90, 0x80, bytes((0, 0xFF, 0x2F, 0))
#: Three quarter notes at 96 ticks a quarter.
TUNE = b"".join(bytes((0, ON, pitch, 80, 96, OFF, pitch, 0)) for pitch in (60, 62, 64))


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack(">L", len(body) if size is None else size) + body


def header(tracks: int = 1, kind: int = 1, division: int = 96) -> bytes:
    return chunk(b"MThd", struct.pack(">HHH", kind, tracks, division))


def midi(*tracks: bytes, kind: int = 1, division: int = 96) -> bytes:
    return header(len(tracks), kind, division) + b"".join(chunk(b"MTrk", t) for t in tracks)


def meta(kind: int, *data: int) -> bytes:
    return bytes((0, 0xFF, kind, len(data), *data))


def read(folder: Path, data: bytes, part: str | None = None, name: str = "a.mid") -> str:
    file = folder / name
    file.write_bytes(data)
    return text(read_melody(file, part=part))


def line_of(folder: Path, data: bytes) -> Line:
    file = folder / "a.mid"
    file.write_bytes(data)
    (tune,) = read_tunes(file)
    assert isinstance(tune.line, Line), tune.line
    return tune.line


# -- the cases of the issue -----------------------------------------------------------------------

PLAIN = " ".join(f"{name} -" for name in ["C4", "D4", "E4", "F4", "G4", "F4", "E4", "D4"] * 4)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("plain", None),
        ("eight-sharps", None),
        ("riff", None),
        ("relay", None),
        ("stray-bass", "1"),
        ("stray-bass", "channel 1"),
        ("stray-bass", "highest"),
    ],
)
def test_the_cases_read_as_the_plain_one(name: str, part: str | None) -> None:
    assert text(read_melody(CASES / f"{name}.mid", part=part)) == PLAIN


def test_the_stray_bass_is_named() -> None:
    with pytest.raises(MelodyFileError, match=r"2 parts.*--part.*2 \(channel 3, .*C2\.\.C2: 1\)"):
        read_melody(CASES / "stray-bass.mid")


# -- keys, bars and names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [(8, 0), (0xF8, 0), (0, 2), (0,), (), (0, 0, 0)], ids=lambda data: str(data)
)
def test_a_key_signature_that_stands_for_no_key_is_none(data: tuple[int], tmp_path: Path) -> None:
    line = line_of(tmp_path, midi(meta(0x59, *data) + TUNE + END))
    assert line.sharps is None
    assert len(line.notes) == 3


def test_the_first_key_that_is_one_counts(tmp_path: Path) -> None:
    keys = meta(0x59, 8, 0) + meta(0x59, 0xFD, 0) + meta(0x59, 1, 0)
    assert line_of(tmp_path, midi(keys + TUNE + END)).sharps == -3


@pytest.mark.parametrize(
    ("signatures", "expected"),
    [
        (b"", (None, 0)),
        (meta(0x58, 3, 2, 24, 8), (12, 0)),
        (meta(0x58, 6, 3, 24, 8), (12, 0)),
        (meta(0x58, 1, 2, 24, 8) + bytes((96, 0xFF, 0x58, 4, 2, 1, 24, 8)), (16, 4)),
        (meta(0x58, 4, 2), (16, 0)),  # without the metronome
        (meta(0x58, 0, 2, 24, 8), (None, 0)),
        (meta(0x58, 4, 200, 24, 8), (None, 0)),
        (meta(0x58, 5, 6, 24, 8), (None, 0)),  # 5/64 is no whole number of sixteenths
    ],
)
def test_bars_and_upbeats(
    signatures: bytes, expected: tuple[int | None, int], tmp_path: Path
) -> None:
    line = line_of(tmp_path, midi(signatures + END, TUNE * 5 + END))
    assert (line.bar, line.pickup) == expected


def test_a_rest_before_the_first_note_makes_an_upbeat(tmp_path: Path) -> None:
    late = bytes((0x82, 0x20)) + TUNE[1:]  # 288 ticks: three quarters of a bar of 4/4
    line = line_of(tmp_path, midi(meta(0x58, 4, 2, 24, 8) + late + END))
    assert (line.bar, line.pickup) == (16, 4)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Flöte".encode("latin-1"), "FLÖTE"),
        ("Flöte".encode(), "flöte"),
        ("笛".encode("shift_jis"), "笛"),
        (b"\x85\xff", "ÿ"),  # of no encoding
    ],
)
def test_names_in_any_encoding_choose_a_part(name: bytes, wanted: str, tmp_path: Path) -> None:
    named = meta(0x03, *name) + TUNE + END
    other = meta(0x03, *b"\x1b[31mred") + TUNE.replace(b"\x90", b"\x91").replace(b"\x80", b"\x81")
    assert read(tmp_path, midi(named, other + END), wanted) == C_D_E
    with pytest.raises(MelodyFileError, match=r"2 '\[31mred' \(channel 2") as caught:
        read(tmp_path, midi(named, other + END), "no such")
    assert "\x1b" not in str(caught.value)


# -- chunks ---------------------------------------------------------------------------------------


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"RMID"
    for name, data in chunks:
        body += name + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<L", len(body)) + body


@pytest.mark.parametrize("suffix", [".mid", ".MIDI", ".kar", ".rmi", ".smf"])
def test_suffixes(suffix: str, tmp_path: Path) -> None:
    assert read(tmp_path, midi(TUNE + END), name=f"a{suffix}") == C_D_E


@pytest.mark.parametrize(
    "data",
    [
        riff((b"data", midi(TUNE + END)), (b"DLS ", b"bank")),
        riff((b"LIST", b"INFOodd"), (b"data", midi(TUNE + END))),
        b"\0" * 128 + midi(TUNE + END),  # a MacBinary header
        header() + chunk(b"XFIH", b"alien") + chunk(b"MTrk", TUNE + END) + chunk(b"XFKM", b"x" * 9),
        header() + chunk(b"MTrk", TUNE + END) + b"\0\0\0",
        chunk(b"MThd", struct.pack(">HHH", 1, 1, 96) + b"more") + chunk(b"MTrk", TUNE + END),
        midi(b"", TUNE + END, END),  # tracks of no length, and of no events
        midi(TUNE),  # no end of track
        header(0) + chunk(b"MTrk", TUNE + END),  # more tracks than it says
    ],
)
def test_wrappers_and_unknown_chunks_are_skipped(data: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, data) == C_D_E


@pytest.mark.parametrize(
    "data",
    [
        midi(TUNE + bytes((0, ON, 65, 80, 96)))[:-1],
        header() + chunk(b"MTrk", TUNE, size=2**32 - 1),
        midi(TUNE + bytes((0, 0xF0, 0x87, 0xFF, 0xFF, 0x7F))),  # 2 MB of system exclusive
        midi(TUNE + bytes((0, 0xFF, 1, 0x8F, 0xFF, 0xFF, 0x7F))),
        header(3) + chunk(b"MTrk", TUNE + END),
    ],
)
def test_a_file_that_is_cut_off_is_read_and_named(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, data) == C_D_E
    assert [str(tmp_path / "a.mid") in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no MIDI header"),
        (b"MThd", "no MIDI header"),
        (header(1), "ends before the first note"),
        (midi(TUNE + END, division=0), "0 ticks"),
        (midi(TUNE + END, division=0xE728), "SMPTE"),
        (midi(bytes((0, 60, 80)) + END), "belong to no event"),
        (midi(b"\xff" * 100 + END), "more than 4 bytes"),
        (midi(bytes((0, ON, 60, 80, *b"\xff\xff\xff\x7f", OFF, 60, 0)), division=1), "24 hours"),
        (midi(TUNE.replace(b"\x90", b"\x99") + END), "no notes"),  # drums
        (midi(END), "no notes"),
    ],
)
def test_what_is_no_tune_is_refused_in_a_line(data: bytes, message: str, tmp_path: Path) -> None:
    for part in (None, "highest", "1"):
        with pytest.raises(MelodyFileError, match=message) as caught:
            read(tmp_path, data, part)
        assert "\n" not in str(caught.value)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.mid").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(MelodyFileError, match=r"1,099,511,627,776 bytes"):
        read_melody(tmp_path / "a.mid")


def test_the_tracks_of_a_type_2_file_are_a_tune_each(tmp_path: Path) -> None:
    file = tmp_path / "a.mid"
    tracks = (meta(0x58, 4, 2, 24, 8) + END, meta(3, *b"one") + TUNE + END, TUNE[8:] + END)
    file.write_bytes(midi(*tracks, kind=2))
    tunes = read_tunes(file)
    assert [tune.name for tune in tunes] == ["#1 one", "#2"]
    assert [len(tune.line.notes) for tune in tunes if isinstance(tune.line, Line)] == [3, 2]
    assert read(tmp_path, midi(TUNE + END, kind=2)) == C_D_E


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        # running status, offs as velocity 0; on behind meta and system exclusive events
        bytes((0, ON, 60, 80, 96, 60, 0, 0, 62, 80, 96, 62, 0, 0, 64, 80, 96, 64, 0)),
        bytes((0, ON, 60, 80, 96, 60, 0))
        + meta(1, *b"words")
        + bytes((0, 62, 80, 96, 62, 0, 0, 0xF0, 2, 1, 0xF7, 0, 64, 80, 96, 64, 0)),
        # system common and real time messages, which have no place in a file
        bytes((0, 0xF2, 1, 2, 0, 0xF8, 0, 0xF3, 1, 0, 0xFE)) + TUNE,
        # aftertouch, controllers, programs, pressure, bends
        bytes((0, 0xA0, 60, 1, 0, 0xB0, 64, 127, 0, 0xC0, 40, 0, 0xD0, 3, 0, 0xE0, 0, 64)) + TUNE,
        # never switched off: the next note of that pitch, or the track's end, does it
        TUNE[:-4] + bytes((96, 0xFF, 0x2F, 0)),
        # a velocity and a pitch that are no data bytes
        TUNE.replace(b"\x90\x3e\x50", b"\x90\x3e\xff") + bytes((0, ON, 200, 80, 0, OFF, 200, 0)),
        # an off without an on, and a note of no length
        bytes((0, OFF, 50, 0, 0, ON, 70, 80, 0, OFF, 70, 0)) + TUNE,
    ],
)
def test_events_as_programs_write_them(events: bytes, tmp_path: Path) -> None:
    end = b"" if events.endswith(b"\xff\x2f\0") else END
    assert read(tmp_path, midi(events + end)) == C_D_E


def test_a_note_switched_off_behind_the_next_is_two_notes(tmp_path: Path) -> None:
    twice = bytes((0, ON, 60, 80, 96, ON, 60, 80, 0, OFF, 60, 0, 96, OFF, 60, 0))
    assert read(tmp_path, midi(twice + END)) == "C4 - - - C4 - - -"


def test_polyphony_is_seen_before_the_key_is_analysed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "seqgen_envs.domains.melody.reading.line.analysed_key", lambda notes: pytest.fail("asked")
    )
    chords = [(float(i), 1.0, pitch) for i in range(8) for pitch in (60, 64)]
    with pytest.raises(MelodyFileError, match="polyphonic"):
        read_melody(write_midi(tmp_path / "a.mid", chords), transpose=True)
