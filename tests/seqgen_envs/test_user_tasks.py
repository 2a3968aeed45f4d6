"""Tasks named in text: by Python, by command, in every domain, and in workers."""

import json
import pickle
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv

from helpers.commands import refused, run, table
from seqgen_envs import SequenceEnv, get_domain
from seqgen_envs.rules import Task, score_sequences

MINE = """
from dataclasses import dataclass

import numpy as np

from seqgen_envs.domains.toy.rules import SecondB, letters_task
from seqgen_envs.rules import Task, Term


def first_token(tokens, lengths):
    '''1 where the judged token is token 0.'''
    return (tokens[np.arange(len(tokens)), lengths - 1] == 0).astype(float)


def last_is(ids, n):
    return first_token(ids, n)


def low_or_high(low, high):
    return Task("low-high", [Term("low", first_token, low), Term("high", first_token, high)])


def plain(weight_of_end=1.0):
    return Task("plain", [Term("end", first_token, weight_of_end, at="end")])


@dataclass
class Paid:
    amount: float = 2.0

    def __call__(self, tokens, lengths):
        return self.amount * first_token(tokens, lengths)


LETTERS = letters_task()
PAID = Paid(5.0)
SECOND = SecondB()
NUMBER = 3


def number():
    return NUMBER


def breaks():
    raise KeyError("a key")


def wrong_kind(**anything):
    return [first_token]
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """The current folder, with ``mine.py``."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def totals(task, sequences=((0, 1, 0, 3), (1, 1, 2, 3))):
    """Sums by term of two sequences of the toy domain."""
    values = score_sequences(task, np.array(sequences)).sum(axis=1)
    return dict(zip(task.names, values.T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("mine:first_token", {"first_token": [2, 0]}),
        ("mine.py:first_token", {"first_token": [2, 0]}),
        ({"name": "mine.py:first_token", "weight": 3}, {"first_token": [6, 0]}),
        ({"name": "mine.py:first_token", "at": "end"}, {"first_token": [0, 0]}),
        ({"name": "mine.py:first_token", "weights": {"first_token": 4}}, {"first_token": [8, 0]}),
        ("mine.py:last_is", {"last_is": [2, 0]}),
        ({"name": "mine.py:low_or_high", "low": 1, "high": 2}, {"low": [2, 0], "high": [4, 0]}),
        ("mine.py:plain", {"end": [0, 0]}),
        ("mine.py:Paid", {"Paid": [4, 0]}),
        ({"name": "mine.py:Paid", "amount": 3}, {"Paid": [6, 0]}),
        ("mine.py:PAID", {"Paid": [10, 0]}),
        ("mine.py:SECOND", {"SecondB": [0, 1]}),
        (
            {"name": "mine.py:LETTERS", "weights": {"second_b": 2, "balance": 0, "alternation": 0}},
            {"alternation": [0, 0], "second_b": [0, 2], "balance": [0, 0]},
        ),
    ],
)
def test_a_reference_becomes_a_task(task, expected):
    made = get_domain("toy").make_task(task)
    assert totals(made) == expected
    assert made.on_error == "invalid"


def test_a_task_of_a_module_is_copied():
    first, second = (get_domain("toy").make_task("mine:LETTERS") for _ in range(2))
    first.failures.add("balance", np.array([0]), "test", "test")
    assert second.failures.count == 0


@pytest.mark.parametrize("domain", ["toy", "melody", "names", "molecule", "text"])
def test_every_domain_takes_them(domain):
    env = SequenceEnv(domain, task="mine.py:first_token")
    env.reset()
    assert env.step(0)[-1]["reward_terms"] == {"first_token": 1.0}
    assert env.step(1)[-1]["reward_terms"] == {"first_token": 0.0}


def test_the_domains_own_names_win(mine):
    (mine / "similarity.py").write_text("CCO = 3")
    assert get_domain("molecule").make_task("similarity:CCO").names[0] == "similarity"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("yours.py:rule", r"^task 'yours.py:rule': there is no file .*/yours.py; tasks of domain"),
        ("similarty:CCO", r"there is no module 'similarty'.*; tasks of domain 'toy': \['letters'"),
        ("mine.py:frist_token", "has no attribute 'frist_token'; did you mean 'first_token'"),
        ("mine.py:NUMBER", "'mine.py:NUMBER' is of type int; expected a Task, a rule"),
        ("mine.py:number", "'mine.py:number' is of type int; expected a Task, a rule"),
        ("mine.py:wrong_kind", "is of type list; expected a Task"),
        ({"name": "mine.py:low_or_high", "low": 1}, "does not take these arguments: .*'low'"),
        ({"name": "mine.py:Paid", "amuont": 3}, "cannot be made: TypeError: .*'amuont'"),
        ("mine.py:breaks", r"^task 'mine.py:breaks' cannot be made: KeyError: 'a key'$"),
        ({"name": 3}, "^a task's name must be a text, got 3$"),
        ({"name": "mine.py:LETTERS", "weights": {"balance": "x"}}, "must be a number, got 'x'"),
        ({"name": "mine.py:first_token", "wieght": 3}, "does not take these arguments: .*wieght"),
        ({"name": "mine.py:LETTERS", "key": 3}, "does not take these arguments: .*'key'"),
        ({"name": "mine.py:PAID", "weights": {"x": 1}}, r"has no term \['x'\]; terms: \['Paid'\]"),
    ],
)
def test_what_is_wrong_is_said(task, message):
    with pytest.raises(ValueError, match=message) as caught:
        get_domain("toy").make_task(task)
    assert "\n" not in str(caught.value)


def test_a_command_takes_them(mine):
    run("sample", "toy", "-n", 4, "--out", "out", "--task", "mine.py:first_token")
    rows = table("out/toys.csv")
    for row in rows:
        assert float(row["term_first_token"]) == row["tokens"].split().count("0")
    task = json.dumps({"name": "mine:low_or_high", "low": 1, "high": 2})
    run("sample", "toy", "-n", 4, "--out", "out", "--task", task)
    assert {"term_low", "term_high"} <= table("out/toys.csv")[0].keys()
    (mine / "two.smi").write_text("CCO\nCN\n")
    run("score", "two.smi", "--task", "mine.py:first_token", "--csv", "scores.csv")
    assert [float(row["term_first_token"]) for row in table("scores.csv")] == [2.0, 1.0]
    assert "there is no file" in refused("score", "two.smi", "--task", "yours.py:rule")


def test_an_environments_spec_keeps_them():
    env = gym.make("ToyGen-v0", task={"name": "mine.py:Paid", "amount": 3})
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.task.terms[0].rule.amount == 3


def test_tasks_of_files_can_be_pickled():
    task = get_domain("toy").make_task("mine.py:first_token")
    assert pickle.loads(pickle.dumps(task)).terms[0].rule is task.terms[0].rule


@pytest.mark.spawn
def test_spawned_workers_find_the_file():
    """By the reference, and inside a task that travels as an object."""
    task = get_domain("toy").make_task("mine.py:first_token")
    assert isinstance(task, Task)
    makers = [partial(SequenceEnv, "toy", task=t) for t in ("mine.py:first_token", task)]
    env = AsyncVectorEnv(makers, context="spawn")
    try:
        env.reset(seed=0)
        *_, infos = env.step(np.array([0, 0]))
        assert infos["reward_terms"]["first_token"].tolist() == [1.0, 1.0]
    finally:
        env.close()
