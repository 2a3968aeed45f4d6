"""From lines of SMILES to a corpus: what is kept, what is dropped, and what is said about it."""

import re

import numpy as np
import pytest

from helpers.paths import MOLECULES
from seqgen_envs.domains.molecule.corpus import cleaning as dataset
from seqgen_envs.domains.molecule.corpus.cleaning import (
    REWRITTEN,
    STRIPPED,
    Cleaning,
    clean,
    rewrite,
    smiles_corpus,
)
from seqgen_envs.domains.molecule.corpus.fragments import COUNTERIONS, is_counterion
from seqgen_envs.domains.molecule.corpus.reading import smiles_in
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY, canonicalize, parse

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def text_of(tokens):
    assert VOCABULARY.tokens[tokens[-1]] == END
    return VOCABULARY.to_text(tokens)


def corpus_of(lines, **options):
    return smiles_corpus(lines, "made up", n_jobs=1, progress=False, **options)


# -- one line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smiles", "cleaning", "expected"),
    [
        ("OC(=O)c1ccccc1OC(C)=O", Cleaning(), ASPIRIN),
        ("C1=CC=CC=C1", Cleaning(), "c1ccccc1"),
        ("[Na+].CC(=O)[O-]", Cleaning(), "CC(=O)[O-]"),
        ("C[C@H](N)C(=O)O", Cleaning(), "C[C@H](N)C(=O)O"),
        ("N[C@@H](C)C(=O)O", Cleaning(stereo=False), "CC(N)C(=O)O"),
        ("F/C=C/F", Cleaning(stereo=False), "FC=CF"),
        ("OCC", Cleaning(as_written=True), "OCC"),
        ("C1=CC=CC=C1", Cleaning(as_written=True), "C1=CC=CC=C1"),
        ("Cl.OCC", Cleaning(as_written=True, vocabulary=None), "Cl.OCC"),
        ("CC(=O)[O-].[Na+]", Cleaning(neutralize=True), "CC(=O)O"),
        ("C[NH3+]", Cleaning(neutralize=True), "CN"),
        ("C[N+](C)(C)C", Cleaning(neutralize=True), "C[N+](C)(C)C"),  # has no proton to give
    ],
)
def test_a_line_is_brought_to_its_form(smiles, cleaning, expected):
    assert clean(smiles, cleaning).text == expected


@pytest.mark.parametrize(
    ("smiles", "reason", "detail"),
    [
        ("", "unreadable", "there is no SMILES"),
        ("CC(C", "unreadable", "not a valid SMILES"),
        ("c1cccc1", "unreadable", "not a valid SMILES"),
        ("CCO>>CC=O", "reaction", "it is a reaction SMILES; give one molecule instead"),
        ("CCO>[Na+]>CC=O", "reaction", "it is a reaction SMILES"),
        ("[Xe]", "unknown token", r"unknown token '\[Xe\]' at position 0"),
        ("[13CH4]", "unknown token", "13CH4"),
        ("C" * 100, "too long", "it has 101 tokens, more than 100"),
        ("C" * 1_000_000, "too long", "it has 1,000,000 characters, more than 5,000"),
    ],
)
def test_a_line_that_will_not_do_says_why(smiles, reason, detail):
    outcome = clean(smiles, Cleaning())
    assert outcome.text == ""
    assert outcome.reason == reason
    assert re.search(detail, outcome.detail)


def test_the_longest_sequence_is_one_that_fits():
    assert clean("C" * 99, Cleaning()).text == "C" * 99
    with pytest.raises(ValueError, match="max_tokens must be at least 2, got 1"):
        Cleaning(max_tokens=1)
    with pytest.raises(ValueError, match="as_written leaves every SMILES as it is: leave out"):
        Cleaning(as_written=True, neutralize=True)


def test_a_spelling_that_rdkit_does_not_read_back_is_not_taken():
    given = smiles_in(MOLECULES / "canonical-unreadable.smi")[0]
    assert parse(canonicalize(given)) is None
    assert rewrite(given, Cleaning()).text == given


# -- salts -----------------------------------------------------------------------------------------

DRUG = "CCN(CC)CCNC(=O)c1ccc(N)cc1"  # procainamide


