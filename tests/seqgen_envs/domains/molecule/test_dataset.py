"""From lines of SMILES to a corpus: what is kept, what is dropped, and what is said about it."""

import csv
import gzip
import re

import numpy as np
import pytest

from seqgen_envs.domains.molecule.corpus import cleaning as dataset
from seqgen_envs.domains.molecule.corpus.cleaning import (
    Cleaning,
    clean,
    numbered_smiles,
    smiles_corpus,
    smiles_in,
)
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
#: A file that broke off; no time of its making in it, so that the test has one name.
CUT_SHORT = gzip.compress(b"CCO" * 99, mtime=0)[:-9]


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
        ("OCC", Cleaning(canonicalize=False), "OCC"),
        ("Cl.OCC", Cleaning(canonicalize=False), "CCO"),  # what is cut has to be written anew
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
    assert corpus.report.problems[0] == "line d, 'CC(C': it is not a valid SMILES"
    assert len(corpus.report.problems) == 3
    assert len(corpus.report.problems[2]) < 200  # long lines are cut


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
            r"\(1 unreadable, 1 unknown token\); the vocabulary 'corpus' would keep \[Xe\]$",
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


# -- files -----------------------------------------------------------------------------------------

SMI = "CCO ethanol\n\nc1ccccc1\tbenzene ring\r\nN"
TABLE = 'id,SMILES,note\n1,"CCO\n",a\n\n2,"c1ccccc1","b\nc"\n3\n4,N,\n'


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.smi", SMI, [(1, "CCO"), (3, "c1ccccc1"), (4, "N")]),
        ("a.txt", SMI, [(1, "CCO"), (3, "c1ccccc1"), (4, "N")]),
        ("a.csv", TABLE, [(2, "CCO"), (5, "c1ccccc1"), (7, ""), (8, "N")]),
        ("a.CSV", "\ufeffsmiles\nCCO\n", [(2, "CCO")]),
        ("a.tsv", "x\tCanonical_SMILES\n1\tCCO\n", [(2, "CCO")]),
        ("empty.smi", "\n\n", []),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_read_with_their_line_numbers(tmp_path, name, text, expected, zipped):
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert numbered_smiles(path) == expected
    assert smiles_in(path) == [smiles for _, smiles in expected]


@pytest.mark.parametrize("name", ["a.smi", "a.csv"])
def test_a_line_of_a_megabyte_is_survived(tmp_path, name):
    limit = csv.field_size_limit()
    (tmp_path / name).write_text(f"smiles\n{'C' * 1_000_000}\nCCO\n")
    lines = smiles_in(tmp_path / name)
    assert [len(line) for line in lines][-2:] == [1_000_000, 3]
    assert csv.field_size_limit() == limit  # everybody's: put back
    corpus = corpus_of(lines)
    assert [text_of(tokens) for tokens in corpus.sequences] == ["CCO"]
    assert corpus.report.dropped["too long"] == 1


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.pdf", b"", ValueError, r"a.pdf is not a file of SMILES; expected \.smi, "),
        ("none.smi", None, FileNotFoundError, r"there is no file .*none.smi"),
        ("a.smi", b"\xff\xfe\x00C", ValueError, "cannot be read as text"),
        ("a.smi.gz", b"no gzip", ValueError, "cannot be read as text"),
        ("b.smi.gz", CUT_SHORT, ValueError, "cannot be read as text"),
        ("a.csv", b"name,weight\nx,1\n", ValueError, r"no column of SMILES: its header is \['name"),
        ("b.csv", b"", ValueError, r"its header is \[\]"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, error, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        numbered_smiles(tmp_path / name)
