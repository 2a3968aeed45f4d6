"""Rollouts: exactly the episodes asked for, and none favoured for being short."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from helpers.agents import recurrent_prior
from helpers.envs import MASKED_TOY
from seqgen_envs import SequenceEnv, get_domain
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, play, rollout, sample_rows
from seqgen_envs.rules import Task, Term
from seqgen_envs.settings import LaneSettings
from seqgen_envs.stepping import step_rows


def toy_length_distribution():
    """P(length) under the toy prior, by enumerating all its sequences."""
    domain = get_domain("toy")
    end, horizon = domain.vocabulary.end_id, domain.horizon
    letters = [i for i in range(domain.vocabulary.size) if i != end]
    chances = np.zeros(horizon + 1)
    for length in range(1, horizon + 1):
        lasts = [end] if length < horizon else [*letters, end]
        for prefix in itertools.product(letters, repeat=length - 1):
            for final in lasts:
                ids = torch.tensor([[*prefix, final]])
                log_probs = domain.load_prior().sequence_log_probs(ids)
                chances[length] += log_probs.gather(-1, ids[..., None]).sum().exp().item()
    assert chances.sum() == pytest.approx(1.0)
    return chances


def lanes_of(n, domain="toy", **settings):
    return Lanes(n, LaneSettings(domain, **settings))


@pytest.mark.parametrize(("n", "episodes"), [(1, 3), (4, 4), (7, 5), (5, 23)])
def test_exactly_the_episodes_asked_for(n, episodes):
    result = rollout(lanes_of(n), PriorPolicy(0), episodes)
    pad = get_domain("toy").vocabulary.pad_id
    assert len(result) == episodes
    assert (result.lengths >= 1).all()
    np.testing.assert_array_equal((result.tokens != pad).sum(1), result.lengths)


def test_every_figure_is_the_environments_own():
    settings = {"primer": [0], "c": 0.8}
    result = rollout(lanes_of(3, **settings), PriorPolicy(1), 9)
    env = SequenceEnv("toy", **settings)
    names = result.term_names
    assert names == env.task.names
    for row in range(9):
        env.reset()
        assert result.tokens[row, 0] == 0
        assert not result.log_prior[row, 0]
        for t in range(1, result.lengths[row]):
            *_, terminated, _, info = env.step(result.tokens[row, t])
            assert result.log_prior[row, t] == pytest.approx(info["prior_log_prob"], abs=1e-6)
            terms = dict(zip(names, result.terms[row, t], strict=True))
            assert terms == pytest.approx(info["reward_terms"])
        assert terminated
    np.testing.assert_allclose(result.task_return, sum(result.term_totals().values()))
    np.testing.assert_allclose(result.log_prior_total, result.log_prior.sum(1))


def test_short_episodes_are_not_over_represented():
    """As many lanes as episodes would hide the bias: 20 lanes, 60 episodes, many times."""
    expected = toy_length_distribution()
    lanes, policy = lanes_of(20), PriorPolicy(0)
    counts, first = np.zeros(6), np.zeros(6)
    runs = 60
    for _ in range(runs):
        counts += np.bincount(rollout(lanes, policy, 60).lengths, minlength=6)
        first += np.bincount(first_to_finish(lanes, policy, 60), minlength=6)

    def worst(observed):
        total = observed.sum()
        sigma = np.sqrt(total * expected * (1 - expected))
        return np.max(np.abs(observed - total * expected)[1:] / sigma[1:])

    assert worst(counts) < 4.0
    assert worst(first) > 4.0  # what the test would say of the naive way


def first_to_finish(lanes, policy, episodes):
    """Lengths of the first episodes to end: the biased way."""
    lanes.reset()
    lengths = []
    while len(lengths) < episodes:
        actions, _ = policy.predict({"log_prior": lanes.log_prior})
        step = lanes.step(actions)
        lengths.extend(lanes.lengths[step.finished].tolist())
        lanes.reset(step.finished)
    return lengths[:episodes]


def test_only_the_episodes_asked_for_are_judged():
    """Scoring may be dear: lanes whose next episode nobody wants are idle."""
    judged = []

    def note(tokens, lengths):
        judged.extend(row[:n].tobytes() for row, n in zip(tokens, lengths, strict=True))
        return np.zeros(len(tokens))

    task = Task("note", [Term("note", note, at="end")])
    result = rollout(lanes_of(5, task=task), PriorPolicy(3), 17)
    episodes = [row[:n].tobytes() for row, n in zip(result.tokens, result.lengths, strict=True)]
    assert sorted(judged) == sorted(episodes)


def test_idle_lanes_get_no_token():
    lanes = lanes_of(3)
    lanes.reset()
    idle = np.array([False, True, False])
    step = lanes.step(np.array([0, 1, 2]), idle=idle)
    assert lanes.lengths.tolist() == [1, 0, 1]
    assert (lanes.tokens[1] == lanes.domain.vocabulary.pad_id).all()
    assert step.reward[1] == step.prior_log_prob[1] == 0.0
    assert step.reward[0] != 0.0
    restart = np.array([True, False, False])
    lanes.step(np.array([0, 0, 0]), restart=restart, idle=idle)
    assert lanes.lengths.tolist() == [0, 0, 2]


def test_lanes_that_rest_leave_the_priors_batch(monkeypatch):
    """11 episodes in 8 lanes: the network steps those that go on, not all until the last ends."""
    lanes, stepped = lanes_of(8), []
    lanes.reset()
    step = lanes.prior.step

    def counted(tokens, state):
        stepped.append(len(tokens))
        return step(tokens, state)

    monkeypatch.setattr(lanes.prior, "step", counted)
    result = rollout(lanes, PriorPolicy(3), 11)
    assert min(stepped) < 8
    assert sum(stepped) == (result.lengths - 1).sum()


@pytest.mark.parametrize("going", [[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]])
def test_some_rows_step_as_they_do_among_all(going):
    prior, rows = recurrent_prior("lstm", layers=2), np.array(going, dtype=bool)
    tokens = np.array([0, 1, 2, 3])
    _, state = prior.step(torch.full((4,), 4), prior.initial_state(4))
    output, after = step_rows(prior.step, tokens, state, rows)
    every, wanted = prior.step(torch.from_numpy(tokens), state)
    torch.testing.assert_close(output, every[rows])
    for mine, theirs in zip(after, wanted, strict=True):
        torch.testing.assert_close(mine[rows], theirs[rows])


def test_draws_of_many_tokens_follow_their_probabilities():
    weights = np.random.default_rng(1).dirichlet(np.full(1_500, 0.3))
    log_weights = np.log(weights, where=weights > 0, out=np.full(1_500, -np.inf))
    log_weights[[3, 1_499]] = -np.inf
    shown = np.tile(log_weights.astype(np.float32), (30_000, 1))
    counts = np.bincount(sample_rows(shown, np.random.default_rng(2)), minlength=1_500)
    assert counts[3] == counts[1_499] == 0
    expected = np.exp(log_weights) / np.exp(log_weights).sum() * len(shown)
    often = expected > 5
    assert chisquare(
        [*counts[often], counts[~often].sum()], [*expected[often], expected[~often].sum()]
    ).pvalue > 1e-3  # fmt: skip


def test_same_seed_same_rollout():
    a, b = (rollout(lanes_of(4), PriorPolicy(3), 10) for _ in range(2))
    np.testing.assert_array_equal(a.tokens, b.tokens)
    assert (rollout(lanes_of(4), PriorPolicy(4), 10).tokens != a.tokens).any()


def test_deterministic_takes_the_likeliest():
    result = rollout(lanes_of(2), PriorPolicy(0), 3, deterministic=True)
    env = SequenceEnv("toy")
    observation, _ = env.reset()
    terminated, expected = False, []
    while not terminated:
        expected.append(int(observation["log_prior"].argmax()))
        observation, _, terminated, *_ = env.step(expected[-1])
    assert [row[row < 4].tolist() for row in result.tokens] == [expected] * 3


class Recorder:
    """A recurrent policy that needs masks, and remembers all it was given."""

    def __init__(self):
        self.masks, self.starts, self.states, self.observations = [], [], [], []

    def predict(
        self, observation, state=None, episode_start=None, deterministic=False, action_masks=None
    ):
        n = len(episode_start)
        state = np.zeros(n, dtype=int) if state is None else state
        state = np.where(episode_start, 0, state) + 1
        self.observations.append(observation)
        self.masks.append(action_masks)
        self.starts.append(episode_start.copy())
        self.states.append(state.copy())
        return action_masks.argmax(1), state


def test_policies_are_given_masks_states_and_starts():
    policy, lanes = Recorder(), lanes_of(3, MASKED_TOY)
    result = rollout(lanes, policy, 6, observation="tokens")
    assert policy.masks[0].dtype == bool
    assert not all(m.all() for m in policy.masks)
    assert policy.starts[0].all()
    lengths = [(tokens < 4).sum(1) for tokens in policy.observations]
    for state, length, start in zip(policy.states, lengths, policy.starts, strict=True):
        np.testing.assert_array_equal(state, length + 1)
        np.testing.assert_array_equal(start, length == 0)
    assert all((row[:-1] != row[1:]).all() for row in result.tokens)  # the mask was obeyed


def test_episodes_below_one_are_refused():
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        rollout(lanes_of(2), PriorPolicy(0), 0)
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        PriorPolicy(temperature=0)


# -- sampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, -300.0, 50.0])
def test_sample_rows_has_the_right_distribution(shift):
    weights = np.log(np.array([[0.1, 0.2, 0.7, 1e-40], [0.25, 0.25, 0.25, 0.25]])) + shift
    rng, n = np.random.default_rng(0), 20_000
    drawn = np.stack([sample_rows(np.repeat(w[None], n, 0), rng) for w in weights])
    for row, chances in zip(drawn, ([0.1, 0.2, 0.7, 0.0], [0.25] * 4), strict=True):
        counts = np.bincount(row, minlength=4)
        sigma = np.sqrt(n * np.array(chances) * (1 - np.array(chances)))
        assert (np.abs(counts - n * np.array(chances)) <= 4 * sigma).all()


def test_sample_rows_never_draws_what_has_no_weight():
    weights = np.full((5000, 4), -np.inf)
    weights[:, 1:3] = 0.0
    assert set(sample_rows(weights, np.random.default_rng(0))) == {1, 2}


def test_a_temperature_flattens_what_is_allowed_and_no_more():
    masked = lanes_of(50, MASKED_TOY)
    hot = rollout(masked, PriorPolicy(0, temperature=1e6), 400).tokens
    first = np.bincount(hot[:, 0], minlength=4)
    assert first[3] == 0  # the end token is masked at the start
    assert first[:3] / 400 == pytest.approx([1 / 3] * 3, abs=0.1)


# -- the generator of steps -----------------------------------------------------------------------


def test_play_says_whose_step_it_is():
    lanes = lanes_of(4)
    chosen = np.random.default_rng(0)
    shown = np.log(np.full((4, 4), 0.25))
    firsts = []

    def act(first):
        firsts.append(first.copy())
        return chosen.integers(0, 4, 4), shown

    lengths = np.zeros(11, dtype=int)
    ended = []
    for moment in play(lanes, act, 11):
        assert moment.log_policy is shown
        assert len(moment.live) == len(moment.episodes) <= 4
        lengths[moment.episodes] += 1
        np.testing.assert_array_equal(lanes.lengths[moment.live], lengths[moment.episodes])
        taken = moment.log_prior[moment.live, moment.actions[moment.live]]
        np.testing.assert_allclose(moment.step.prior_log_prob[moment.live], taken)
        ended += moment.episodes[moment.step.finished[moment.live]].tolist()
        np.testing.assert_array_equal(firsts[-1][moment.live], lengths[moment.episodes] == 1)
    assert sorted(ended) == list(range(11))
    assert (lengths >= 1).all()


def test_play_ends_episodes_at_a_time_limit():
    lanes = Lanes(3, LaneSettings("melody"), max_episode_steps=4)
    result = rollout(lanes, PriorPolicy(0), 7)
    assert result.lengths.tolist() == [4] * 7
    assert (result.tokens[:, :4] < 38).all()
    assert (result.tokens[:, 4:] == 38).all()
