"""Lines read in feet: a table of lines and what they are, licences, and marks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.text.scansion import (
    LONGEST_LINE,
    USUAL,
    Licences,
    marked,
    read_line,
    syllable_counts,
)

STRICT = Licences(trochee=False, promotion=False)
ALL = Licences(feminine=True)
#: Line, syllables it can be read in, feet of ten syllables that scan, and whether it is metrical:
#: strictly, as usual, and with the feminine ending too.
TABLE = [
    ("shall i compare thee to a summer's day", {10}, 5, "sum"),
    ("so long as men can breathe, or eyes can see", {10}, 5, "sum"),
    ("so long lives this, and this gives life to thee", {10}, 5, "sum"),
    ("that thereby beauty's rose might never die", {10}, 5, "sum"),
    ("his tender heir might bear his memory", {10}, 5, "um"),
    ("making a famine where abundance lies", {10}, 5, "um"),
    ("and only herald to the gaudy spring", {10}, 5, "sum"),
    ("when forty winters shall besiege thy brow", {10}, 5, "sum"),
    ("look in thy glass and tell the face thou viewest", {11}, 5, "m"),
    ("to be or not to be that is the question", {11}, 5, "m"),
    ("feed'st thy light's flame with self-substantial fuel", {10, 11}, 5, "sum"),
    ("from fairest creatures we desire increase", {10, 11}, 5, "sum"),
    ("pity the world, or else this glutton be", {10}, 5, "um"),
    ("rough winds do shake the darling buds of may", {10}, 5, "sum"),
    ("and summer's lease hath all too short a date", {10}, 5, "sum"),
    ("thy youth's proud livery so gazed on now", {10}, 5, "um"),
    ("happiness destroys umbrellas and windows", {11}, 2, ""),
    ("the beautiful elephants sing in the garden", {12}, 4, ""),
    ("under the table the monkeys are dancing", {11}, 4, ""),
    ("shall i compare thee", {5}, 2, ""),
    ("day", {1}, 0, ""),
    ("", {0}, 0, ""),
    ("... -- 12!", {0}, 0, ""),
]


@pytest.mark.parametrize(("line", "counts", "feet", "kinds"), TABLE)
def test_lines(line, counts, feet, kinds):
    assert counts <= set(syllable_counts(line))
    assert read_line(line).feet == feet
    read = {"s": STRICT, "u": USUAL, "m": ALL}
    assert (
        "".join(k for k, licences in read.items() if read_line(line, 10, licences).metrical)
        == kinds
    )


def test_a_reading():
    reading = read_line("making a famine where abundance lies")
    assert (reading.syllables, reading.distance, reading.all_feet, reading.unknown) == (10, 0, 5, 0)
    assert reading.patterns == ("10", "?", "10", "?", "010", "?")
    assert read_line("the zorbleth sings").unknown == 1
    short = read_line("an old silent pond", 5)  # its third foot is the weak syllable alone
    assert (short.distance, short.feet, short.all_feet) == (0, 2, 3)  # si- is stressed, and weak
    assert read_line("the old and silent", 5).metrical
    assert read_line("an old silent pond", 7).distance == 2


def test_the_best_reading_is_found():
    """Of an alternative that fits and one that does not; the distance counts before the feet."""
    assert read_line("from fairest creatures we desire increase").syllables == 10
    assert read_line("from fairest creatures we desire increase", 11).syllables == 11


def test_marks():
    above, below = marked("His tender heir might bear his memory!")
    assert below == "his tender heir might bear his memory"
    assert above.split() == list("x/x/x/x/x/")
    assert above.index("/") < 7  # over "ten"
    assert marked("making a famine where abundance lies")[0].split() == list("/xx/x/x/x/")
    assert marked("") == ("", "")
    assert marked("a idea")[1] == "a idea "[: len(marked("a idea")[1])]


@given(
    st.text(max_size=200), st.integers(1, LONGEST_LINE - 1), st.sampled_from([STRICT, USUAL, ALL])
)
@settings(max_examples=60)
def test_any_line_is_read(line, wanted, licences):
    reading = read_line(line, wanted, licences)
    assert 0 <= reading.feet <= reading.all_feet == (wanted + 1) // 2
    assert 0 <= reading.syllables <= LONGEST_LINE
    assert len(reading.patterns) == len(reading.words)
    assert reading.syllables in syllable_counts(line)
    above, below = marked(line, wanted, licences)
    assert len(above.replace(" ", "")) == sum(map(len, reading.patterns))
    assert below.split() == list(reading.words)


@given(
    st.lists(
        st.sampled_from(
            ["the", "day", "memory", "compare", "desire", "understand", "power", "zorb"]
        )
    )
)
@settings(max_examples=60)
def test_more_is_allowed_with_more_licences(words):
    line = " ".join(words)
    assert read_line(line, 10, STRICT).feet <= read_line(line, 10, USUAL).feet
    assert read_line(line, 10, STRICT).metrical <= read_line(line, 10, USUAL).metrical


def test_long_texts_take_no_time():
    line = "desire power " * 3000
    assert read_line(line).syllables == LONGEST_LINE
    assert not read_line(line).metrical
