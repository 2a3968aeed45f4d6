"""Texts from files, and the couplets that works make."""

import json

import numpy as np
import pytest

from seqgen_envs.datasets.corpus import SPLITS
from seqgen_envs.domains.text import DOMAIN
from seqgen_envs.domains.text.corpus.named import read_corpus
from seqgen_envs.domains.text.corpus.reading import blocks, read_many, read_prompts, read_records
from seqgen_envs.domains.text.corpus.verse import couplets, passages, plain_line, rhymes

VOCABULARY = DOMAIN.vocabulary
PLAY = """ACT 1

ROMEO.
But soft, what light through yonder window breaks?
It is the east, and Juliet is the sun. [He climbs.]
Arise, fair sun, and kill the envious moon,
Away!

Nurse. I am the drudge and toil in your delight, she
said, and this is prose that goes on from line to line.

_Enter MERCUTIO_
"""


def words(number):
    """A line of its own: the number's digits in words, so that no two passages are the same."""
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    return " ".join(names[int(digit)] for digit in str(number))


@pytest.fixture
def passages_file(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n\n".join(f"I count to {words(n)}\nand \N{EM DASH} stop" for n in range(120)))
    return path


def read(path, tmp_path, **options):
    options = {"vocabulary": VOCABULARY, **options}
    return read_corpus(str(path), cache_dir=tmp_path / "cache", progress=False, **options)


def texts(corpus, split):
    return [corpus.vocabulary.to_text(ids) for ids in corpus.split(split)]


# -- verse ----------------------------------------------------------------------------------------


def test_a_plays_verse_is_found():
    (found,) = passages(PLAY)
    assert found == [
        "But soft, what light through yonder window breaks?",
        "It is the east, and Juliet is the sun.",
        "Arise, fair sun, and kill the envious moon,",
        "Away!",
    ]
    first, second, third = map(plain_line, found[:3])  # the last one is too short for a pentameter
    assert couplets(found) == [f"{first}\n{second}", f"{second}\n{third}"]
    assert second == "it is the east, and juliet is the sun."


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("'Tis thy name (so said) that is my enemy;", "'tis thy name so said that is my enemy;"),
        ("Quoth he 'Away--I say!'", "quoth he away, i say!"),
        ("  A caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{EM DASH} -", "a cafe,"),
    ],
)  # fmt: skip
def test_lines_made_plain(line, plain):
    assert plain_line(line) == plain


@pytest.mark.parametrize(
    ("couplet", "expected"),
    [
        ("by the day\nin the may", True),
        ("by the day\nto the day", False),
        ("by the day\nin the night", False),
        ("by the day\n...", False),
        ("by the zorbleth\nin the morbleth", False),
    ],
)
def test_rhymed_couplets(couplet, expected):
    assert rhymes(couplet) == expected


# -- corpora --------------------------------------------------------------------------------------


def test_a_text_file_is_split_by_passages(passages_file, tmp_path):
    corpus = read(passages_file, tmp_path)
    every = [text for split in SPLITS for text in texts(corpus, split)]
    assert sorted(every) == sorted(f"i count to {words(n)}\nand, stop" for n in range(120))
    assert all(len(corpus.split(split)) for split in SPLITS)
    assert all(ids[-1] == VOCABULARY.end_id for ids in corpus.split("train"))
    again = read(passages_file, tmp_path)
    assert all(map(np.array_equal, again.split("test"), corpus.split("test")))


def test_jsonl_is_split_by_works(tmp_path):
    path = tmp_path / "own.jsonl"
    works = [f"work {words(w)}" for w in range(40)]
    rows = [{"text": f"{w}\n{words(i)}", "work": w} for w in works for i in range(3)]
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    corpus = read(path, tmp_path)
    found = [{text.split("\n")[0] for text in texts(corpus, split)} for split in SPLITS]
    assert sum(map(len, found)) == len(set.union(*found)) == 40