@pytest.mark.parametrize(
    "other",
    [
        "[Na+]", "Cl", "[Cl-]", "O.O", "O=C(O)C(F)(F)F", "O=C(O)/C=C/C(=O)O", "CS(=O)(=O)[O-]",
        "OC(=O)C(O)C(O)C(=O)O", "OC(=O)CC(O)(CC(=O)O)C(=O)O", "CCO", "c1ccccc1", "CS(C)=O",
        "CNC[C@H](O)[C@@H](O)[C@H](O)[C@H](O)CO", "F[B-](F)(F)F", "C[N+](C)(C)CCO.[OH-]",
        "OC(=O)c1cc2ccccc2c(Cc2c(O)c(C(=O)O)cc3ccccc23)c1O",  # pamoic acid, larger than the drug
        "O=C(O)c1ccc2ccccc2c1O", "OC(=O)/C=C\\C(=O)[O-]",  # of salmeterol xinafoate; maleate
    ],
)  # fmt: skip
def test_counterions_and_solvents_go(other):
    for mixture in (f"{DRUG}.{other}", f"{other}.{DRUG}"):
        assert rewrite(mixture, Cleaning()) == (DRUG, (STRIPPED, REWRITTEN), "")


@pytest.mark.parametrize(
    ("mixture", "kept"),
    [
        ("CCCCN.CCCCO", "CCCCN"),  # equals: the first by canonical order
        ("CCCCCC(C)C.CCCCN", "CCCCCC(C)C"),  # none is on the list: the largest
        ("CC(=O)[O-].[K+]", "CC(=O)[O-]"),  # all are: the largest of all
        ("CCCCN.CCCCN", "CCCCN"),
    ],
)
def test_what_stays_does_not_depend_on_the_order(mixture, kept):
    backwards = ".".join(mixture.split(".")[::-1])
    assert rewrite(mixture, Cleaning()).text == rewrite(backwards, Cleaning()).text == kept


def test_the_lists_agree_with_themselves():
    assert all(is_counterion(canonicalize(smiles)) for smiles in COUNTERIONS)
    assert not is_counterion(canonicalize(ASPIRIN))


# -- a corpus --------------------------------------------------------------------------------------


def test_a_corpus_counts_what_it_drops():
    lines = ["CCO", "OCC", "c1ccccc1", "CC(C", "[Xe]", "C" * 200, "N"]
    corpus = corpus_of(lines, names=list("abcdefg"))
    assert [text_of(tokens) for tokens in corpus.sequences] == ["CCO", "c1ccccc1", "N"]
    assert corpus.names == ["a", "c", "g"]
    assert corpus.report.kept == 3
    assert corpus.report.dropped == {
        "duplicate": 1,
        "unreadable": 1,
        "unknown token": 1,
        "too long": 1,
    }
    assert corpus.report.problems[:2] == [
        "line b, 'OCC': it is the molecule of line a",
        "line d, 'CC(C': it is not a valid SMILES",
    ]
    assert len(corpus.report.problems) == 4
    assert len(corpus.report.problems[3]) < 200  # long lines are cut


def test_splits_follow_content_unless_they_are_given():
    lines = ["C" * n for n in range(1, 90)]
    corpus, backwards = corpus_of(lines), corpus_of(lines[::-1])
    assert dict(zip(map(len, corpus.sequences), corpus.splits, strict=True)) == dict(
        zip(map(len, backwards.sequences), backwards.splits, strict=True)
    )
    assert 70 < len(corpus.split("train")) < 89
    given = corpus_of(["CC(", "C", "CC", "CCC"], splits=["train", "test", "validation", "train"])
    assert given.splits.tolist() == ["test", "validation", "train"]


@pytest.mark.spawn
def test_workers_give_the_same_corpus(monkeypatch):
    monkeypatch.setattr(dataset, "_LINES_A_WORKER", 10)
    monkeypatch.setattr(dataset, "_CHUNK", 7)
    lines = ["C" * (n % 30 + 1) + "N" * (n % 7) for n in range(60)] + ["C(", ASPIRIN]
    alone = corpus_of(lines)
    together = smiles_corpus(lines, "made up", n_jobs=2, progress=False)
    assert alone.names == together.names
    assert alone.report == together.report
    for a, b in zip(alone.sequences, together.sequences, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("lines", "max_tokens", "message"),
    [
        ([], 100, r"none of the 0 lines of made up could be used \(no lines\)$"),
        (
            ["C(", "[Xe]"],
            100,
            r"\(1 unreadable, 1 unknown token\); the vocabulary 'corpus' would keep \[Xe\] \(1\)$",
        ),
        (
            [ASPIRIN, "CCO", "C("],
            3,
            r"\(2 too long, 1 unreadable\); the shortest valid one has 4 tokens, allow more than 3",
        ),
    ],
)
def test_a_corpus_of_nothing_is_refused(lines, max_tokens, message):
    with pytest.raises(ValueError, match=message):
        corpus_of(lines, cleaning=Cleaning(max_tokens=max_tokens))
