"""Metrics of verse and copies of a corpus, worked by hand."""

import math

import numpy as np
import pytest

from seqgen_envs.datasets.corpus import Corpus, SkipReport
from seqgen_envs.domains.text import DOMAIN, PRIORS
from seqgen_envs.domains.text.copying import (
    REFERENCE_FILE,
    copied_runs,
    describe_corpus,
    hashes_of,
    load_six_grams,
    save_six_grams,
    six_gram_hashes,
)
from seqgen_envs.domains.text.metrics import EACH, summarize, text_metrics

VOCABULARY = DOMAIN.vocabulary
SEE = "so long as men can breathe or eyes can see"
THEE = "so long lives this and this gives life to thee"
TEXTS = (
    f"{SEE}\n{THEE}",
    f"{SEE}\nthe day of zorbleth",  # the second line has five syllables
    f"{SEE}\n{THEE}\n{SEE}",  # the third one is not wanted
    "",
)
NEW = "a word that stands nowhere else at all"


def ids_of(*texts):
    return VOCABULARY.padded([[*DOMAIN.to_ids(t), VOCABULARY.end_id] for t in texts])


@pytest.fixture
def folder(tmp_path):
    """Of a prior whose corpus is one couplet."""
    save_six_grams(six_gram_hashes([TEXTS[0]]), tmp_path)
    return tmp_path


# -- metrics --------------------------------------------------------------------------------------


def test_each_text(folder):
    found = text_metrics(ids_of(*TEXTS), VOCABULARY, folder)
    expected = {
        "lines": [2, 2, 3, 0],
        "syllables": [10, 7.5, 10, 0],
        "metrical_lines": [1, 0.5, 2 / 3, 0],
        "rhymed": [1, 0, 1, 0],
        "known_words": [1, 13 / 14, 1, 0],
        # 15 runs of 20 words; 5 of them within the first line; of 30 words 25 runs, 15 and 5 known
        "copied": [1, 5 / 9, 20 / 25, math.nan],
    }
    assert tuple(found) == EACH == tuple(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_the_table(folder):
    table = summarize(ids_of(*TEXTS, TEXTS[0]), VOCABULARY, folder)
    assert table == pytest.approx(
        {
            "metrical_lines": 7 / 9,
            "rhymed_texts": 3 / 5,
            "whole_forms": 2 / 5,
            "mean_lines": 9 / 5,
            "mean_syllables": 85 / 9,
            "known_words": 83 / 84,
            "copied_six_grams": (15 + 5 + 20 + 15) / (15 + 9 + 25 + 15),
            "distinct": 4 / 5,
        }
    )


def test_a_form_of_another_kind():
    form = {"syllables": (1, 1, 1), "scheme": "a a"}
    found = text_metrics(ids_of("day\nnight\nmay", "day\nnight"), VOCABULARY, **form)
    assert found["rhymed"].tolist() == [1, 0]
    assert found["metrical_lines"].tolist() == [1, 1]
    assert np.isnan(found["copied"]).all()
    table = summarize(ids_of("day\nnight\nmay", "day\nnight"), VOCABULARY, **form)
    assert (table["whole_forms"], table["rhymed_texts"]) == (0.5, 0.5)
    assert math.isnan(table["copied_six_grams"])
    free = summarize(ids_of("day\nnight\nmay"), VOCABULARY, **form | {"scheme": "abc"})
    assert math.isnan(free["rhymed_texts"])
    assert free["whole_forms"] == 1


def test_the_tasks_form_and_the_priors_corpus_are_told(folder):
    haiku = DOMAIN.beside(None, DOMAIN.make_task("haiku"))
    text = "an old silent pond\na frog jumps into the pond\nsplash silence again"
    assert haiku.metrics.each(ids_of(text))["lines"].tolist() == [3]
    assert math.isnan(haiku.summary(ids_of(text))["rhymed_texts"])

    class Prior:
        source = folder

    assert DOMAIN.summary(ids_of(TEXTS[0]), Prior())["copied_six_grams"] == 1
    assert math.isnan(DOMAIN.summary(ids_of(TEXTS[0]))["copied_six_grams"])


@pytest.mark.parametrize("tokens", [[[0, VOCABULARY.size + 1]], [[-1, 0]], [0, 1], [[0.5]]])
def test_what_are_no_texts_is_refused(tokens):
    with pytest.raises(ValueError, match="tokens must be"):
        text_metrics(np.array(tokens), VOCABULARY)


def test_no_texts_have_no_table():
    with pytest.raises(ValueError, match="no texts to summarize"):
        summarize(np.zeros((0, 3), dtype=np.int64), VOCABULARY)


# -- copies ---------------------------------------------------------------------------------------


def test_runs_go_across_lines_and_marks():
    assert len(hashes_of("one two three four five")) == 0
    assert hashes_of("One, two three\nfour 'five' six!") == hashes_of("one two three four five six")
    assert len(hashes_of(TEXTS[0])) == 15
    found = six_gram_hashes([TEXTS[0], TEXTS[0], "too short"])
    assert len(found) == 15
    assert (np.diff(found.astype(np.int64)) > 0).all()


def test_copied_runs():
    corpus = six_gram_hashes([TEXTS[0]])
    assert copied_runs(TEXTS[0], corpus) == (15, 15)
    assert copied_runs(NEW, corpus) == (0, 3)
    assert copied_runs("too short", corpus) == (0, 0)
    assert copied_runs(TEXTS[0], corpus[:0]) == (0, 15)


def test_a_reference_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**32, 5000, dtype=np.uint32))
    path = save_six_grams(hashes, tmp_path)
    assert path.name == REFERENCE_FILE
    np.testing.assert_array_equal(load_six_grams(tmp_path), hashes)
    assert path.stat().st_size < 3 * len(hashes) + 70_000


