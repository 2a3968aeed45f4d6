"""Doors for other packages: domains by entry point or reference, and the vocabulary of a prior."""

import json
import pickle
import re
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv

from helpers.commands import refused, run, table
from helpers.plugins import LETTERS, install
from seqgen_envs import SequenceEnv, Vocabulary, get_domain, load_prior_folder, registered_domains
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domain import load_domain
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.registration import check_id

WIDER = Vocabulary(("b", "a", "e", "i", "."), end=".", joiner="")
ENTRY_POINTS = """
[seqgen.domains]
letters = letters_package:DOMAIN
made = letters_package:make_domain
broken = broken_package:DOMAIN
odd = letters_package:HORIZON
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``letters_package``, installed with four entry points of which two are wrong."""
    (tmp_path / "letters_package.py").write_text(LETTERS)
    (tmp_path / "broken_package.py").write_text("import not_installed_anywhere")
    install(tmp_path, "letters", ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    load_domain.cache_clear()
    yield tmp_path
    load_domain.cache_clear()
    gym.registry.pop("LetterGen-v0", None)
    for name in ("letters_package", "broken_package"):
        sys.modules.pop(name, None)


@pytest.fixture
def wider(tmp_path):
    """The folder of a stored prior with more letters than the domain's, in another order."""
    torch.manual_seed(0)
    network = RecurrentNetwork(RecurrentConfig(WIDER.size, embedding_size=4, hidden_size=8))
    return RecurrentPrior(network, WIDER).save(tmp_path / "wider")


# -- domains --------------------------------------------------------------------------------------


def test_an_entry_point_is_a_domain(package):
    assert {"letters", "made", "broken", "odd", "melody"} <= set(registered_domains())
    assert get_domain("letters") is get_domain("letters_package:DOMAIN")
    assert get_domain("made") is get_domain("made")  # made once
    env = gym.make("LetterGen-v0")
    assert env.unwrapped.c == 0.25
    assert env.action_space.n == 4


def test_a_broken_entry_point_is_named_and_breaks_nothing_else(package):
    message = "domain 'broken' is not available: .*'broken_package:DOMAIN'.*not_installed_anywhere"
    with pytest.raises(ImportError, match=message):
        get_domain("broken")
    with pytest.raises(
        ImportError, match=r"domain 'odd' is not available: .*of type int; expected"
    ):
        get_domain("odd")
    listed = run("envs")
    assert "LetterGen-v0" in listed.stdout
    assert "ToyGen-v0" in listed.stdout


def test_an_id_that_imports_its_module(package):
    assert gym.make("letters_package:LetterGen-v0").unwrapped.domain.name == "letters"


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("MelodyGen", "there is no environment 'MelodyGen'; did you mean 'MelodyGen-v0'?"),
        ("ToyGen-v7", "did you mean 'ToyGen-v0'?"),
        ("MolculeGen-v0", "did you mean 'MoleculeGen-v0'?"),
        ("letters_package:LetterGen", "did you mean 'LetterGen-v0'?"),
        ("nowhere:X-v0", "environment 'nowhere:X-v0': there is no module 'nowhere'"),
        ("broken_package:X-v0", "broken_package cannot be imported: ModuleNotFoundError"),
    ],
)
def test_unknown_ids_name_the_nearest(package, env_id, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_id(env_id)
    assert env_id.partition(":")[2] not in gym.registry


def test_known_ids_pass(package):
    for env_id in ("MelodyGen-v0", "seqgen_envs:ToyGen-v0", "LetterGen-v0"):
        check_id(env_id)


def test_a_reference_is_a_domain(package):
    (package / "mine.py").write_text(LETTERS.replace("register_env(", "# register_env("))
    domain = get_domain("mine.py:DOMAIN")
    assert get_domain("mine.py:DOMAIN") is domain
    env = SequenceEnv("mine.py:make_domain")
    env.reset()
    assert env.step(0)[-1]["reward_terms"] == {"vowels": 1.0}
    with pytest.raises(ValueError, match=r"there is no file /.*/yours.py"):
        SequenceEnv("yours.py:DOMAIN")
    with pytest.raises(ValueError, match=r"'mine.py:HORIZON' is of type int; expected a Domain"):
        get_domain("mine.py:HORIZON")
    with pytest.raises(ValueError, match=r"'mine.py:read' cannot be made: TypeError: read\(\)"):
        get_domain("mine.py:read")


# -- commands -------------------------------------------------------------------------------------


def test_check_says_a_line_a_check(package):
    lines = run("check", "letters").stdout.splitlines()
    assert lines[0].startswith("prior 'default': sums to 1")
    assert lines[1].startswith("task 'vowels': finite")
    assert lines[2].startswith("of_vocabulary: ")
    assert lines[3] == "domain 'letters' conforms"
    assert "conforms" in run("check", "letters_package:DOMAIN", "--episodes", 2).stdout


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("np.full(len(tokens), np.nan)", "rule 'vowels' of task 'vowels' returned nan"),
        ("{}['x']", "KeyError: 'x' (seqgen --debug check ... shows where)"),
        ("np.full(len(tokens), tokens.mean())", "lane 0 scores differently alone"),
    ],
)
def test_check_refuses_a_domain_that_does_not_conform(package, rule, message):
    place = "return np.isin(tokens[np.arange(len(tokens)), lengths - 1], self.ids).astype(float)"
    assert place in LETTERS
    (package / "mine.py").write_text(LETTERS.replace(place, f"return {rule}"))
    said = refused("check", "mine.py:DOMAIN")
    assert said.startswith("Error: domain 'mine.py:DOMAIN' does not conform: ")
    assert message in said


