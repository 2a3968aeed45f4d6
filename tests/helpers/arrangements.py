"""Arrangements of the kinds that game, pop, chorale, piano and guitar files come in.

Each is a function of a path without suffix that writes one file and returns its path.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import mido

TICKS = 480
#: (onset, duration, pitch) in quarter notes: a bar, and eight bars, of 4/4.
BAR = [(0, 1, 67), (1, 0.5, 69), (1.5, 0.5, 71), (2, 1.5, 72), (3.5, 0.5, 67)]
MELODY = [
    (start + bar * 4, length, pitch + shift)
    for bar, shift in enumerate((0, 0, 5, 7, 0, 5, 7, 0))
    for start, length, pitch in (
        (0, 1, 67),
        (1, 0.5, 69),
        (1.5, 0.5, 71),
        (2, 1.5, 72),
        (3.5, 0.5, 67),
    )
]
BASS = [(half * 2, 2, 48 + (0, 7, 0, 7, 5, 0, 7, 0)[half % 8]) for half in range(16)]
CHORDS = [(bar * 4, 4, 55 + third) for bar in range(8) for third in (0, 4, 7)]
DRUMS = [(beat / 2, 0.25, 42 if beat % 2 else 36) for beat in range(64)]
Notes = list[tuple[float, float, int]]
Events = list[tuple[int, mido.Message]]
KINDS: dict[str, Callable[[Path], Path]] = {}


def kind(name: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        KINDS[name] = make
        return make

    return register


def timed(
    notes: Notes, channel: int = 0, *, off: str = "note_off"
) -> list[tuple[int, mido.Message]]:
    """(tick, message) of notes: offs before the ons of the same tick."""
    events = []
    for onset, length, pitch in notes:
        start, end = round(onset * TICKS), round((onset + length) * TICKS)
        events.append((start, 1, mido.Message("note_on", channel=channel, note=pitch, velocity=80)))
        events.append((end, 0, mido.Message(off, channel=channel, note=pitch, velocity=0)))
    events.sort(key=lambda event: event[:2])
    return [(tick, message) for tick, _, message in events]


def track(events: Events, name: str | None = None) -> mido.MidiTrack:
    made = mido.MidiTrack()
    if name is not None:
        made.append(mido.MetaMessage("track_name", name=name))
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        made.append(message.copy(time=tick - now))
        now = tick
    return made


def save(path: Path, *tracks: mido.MidiTrack, kind: int = 1) -> Path:
    midi = mido.MidiFile(type=kind, ticks_per_beat=TICKS)
    midi.tracks.extend(tracks)
    midi.save(path)
    return path


def bach() -> object:
    from music21 import corpus

    return corpus.parse("bwv66.6").transpose(3)


@kind("chorale, four channels of one track")
def four_channels(path: Path) -> Path:
    voices = ([(i, 1, p) for i, p in enumerate(pitches)] for pitches in CHORALE)
    events = [event for i, voice in enumerate(voices) for event in timed(voice, i)]
    return save(path.with_suffix(".mid"), track(events, "Chorale"), kind=0)


CHORALE = (
    (72, 74, 76, 77, 76, 74, 72, 71, 72, 74, 76, 77, 76, 74, 74, 72),
    (67, 67, 72, 69, 67, 71, 69, 67, 67, 71, 72, 69, 67, 69, 71, 67),
    (64, 62, 67, 65, 60, 67, 64, 62, 64, 67, 67, 65, 60, 65, 67, 64),
    (48, 55, 48, 53, 60, 55, 57, 55, 48, 55, 48, 53, 60, 53, 55, 48),
)


@kind("chorale of Bach, a track a voice")
def bach_midi(path: Path) -> Path:
    return Path(bach().write("midi", fp=path.with_suffix(".mid")))


@kind("chorale of Bach, MusicXML")
def bach_xml(path: Path) -> Path:
    return Path(bach().write("musicxml", fp=path.with_suffix(".musicxml")))


@kind("game: three channels and drums")
def game(path: Path) -> Path:
    arpeggio = [(i / 4, 0.25, 55 + (0, 4, 7, 4)[i % 4]) for i in range(128)]
    return save(
        path.with_suffix(".mid"),
        track(timed([n for n in MELODY if n[0] // 4 != 4], 0), "Pulse 1"),  # a bar's rest
        track(timed(arpeggio, 1), "Pulse 2"),
        track(timed(BASS, 2), "Triangle"),
        track(timed(DRUMS, 9), "Noise"),
    )


@kind("pop: channels of a type 0 file, instruments named")
def pop(path: Path) -> Path:
    programs = [
        (0, mido.Message("program_change", channel=c, program=p)) for c, p in enumerate((40, 33, 0))
    ]
    events = timed(MELODY, 0) + timed(BASS, 1) + timed(CHORDS, 2) + timed(DRUMS, 9)
    return save(path.with_suffix(".mid"), track(programs + events), kind=0)


@kind("melody, bass and chords, a track each")
def three_tracks(path: Path) -> Path:
    conductor = track([(0, mido.MetaMessage("time_signature", numerator=4, denominator=4))])
    return save(
        path.with_suffix(".mid"),
        conductor,
        track(timed(BASS, 1), "Bass"),
        track(timed(CHORDS, 2), "Chords"),
        track(timed(MELODY, 0), "Melody"),
    )


@kind("karaoke with words")
def karaoke(path: Path) -> Path:
    words = [(round(on * TICKS), mido.MetaMessage("lyrics", text="la ")) for on, _, _ in MELODY]
    file = save(
        path.with_suffix(".kar.mid"),
        track([(0, mido.MetaMessage("text", text="@KMIDI KARAOKE FILE"))], "Soft karaoke"),
        track(words, "Words"),
        track(timed(MELODY, 3), "Voice"),
        track(timed(BASS, 1), "Bass"),
        track(timed(DRUMS, 9), "Drums"),
    )
    return file.rename(path.with_suffix(".kar"))


@kind("melody that changes track, over a bass")
def relay(path: Path) -> Path:
    return save(
        path.with_suffix(".mid"),
        track(timed([n for n in MELODY if n[0] < 16], 0), "Flute"),
        track(timed([n for n in MELODY if n[0] >= 16], 1), "Oboe"),
        track(timed(BASS, 2), "Cello"),
    )


@kind("legato: notes run into the next")
def legato(path: Path) -> Path:
    played = [(on, n + 0.1, p) for on, n, p in MELODY]
    return save(path.with_suffix(".mid"), track(timed(played), "Lead"), track(timed(BASS, 1)))


@kind("running status, offs as velocity 0")
def running(path: Path) -> Path:
    events = timed(MELODY, 0, off="note_on")
    return save(path.with_suffix(".mid"), track(events), track(timed(BASS, 1, off="note_on")))


@kind("tempo changes")
def rubato(path: Path) -> Path:
    tempi = [
        (bar * 4 * TICKS, mido.MetaMessage("set_tempo", tempo=400_000 + 57_001 * bar))
        for bar in range(8)
    ]
    return save(path.with_suffix(".mid"), track(tempi), track(timed(MELODY)), track(timed(BASS, 1)))


@kind("upbeat")
def upbeat(path: Path) -> Path:
    metres = [
        (0, mido.MetaMessage("time_signature", numerator=1, denominator=4)),
        (TICKS, mido.MetaMessage("time_signature", numerator=4, denominator=4)),
    ]
    tune = [(0.0, 1.0, 67), *((on + 1, n, p) for on, n, p in MELODY)]
    bass = [(on + 1, n, p) for on, n, p in BASS]
    return save(path.with_suffix(".mid"), track(metres), track(timed(tune)), track(timed(bass, 1)))


@kind("waltz in 3/4")
def waltz(path: Path) -> Path:
    metre = [(0, mido.MetaMessage("time_signature", numerator=3, denominator=4))]
    tune = [(bar * 3 + on, n, 72 + bar % 5) for bar in range(8) for on, n in ((0, 2), (2, 1))]
    oom = [(bar * 3, 1, 48) for bar in range(8)]
    pah = [(bar * 3 + beat, 1, p) for bar in range(8) for beat in (1, 2) for p in (55, 60, 64)]
    return save(
        path.with_suffix(".mid"), track(metre), track(timed(tune)), track(timed(oom + pah, 1))
    )


@kind("triplets here and there")
def triplets(path: Path) -> Path:
    extra = [(32 + i / 3, 1 / 3, 72 + i) for i in range(3)] + [(33, 1, 72)]
    tune = [*MELODY, *extra]
    return save(path.with_suffix(".mid"), track(timed(tune)), track(timed(BASS, 1)))


@kind("piano with sustain pedal")
def pedal(path: Path) -> Path:
    pedals = [
        (beat * TICKS, mido.Message("control_change", control=64, value=127 * (beat % 2)))
        for beat in range(32)
    ]
    return save(path.with_suffix(".mid"), track(timed(MELODY + CHORDS) + pedals, "Piano"))


@kind("instrument changes within a track")
def programs(path: Path) -> Path:
    changes = [
        (bar * 4 * TICKS, mido.Message("program_change", program=bar * 8)) for bar in range(8)
    ]
    return save(path.with_suffix(".mid"), track(timed(MELODY) + changes), track(timed(BASS, 1)))


@kind("RIFF wrapper (.rmi)")
def riff(path: Path) -> Path:
    inside = three_tracks(path).read_bytes()
    info = b"LIST" + struct.pack("<L", 5) + b"INFOx\0"  # odd, so padded
    body = b"RMID" + info + b"data" + struct.pack("<L", len(inside)) + inside
    file = path.with_suffix(".rmi")
    file.write_bytes(b"RIFF" + struct.pack("<L", len(body)) + body)
    return file


@kind("key signature of eight sharps, foreign chunks")
def foreign(path: Path) -> Path:
    data = three_tracks(path).read_bytes()
    alien = b"XFIH" + struct.pack(">L", 5) + b"alien"
    head, first, rest = data[:14], data[14:22], data[22:]
    size = struct.unpack(">L", first[4:])[0] + 6
    key = bytes((0, 0xFF, 0x59, 2, 8, 0))
    file = path.with_suffix(".mid")
    file.write_bytes(head + alien + b"MTrk" + struct.pack(">L", size) + key + rest + alien)
    return file


@kind("melody doubled in unison")
def doubled(path: Path) -> Path:
    late = [(on + 0.01, n, p) for on, n, p in MELODY]
    return save(
        path.with_suffix(".mid"),
        track(timed(MELODY, 0), "Flute"),
        track(timed(late, 1), "Violin"),
        track(timed(BASS, 2), "Bass"),
    )


@kind("melody over strummed guitar chords")
def strummed(path: Path) -> Path:
    strums = [
        (beat + string * 0.02, 0.9, pitch)
        for beat in range(32)
        for string, pitch in enumerate((48, 52, 55, 60, 64))
    ]
    return save(path.with_suffix(".mid"), track(timed(MELODY)), track(timed(strums, 1), "Guitar"))


@kind("piano, two hands in MusicXML")
def piano(path: Path) -> Path:
    from music21 import chord, clef, layout, note, stream

    right, left = stream.PartStaff(), stream.PartStaff()
    right.append([note.Note(p, quarterLength=n) for _, n, p in MELODY])
    left.append([chord.Chord([48, 52, 55], quarterLength=2) for _ in range(16)])
    left.insert(0, clef.BassClef())
    score = stream.Score([right, left, layout.StaffGroup([right, left], symbol="brace")])
    return Path(score.write("musicxml", fp=path.with_suffix(".musicxml")))


@kind("arpeggios, one line")
def arpeggios(path: Path) -> Path:
    notes = [(i / 4, 0.25, (60, 64, 67, 72)[i % 4] + 5 * (i // 32 % 2)) for i in range(128)]
    return save(path.with_suffix(".mid"), track(timed(notes), "Harp"))


@kind("lead sheet: melody and chord symbols, UTF-16 in .mxl")
def lead_sheet(path: Path) -> Path:
    from music21 import harmony, note, stream

    part = stream.Part([note.Note(p, quarterLength=n) for _, n, p in MELODY])
    for bar, name in enumerate(("C", "Am", "F", "G7", "C", "F", "G7", "C")):
        part.insert(bar * 4, harmony.ChordSymbol(name))
    plain = Path(stream.Score([part]).write("musicxml", fp=path.with_suffix(".musicxml")))
    text = plain.read_text(encoding="utf-8").replace('encoding="utf-8"', 'encoding="UTF-16"')
    container = '<container><rootfiles><rootfile full-path="a/song.xml"/></rootfiles></container>'
    file = path.with_suffix(".mxl")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("a/song.xml", text.encode("utf-16"))
    return file


@kind("notes of no length among others")
def no_length(path: Path) -> Path:
    none = [(on, 0, 84) for on, _, _ in MELODY[::4]]
    events = [
        (round(on * TICKS), mido.Message(kind, note=pitch, velocity=80))
        for on, _, pitch in none
        for kind in ("note_on", "note_off")
    ]
    return save(path.with_suffix(".mid"), track(timed(MELODY) + events), track(timed(BASS, 1)))


@kind("drums alone")
def drums(path: Path) -> Path:
    return save(path.with_suffix(".mid"), track(timed(DRUMS, 9), "Drums"))