def test_a_corpus_is_described(tmp_path):
    texts = [TEXTS[0], NEW]
    ids = [np.array([*DOMAIN.to_ids(t), VOCABULARY.end_id]) for t in texts]
    splits = np.array(["train", "test"])
    corpus = Corpus(ids, ["a", "b"], splits, "own", VOCABULARY, SkipReport(), 40)
    describe_corpus(corpus, tmp_path)
    known = load_six_grams(tmp_path)
    assert [copied_runs(t, known) for t in texts] == [(15, 15), (0, 3)]  # of the training split
    nothing = Corpus(ids[1:], ["b"], splits[1:], "own", VOCABULARY, SkipReport(), 40)
    with pytest.raises(ValueError, match="corpus own has no training sequences"):
        describe_corpus(nothing, tmp_path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"sizes": np.zeros(65536, np.uint16)},
        {"sizes": np.zeros(9, np.uint16), "low": np.zeros(0, np.uint16)},
        {"sizes": np.zeros(65536, np.uint16), "low": np.zeros(3, np.uint16)},
        {"sizes": np.zeros(65536, np.int64), "low": np.zeros(0, np.uint16)},
    ],
)
def test_a_file_that_is_no_reference_is_refused(arrays, tmp_path):
    np.savez(tmp_path / REFERENCE_FILE, **arrays)
    with pytest.raises(ValueError, match="is not a file of six-grams: make it anew"):
        load_six_grams(tmp_path)


def test_the_bundled_corpus_is_known():
    """Two lines of Twelfth Night, which is of the training split, and two that nobody wrote."""
    known = load_six_grams(PRIORS / "default")
    assert 400_000 < len(known) < 450_000
    copied, runs = copied_runs(
        "if music be the food of love, play on,\ngive me excess of it", known
    )
    assert (copied, runs) == (9, 9)
    assert copied_runs(f"{NEW}\nand never comes to be a line of verse", known)[0] == 0
    assert (PRIORS / "default" / REFERENCE_FILE).stat().st_size < 1_000_000
