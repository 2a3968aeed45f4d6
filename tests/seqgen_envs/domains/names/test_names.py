"""Rules, lists and metrics of names, and the optimum of a short vocabulary by brute force."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.names import DOMAIN
from seqgen_envs.domains.names.dataset import names_corpus, read_corpus
from seqgen_envs.domains.names.files import read_names, write_names
from seqgen_envs.domains.names.known import describe_corpus, known_names
from seqgen_envs.domains.names.rules import (
    AlliterationRule,
    EndsRule,
    ForbiddenRule,
    NearRule,
    NovelRule,
    StartsRule,
    SyllablesRule,
)
from seqgen_envs.domains.names.vocabulary import END, HORIZON, VOCABULARY
from seqgen_envs.exact import PrefixTree
from seqgen_envs.graph import StateGraph
from seqgen_envs.ngram import NGramPrior
from seqgen_envs.settings import LaneSettings

EVERYTHING = {
    "name": "wanted",
    "syllables": 2,
    "starts": "ab",
    "ends": "aa",
    "forbid": ["aba", "bb"],
    "near": "abba",
    "alliteration": True,
}
RULES = (
    SyllablesRule(2),
    StartsRule("lo"),
    EndsRule("la"),
    AlliterationRule(),
    ForbiddenRule(("ol", "ll")),
    NearRule("lola"),
    NovelRule(),
)


def rows(*names, end=True):
    """Names as ids [N, T], with the end token, and their lengths."""
    ids = [[*VOCABULARY.encode(name), *([END] if end else [])] for name in names]
    return VOCABULARY.padded(ids, HORIZON), np.array([len(row) for row in ids])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SyllablesRule(3), {"angela": 0, "smith": -2, "lydia": -1, "": -3}),
        (StartsRule("an"), {"angela": 1, "ann": 1, "a": 0, "smith": 0}),
        (EndsRule("la"), {"angela": 1, "la": 1, "lala": 1, "lal": 0, "a": 0}),
        (AlliterationRule(), {"lola": 1, "lolita": 0.5, "anna": 0, "bob": 0, "": 0}),
        (ForbiddenRule(("mit", "th")), {"smith": -2, "ruth": -1, "mary": 0}),
        (NearRule("maria"), {"maria": 0, "mary": -2, "mari": -1, "": -5, "bob": -5}),
        (NovelRule(), {"smith": 0, "mary": 0, "smithx": 1, "qqq": 1, "smit": 0}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_a_rule_values_names(rule, expected):
    assert rule(*rows(*expected)).tolist() == list(expected.values())
    assert pickle.loads(pickle.dumps(rule)) == rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_what_is_remembered_decides_the_value(rule):
    """Prefixes that are remembered alike have the same value after every continuation."""
    rng = np.random.default_rng(0)
    letters = VOCABULARY.encode("loabi")
    for length in (1, 3, 5):
        tokens = np.full((300, HORIZON), VOCABULARY.pad_id)
        tokens[:, :length] = letters[rng.integers(5, size=(300, length))]
        kept = rule.memory(tokens, np.full(300, length))
        _, group = np.unique(kept, axis=0, return_inverse=True)
        for _ in range(8):
            more = [*letters[rng.integers(5, size=rng.integers(4))], END]
            tokens[:, length : length + len(more)] = more
            values = rule(tokens, np.full(300, length + len(more)))
            for one in range(int(group.max()) + 1):
                assert len(set(values[group.ravel() == one])) == 1


def sub_prior():
    """The trigram prior where only a, b and the end may be written: fewer sequences to count."""
    table = DOMAIN.load_prior("trigram").table.numpy().copy().astype(np.float64)
    closed = np.setdiff1d(np.arange(27), [0, 1, END])
    table[:, closed] = -60.0
    table -= np.logaddexp.reduce(table, axis=1, keepdims=True)
    return NGramPrior(table, VOCABULARY)


@pytest.mark.parametrize("task", ["wanted", EVERYTHING])
def test_log_z_is_that_of_brute_force(task):
    settings = LaneSettings("names", prior="trigram", task=task, length=3)
    tree, graph = PrefixTree.build(settings), StateGraph.merged(settings)
    for c in (0.2, 1.0):
        weights = tree.sequences.log_prior + tree.sequences.task_return / c
        assert graph.log_z(c) == pytest.approx(np.logaddexp.reduce(weights), abs=1e-9)


def test_log_z_of_two_letters_is_that_of_brute_force():
    """All names of up to four of the letters a and b, written out here and scored one by one."""
    prior = sub_prior()
    settings = LaneSettings("names", prior=prior, task=EVERYTHING, length=4)
    texts = [""]
    for _ in range(4):
        texts += [t + letter for t in texts[-(2 ** max(map(len, texts))) :] for letter in "ab"]
    ids = [[*VOCABULARY.encode(t), *([END] if len(t) < 4 else [])] for t in texts]
    tokens = VOCABULARY.padded(ids, 4)
    lengths = np.array([len(row) for row in ids])
    shown = prior.sequence_log_probs(torch.from_numpy(tokens)).numpy().astype(np.float64)
    at = np.take_along_axis(shown, np.minimum(tokens, END)[..., None], axis=2)[..., 0]
    log_prior = (at * (np.arange(4) < lengths[:, None])).sum(axis=1)
    task = DOMAIN.make_task(EVERYTHING)
    terms, _ = task.score(tokens, lengths, np.ones(len(tokens), dtype=bool), ())
    log_z = np.logaddexp.reduce(log_prior + terms.sum(axis=1) / 0.5)
    assert len(texts) == 31
    assert StateGraph.merged(settings).log_z(0.5) == pytest.approx(log_z, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"syllables": 2.5}, "syllables must be a whole number or None, got 2.5"),
        ({"starts": "x1"}, "starts must be 1 to 13 letters from a to z, got 'x1'"),
        ({"forbid": ["ok", ""]}, "forbid must be 1 to 13 letters"),
        ({"near": "a" * 14}, "near must be 1 to 13 letters"),
        ({"weights": {"rhyme": 1}}, r"has no term \['rhyme'\]"),
        ({"syllables": None, "ends": "", "novel": False}, "has no terms"),
    ],
)
def test_a_task_that_cannot_be_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        DOMAIN.make_task({"name": "wanted", **arguments})


def test_lists_are_cleaned_and_what_is_dropped_is_named(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Anna\n\nO'Neill\nANNA\nMaximilianusxx\nBob \nJosé\n", encoding="utf-8")
    corpus = read_corpus(str(path))
    assert corpus.names == ["anna", "bob"]
    assert corpus.report.dropped == {"not letters": 2, "duplicate": 1, "too long": 1}
    assert corpus.report.problems[1] == "line 4, 'ANNA': it is the name of line 1"
    assert [entry.problem == "" for entry in read_names(path)] == [True, False, True, False, True,
                                                                  False]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("id,Name\n1,Anna\n2,Bob\n", None, ["anna", "bob"]),
        ("Anna,1\nBob,2\n", None, ["anna", "bob"]),
        ("a,b\nx,Anna\n", "b", ["anna"]),
        ("x,Anna\ny,Bob\n", "2", ["anna", "bob"]),
    ],
)
def test_tables_have_a_column_of_names(text, column, expected, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    assert [entry.text for entry in read_names(path, column=column)] == expected
    with pytest.raises(ValueError, match="has no column 'sex'"):
        read_names(path, column="sex")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"\xff\xfe\xfa", "is not UTF-8"),
        ("a.txt", b"\n\n", "holds no names"),
        ("a.doc", b"Anna", "is no list of names"),
    ],
)
def test_bad_lists_are_refused(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_names(tmp_path / name)
    with pytest.raises(ValueError, match="names of nobody could be used"):
        names_corpus([], "nobody")


def test_metrics_are_of_the_priors_own_corpus(tmp_path):
    tokens, _ = rows("mary", "mary", "zzyla")
    expected = {"known": 2 / 3, "distinct": 2 / 3, "mean_letters": 13 / 3, "mean_syllables": 2.0}
    assert DOMAIN.summary(tokens) == pytest.approx(expected)
    own = [np.append(VOCABULARY.encode("zzyla"), END)]
    corpus = Corpus(own, ["zzyla"], np.array(["train"]), "own", VOCABULARY)
    describe_corpus(corpus, tmp_path)
    assert DOMAIN.metrics.against(tmp_path).each(tokens)["known"].tolist() == [0, 0, 1]
    assert len(known_names()) == 91_910
    assert write_names(tokens, tmp_path, [], [])[0].read_text() == "mary\nmary\nzzyla\n"
