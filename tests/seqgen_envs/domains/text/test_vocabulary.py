"""Byte-pair tokens: learned as the library does it, and how they cut texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgen_envs.domains.text import DOMAIN
from seqgen_envs.domains.text.vocabulary import (
    MAX_CHARACTERS,
    encode,
    is_lower_case,
    is_of_characters,
    learn,
    plain,
)
from seqgen_envs.vocabulary import UnknownTokenError, Vocabulary

#: Merges in this order: th, the, " the", in.
SMALL = Vocabulary((*"\n  ehint"[:2], *"ehint", "th", "the", " the", "in", "<end>"), "<end>", "")


def test_merges_are_made_in_their_order():
    cut = [SMALL.tokens[i] for i in encode("the thin\nthe hint", SMALL)]
    assert cut == ["the", " ", "th", "in", "\n", "the", " ", "h", "in", "t"]
    assert [SMALL.tokens[i] for i in encode("in the", SMALL)] == ["in", " the"]


def test_a_learned_vocabulary_cuts_as_its_library():
    tokenizers = pytest.importorskip("tokenizers")
    texts = ["the cat sat on the mat", "the rat sat on the cat\nthat sat there"] * 3
    vocabulary = learn(texts, 40)
    assert vocabulary.size <= 40
    assert vocabulary.tokens[-1] == vocabulary.end == "<end>"
    assert vocabulary.tokens[0] == "\n"
    assert is_lower_case(vocabulary)
    assert is_of_characters(vocabulary)
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=39, min_frequency=2, initial_alphabet=sorted({"\n"}.union(*texts)),
        show_progress=False,
    )  # fmt: skip
    trained.train_from_iterator(
        ["the", " cat", " sat", " on", " the", " mat"] * 3
        + ["the", " rat", " sat", " on", " the", " cat", "\n", "that", " sat", " there"] * 3,
        trainer,
    )
    pieces = ["the", " cat", " that", " mat", " heat", "\n", "there"]
    cut = [vocabulary.tokens[i] for i in encode("".join(pieces), vocabulary)]
    expected = [trained.encode(piece).tokens for piece in pieces]
    assert cut == [token for tokens in expected for token in tokens]


def test_too_few_tokens_are_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match="4 tokens cannot hold the 4 different characters"):
        learn(["abc"], 4)


def test_texts_are_made_plain():
    written = (
        "\N{LEFT DOUBLE QUOTATION MARK}The  \N{LATIN SMALL LETTER E WITH ACUTE}s\N{EM DASH}I ;--"
    )
    assert plain(written) == "the es, i;"
    assert plain("a \n  b\t c ") == "a\nb c"


def test_what_is_unknown_is_named():
    with pytest.raises(UnknownTokenError, match="the characters '%' '5' of '5% of the day'") as e:
        encode("5% of the day", DOMAIN.vocabulary)
    assert e.value.tokens == {"5", "%"}
    with pytest.raises(ValueError, match="texts with at most 20,000 are read"):
        encode("a" * (MAX_CHARACTERS + 1), DOMAIN.vocabulary)


@given(st.text("abcdez' ,.;\n", max_size=60))
def test_texts_come_back(text):
    vocabulary = DOMAIN.vocabulary
    assert vocabulary.to_text(encode(text, vocabulary)) == text
    assert vocabulary.to_text(encode(f"{text}É", vocabulary)) == plain(f"{text}é")


def test_tokens_of_another_kind_are_not_cut_here():
    assert not is_of_characters(
        Vocabulary(("\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}the", "a", "<s>"), "<s>", "")
    )
    assert not is_lower_case(Vocabulary(("A", "a", "<end>"), "<end>", ""))
