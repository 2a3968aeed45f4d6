"""Replayed episodes in another spelling: what they record, and what may be learnt from them."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from helpers.agents import V, assert_equal_states, collect, native, recurrent_prior, settings_of
from helpers.agents import make as make_small
from helpers.envs import MASKED_TOY
from helpers.episodes import augmenter_of, played
from helpers.learning import BAR, C, kl_of, make, start_value, study
from kl_agents import GLearning, PsiLearning, QLearning, Reinvent
from kl_agents.backups import chosen, cut_traces
from seqgen_envs.domain_groups import Corpora
from seqgen_envs.domains.toy import DOMAIN as TOY
from seqgen_envs.domains.toy.vocabulary import END, A, B
from seqgen_envs.domains.toy.vocabulary import C as LETTER_C
from seqgen_envs.exact import PrefixTree
from seqgen_envs.lanes import Lanes
from seqgen_envs.rules import Task, Term
from seqgen_envs.settings import LaneSettings
from seqgen_envs.starts import MIN_LOG_PROB
from seqgen_envs.vocabulary import Vocabulary

T = TOY.horizon


def shuffled(ids, rng):
    """The letters in another order: the toy's term at the end counts them only."""
    ending = ids[ids == END]
    return np.concatenate([rng.permutation(ids[ids != END]), ending])


def shuffled_after_two(ids, rng):
    """The first two stay where they are."""
    return np.concatenate([ids[:2], shuffled(ids[2:], rng)])


def spelled(augment, domain=TOY):
    return dataclasses.replace(domain, name="spelled-toy", corpora=Corpora(augment=augment))


SHUFFLED = spelled(shuffled)


def rows_of(batch):
    return [row[:n].tolist() for row, n in zip(batch.tokens, batch.lengths, strict=True)]


# ---------------------------------------------------------------------- what is recorded


@pytest.mark.parametrize(
    ("primer", "augment"), [("", shuffled), ("ca", shuffled_after_two)], ids=["whole", "primed"]
)
@pytest.mark.parametrize("domain", [TOY, MASKED_TOY], ids=["free", "masked"])
@pytest.mark.parametrize("prior", [None, recurrent_prior("gru")], ids=["table", "gru"])
def test_a_new_spelling_is_recorded_as_if_it_had_been_played(domain, primer, augment, prior):
    env = native(64, spelled(augment, domain), primer=primer, prior=prior)
    agent = make_small(env=env, augment=1.0)
    before = collect(agent, 300)
    after, count = agent.augmenter.respell(before, 1.0, np.random.default_rng(0))
    changed = np.flatnonzero((after.tokens != before.tokens).any(axis=1))
    assert len(changed) == count > 15
    fresh = after.rows(changed)
    again = played(Lanes(1, settings_of(agent)), rows_of(fresh))
    np.testing.assert_allclose(fresh.log_prior, again.log_prior, atol=2e-5)
    np.testing.assert_allclose(fresh.task_reward, again.task_reward, atol=1e-5)
    prior_of_actions = np.take_along_axis(
        again.log_prior, np.minimum(again.tokens, V - 1)[..., None], axis=2
    )[..., 0] * (again.tokens < V)
    np.testing.assert_allclose(fresh.log_behaviour, prior_of_actions, atol=2e-5)
    assert prior_of_actions.min() > MIN_LOG_PROB
    if not (primer and domain is MASKED_TOY):  # three letters that alternate: all alike
        assert np.abs(fresh.task_reward - before.rows(changed).task_reward).max() > 0.5
    for row, old in zip(rows_of(after), rows_of(before), strict=True):
        assert sorted(row) == sorted(old)
    for name, dtype in (("tokens", np.int64), ("log_prior", np.float32),
                        ("task_reward", np.float32), ("log_behaviour", np.float32)):  # fmt: skip
        assert getattr(after, name).dtype == dtype
        assert getattr(after, name).shape == getattr(before, name).shape
    rest = np.setdiff1d(np.arange(300), changed)
    for name, values in vars(before).items():
        np.testing.assert_array_equal(getattr(after, name)[rest], values[rest])


def test_the_given_episodes_are_not_changed():
    agent = make_small(env=native(16, SHUFFLED), augment=1.0)
    before = collect(agent, 50)
    copies = {name: values.copy() for name, values in vars(before).items()}
    _, count = agent.augmenter.respell(before, 1.0, agent.rng)
    assert count > 10
    for name, values in copies.items():
        np.testing.assert_array_equal(getattr(before, name), values)


