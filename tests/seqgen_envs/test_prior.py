"""Vocabularies, recurrent networks one token at a time, priors on disk, and the n-gram baseline."""

import copy
import json
import math
import pickle
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.toy.prior import TabularPrior, random_prior
from seqgen_envs.ngram import NGram
from seqgen_envs.prior import CONFIG_FILE, WEIGHTS_FILE, Prior, RecurrentPrior, load_prior_folder
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork, Stepper
from seqgen_envs.vocabulary import Vocabulary

ABC = Vocabulary(("a", "b", "c"), end="c")


def network_of(cell="gru", layers=1, vocabulary=3, hidden=8, embedding=4, seed=0):
    torch.manual_seed(seed)
    config = RecurrentConfig(vocabulary, cell, embedding, hidden, layers)
    return RecurrentNetwork(config).eval().double()


def stepped_logits(stepper, tokens):
    """Logits [N, T, V] of ``shifted_logits``, by the stepper."""
    state = stepper.initial_state(len(tokens))
    inputs = torch.cat(
        [tokens.new_full((len(tokens), 1), stepper.config.vocabulary_size), tokens], 1
    )
    logits = []
    for t in range(tokens.shape[1]):
        step, state = stepper.step(inputs[:, t], state)
        logits.append(step)
    return torch.stack(logits, dim=1)


@pytest.fixture
def saved(tmp_path):
    network = network_of("lstm", 2).float()
    prior = RecurrentPrior(network, ABC, {"corpus": "none", "nats": 1.25})
    return prior, prior.save(tmp_path / "prior")


# -- stepper --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@given(st.integers(1, 9), st.integers(2, 12), st.integers(1, 24), st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_stepper_is_the_network(cell, layers, batch, vocabulary, hidden, seed):
    network = network_of(cell, layers, vocabulary, hidden, 5, seed)
    tokens = torch.randint(vocabulary, (batch, 7))
    stepper = Stepper(network)
    with torch.no_grad():
        expected = network.shifted_logits(tokens)
    torch.testing.assert_close(stepped_logits(stepper, tokens), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 3])
def test_stepper_copies_weights_until_refreshed(cell, layers):
    network = network_of(cell, layers)
    stepper = Stepper(network)
    tokens = torch.randint(3, (4, 6))
    before = stepped_logits(stepper, tokens)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        changed = network.shifted_logits(tokens)
    torch.testing.assert_close(stepped_logits(stepper, tokens), before, rtol=0, atol=0)
    assert (changed - before).abs().max() > 0.01
    stepper.refresh(network)
    torch.testing.assert_close(stepped_logits(stepper, tokens), changed, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"cell": "rnn"}, r"one of \['gru', 'lstm'\], got 'rnn'"),
        ({"layers": 4}, "layers must be 1, 2 or 3, got 4"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"hidden_size": "9"}, "hidden_size must be a whole number of at least 1, got '9'"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
    ],
)
def test_sizes_are_checked(kwargs, message):
    with pytest.raises(ValueError, match=message):
        RecurrentConfig(3, **kwargs)


# -- priors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_prior_steps_as_it_reads(cell):
    prior = RecurrentPrior(network_of(cell, 2), ABC)
    assert isinstance(prior, Prior)
    tokens = torch.randint(3, (5, 6))
    whole = prior.sequence_log_probs(tokens)
    stepped = torch.log_softmax(stepped_logits(prior._stepper, tokens), -1)
    torch.testing.assert_close(whole, stepped, rtol=0, atol=1e-6)
    assert not any(p.requires_grad for p in prior.network.parameters())
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(5, 6).double())


def test_network_and_vocabulary_must_fit():
    with pytest.raises(ValueError, match="network has 4 outputs and the vocabulary 3 tokens"):
        RecurrentPrior(network_of(vocabulary=4), ABC)


def test_save_and_load_are_exact(saved):
    prior, folder = saved
    again = load_prior_folder(folder)
    assert again is not prior
    assert again.fingerprint == prior.fingerprint
    assert again.vocabulary == ABC
    assert again.metadata == prior.metadata
    assert again.network.config == prior.network.config
    for name, tensor in prior.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


def test_one_copy_a_process_until_the_file_changes(saved, tmp_path):
    _, folder = saved
    first = load_prior_folder(folder)
    assert load_prior_folder(str(folder)) is first
    assert load_prior_folder(folder / ".." / folder.name) is first
    RecurrentPrior(network_of("lstm", 2, seed=5).float(), ABC).save(folder)
    assert load_prior_folder(folder).fingerprint != first.fingerprint