def test_the_commands_serve_a_domain_of_another_package(package, wider):
    run("sample", "letters", "-n", 4, "--out", "out", "--prior", wider)
    rows = table("out/letterss.csv")
    assert {token for row in rows for token in row["tokens"].split()} <= set("01234")
    (package / "own.words").write_text("bie ea\n")
    run("score", "own.words", "--prior", wider, "--csv", "scores.csv")
    assert [row["text"] for row in table("scores.csv")] == ["bie", "ea"]
    assert "unknown token 'i'" in refused("score", "own.words")
    run("prior", "evaluate", "letters", "--prior", wider, "-n", 8, "--out", "report")
    prior = load_prior_folder(wider)
    assert json.loads((package / "report.json").read_text())["fingerprint"] == prior.fingerprint


def test_training_on_from_a_prior_keeps_its_vocabulary(package, wider):
    sequences = [np.array([3, 1, i % 4, 4], np.int8) for i in range(24)]
    splits = np.array(["train", "validation", "test"] * 8)
    names = [str(i) for i in range(24)]
    Corpus(sequences, names, splits, "test", WIDER).save("words.npz")
    arguments = ("--data", "words.npz", "--epochs", 1, "--batch-tokens", 16, "--out", "run")
    run("prior", "train", "letters", *arguments, "--initial", wider)
    assert load_prior_folder("run/prior").vocabulary == WIDER
    run("prior", "train", "letters", *arguments[:-1], "other")  # without one, it is the corpus's
    assert load_prior_folder("other/prior").vocabulary == WIDER
    narrow = Vocabulary(WIDER.tokens[1:], WIDER.end, WIDER.joiner)
    Corpus([ids - 1 for ids in sequences], names, splits, "test", narrow).save("words.npz")
    options = (*arguments[:-1], "third", "--initial", wider)
    assert "another vocabulary" in refused("prior", "train", "letters", *options)


# -- the vocabulary is the prior's ----------------------------------------------------------------


def test_the_environment_takes_the_vocabulary_of_the_prior(package, wider):
    letters = get_domain("letters")
    for prior in (str(wider), wider, load_prior_folder(wider)):
        env = gym.make_vec("LetterGen-v0", num_envs=2, prior=prior, primer="i").unwrapped
        assert env.single_action_space.n == 5
        assert env.domain.vocabulary.tokens == WIDER.tokens
        assert env.reset()[0]["tokens"].tolist() == [[3, 5, 5, 5, 5]] * 2
        rewards = env.step(np.array([0, 2]))[-1]["reward_terms"]["vowels"]
        assert rewards.tolist() == [0.0, 1.0]  # b, and e: other ids than the domain's own
    assert gym.make("LetterGen-v0").action_space.n == 4
    assert letters.for_prior(wider) is letters.for_prior(load_prior_folder(wider))
    assert letters.for_prior() is letters


def test_no_weights_are_loaded_for_it(package, wider):
    (wider / "model.safetensors").write_bytes(b"no weights")
    env = SequenceEnv("letters", prior=wider)
    assert env.action_space.n == 5
    with pytest.raises(ValueError, match="cannot read the prior in"):
        env.reset()
    (wider / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"cannot read the prior in .*'vocabulary'"):
        SequenceEnv("letters", prior=wider)


def test_a_domain_of_its_own_tokens_only_refuses(wider):
    with pytest.raises(ValueError, match="domain 'toy' has 4 tokens, the prior has 5"):
        SequenceEnv("toy", prior=wider)


def test_of_vocabulary_must_do_what_it_says(package, wider):
    (package / "mine.py").write_text(
        "from dataclasses import replace\nfrom letters_package import DOMAIN\n"
        "WRONG = replace(DOMAIN, of_vocabulary=lambda vocabulary: DOMAIN)"
    )
    with pytest.raises(ValueError, match="of_vocabulary's argument has 5 tokens, what it returned"):
        SequenceEnv("mine.py:WRONG", prior=wider)


def test_copies_in_other_processes_are_the_same_domain(package, wider):
    for domain in (get_domain("letters"), get_domain("letters").for_prior(wider)):
        assert pickle.loads(pickle.dumps(domain)) is domain


@pytest.mark.spawn
def test_spawned_workers_have_the_priors_vocabulary(package, wider):
    make = partial(
        SequenceEnv, "letters_package:DOMAIN", prior=str(wider), task="letters_package:make_rule"
    )
    with open(package / "letters_package.py", "a") as file:
        file.write("\n\ndef make_rule(tokens, lengths):\n    return lengths * 1.0\n")
    env = AsyncVectorEnv([make] * 2, context="spawn")
    try:
        env.reset(seed=0)
        *_, infos = env.step(np.array([3, 4]))
        assert infos["reward_terms"]["make_rule"].tolist() == [1.0, 1.0]
        assert env.single_action_space.n == 5
    finally:
        env.close()
