"""Which part of an arrangement is read, and how the others are named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.melody.reading.abc import abc_line
from seqgen_envs.domains.melody.reading.line import SourceNote, TuneError, single_line
from seqgen_envs.domains.melody.reading.parts import Metre, Part, one_part, top_line


def part(pitches: Sequence[int], name: str = "", channel: int | None = None, at: float = 0) -> Part:
    return Part([SourceNote(at + i, 1, p) for i, p in enumerate(pitches)], name, channel)


FLUTE, OBOE, BASS = part((72, 74), "Flute", 1), part((67, 65), "Oboe", 2), part((48,), "Bass", 4)
TRIO = [FLUTE, Part([], "Silent", 3), OBOE, BASS]


def pitches_of(parts: Sequence[Part], chosen: str | None = None) -> list[int]:
    return [note.pitch for note in sorted(one_part(parts, None, chosen).notes)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("1", [72, 74]),
        ("2", [67, 65]),  # those without notes are not counted
        ("flute", [72, 74]),
        (" OBOE ", [67, 65]),
        ("channel 4", [48]),
        ("Channel:4", [48]),
        ("highest", [72, 74]),
        ("HIGHEST", [72, 74]),
    ],
)
def test_a_part_is_chosen(chosen: str, expected: list[int]) -> None:
    assert pitches_of(TRIO, chosen) == expected


def test_a_name_that_is_a_number_is_a_name_where_no_part_has_that_number() -> None:
    assert pitches_of([FLUTE, OBOE._replace(name="12")], "12") == [67, 65]


def test_a_name_that_parts_share_takes_them_together() -> None:
    halves = [part((60, 62), "Tune"), part((64,), "Tune", at=2), part((48, 48), "Bass")]
    assert pitches_of(halves, "tune") == [60, 62, 64]


def test_the_parts_there_are_are_named() -> None:
    listing = (
        r"1 'Flute' \(channel 1, notes C5\.\.D5: 2\); 2 'Oboe' \(channel 2, notes F4\.\.G4: 2\); "
        r"3 'Bass' \(channel 4, notes C3\.\.C3: 1\)$"
    )
    with pytest.raises(TuneError, match=f"3 parts that sound together\n{listing}") as two:
        one_part(TRIO, 0)
    assert two.value.reason == "polyphonic"
    for wrong in ("4", "0", "harp", "channel 3", "channel", "²"):
        with pytest.raises(TuneError, match=f"no part {wrong!r}; its parts are {listing}") as none:
            one_part(TRIO, 0, wrong)
        assert none.value.reason == "no such part"


def test_many_parts_and_long_names_are_cut_short() -> None:
    with pytest.raises(TuneError, match=r"'x{30}' .*16 .*; 24 more$") as caught:
        one_part([part((60,), "x" * 1000)] * 40, 0)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    ("second", "joins"),
    [
        (part((64, 65), at=2), True),
        (part((64, 65), at=1.9), True),  # the first rings on a little
        (part((64, 65), at=1.5), False),
        (part((64,), at=0), False),
        (Part([SourceNote(1, 0.02, 40)]), False),  # however short
    ],
)
def test_parts_that_never_sound_together_join(second: Part, joins: bool) -> None:
    parts = [part((60, 62)), second]
    if joins:
        assert pitches_of(parts) == [60, 62, 64, 65]
    else:
        with pytest.raises(TuneError, match="2 parts"):
            one_part(parts, 0)


def test_three_parts_take_turns() -> None:
    turns = [part((60,)), part((62,), at=1), part((64,), at=2), part((65,), at=3)]
    assert pitches_of([turns[0], turns[2], turns[1]._replace(notes=turns[1].notes)]) == [60, 62, 64]
    with pytest.raises(TuneError, match="4 parts"):
        one_part([Part([SourceNote(0, 9, 50)]), *turns[1:]], 0)


def test_voices_of_abc_are_parts() -> None:
    tune = "X:1\nL:1/4\nK:C\nV:low\nC,E,G,z|\nV:high\nceg2|\n"
    for chosen in ("2", "HIGH", "highest"):
        assert [note.pitch for note in abc_line(tune, chosen).notes] == [72, 76, 79]
    with pytest.raises(TuneError, match=r"1 'low' \(notes C3\.\.G3: 3\); 2 'high'"):
        abc_line(tune)


# -- the top line ---------------------------------------------------------------------------------


def test_a_note_below_one_that_sounds_on_is_left_out() -> None:
    notes = [
        SourceNote(0, 4, 72),
        SourceNote(1, 1, 60),
        SourceNote(4, 1, 60),
        SourceNote(4.5, 1, 65),
    ]
    assert top_line(notes) == [
        SourceNote(0, 4, 72),
        SourceNote(4, 0.5, 60),
        SourceNote(4.5, 1, 65),
    ]


def test_a_note_hidden_itself_hides_those_below_it() -> None:
    notes = [SourceNote(0, 1, 72), SourceNote(0, 4, 65), SourceNote(2, 1, 60), SourceNote(4, 1, 60)]
    assert top_line(notes) == [SourceNote(0, 1, 72), SourceNote(4, 1, 60)]


def test_a_strummed_chord_is_one_onset_and_its_highest_note() -> None:
    strum = [SourceNote(i * 0.025, 2, p) for i, p in enumerate((48, 55, 60, 64))]
    assert [(n.onset, n.pitch) for n in top_line(strum)] == [(0, 64)]


def test_an_ornament_before_its_note_is_not_the_line() -> None:
    grace = [SourceNote(0.9, 0.1, 74), SourceNote(1, 1, 72)]
    assert [n.pitch for n in top_line(grace)] == [72]


def test_legato_hides_nothing() -> None:
    down = [SourceNote(i, 1.1, 72 - i) for i in range(4)]
    assert [n.pitch for n in top_line(down)] == [72, 71, 70, 69]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            SourceNote,
            st.integers(0, 40).map(lambda step: step / 4),
            st.integers(1, 12).map(lambda steps: steps / 4),
            st.integers(48, 83),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_the_top_line_on_the_grid_is_what_its_definition_says(notes: list[SourceNote]) -> None:
    expected = []
    for onset in sorted({note.onset for note in notes}):
        sounding = [n for n in notes if n.onset <= onset < n.onset + n.duration]
        top = max(note.pitch for note in sounding)
        if any(note.onset == onset and note.pitch == top for note in sounding):
            expected.append((onset, top))
    line = top_line(notes)
    assert [(note.onset, note.pitch) for note in line] == expected
    assert single_line(line) == line  # one line, no note into the next


# -- bars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metres", "at", "expected"),
    [
        ([], 0, (None, 0)),
        ([Metre(0, 4)], 0, (16, 0)),
        ([Metre(0, 4)], 7, (16, 4)),
        ([Metre(0, 4)], 8, (16, 0)),
        ([Metre(0, 1), Metre(1, 4)], 0, (16, 4)),
        ([Metre(0, 1), Metre(1, 4)], 0.5, (16, 2)),
        ([Metre(0, 4), Metre(2, 3)], 0, (12, 8)),  # the first bar is cut short
        ([Metre(1, 3)], 0, (12, 4)),
        ([Metre(0, 0.3)], 0, (None, 0)),
        ([Metre(0, 0), Metre(0, 3)], 0, (12, 0)),
    ],
)
def test_the_bar_that_most_of_it_has(
    metres: list[Metre], at: float, expected: tuple[int | None, int]
) -> None:
    line = one_part([part([60] * 24, at=at)], None, None, metres)
    assert (line.bar, line.pickup) == expected
