"""CMU's dictionary, the forms derived from it, and the estimate for the rest."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqgen_envs.domains.text import pronunciation
from seqgen_envs.domains.text.pronunciation import (
    EARLY_MODERN,
    TABLE,
    estimated_syllables,
    pronunciations,
    rhyme,
    rhyme_key,
    sound_of,
    words_of,
)

KNOWN = {
    "compare": {"01"},
    "memory": {"100"},
    "temperate": {"100", "10"},
    "understand": {"201"},
    "thee": {"?"},
    "the": {"?"},
    "desire": {"010", "01"},
    "power": {"10", "?"},
    "th'": {""},
    "o'er": {"?"},
}
DERIVED = {
    "lov'd": ("L AH1 V D", "?"),
    "tatter'd": ("T AE1 T ER0 D", "10"),
    "mak'st": ("M EY1 K S T", "?"),
    "know'st": ("N OW1 S T", "?"),
    "viewest": ("V Y UW1 AH0 S T", "10"),
    "gazeth": ("G EY1 Z AH0 TH", "10"),
    "forgetteth": ("F ER0 G EH1 T AH0 TH", "010"),
    "beauty's": ("B Y UW1 T IY0 Z", "10"),
    "stol'n": ("S T OW1 L AH0 N", "10"),
    "bosoms": ("B UH1 Z AH0 M Z", "10"),
    "mayst": ("M EY1 S T", "?"),
    "is't": ("IH1 Z T", "?"),
    "dishonour": ("D IH0 S AA1 N ER0", "010"),
}


@pytest.mark.parametrize(("word", "patterns"), KNOWN.items())
def test_what_the_dictionary_knows(word, patterns):
    sound = sound_of(word)
    assert (set(sound.patterns) >= patterns, sound.how) == (True, "known")


@pytest.mark.parametrize(("word", "expected"), DERIVED.items())
def test_what_is_derived(word, expected):
    sound = sound_of(word)
    assert sound.how == "derived"
    assert expected[0] in [" ".join(one) for one in sound.spoken]
    assert expected[1] in sound.patterns


def test_what_is_estimated():
    sound = sound_of("zorbleth")
    assert (sound.spoken, sound.patterns, sound.how) == ((), ("??",), "estimated")
    counts = {"scraze": 1, "brindled": 2, "quombles": 2, "tarquin": 2, "hm": 1, "blorped": 1}
    assert {word: estimated_syllables(word) for word in counts} == counts


def test_the_estimate_is_as_good_as_it_says():
    words = [word for word in list(pronunciations())[::20] if word.isalpha()]
    right = [
        estimated_syllables(word)
        in {sum(p[-1] in "012" for p in one) for one in sound_of(word).spoken}
        for word in words
    ]
    assert 0.86 < sum(right) / len(right) < 0.90


def test_the_table():
    assert len(pronunciations()) == 126_052
    assert TABLE.stat().st_size < 1_000_000
    assert (TABLE.parent / "LICENSE.cmudict").read_text().startswith("Copyright (C) 1993-2015")
    pronunciation._table.cache_clear()
    start = time.process_time()
    pronunciations()
    assert time.process_time() - start < 1.0  # about a tenth of a second; machines vary


def test_words_without_the_dictionary_are_not_in_it():
    assert not EARLY_MODERN.keys() & pronunciations().keys()


@pytest.mark.parametrize(
    ("one", "other"),
    [("day", "may"), ("see", "thee"), ("possession", "transgression"), ("lov'd", "shov'd"),
     ("eyes", "lies"), ("power", "hour"), ("viewest", "renewest"), ("memory", "see")],
)  # fmt: skip
def test_rhymes(one, other):
    expected = 1.0 if (one, other) != ("memory", "see") else pytest.approx(1 / 8)
    assert rhyme(one, other) == rhyme(other, one) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [("day", "day"), ("sun", "son"), ("love", "love'"), ("zorbleth", "morbleth"), ("day", "zorb")],
)
def test_repetitions_and_unknown_words_do_not_rhyme(one, other):
    assert rhyme(one, other) == 0


def test_endings_that_sound_alike_are_worth_something():
    assert 0 < rhyme("night", "fate") < rhyme("nights", "fates") <= 0.5
    assert rhyme("night", "love") == 0


def test_rhyme_keys():
    assert rhyme_key(("M", "EH1", "M", "ER0", "IY0")) == ("EH", "M", "ER", "IY")
    assert rhyme_key(("AE1", "L", "F", "AH0", "B", "EH2", "T")) == ("EH", "T")
    assert rhyme_key(("DH", "AH0")) == ("AH",)
    assert rhyme_key(("DH",)) == rhyme_key(()) == ()


def test_words_of_a_line():
    line = "Feed'st thy LIGHT\N{RIGHT SINGLE QUOTATION MARK}s flame, self-made; 12 'Tis!"
    assert " ".join(words_of(line)) == "feed'st thy light's flame self made 'tis"


@given(st.text(max_size=80))
@example("'" * 9)
@example("st est eth 's 'd s")
@example("ß İ ﬁ é's")
def test_any_text_has_words_that_sound(text):
    for word in words_of(text):
        sound = sound_of(word)
        assert sound.patterns
        assert all(set(pattern) <= set("012?") for pattern in sound.patterns)
        assert 0 <= rhyme(word, "day") <= 1
