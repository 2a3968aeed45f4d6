"""Children of the replay's best as episodes, and a temperature that keeps a round new."""

from dataclasses import replace

import numpy as np
import pytest
from stable_baselines3.common.logger import configure

from helpers.agents import make_quick, native
from helpers.learning import BAR, C, kl_of
from helpers.learning import make as make_learner
from helpers.runs import molecule_spec
from kl_agents import GLearning, PsiLearning, Reinvent, TrajectoryBalance
from kl_agents.collection import WARMEST
from kl_agents.runs import make_env
from seqgen_envs import SequenceEnv, get_domain
from seqgen_envs.loading import trusting

GENETIC = {"explore": "genetic", "epsilon": 0.25, "replay_sampling": "rank"}


def one_point(one, other, rng):
    """The first letters of one, then those of the other."""
    end = get_domain("toy").vocabulary.end_id
    one, other = one[one != end], other[other != end]
    cut = rng.integers(0, min(len(one), len(other)) + 1)
    child = np.concatenate([one[:cut], other[cut:]])
    return child if len(child) else None


def crossing(n=16, cross=one_point, **kwargs):
    toy = get_domain("toy")
    return native(n, replace(toy, corpora=replace(toy.corpora, cross=cross)), **kwargs)


def learned(agent, steps=600):
    agent.set_logger(configure(None, []))
    return agent.learn(steps)


def test_children_are_new_episodes_as_the_environment_plays_them():
    agent = learned(make_quick(env=crossing(), replay_capacity=500, **GENETIC))
    stored = len(agent.replay)
    children = agent.breeder.children(agent.replay, 5, agent.rng)
    played = agent.breeder.breed(agent.replay, 5, agent.rng, lambda finished: True).episodes
    assert 0 < len(children) <= 5
    assert len(agent.replay) == stored
    assert not agent.replay.holds(played.tokens).any()
    env = SequenceEnv("toy")
    for row in range(len(played)):
        observation, _ = env.reset()
        for t, action in enumerate(played.tokens[row, : played.lengths[row]]):
            shown = observation["log_prior"]
            observation, _, ended, _, info = env.step(action)
            assert played.log_behaviour[row, t] == pytest.approx(shown[action], abs=1e-5)
            assert played.log_prior_taken[row, t] == pytest.approx(shown[action], abs=1e-5)
            assert played.task_reward[row, t] == pytest.approx(info["task_reward"], abs=1e-5)
        assert ended


def test_a_share_of_each_round_is_bred():
    agent = make_quick(env=crossing(), **GENETIC)
    found = []
    agent.learn(600, callback=lambda local, _: found.append(local.get("collected")) or True)
    rounds = list({id(one): one for one in found if one is not None}.values())
    assert len(rounds[0].episodes) == 12  # of 16, from the first round on
    assert all(1 <= len(one.bred.episodes) <= 4 for one in rounds[1:])
    steps = agent.num_timesteps
    assert steps > sum(one.environment_steps for one in rounds)  # those of children count too


@pytest.mark.parametrize(
    ("algorithm", "steps"),
    [
        (PsiLearning, 14_000),
        (GLearning, 14_000),
        pytest.param(TrajectoryBalance, 28_000, marks=pytest.mark.slow),
    ],
)
def test_the_optimum_is_the_same_whoever_made_the_episodes(algorithm, steps):
    agent = make_learner(algorithm, crossing(64), **GENETIC, replay_capacity=2000)
    agent.learn(steps)
    assert kl_of(agent, C) < BAR


def test_it_needs_what_it_needs():
    with pytest.raises(ValueError, match="domain 'toy': its sequences have no children"):
        make_quick(**GENETIC)
    with pytest.raises(ValueError, match="learns from its own episodes only"):
        make_quick(Reinvent, crossing(), explore="genetic")
    with pytest.raises(ValueError, match="needs replay_unique"):
        make_quick(env=crossing(), explore="genetic", replay_unique=False)
    with pytest.raises(ValueError, match="novelty needs replay_unique"):
        make_quick(novelty=0.5, replay_unique=False)


def test_parents_without_children_leave_the_round_as_it_is():
    agent = learned(make_quick(env=crossing(cross=lambda one, other, rng: None), **GENETIC))
    assert agent.num_timesteps >= 600


def test_what_cannot_be_an_episode_is_no_child():
    long = np.zeros(50, dtype=np.int64)
    agent = learned(make_quick(env=crossing(cross=lambda one, other, rng: long), **GENETIC))
    assert agent.breeder.children(agent.replay, 5, agent.rng) == []


def test_molecules_are_bred():
    spec = molecule_spec()
    with trusting():
        env = make_env(replace(spec, env_kwargs={**spec.env_kwargs, "length": 80}))
    agent = make_quick(env=env, **GENETIC, replay_ratio=0, policy_kwargs={})
    agent.learn(2_000)
    assert agent.breeder.children(agent.replay, 3, agent.rng)


def test_a_round_of_repeats_warms_and_new_ones_cool():
    """The toy has 4,681 sequences and its policy few of them: soon most of a round is known."""
    agent = learned(make_quick(novelty=1.0, replay_capacity=5_000, c=0.2), 5_000)
    assert agent._temperature == WARMEST
    again = make_quick(novelty=1.0)
    again.set_state(agent.state())
    assert again._temperature == WARMEST
    agent.settings, agent.replay = replace(agent.settings, novelty=0.01), agent._make_replay()
    agent.learn(1_500, reset_num_timesteps=False)
    assert 1.0 <= agent._temperature < WARMEST


def test_the_behaviours_probabilities_are_those_at_the_temperature():
    agent = make_quick(c=1.0)
    collected = agent.collector.collect(
        agent.policy, 64, 0.0, np.random.default_rng(0), lambda _: True, 2.0
    )
    episodes = collected.episodes
    half = episodes.log_prior / 2  # the policy is the prior, and so are its powers
    expected = half - np.logaddexp.reduce(half, axis=2, keepdims=True)
    for row in range(64):
        at = np.arange(episodes.lengths[row])
        taken = expected[row, at, episodes.tokens[row, at]]
        np.testing.assert_allclose(episodes.log_behaviour[row, at], taken, atol=1e-5)
    assert collected.kl_to_prior == pytest.approx(0.0, abs=1e-4)  # of the policy, not of that