def test_terms_at_the_end_are_not_asked_again():
    asked = []

    def balance(tokens, lengths):
        asked.append(len(tokens))
        return np.full(len(tokens), 7.0)

    task = Task("counted", [Term("balance", balance, 2.0, at="end")])
    lanes = Lanes(1, LaneSettings(SHUFFLED, task=task))
    before = played(lanes, [[A, B, LETTER_C, END]])
    asked.clear()
    for seed in range(10):
        after, _ = augmenter_of(SHUFFLED, task).respell(before, 1.0, np.random.default_rng(seed))
        assert after.task_reward.tolist() == [[0.0, 0.0, 0.0, 14.0, 0.0]]
    assert asked == []


# ---------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("actions", "spelling", "expected"),
    [
        ("a.", "bc.", "bc."),
        ("a.", "abcab.", "abcab"),  # no room for the end token: the horizon ends it
        ("abcab", "ba.", "ba."),
        ("abcab", "babca.", "babca"),
        ("a.", "bc", "bc."),  # given back without its end
        (".", ".", None),
        ("a.", "a.", None),  # the same again
        ("a.", "abcabc.", None),  # too long
    ],
)  # fmt: skip
def test_the_end_token_goes_where_there_is_room(actions, spelling, expected):
    given = []

    def fixed(ids, rng):
        given.append(TOY.vocabulary.to_text(ids))
        return ids_of(spelling)

    domain = spelled(fixed)
    before = played(Lanes(1, LaneSettings(domain)), [ids_of(actions)])
    after, count = augmenter_of(domain).respell(before, 1.0, np.random.default_rng(0))
    assert given == [actions.rstrip(".")]
    assert count == (expected is not None)
    assert rows_of(after) == [ids_of(expected or actions).tolist()]


def ids_of(text):
    return TOY.vocabulary.encode(text)


@pytest.mark.parametrize(
    ("settings", "actions", "spelling"),
    [
        ({"domain": TOY, "primer": "ca"}, "b.", "bac."),  # does not begin with the primer
        ({"domain": TOY, "primer": "ca"}, "b.", "c"),  # is shorter than it
        ({"domain": MASKED_TOY}, "ab.", "aab."),  # takes a token that the mask forbids
        ({"domain": MASKED_TOY}, "ab.", "a."),  # ends before the mask lets it
    ],
)
def test_an_episode_stays_where_its_spelling_does_not_fit(settings, actions, spelling):
    domain = spelled(lambda ids, rng: ids_of(spelling), settings["domain"])
    lane_settings = LaneSettings(**{**settings, "domain": domain})
    before = played(Lanes(1, lane_settings), [ids_of(actions)])
    augmenter = augmenter_of(domain, primer=lane_settings.primers[0])
    after, count = augmenter.respell(before, 1.0, np.random.default_rng(0))
    assert count == 0
    for name, values in vars(before).items():
        np.testing.assert_array_equal(getattr(after, name), values)


def test_without_an_end_token_only_the_same_length_fits():
    vocabulary = Vocabulary(("a", "b", "c", "."), joiner="")
    for spelling, fits in (("cabab", True), ("cab", False), ("cababa", False)):
        domain = dataclasses.replace(
            spelled(lambda ids, rng, s=spelling: ids_of(s)), vocabulary=vocabulary
        )
        prior = type(TOY.load_prior())(np.log(np.full((T, V + 1, V), 1 / V)), vocabulary)
        before = played(Lanes(1, LaneSettings(domain, prior)), [ids_of("abcab")])
        after, count = augmenter_of(domain, prior=prior).respell(
            before, 1.0, np.random.default_rng(0)
        )
        assert (count == 1) == fits
        assert rows_of(after) == [ids_of("cabab" if fits else "abcab").tolist()]


# ---------------------------------------------------------------------- the share


def test_the_share_is_kept():
    agent = make_small(env=native(64, spelled(lambda ids, rng: shifted(ids))), augment=0.25)
    before = collect(agent, 2000)
    count = agent.augmenter.respell(before, 0.25, np.random.default_rng(0))[1]
    whole = agent.augmenter.respell(before, 1.0, np.random.default_rng(0))[1]
    assert whole == (before.tokens[:, 0] != END).sum()  # all that can be spelled another way
    assert count == pytest.approx(0.25 * whole, abs=4 * np.sqrt(whole * 0.25 * 0.75))


def shifted(ids):
    """a for b, b for c, c for a."""
    return np.where(ids == END, END, (ids + 1) % 3)


