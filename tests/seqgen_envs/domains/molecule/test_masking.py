"""The mask ``"partial-smiles"``: what it lets through, and that it always leads to a molecule."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.molecule.grammar.mask import (
    FAR,
    PartialSmilesMask,
    allowed_ids,
    find_ending,
    tokens_to_end,
)
from seqgen_envs.domains.molecule.grammar.partial import Partial
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY, encode, parse
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import Task, Term
from seqgen_envs.settings import LaneSettings

V, END_ID = VOCABULARY.size, VOCABULARY.end_id
FREE = Task("free", [Term("nothing", lambda tokens, lengths: np.zeros(len(tokens)), at="end")])


class Uniform:
    """Any allowed token, all alike."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def predict(
        self, observation, state=None, episode_start=None, deterministic=False, action_masks=None
    ):
        assert action_masks.any(axis=1).all()
        return (action_masks * self.rng.random(action_masks.shape)).argmax(axis=1), None


def walks(policy, n, length, mask="partial-smiles"):
    """Texts of finished episodes."""
    lanes = Lanes(min(n, 64), LaneSettings("molecule", task=FREE, length=length, mask=mask))
    episodes = rollout(lanes, policy, n)
    return [lanes.domain.to_text(row) for row in episodes.tokens]


def padded(ids, horizon=100):
    tokens = np.full((1, horizon), VOCABULARY.pad_id)
    tokens[0, : len(ids)] = ids
    return tokens, np.array([len(ids)])


def random_state(seed, most):
    """What a random walk of at most so many tokens leads to; all allowed tokens alike."""
    rng, state = np.random.default_rng(seed), Partial()
    for _ in range(most):
        ids = [i for i in allowed_ids(state) if i != END_ID]
        if not ids:
            break
        state = state.push(VOCABULARY.tokens[rng.choice(ids)])
    return state


def test_the_corpus_is_let_through_token_by_token(smiles_sample):
    mask = PartialSmilesMask()
    for smiles in smiles_sample[:300]:
        ids = np.append(encode(smiles), END_ID)
        tokens = np.repeat(padded(ids)[0], len(ids), axis=0)
        allowed = mask(tokens, np.arange(len(ids)))
        assert allowed[np.arange(len(ids)), ids].all(), smiles


@pytest.mark.parametrize("length", [2, 5, 12, 40, 100])
def test_random_walks_end_in_molecules_at_any_horizon(length):
    texts = walks(Uniform(0), 128 if length < 40 else 48, length)  # by thousands: mask_cost.py
    assert [text for text in texts if parse(text) is None] == []


def test_the_prior_writes_nothing_but_molecules_under_it():
    free = walks(PriorPolicy(0), 128, 100, mask=None)
    assert np.mean([parse(text) is not None for text in free]) < 1
    masked = walks(PriorPolicy(0), 128, 100)
    assert [text for text in masked if parse(text) is None] == []


def test_partialsmiles_agrees():
    partialsmiles = pytest.importorskip("partialsmiles")
    for text in [*walks(Uniform(1), 32, 40), *walks(PriorPolicy(1), 32, 100)]:
        partialsmiles.ParseSmiles(text, partial=False)  # raises where it finds an error


@pytest.mark.parametrize("smiles", ["C", "c1ccccc1", "C[N+](C)(C)C", "O=C1NC(=O)c2ccccc21"])
def test_the_end_token_is_allowed_after_whole_molecules_only(smiles):
    ids = encode(smiles)
    tokens = np.repeat(padded(ids)[0], len(ids) + 1, axis=0)
    ends = PartialSmilesMask()(tokens, np.arange(len(ids) + 1))[:, END_ID]
    assert ends[-1] == 1
    for n, end in enumerate(ends):
        if end:
            assert parse(VOCABULARY.to_text(ids[:n])) is not None


def test_near_the_horizon_only_what_closes_is_left():
    mask = PartialSmilesMask()
    ring = mask(*padded(encode("c1ccccc"), horizon=8))[0]
    assert [VOCABULARY.tokens[i] for i in np.flatnonzero(ring)] == ["1"]
    last = mask(*padded(encode("C(C)"), horizon=5))[0].astype(bool)
    assert last[encode("C")[0]]
    assert not last[[*encode("(=1"), END_ID]].any()


def test_where_nothing_fits_the_syntax_decides_and_where_it_is_broken_nothing_is_masked():
    mask = PartialSmilesMask()
    late = mask(*padded(encode("C1CC(C"), horizon=7))[0]
    assert 0 < late.sum() < V
    assert late[END_ID] == 0
    assert mask(*padded(encode("C))")))[0].all()


@settings(max_examples=150, deadline=None)
@example(728, 15)  # after a branch another atom must follow
@given(st.integers(0, 2**32), st.integers(0, 45))
def test_every_state_has_an_ending_within_the_estimate(seed, most):
    state = random_state(seed, most)
    estimate = tokens_to_end(state)
    ending = find_ending(state, estimate)
    assert ending is not None, estimate
    for token in ending:
        state = state.push(token)
    assert state.complete()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_all_tokens_at_once_are_what_they_are_one_by_one(seed, most):
    state = random_state(seed, most)
    one_by_one = {i for i, token in enumerate(VOCABULARY.tokens) if state.push(token) is not None}
    one_by_one |= {END_ID} if state.complete() else set()
    at_once = allowed_ids(state)
    assert len(at_once) == len(set(at_once))
    assert set(at_once) == one_by_one
    estimate = tokens_to_end(state)
    for i in one_by_one - {END_ID}:
        assert tokens_to_end(state.push(VOCABULARY.tokens[i])) < estimate + FAR


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, V - 2), max_size=12), st.integers(0, 3))
def test_no_row_is_ever_all_zero_whatever_was_written(ids, more):
    horizon = len(ids) + 1 + more
    assert PartialSmilesMask()(*padded(ids, horizon)).any()


def test_what_it_remembers_changes_nothing():
    texts = walks(Uniform(2), 12, 30)
    ids = [encode(text) for text in texts]
    rows = [(i, n) for i in range(len(ids)) for n in range(len(ids[i]))]
    np.random.default_rng(0).shuffle(rows)
    warm, forgetful = PartialSmilesMask(), PartialSmilesMask(cache_size=2)
    for i, n in rows:
        prefix = padded(ids[i][:n], 30)
        expected = PartialSmilesMask()(*prefix)
        np.testing.assert_array_equal(warm(*prefix), expected)
        np.testing.assert_array_equal(forgetful(*prefix), expected)


def test_copies_are_small_and_alike():
    mask = PartialSmilesMask(cache_size=10)
    prefix = padded(encode("c1ccc("))
    expected = mask(*prefix)
    for other in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert other.cache_size == 10
        np.testing.assert_array_equal(other(*prefix), expected)
    assert len(pickle.dumps(mask)) < 1000
    with pytest.raises(ValueError, match="cache_size must be at least 2, got 1"):
        PartialSmilesMask(cache_size=1)


def test_batches_and_single_prefixes_agree():
    ids = [encode(text) for text in ("CC(", "c1ccc2", "N#", "")]
    tokens = np.concatenate([padded(row)[0] for row in ids])
    lengths = np.array([len(row) for row in ids])
    batch = PartialSmilesMask()(tokens, lengths)
    assert batch.dtype == np.int8
    for row, one in zip(batch, ids, strict=True):
        np.testing.assert_array_equal(row, PartialSmilesMask()(*padded(one))[0])
    assert not batch[3, np.array(VOCABULARY.tokens) == END].any()
