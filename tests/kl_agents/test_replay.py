"""The episode replay against a plain list and dict, under random operations."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from kl_agents.replay import EpisodeBatch, EpisodeReplay

T, V = 3, 2
FIELDS = [f.name for f in fields(EpisodeBatch)]


def make_batch(sequences, stamp=0):
    """A batch of token tuples; the other fields are functions of (tokens, stamp + row)."""
    n = len(sequences)
    tokens = np.full((n, T), V, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = sequence
    stamps = (stamp + np.arange(n))[:, None].astype(np.float32)
    steps = np.arange(T, dtype=np.float32)
    return EpisodeBatch(
        tokens=tokens,
        lengths=np.array([len(s) for s in sequences], dtype=np.int64),
        log_prior_taken=-stamps - 100 * steps,
        task_reward=stamps + steps,
        log_behaviour=-stamps - 10 * steps,
        log_prior=-(stamps[:, :, None] + np.arange(T * V, dtype=np.float32).reshape(T, V)),
    )


def replay_of(capacity, **arguments):
    return EpisodeReplay(capacity, T, V, **arguments)


def same(batch, other):
    for name in FIELDS:
        mine, theirs = getattr(batch, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs, err_msg=name)


def joined(batches):
    return EpisodeBatch(**{n: np.concatenate([getattr(b, n) for b in batches]) for n in FIELDS})


class Twin:
    """What an EpisodeReplay should hold, one episode at a time.

    ``ring`` holds episodes by slot; ``oldest`` is the slot that makes room next.
    """

    def __init__(self, capacity, unique):
        self.capacity, self.unique = capacity, unique
        self.ring, self.oldest = [], 0

    def add(self, batch):
        for row in range(len(batch)):
            self._add_one(batch.rows(slice(row, row + 1)))

    def _add_one(self, episode):
        key = tuple(episode.tokens[0])
        known = [i for i, e in enumerate(self.ring) if tuple(e.tokens[0]) == key]
        if self.unique and known:
            self.ring[known[0]] = episode
        elif len(self.ring) < self.capacity:
            self.ring.append(episode)
        else:
            self.ring[self.oldest] = episode
            self.oldest = (self.oldest + 1) % self.capacity


SEQUENCES = st.lists(st.integers(0, V - 1), min_size=1, max_size=T).map(tuple)
OPERATIONS = st.lists(st.lists(SEQUENCES, min_size=1, max_size=6) | st.just("save"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 8), st.booleans(), st.sampled_from(["uniform", "rank"]), OPERATIONS)
def test_against_a_naive_twin(capacity, unique, sampling, operations):
    replay = replay_of(capacity, unique=unique, sampling=sampling)
    twin, stamp = Twin(capacity, unique), 0
    for operation in operations:
        if operation == "save":  # go on with a copy that went through arrays
            state = {k: v.copy() for k, v in replay.state_dict().items()}
            replay = replay_of(capacity, unique=unique, sampling=sampling)
            replay.load_state_dict(state)
        else:
            batch = make_batch(operation, stamp)
            stamp += len(operation)
            replay.add(batch)
            twin.add(batch)
        assert len(replay) == len(twin.ring)
        if twin.ring:
            same(replay.all(), joined(twin.ring))
            stored = {e.task_reward[0, 0] for e in twin.ring}
            drawn = replay.sample(5, np.random.default_rng(stamp))
            assert set(drawn.task_reward[:, 0]) <= stored


def test_the_ring_forgets_the_oldest():
    replay = replay_of(3)
    replay.add(make_batch([(0,), (1,), (0, 0), (0, 1)]))
    assert replay.all().tokens.tolist() == [[0, 1, V], [1, V, V], [0, 0, V]]
    replay.add(make_batch([(0,)], 9))  # forgotten, so new; takes the place of the oldest
    assert replay.all().tokens.tolist() == [[0, 1, V], [0, V, V], [0, 0, V]]


def test_a_batch_larger_than_the_capacity():
    replay = replay_of(2)
    replay.add(make_batch([(0,), (1,), (0, 0), (0,)]))
    same(replay.all(), make_batch([(0, 0), (0,)], 2))


def test_equal_sequences_are_kept_once_the_newest_with_its_values():
    replay = replay_of(4)
    replay.add(make_batch([(0,), (1,), (0,)]))
    assert len(replay) == 2
    assert replay.all().task_reward[:, 0].tolist() == [2.0, 1.0]
    replay.add(make_batch([(1,)], 7))
    assert replay.all().task_reward[:, 0].tolist() == [2.0, 7.0]
    kept = replay_of(4, unique=False)
    kept.add(make_batch([(0,), (1,), (0,)]))
    assert kept.all().task_reward[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_cropped_leaves_out_the_steps_that_none_has():
    batch = make_batch([(0,), (1, 0), (1,)])
    short = batch.cropped()
    np.testing.assert_array_equal(short.lengths, batch.lengths)
    for name in ("tokens", "log_prior", "task_reward", "log_behaviour"):
        np.testing.assert_array_equal(getattr(short, name), getattr(batch, name)[:, :2])


def test_samples_are_copies():
    replay = replay_of(2)
    replay.add(make_batch([(0,), (1,)]))
    before = {name: getattr(replay.all(), name).copy() for name in FIELDS}
    drawn = replay.sample(10, np.random.default_rng(0))
    for name in FIELDS:
        getattr(drawn, name)[:] = 77
    same(replay.all(), EpisodeBatch(**before))


def counts_of(replay, n, seed=0):
    """How often each stored episode (its stamp is its slot) was drawn."""
    drawn = replay.sample(n, np.random.default_rng(seed)).task_reward[:, 0]
    return np.bincount(drawn.astype(int), minlength=len(replay))


def filled(size, **arguments):
    """``size`` episodes, not unique; the return rises with the stamp."""
    replay = replay_of(size + 3, unique=False, **arguments)
    replay.add(make_batch([(0,)] * size))
    return replay


def test_uniform_sampling():
    counts = counts_of(filled(12), 20_000)
    assert len(counts) == 12
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("offset", [0.0, 0.01, 0.5, 1.0])
def test_rank_sampling(offset):
    size, n = 12, 20_000
    counts = counts_of(filled(size, sampling="rank", rank_offset=offset), n)
    rank = np.arange(size, 0, -1)  # the last has the best return
    weights = 1.0 / (rank + offset * size)
    assert chisquare(counts, n * weights / weights.sum()).pvalue > 1e-3
    assert chisquare(counts).pvalue < 1e-6  # which a uniform sampler would not pass


def test_rank_follows_what_is_added():
    replay = filled(5, sampling="rank", rank_offset=0.0)
    assert counts_of(replay, 2_000).argmax() == 4
    replay.add(make_batch([(1,)], 7))  # a better one
    counts = counts_of(replay, 2_000)
    assert counts[7] == counts.max()
    assert counts[4] > 0


def test_rank_weighs_the_whole_return_and_equal_returns_all_come_back():
    replay = replay_of(3, sampling="rank", rank_offset=0.0)
    batch = make_batch([(0,), (1,), (0, 0)])
    batch.task_reward[:] = [[5, 0, 0], [0, 0, 6], [5, 0, 0]]
    replay.add(batch)
    drawn = replay.sample(6_000, np.random.default_rng(0))
    assert batch.task_return.tolist() == [5.0, 6.0, 5.0]
    shares = [(drawn.tokens == row).all(1).mean() for row in batch.tokens]
    assert shares == pytest.approx([3 / 11, 6 / 11, 2 / 11], abs=0.03)


def test_sampling_is_a_function_of_the_generator():
    replay = filled(9, sampling="rank")
    same(*(replay.sample(20, np.random.default_rng(3)) for _ in range(2)))
    other = replay.sample(20, np.random.default_rng(4))
    assert (other.task_reward != replay.sample(20, np.random.default_rng(3)).task_reward).any()


@pytest.mark.parametrize("sampling", ["uniform", "rank"])
@pytest.mark.parametrize("n_added", [2, 4, 7])  # part of the ring, all of it, past its end
def test_a_saved_replay_goes_on_the_same(n_added, sampling):
    every = [(0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 0)]
    replay = replay_of(4, sampling=sampling)
    replay.add(make_batch(every[:n_added]))
    copy = replay_of(4, sampling=sampling)
    copy.add(make_batch([(1, 1, 1)], 50))  # what it held before is gone
    copy.load_state_dict({k: v.copy() for k, v in replay.state_dict().items()})
    generators = np.random.default_rng(5), np.random.default_rng(5)
    for again in ([], [(1, 0, 1)], [(0,), (1, 1), (0,)]):
        for each in (replay, copy):
            each.add(make_batch(again, 20))
        assert len(replay) == len(copy)
        same(replay.all(), copy.all())
        same(*(r.sample(30, g) for r, g in zip((replay, copy), generators, strict=True)))


def test_duplicates_loaded_into_a_unique_replay_are_crowded_out():
    loose = replay_of(3, unique=False)
    loose.add(make_batch([(0,), (0,), (1,)]))
    replay = replay_of(3, unique=True)
    replay.load_state_dict(loose.state_dict())
    replay.add(make_batch([(0, 0), (0, 1)], 5))
    replay.add(make_batch([(1,)], 9))
    assert replay.all().tokens.tolist() == [[0, 0, V], [0, 1, V], [1, V, V]]
    assert replay.all().task_reward[:, 0].tolist() == [5.0, 6.0, 9.0]


def state_of(n_added, capacity):
    replay = replay_of(capacity, unique=False)
    replay.add(make_batch([(0,)] * n_added))
    return replay.state_dict()


def test_a_part_full_replay_fits_any_that_is_large_enough():
    for capacity in (3, 4, 9):
        replay = replay_of(capacity, unique=False)
        replay.load_state_dict(state_of(3, 4))
        replay.add(make_batch([(1,)], 5))
        assert len(replay) == min(4, capacity)
        assert 0 not in replay.all().lengths


@pytest.mark.parametrize(
    ("n_added", "capacity"),
    [(4, 4), (6, 4)],  # larger than this one's 3; wrapped
)
def test_a_saved_replay_that_does_not_fit(n_added, capacity):
    replay = replay_of(3)
    replay.add(make_batch([(0,)]))
    with pytest.raises(ValueError, match=r"does not fit this one .*use the same capacity"):
        replay.load_state_dict(state_of(n_added, capacity))
    same(replay.all(), make_batch([(0,)]))


def test_a_wrapped_ring_cannot_go_on_in_a_larger_one():
    """Its next slot lies in the middle: the larger ring would grow over slots never filled."""
    with pytest.raises(ValueError, match="does not fit this one"):
        replay_of(9).load_state_dict(state_of(6, 4))


def test_a_refused_state_changes_nothing():
    replay = replay_of(4)
    replay.add(make_batch([(0,), (1, 1)]))
    state = state_of(3, 4)
    state["log_behaviour"] = np.zeros((3, T + 1), dtype=np.float32)  # the last field
    with pytest.raises(ValueError, match=r"\(3, 4\) of log_behaviour"):
        replay.load_state_dict(state)
    same(replay.all(), make_batch([(0,), (1, 1)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": 0}, "capacity must be at least 1 episode, got 0"),
        ({"sampling": "best"}, r"one of \['uniform', 'rank', 'latest'\], got 'best'"),
        ({"rank_offset": -0.1}, "rank_offset must be >= 0, got -0.1"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        replay_of(**{"capacity": 4, **arguments})


@pytest.mark.parametrize("sampling", ["uniform", "rank"])
def test_an_empty_replay_has_no_samples(sampling):
    with pytest.raises(ValueError, match="the replay is empty"):
        replay_of(4, sampling=sampling).sample(1, np.random.default_rng(0))
