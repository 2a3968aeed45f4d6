"""Notes as people type them."""

import pytest

from seqgen_envs.domains.melody import DOMAIN


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("D4 - Bb4 -", "D4 - A#4 -"),
        ("E#4 Cb4 B#3 Fb5 B#4", "F4 B3 C4 E5 C5"),
        ("F##4 Bbb3 B\u266d4 C\u266f5 .", "G4 A3 A#4 C#5 ."),
        ("B#2 Cb6", "C3 B5"),
    ],
)
def test_notes_are_read_in_flats_and_sharps(typed, read):
    assert DOMAIN.to_text(DOMAIN.to_ids(typed)) == read


@pytest.mark.parametrize("token", ["Cb3", "B#5", "C6", "H4", "b4", "Bb", "C#b4", "B###4", "C-1"])
def test_what_is_no_note_of_the_vocabulary_is_named(token):
    with pytest.raises(ValueError, match=f"unknown token '{token}' at position 1"):
        DOMAIN.to_ids(f"C4 {token}")