def test_pickles_hold_the_path_or_the_weights(saved):
    in_memory, folder = saved
    loaded = load_prior_folder(folder)
    assert len(pickle.dumps(loaded)) < 500
    assert pickle.loads(pickle.dumps(loaded)) is loaded
    again = pickle.loads(pickle.dumps(in_memory))
    assert again is not in_memory
    assert again.fingerprint == in_memory.fingerprint
    assert copy.deepcopy({"prior": in_memory})["prior"] is in_memory


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_missing_files_are_named(saved, tmp_path, name):
    _, folder = saved
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"is not a prior: {name} is missing"):
        load_prior_folder(folder)


def break_config(**changes):
    def change(folder):
        config = json.loads((folder / CONFIG_FILE).read_text())
        for key, value in changes.items():
            section, _, field = key.partition("__")
            if field:
                config[section][field] = value
            else:
                del config[section]
        (folder / CONFIG_FILE).write_text(json.dumps(config))

    return change


CORRUPTIONS = {
    "weights": lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"\x00" * 64),
    "weights cut": lambda folder: (folder / WEIGHTS_FILE).write_bytes(
        (folder / WEIGHTS_FILE).read_bytes()[:-8]
    ),
    "json": lambda folder: (folder / CONFIG_FILE).write_text("{"),
    "not text": lambda folder: (folder / CONFIG_FILE).write_bytes(b"\xff\xfe\x00"),
    "not a mapping": lambda folder: (folder / CONFIG_FILE).write_text("[1]"),
    "architecture": break_config(architecture__hidden_size=9),
    "cell": break_config(architecture__cell="transformer"),
    "unknown field": break_config(architecture__heads=2),
    "vocabulary": break_config(vocabulary__tokens=["a", "a", "b"]),
    "a list": lambda folder: (folder / "config.json").write_text("[]"),
    "no vocabulary": break_config(vocabulary=None),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_corrupt_priors_are_explained(saved, corruption):
    _, folder = saved
    CORRUPTIONS[corruption](folder)
    with pytest.raises(ValueError, match=r"cannot read the prior in .*prior"):
        load_prior_folder(folder)


def test_bundled_priors_are_found(tmp_path):
    from seqgen_envs import get_domain

    domain = get_domain("melody")
    source = domain.load_prior().source
    moved = shutil.copytree(source, tmp_path / "mine")
    by_path = domain.load_prior(str(moved))
    assert by_path.fingerprint == domain.load_prior().fingerprint
    assert domain.load_prior(by_path) is by_path


def test_tabular_prior_is_checked():
    with pytest.raises(ValueError, match="log_probs must be"):
        TabularPrior(np.zeros((2, 3, 3)), ABC)
    with pytest.raises(ValueError, match="must sum to 1"):
        TabularPrior(np.zeros((2, 4, 3)), ABC)
    assert random_prior(ABC, 4, 0, 1.0).fingerprint != random_prior(ABC, 4, 1, 1.0).fingerprint


# -- n-grams --------------------------------------------------------------------------------------


def naive_probability(corpus, history, token, order):
    """Witten and Bell's formula by counting; start tokens (3) are contexts, never predicted."""
    padded = [[3] * (order - 1) + sequence for sequence in corpus]
    history = [3] * (order - 1) + history

    def probability(k):
        if k == 0:
            return 1.0 / ABC.size
        context = history[len(history) - k + 1 :] if k > 1 else []
        places = ((s, t) for s in padded for t in range(order - 1, len(s)))
        followers = [s[t] for s, t in places if s[t - k + 1 : t] == context]
        if not followers:
            return probability(k - 1)
        types = len(set(followers))
        return (followers.count(token) + types * probability(k - 1)) / (len(followers) + types)

    return probability(order)


sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=5)


@given(sequences, sequences, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_ngram_equals_its_naive_twin(corpus, others, order):
    model = NGram(ABC, order).fit([np.array(s) for s in corpus])
    actual = model.log_probs([np.array(s) for s in others])
    expected = [
        math.log(naive_probability(corpus, sequence[:t], token, order))
        for sequence in others
        for t, token in enumerate(sequence)
    ]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


@given(sequences, st.lists(st.integers(0, 2), max_size=6), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_ngram_sums_to_one(corpus, history, order):
    model = NGram(ABC, order).fit([np.array(s) for s in corpus])
    last = [model.log_probs([np.array([*history, w])])[-1] for w in range(3)]
    assert np.exp(last).sum() == pytest.approx(1.0)


def test_ngram_errors():
    with pytest.raises(ValueError, match="order must be at least 1"):
        NGram(ABC, 0)
    with pytest.raises(ValueError, match="below 2\\^63, got order 32"):
        NGram(ABC, 32)
    with pytest.raises(RuntimeError, match="fit"):
        NGram(ABC, 2).log_probs([np.array([0])])