def test_without_augmentation_nothing_is_drawn_for_it():
    agents = [make_small(env=native(8, domain)) for domain in (SHUFFLED, TOY)]
    assert agents[0].augmenter is None
    for agent in agents:
        agent.learn(300)
    assert_equal_states(agents[0].policy.state_dict(), agents[1].policy.state_dict())
    other = make_small(env=native(8, SHUFFLED), augment=0.5).learn(300)
    name = "network.trunk.head.weight"
    assert not torch.equal(other.policy.state_dict()[name], agents[0].policy.state_dict()[name])


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning, Reinvent])
def test_a_domain_of_one_spelling_is_refused(algorithm):
    with pytest.raises(ValueError, match=r"augment must be 0 in domain 'toy'"):
        make_small(algorithm, augment=0.5)
    agent = make_small(algorithm, native(8, SHUFFLED), augment=0.5)
    with pytest.raises(ValueError, match="no other spellings"):
        agent.set_env(native(8))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_named(share):
    with pytest.raises(ValueError, match=r"augment must be a number in \[0, 1\]"):
        make_small(env=native(8, SHUFFLED), augment=share)


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("algorithm", [PsiLearning, QLearning, Reinvent])
def test_training_goes_on_exactly_as_without_saving(algorithm, tmp_path):
    settings = {"augment": 0.5, "replay_sampling": "rank", "replay_capacity": 60}
    agent = make_small(algorithm, native(8, SHUFFLED), **settings).learn(300)
    agent.save(tmp_path / "agent", include=["replay_buffer"])
    loaded = algorithm.load(tmp_path / "agent", env=native(8, SHUFFLED))
    assert loaded.settings.augment == 0.5
    before = agent.policy.state_dict()["network.trunk.head.weight"].clone()
    for each in (agent, loaded):
        each.learn(300, reset_num_timesteps=False)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())
    assert not torch.equal(agent.policy.state_dict()["network.trunk.head.weight"], before)


def test_single_environments_train_the_same():
    def lane():
        return gym.make("ToyGen-v0", domain=SHUFFLED)

    agents = [
        make_small(env=env, augment=0.7, episodes_per_round=16).learn(200)
        for env in (native(4, SHUFFLED), DummyVecEnv([lane] * 4))
    ]
    # the two collect alike while every lane is wanted; the weights tell
    for name, tensor in agents[0].policy.state_dict().items():
        torch.testing.assert_close(agents[1].policy.state_dict()[name], tensor, msg=name)


def test_the_share_that_was_spelled_anew_is_logged():
    agent = make_small(env=native(16, SHUFFLED), augment=1.0)
    agent.learn(100)
    agent._training_debt = 500.0
    figures = agent.train()
    assert 0.2 < figures["augmented"] < 1.0  # some are single letters


def test_traces_are_cut_where_the_policy_left_the_prior():
    """Spelled anew, an episode reaches as far as if the prior had written it."""
    agent = make_small(env=native(32, SHUFFLED), augment=1.0, lambda_=0.9)
    batch, _ = agent.augmenter.respell(collect(agent, 64), 1.0, agent.rng)
    inputs = agent._tensors(batch)
    log_pi = chosen(agent.backup.log_policy(inputs.log_prior, inputs.log_prior), inputs.actions)
    traces = cut_traces(0.9, log_pi, inputs.log_behaviour)
    real = torch.arange(T) < inputs.lengths[:, None]
    np.testing.assert_allclose(traces[real], 0.9, atol=1e-4)


def sorted_only(domain=SHUFFLED):
    """Every episode whose letters are in alphabetical order."""
    tree = PrefixTree.build(LaneSettings(domain))
    every = [row[:n].tolist() for row, n in zip(tree.sequences.tokens, tree.sequences.lengths,
                                                strict=True)]  # fmt: skip
    kept = [row for row in every if row == sorted(row)]
    assert len(kept) < len(every) / 5
    return played(Lanes(1, LaneSettings(domain)), kept)


@pytest.mark.slow
def test_what_one_spelling_in_many_shows_is_enough_to_learn_all():
    """Of the episodes only those in alphabetical order are seen; the others are their spellings."""
    agents = []
    for augment, updates in ((1.0, 1000), (0.0, 200)):
        agent = make(PsiLearning, native(64, SHUFFLED), augment=augment)
        agent.replay.add(sorted_only())
        agents.append(study(agent, updates))
    tree = PrefixTree.build(LaneSettings(SHUFFLED))
    assert kl_of(agents[0]) < BAR
    assert start_value(agents[0]) == pytest.approx(tree.log_z(C), abs=0.05)
    assert kl_of(agents[1]) > 20 * BAR
