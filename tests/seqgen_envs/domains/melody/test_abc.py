"""ABC after the standard 2.1: only music lines hold notes, and what is in force moves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tunes import SCALE, abc, text
from seqgen_envs.domains.melody.reading.abc import abc_line, read_text, split_abc
from seqgen_envs.domains.melody.reading.line import TuneError, line_tokens
from seqgen_envs.domains.melody.reading.pieces import pieces
from seqgen_envs.domains.melody.reading.tunes import read_tunes
from seqgen_envs.domains.melody.vocabulary import VOCABULARY

CASES = Path(__file__).parents[3] / "data" / "cases" / "melody"


def notes(tune: str) -> str:
    """Names of the notes of the only tune, in time."""
    [(_, body)] = split_abc(tune)
    tokens = line_tokens(abc_line(body), transpose=False)
    return " ".join(VOCABULARY.tokens[token] for token in tokens if token > 1)


def of_body(body: str, key: str = "C") -> str:
    return notes(abc(body, key=key, length="1/4"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("double-colon", "C4 D4 E4 F4 G4 A4 B4 D4 E4 A4 B4 A4 B4 C5 D5 E5 F5"),
        ("hyphen-slur", "B4 C5 D5 E5 F5 G5 A5 B5 C5 D5 E5 F5"),
        ("plus-continuation", "C4 D4 E4 F4 G4 A4 B4 C5 C5 B4 A4 G4"),
        ("symbol-line", "C4 D4 E4 F4 G4 A4 B4 C5 C5 B4 A4 G4"),
        ("clef-bass", " ".join(["C4 D4 E4 F4 G4 F4 E4 D4"] * 4)),
    ],
)
def test_cases_that_once_failed(case: str, expected: str) -> None:
    assert notes((CASES / f"{case}.abc").read_text()) == expected


def test_an_overlay_counts_as_a_second_part() -> None:
    [tune] = read_tunes(CASES / "overlay.abc")
    assert not isinstance(tune.line, TuneError)
    with pytest.raises(TuneError, match="sound together at 4 of 8"):
        line_tokens(tune.line, transpose=False)


@pytest.mark.parametrize(
    "between",
    [
        *(f"{letter}: bad cafe | e:|" for letter in "ABCDFGHNORSTWZrsw"),
        "w: bad a-de\n+: fade cab",
        "w: bad a-de \\\n   fade cab",
        "%%text a bad cafe",
        "%%begintext\nbad cafe\n\nX:2\nCDEF|\n%%endtext",
        "%%beginps\n/bad { cafe } def\n%%endps",
        "% a comment cab",
        '"Cm7"!fade! +accent+ "^bad cafe" {/cdef} {gab} [r:bad cafe] ~ . H L M O P S T u v y2 $ `',
        "U: n = !fade!",
        "m: ~g2 = {a}g{f}g",
    ],
)
def test_only_music_lines_hold_notes(between: str) -> None:
    assert of_body(f"C D E F|\n{between}\nG A B c|") == "C4 D4 E4 F4 G4 A4 B4 C5"


def test_text_between_tunes_holds_no_notes() -> None:
    tunes = split_abc(abc("C D|") + "\nA bad face: abc def\n\n" + abc("E F|", number=2))
    lines = [abc_line(body) for _, body in tunes]
    assert [[note.pitch for note in line.notes] for line in lines] == [[60, 62], [64, 65]]


@pytest.mark.parametrize(
    "bar",
    [
        *("|", "||", "|]", "[|", "|:", ":|", "::", ":||:", ":|]", "||:", ":|:", "|1", ":|2", "|[1"),
        *("[2", ".|", "|1,3", ":|[2-4 ", "[|]", "|!fermata!", "|\\\n", "|\\ % a comment\n", "| ! "),
        '["D.C."',
    ],
)
def test_every_bar_line_is_one(bar: str) -> None:
    assert of_body(f"C D E F{bar}G A B c|") == "C4 D4 E4 F4 G4 A4 B4 C5"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C-C D", "C4 - - - - - - - D4 - - -"),
        ("C-|C D", "C4 - - - - - - - D4 - - -"),
        ("C.-C D", "C4 - - - - - - - D4 - - -"),
        ("C-D", "C4 - - - D4 - - -"),
        ("C-^C", "C4 - - - C#4 - - -"),
        ("^C-_D", "C#4 - - - - - - -"),
        ("^C-|C C", "C#4 - - - - - - - C4 - - -"),
        ("[CE]-[CE]", "E4 - - - - - - -"),
        ("C-zC", "C4 - - - . - - - C4 - - -"),
        ("C>D E<F", "C4 - - - - - D4 - E4 - F4 - - - - -"),
        ("C>>D", "C4 - - - - - - D4"),
        ("C>{e}vD", "C4 - - - - - D4 -"),
        ("C/D/ E// F3/2", "C4 - D4 - E4 F4 - - - - -"),
        ("+CE+ D", "E4 - - - D4 - - -"),
        ("C Z D", "C4 - - - . " + "- " * 15 + "D4 - - -"),
        ("C X2 D", "C4 - - - . " + "- " * 31 + "D4 - - -"),
        ("C [M:2/4] Z D", "C4 - - - . " + "- " * 7 + "D4 - - -"),
        ("C x D y4 E", "C4 - - - . - - - D4 - - - E4 - - -"),
        ("C [L:1/8] D [L:1/4] E", "C4 - - - D4 - E4 - - -"),
    ],
)
def test_lengths_ties_and_rests(body: str, expected: str) -> None:
    assert text(line_tokens(abc_line(abc(body, length="1/4")), transpose=False)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(3CDE F", [0, 2 / 3, 4 / 3, 2]),
        ("((3CDE) F", [0, 2 / 3, 4 / 3, 2]),
        ("(3:2:2CD E", [0, 2 / 3, 4 / 3]),
        ("(3C>DE F", [0, 1, 4 / 3, 2]),
        ("(2CD E", [0, 1.5, 3]),
        ("(5CDEFG A", [0, 0.4, 0.8, 1.2, 1.6, 2]),
        ("[M:6/8] (5CDEFG A", [0, 0.6, 1.2, 1.8, 2.4, 3]),
    ],
)
def test_tuplets(body: str, expected: list[float]) -> None:
    onsets = [note.onset for note in abc_line(abc(body, length="1/4")).notes]
    assert onsets == pytest.approx(expected)


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("D", "F c", "F#4 C#5"),
        ("Amix", "F c G", "F#4 C#5 G4"),
        ("A Dorian", "F c", "F#4 C5"),
        ("EM", "F G", "F#4 G4"),
        ("Bbm", "D G", "C#4 F#4"),
        ("D exp _b ^f", "F c B", "F#4 C5 A#4"),
        ("D Phr ^f", "F E B", "F#4 D#4 A#4"),
        ("Dmix=c", "F c", "F#4 C5"),
        ("HP", "f c g", "F#5 C#5 G5"),
        ("none", "F c", "F4 C5"),
        ("C", "^F f | F", "F#4 F#5 F4"),
        ("C", "[I:propagate-accidentals octave] ^F f F", "F#4 F5 F#4"),
        ("C", "[I:propagate-accidentals not] ^F F", "F#4 F4"),
        ("C", "__B ^^F", "A4 G4"),
        ("C", "C [K:D] F", "C4 F#4"),
        ("C clef=bass", "C", "C4"),
        ("C bass middle=d", "C", "C4"),
        ("C treble-8", "c", "C4"),
        ("C clef=treble+8", "C", "C5"),
        ("C octave=1", "C", "C5"),
        ("C transpose=2", "C", "D4"),
        ("C", "[K:treble-8] c [K:clef=treble] c", "C4 C5"),
    ],
)
def test_keys_accidentals_and_what_moves_a_voice(key: str, body: str, expected: str) -> None:
    assert of_body(body, key=key) == expected


def test_voices_are_parts_and_one_alone_is_a_line() -> None:
    head = "X:1\nM:4/4\nL:1/4\nV:1 octave=-1\nV:2 clef=bass\nK:C\n"
    assert notes(f"{head}[V:1] c d|\n[V:2] z4|\n[V:1] e f|\n") == "C4 D4 E4 F4"
    with pytest.raises(TuneError) as caught:
        abc_line(f"{head}V:1\nC D|\nV:2\nE F|\n")
    assert caught.value.reason == "polyphonic"


@pytest.mark.parametrize(
    ("metre", "body", "expected"),
    [("4/4", "G|C D E F|", (16, 4)), ("3/4", "C D E|", (12, 0)), ("none", "G|C D E F|", (None, 0))],
)
def test_bars_and_upbeats(metre: str, body: str, expected: tuple[int | None, int]) -> None:
    line = abc_line(f"X:1\nM:{metre}\nL:1/4\nK:C\n{body}\n")
    assert (line.bar, line.pickup) == expected
    assert abc_line("X:1\nM:2/4\nK:C\nC|\n").notes[0].duration == 0.25  # L follows from M


def test_a_rest_within_the_upbeat_shortens_it() -> None:
    assert abc_line(abc("z G|C D E F|", length="1/4")).pickup == 4


@pytest.mark.parametrize("body", ["[CE D|", "{ab C D|", "C9999999 D|", "C/9973 D|"])
def test_what_cannot_be_read_is_said(body: str) -> None:
    with pytest.raises(TuneError) as caught:
        abc_line(abc(body))
    assert caught.value.reason == "unreadable"


def test_utf_16_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.abc"
    file.write_bytes(abc("CDEF|").encode("utf-16"))
    assert read_text(file) == abc("CDEF|")


# --- long tunes --------------------------------------------------------------------------------


def test_a_long_tune_is_cut_at_bar_lines_and_nothing_is_lost() -> None:
    line = abc_line(abc("G2|" + SCALE * 8))
    tokens = line_tokens(line, transpose=False)
    cut = pieces(tokens, 16, line.pickup, 200)
    assert max(map(len, cut)) <= 200
    assert all(len(piece) % 16 == 0 for piece in cut[1:])
    np.testing.assert_array_equal(np.concatenate(cut), tokens)


def test_a_note_held_over_a_cut_is_struck_again() -> None:
    tokens = line_tokens(abc_line(abc("C16|", length="1/4")), transpose=False)
    assert [piece[0] for piece in pieces(tokens, 16, 0, 40)] == [14, 14]