def test_what_cannot_be_used_is_told(passages_file, tmp_path):
    with open(passages_file, "a") as file:
        file.write(
            "\n\nI count to one\nand, stop\n\npay \N{POUND SIGN}5\nto me\n\n"
            + "so long " * 50
            + "\nit is\n"
        )
    report = read(passages_file, tmp_path, length=30).report
    assert report.kept == 120
    assert report.dropped == {"duplicate": 1, "unknown characters": 1, "too long": 1}
    assert report.unknown == {"5": 1, "\N{POUND SIGN}": 1}


def test_a_vocabulary_is_learned_from_a_file(passages_file, tmp_path):
    pytest.importorskip("tokenizers")
    corpus = read(passages_file, tmp_path, vocabulary="64")
    assert corpus.vocabulary.size <= 64
    assert " stop" in corpus.vocabulary.tokens
    assert "i count to one\nand, stop" in [t for split in SPLITS for t in texts(corpus, split)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"day\n\xff night\n", r"is not UTF-8: byte 0xff in line 2; save it as UTF-8"),
        ("a.txt", b"the day\nthe night\n", "too small to split by passages or works: it gives"),
        ("a.txt", b"", "too small to split"),
        ("a.jsonl", b'{"text": 1}\n', r"line 1 of .* has no text 'text'; it has \['text'\]"),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', "line 2 of .* must be an object with a key 'text'"),
        ("a.jsonl", b"{\n", "line 1 of .* is not JSON"),
    ],
)
def test_a_bad_corpus_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    ("data", "vocabulary", "error", "message"),
    [
        ("milton", VOCABULARY, ValueError, "no corpus of texts; there are shakespeare, and files"),
        ("missing.txt", VOCABULARY, FileNotFoundError, "there is no file"),
        ("shakespeare", "12", ValueError, "a number of tokens from 64 to 4096"),
        ("shakespeare", "many", ValueError, "vocabulary must be 'corpus' or a number"),
    ],
)
def test_what_is_no_corpus_is_refused(data, vocabulary, error, message, tmp_path):
    with pytest.raises(error, match=message):
        read(data, tmp_path, vocabulary=vocabulary)


# -- files to be scored, and prompts --------------------------------------------------------------


def test_texts_stand_between_blank_lines():
    assert list(blocks("\n\none\ntwo\n \nthree\n")) == [(3, "one\ntwo"), (6, "three")]


def test_files_to_be_scored(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\nthree")
    (tmp_path / "a.csv").write_text('name,text\nfirst,"one\ntwo"\n')
    (tmp_path / "a.jsonl").write_text('{"text": "one\\ntwo", "name": "first"}')
    found = {end: read_many(tmp_path / f"a.{end}") for end in ("txt", "csv", "jsonl")}
    assert [entry.text for entry in found["txt"]] == ["one\ntwo", "three"]
    assert [entry.place for entry in found["txt"]] == ["line 1", "line 4"]
    for end in ("csv", "jsonl"):
        assert [(entry.name, entry.text) for entry in found[end]] == [("first", "one\ntwo")]


def test_prompts_are_a_line_each(tmp_path):
    (tmp_path / "a.txt").write_text("one\\ntwo\n\nthree\n")
    entries = read_prompts(tmp_path / "a.txt")
    assert [entry.text for entry in entries] == ["one\ntwo", "", "three"]
    assert [bool(entry.problem) for entry in entries] == [False, True, False]
    (tmp_path / "a.jsonl").write_text('{"prompt": "one", "text": "other"}\n{"text": "two"}\n')
    assert [entry.text for entry in read_prompts(tmp_path / "a.jsonl")] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "line\nday\n", "has no text 'text'; it has"),
        ("a.csv", 'text\n"day', "is no table"),
        ("a.md", "day", "is not a file of texts; expected one of .txt, .csv, .jsonl"),
    ],
)
def test_a_bad_file_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_records(tmp_path / name)
