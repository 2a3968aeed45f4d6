"""Texts as files, with stress marks, and as pictures."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.commands import run
from seqgen_envs.domains.text import DOMAIN, make_domain
from seqgen_envs.domains.text.output.files import JSONL, MARKED, TXT, write_collection
from seqgen_envs.domains.text.output.render import MAX_LINES, MAX_WIDTH, draw_svg, marks
from seqgen_envs.vocabulary import Vocabulary

VOCABULARY = DOMAIN.vocabulary
COUPLET = "his tender heir might bear his memory,\nmaking a famine where abundance lies."


def ids_of(*texts):
    return VOCABULARY.padded([[*DOMAIN.to_ids(t), VOCABULARY.end_id] for t in texts])


def test_stress_marks_stand_over_their_syllables():
    shown = DOMAIN.view.text(ids_of(COUPLET)[0])
    above, words, *_ = shown.split("\n")
    assert words == "his tender heir might bear his memory"
    assert above.split() == list("x/x/x/x/x/")
    strong = [at for at, mark in enumerate(above) if mark == "/"]
    assert [words[: at + 1].count(" ") for at in strong] == [1, 2, 4, 6, 6]  # the word of each
    assert marks("") == []


def test_files(tmp_path):
    texts, rows = [COUPLET, "the day"], [{"log_prior": -1.5, "text": "other"}, {"log_prior": -2.5}]
    paths = write_collection(ids_of(*texts), tmp_path, ["a", "b"], rows, vocabulary=VOCABULARY)
    assert [path.name for path in paths] == [TXT, JSONL, MARKED]
    assert (tmp_path / TXT).read_text() == f"{COUPLET}\n\nthe day\n"
    written = [json.loads(line) for line in (tmp_path / JSONL).read_text().splitlines()]
    assert written == [
        {"name": "a", "text": COUPLET, "log_prior": -1.5},
        {"name": "b", "text": "the day", "log_prior": -2.5},
    ]
    first, second = (tmp_path / MARKED).read_text().split("\n\n")
    assert first.splitlines()[0] == "a"
    assert first.splitlines()[2] == "his tender heir might bear his memory"
    assert second.splitlines()[0] == "b"
    for name in (TXT, JSONL):
        read = DOMAIN.files.read_many(tmp_path / name)
        assert [entry.text for entry in read] == texts
    plain = write_collection(
        ids_of(*texts), tmp_path, ["a", "b"], rows, vocabulary=VOCABULARY, no_pictures=True
    )
    assert [path.name for path in plain] == [TXT, JSONL]


def test_a_row_a_text(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        write_collection(ids_of("day", "may"), tmp_path, ["a"], [{}], vocabulary=VOCABULARY)


def test_a_picture():
    root = ElementTree.fromstring(draw_svg(COUPLET))
    assert root.tag == "svg"
    words = [node.text for node in root if set(node.text) - set("x/")]
    assert " ".join(words) == COUPLET.replace(",\n", " ").rstrip(".")
    under = {node.text: float(node.get("y")) for node in root}
    assert under["his"] < under["making"]
    assert len({node.get("fill") for node in root}) == 2  # marks and words


@given(st.text(max_size=300))
@settings(max_examples=40, deadline=None)
def test_any_text_is_drawn(text):
    root = ElementTree.fromstring(draw_svg(text))
    width, height = map(float, root.get("viewBox").split()[2:])
    assert width > 0
    assert height < 17 * (2 * MAX_LINES + 2)
    assert width < 8 * 6 * MAX_WIDTH


def test_texts_in_tokens_of_another_vocabulary():
    letters = Vocabulary((*"\n adymh", "<end>"), "<end>", "")
    other = make_domain(letters)
    ids = other.to_ids("day\nmay")
    assert other.to_text(np.append(ids, letters.end_id)) == "day\nmay"
    assert other.view.text(ids) == " x\nday\n x\nmay"
    with pytest.raises(ValueError, match="the prior's vocabulary has no end token"):
        make_domain(Vocabulary(("a", "b"), None, ""))


def test_the_command_samples_and_scores(tmp_path):
    out = tmp_path / "new"
    said = run("sample", "text", "-n", 3, "--seed", 1, "--length", 20, "--out", out).stdout
    assert "copied six grams" in said
    with open(out / "texts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert {"log_prior", "term_rhyme", "metric_metrical_lines", "metric_copied"} <= set(rows[0])
    assert {path.name for path in out.iterdir()} == {"texts.csv", TXT, JSONL, MARKED}
    (tmp_path / "mine.jsonl").write_text(json.dumps({"text": COUPLET}))
    assert "metrical lines" in run("score", tmp_path / "mine.jsonl").stdout
