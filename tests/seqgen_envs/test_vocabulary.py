"""Tokens to ids and back."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgen_envs.vocabulary import Vocabulary

ABC = Vocabulary(("a", "b", "c"), end="c")
tokens = st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=20, unique=True)


@given(tokens, st.data())
def test_ids_and_tokens_round_trip(names, data):
    vocabulary = Vocabulary(tuple(names))
    written = data.draw(st.lists(st.sampled_from(names), max_size=30))
    ids = vocabulary.encode(written)
    assert ids.dtype == np.int64
    assert vocabulary.decode(ids) == written
    padding = data.draw(st.integers(0, 5))
    assert vocabulary.decode([*ids, *[vocabulary.pad_id] * padding]) == written
    assert vocabulary.to_text(ids) == " ".join(written)


@given(tokens, st.data())
def test_end_ends(names, data):
    vocabulary = Vocabulary(tuple(names), end=data.draw(st.sampled_from(names)))
    others = [name for name in names if name != vocabulary.end]
    written = data.draw(st.lists(st.sampled_from(others), max_size=10))
    after = data.draw(st.lists(st.sampled_from(names), max_size=3))
    assert vocabulary.decode(vocabulary.encode([*written, vocabulary.end, *after])) == written


@given(tokens, tokens)
def test_fingerprints_are_equal_only_for_equals(mine, others):
    a, b = Vocabulary(tuple(mine)), Vocabulary(tuple(others))
    assert (a.fingerprint == b.fingerprint) == (mine == others)
    assert Vocabulary(tuple(mine), end=mine[0]).fingerprint != a.fingerprint
    assert pickle.loads(pickle.dumps(a)) == a
    if mine == others:
        a.check_same(b, "one", "two")
    else:
        with pytest.raises(ValueError, match="the vocabularies differ"):
            a.check_same(b, "one", "two")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Vocabulary(("a", "b")), "mine has 3 tokens, theirs has 2"),
        (Vocabulary(("a", "x", "c")), "token 1 is 'b' in mine and 'x' in theirs"),
        (Vocabulary(("a", "b", "c"), end="a"), "end token is 'c' in mine and 'a' in theirs"),
    ],
)
def test_first_difference_is_shown(other, message):
    with pytest.raises(ValueError, match=message):
        ABC.check_same(other, "mine", "theirs")


def test_unknown_tokens_and_ids_are_named():
    with pytest.raises(ValueError, match=r"unknown token 'z' at position 2; .* 3 tokens: a, b, c"):
        ABC.encode(["a", "b", "z"])
    for bad in (4, -1):
        with pytest.raises(ValueError, match=rf"token id {bad} at position 1 is outside 0\.\.2"):
            ABC.decode([0, bad])


@pytest.mark.parametrize(
    ("names", "end", "message"),
    [
        (("a",), None, "at least 2 tokens, got 1"),
        (("a", "b", "a"), None, r"repeated: \['a'\]"),
        (("a", ""), None, "empty string"),
        (("a", "b"), "z", "end token 'z' is not among"),
    ],
)
def test_vocabularies_are_checked(names, end, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(names, end=end)


def test_padded_rows():
    vocabulary = Vocabulary(("a", "b", "c"))
    rows = [np.array([0, 1], dtype=np.int8), np.array([], dtype=np.int8), np.array([2])]
    expected = [[0, 1], [3, 3], [2, 3]]
    assert vocabulary.padded(rows).tolist() == expected
    assert vocabulary.padded(rows, 1).tolist() == expected
    assert vocabulary.padded(rows, 3).tolist() == [[*row, 3] for row in expected]
    assert vocabulary.padded([]).shape == (0, 0)
    assert vocabulary.padded(rows).dtype == np.int64


@pytest.mark.parametrize(
    ("tokens", "joiner", "expected"),
    [
        (("a", "b", "ab", "."), "", True),
        (("a", "bc", "abca", "."), "", True),
        (("C", "Cl", "B", "Br", "."), "", False),
        (("a", "b", "ab", "."), " ", False),
    ],
)
def test_texts_that_are_cut_in_several_ways(tokens, joiner, expected):
    assert Vocabulary(tokens, end=".", joiner=joiner).is_ambiguous is expected


def test_copies_carry_what_was_given_alone():
    vocabulary = Vocabulary(("a", "b", "$"), end="$")
    small = len(pickle.dumps(vocabulary))
    assert vocabulary.to_text(vocabulary.encode(["a", "b"])) == "a b"
    assert len(pickle.dumps(vocabulary)) == small
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
