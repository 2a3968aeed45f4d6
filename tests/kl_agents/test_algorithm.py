"""What every agent does beside learning: collect, take environments, refuse."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import kl_agents
from helpers.agents import (
    V,
    collect,
    log_policy_of,
    make,
    native,
    normalised,
    recurrent_prior,
    single,
    unlike_the_prior,
)
from helpers.envs import assert_same
from kl_agents import GLearning, PriorAgent, PsiLearning, QLearning, Reinvent, RLOnly
from kl_agents.collection import Collector
from seqgen_envs.adapters.sb3 import SB3VecEnv, make_sb3_vec_env
from seqgen_envs.exact import PrefixTree
from seqgen_envs.settings import LaneSettings
from seqgen_envs.vector_env import SequenceVectorEnv

# ---------------------------------------------------------------------- behaviour


def mixtures(log_policy, log_prior, explore, epsilon):
    """The behaviour's probabilities, written down naively."""
    other = {
        "policy": np.exp(log_policy),
        "prior": np.exp(log_prior),
        "uniform": np.full(V, 1 / V)[None],
    }[explore]
    return (1 - epsilon) * np.exp(log_policy) + epsilon * other


@pytest.mark.parametrize("explore", ["policy", "prior", "uniform"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("algorithm", [PsiLearning, QLearning])
def test_recorded_and_actual_probabilities_of_the_behaviour(explore, epsilon, algorithm):
    agent = make(algorithm, native(500), c=1.0, explore=explore)
    unlike_the_prior(agent)
    tree, log_policy = log_policy_of(agent)
    behaviour = mixtures(log_policy, tree.log_prior, explore, epsilon)
    batch = collect(agent, 6000, epsilon)
    known = {tuple(row): i for i, row in enumerate(tree.tokens.tolist())}
    counts = np.zeros((len(tree), V))
    for row, recorded, length in zip(batch.tokens, batch.log_behaviour, batch.lengths, strict=True):
        for t in range(length):
            state = known[(*row[:t].tolist(), *[V] * (5 - t))]
            counts[state, row[t]] += 1
            assert recorded[t] == pytest.approx(np.log(behaviour[state, row[t]]), abs=1e-4)
    total, cells = 0.0, 0
    for state in np.flatnonzero(counts.sum(1) > 200):
        expected = counts[state].sum() * behaviour[state]
        assert (counts[state][expected < 1e-6] == 0).all()
        common = expected > 5
        total += ((counts[state] - expected)[common] ** 2 / expected[common]).sum()
        cells += int(common.sum())
    assert cells > 0
    assert total < cells + 5 * np.sqrt(2 * cells)  # chi-square, five standard deviations


def test_the_collected_kl_and_entropy_are_the_policys():
    agent = unlike_the_prior(make(env=native(500), c=1.0))
    tree, log_policy = log_policy_of(agent)
    got = agent.collector.collect(agent.policy, 20_000, 0.0, agent.rng, lambda _: True)
    log_q = tree.sequence_log_probs(log_policy)
    q = np.exp(log_q)
    assert got.kl_to_prior == pytest.approx(
        (q * (log_q - tree.sequences.log_prior)).sum(), rel=0.02
    )
    assert got.entropy == pytest.approx(-(q * log_q).sum(), rel=0.02)
    mean = got.episodes.task_return.mean()
    assert mean == pytest.approx((q * tree.sequences.task_return).sum(), abs=0.05)
    np.testing.assert_allclose(got.environment_steps, got.episodes.lengths.sum(), rtol=0.05)


def test_the_collected_episodes_are_the_environments():
    agent = unlike_the_prior(make(env=native(7)))
    batch = collect(agent, 100)
    assert len(batch) == 100
    tree = PrefixTree.build(LaneSettings("toy"))
    found = {
        tuple(row): (p, r)
        for row, p, r in zip(
            tree.sequences.tokens.tolist(),
            tree.sequences.log_prior,
            tree.sequences.task_return,
            strict=True,
        )
    }
    log_prior = batch.log_prior_taken.sum(1)
    for row, p, r in zip(batch.tokens.tolist(), log_prior, batch.task_return, strict=True):
        assert found[tuple(row)] == (pytest.approx(p, abs=1e-5), pytest.approx(r, abs=1e-5))


# ---------------------------------------------------------------------- environments accepted


def episodes_with(env, n=4, rounds=2):
    agent = make(env=env, n_envs=n, episodes_per_round=12, learning_rate=1e-2)
    agent.learn(12 * 4 * rounds)
    agent.get_env().close()
    return agent.replay.all(), {k: v.clone() for k, v in agent.policy.state_dict().items()}


@pytest.fixture(scope="module")
def reference():
    return episodes_with("ToyGen-v0")


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: gym.make_vec("ToyGen-v0", num_envs=4), id="native next-step"),
        pytest.param(lambda: native(4), id="native same-step"),
        pytest.param(
            lambda: SequenceVectorEnv("toy", 4, autoreset_mode="Disabled"), id="native disabled"
        ),
        pytest.param(lambda: SB3VecEnv(native(4).lanes), id="SB3VecEnv"),
        pytest.param(lambda: make_sb3_vec_env("ToyGen-v0", 4), id="make_sb3_vec_env"),
        pytest.param(lambda: DummyVecEnv([single] * 4), id="DummyVecEnv"),
        pytest.param(
            lambda: SubprocVecEnv([single] * 4, "forkserver"),
            id="SubprocVecEnv",
            marks=pytest.mark.spawn,
        ),
    ],
)
def test_every_kind_of_environment_gives_the_same_training(build, reference):
    episodes, parameters = episodes_with(build())
    for field in dataclasses.fields(episodes):
        actual, expected = getattr(episodes, field.name), getattr(reference[0], field.name)
        np.testing.assert_allclose(actual, expected, atol=1e-5, err_msg=field.name)
    for name, tensor in reference[1].items():
        torch.testing.assert_close(parameters[name], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_users_environment_keeps_its_ways(mode):
    env, twin = (gym.make_vec("ToyGen-v0", num_envs=3, autoreset_mode=mode.value) for _ in "ab")
    before = dict(env.metadata)
    agent = make(env=env).learn(50)
    assert agent.get_env().lanes is env.lanes  # stepped, with the prior and the task it has
    assert env.autoreset_mode == mode
    assert env.metadata == before
    for e in (env, twin):
        e.reset(seed=0)
    for _ in range(3 if mode == AutoresetMode.DISABLED else 12):
        assert_same(env.step([0, 1, 2]), twin.step([0, 1, 2]))


def test_a_single_environment_and_its_wrappers():
    for env in (single(), gym.wrappers.RecordEpisodeStatistics(single())):
        agent = make(env=env, episodes_per_round=4)
        agent.learn(30)
        assert len(agent.replay) >= 4
        assert agent.n_envs == 1


@pytest.mark.spawn
def test_spawned_workers():
    env = SubprocVecEnv([single] * 2, start_method="spawn")
    episodes, _ = episodes_with(env, 2, rounds=1)
    expected, _ = episodes_with(native(2), 2, rounds=1)
    np.testing.assert_array_equal(episodes.tokens, expected.tokens)


def test_a_seed_is_a_run_and_another_is_another():
    def run(seed):
        agent = make(seed=seed).learn(300)
        return agent.replay.all().tokens, agent.policy.network.trunk.head.weight.detach()

    (tokens, weight), (again, same), (other, _) = run(1), run(1), run(2)
    np.testing.assert_array_equal(tokens, again)
    assert torch.equal(weight, same)
    assert tokens.shape != other.shape or (tokens != other).any()


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize("kind", ["tokens", "last_token"])
def test_other_observations_are_refused(kind):
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=native(observation=kind))
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=gym.make("ToyGen-v0", observation=kind))


def test_other_environments_are_refused():
    others = gym.vector.SyncVectorEnv([single] * 2)
    with pytest.raises(TypeError, match="SyncVectorEnv is not a sequence environment"):
        make(env=others)
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=gym.make("CartPole-v1"))
    with pytest.raises(gym.error.NameNotFound):
        make(env="NoSuchGen-v0")


def test_without_an_environment_there_is_no_prior():
    with pytest.raises(ValueError, match="give an environment"):
        PsiLearning("SequencePolicy", None)


@pytest.mark.parametrize(
    ("algorithm", "argument", "value"),
    [
        (PsiLearning, "discount", 1.1),
        (PsiLearning, "discount", float("nan")),
        (PsiLearning, "lambda_", -0.1),
        (PsiLearning, "tau", 1.5),
        (PsiLearning, "huber_delta", 0.0),
        (QLearning, "n_step", 0),
        (PsiLearning, "batch_episodes", 0),
        (PsiLearning, "replay_ratio", -1.0),
        (PsiLearning, "episodes_per_round", 0),
        (PsiLearning, "replay_capacity", 0),
        (PsiLearning, "replay_sampling", "best"),
        (PsiLearning, "explore", "boltzmann"),
        (PsiLearning, "epsilon", 1.5),
        (PsiLearning, "epsilon", -0.5),
        (PsiLearning, "epsilon", {"start": 0.0, "finish": 1.0}),
        (PsiLearning, "c", 0.0),
        (PsiLearning, "c", {"start": 1.0, "end": -1.0}),
        (PsiLearning, "learning_rate", -1e-3),
        (PsiLearning, "learning_rate", "auto"),
        (PsiLearning, "max_grad_norm", -1.0),
        (Reinvent, "sigma", -1.0),
        (Reinvent, "delta", 0.0),
    ],
)
def test_arguments_out_of_range_are_named(algorithm, argument, value):
    with pytest.raises(ValueError, match=rf"^{argument}\b.* must be|^{argument}: "):
        make(algorithm, **{argument: value})


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, Reinvent, PriorAgent])
@pytest.mark.parametrize("argument", ["n_step", "double"])
def test_what_is_for_q_alone_is_refused_elsewhere(algorithm, argument):
    with pytest.raises(TypeError, match=argument):
        make(algorithm, **{argument: 1})


# ---------------------------------------------------------------------- defaults


@pytest.mark.parametrize(("algorithm", "explore"), [(QLearning, "prior"), (RLOnly, "uniform")])
def test_greedy_learners_explore_unless_told_not_to(algorithm, explore):
    agent = make(algorithm)
    assert agent.collector.explore == explore
    epsilons = [agent.epsilon_schedule(left) for left in (1.0, 0.5, 0.0)]
    assert epsilons == [1.0, 0.05, 0.05]
    agent.learn(2_000)
    assert len(agent.replay) > 20
    repeating = make(algorithm, explore="policy").learn(200)
    assert len(repeating.replay) < 10  # one sequence between two trainings


def test_reinvent_keeps_a_short_replay_as_drawn():
    replay = make(Reinvent).replay
    assert (replay.capacity, replay.unique) == (256, False)
    assert make(Reinvent, replay_capacity=9, replay_unique=True).replay.capacity == 9


# ---------------------------------------------------------------------- set_env


def test_set_env_trains_on_the_other_environment():
    agent = make(c=0.5).learn(100)
    other = native(3, task={"name": "letters", "weights": {"balance": 100.0}})
    agent.set_env(other)
    assert agent.n_envs == 3
    agent.replay = agent._make_replay()
    agent.learn(60)
    assert np.abs(agent.replay.all().task_reward).max() > 40
    with pytest.raises(ValueError, match="make it with the same prior"):
        agent.set_env(native(3, prior=recurrent_prior("gru")))
    with pytest.raises(ValueError, match="observation='dict'"):
        agent.set_env(gym.make("CartPole-v1"))
    assert agent.get_env().num_envs == 3


def test_set_env_with_a_primer_makes_a_fitting_replay():
    agent = make().learn(100)
    agent.set_env(native(4, primer="ab"))
    agent.learn(50)
    assert agent.replay.all().tokens.shape[1] == 3


# ---------------------------------------------------------------------- the rest


def test_the_prior_agent_only_collects():
    agent = make(PriorAgent, native(200)).learn(4000)
    tree, log_policy = log_policy_of(agent)
    np.testing.assert_allclose(log_policy, normalised(tree.log_prior), atol=1e-6)
    assert agent._n_updates == 0
    assert len(agent.replay) > 50


def test_all_names_of_the_command_line_are_algorithms():
    for algorithm in kl_agents.ALGORITHMS.values():
        agent = make(algorithm).learn(100)
        assert agent.num_timesteps >= 100


def test_a_collector_refuses_unknown_exploration():
    agent = make()
    with pytest.raises(ValueError, match=r"\['policy', 'prior', 'uniform', 'genetic'\]"):
        Collector(agent.collector.source, "greedy")


@pytest.mark.slow
def test_compiled_networks_learn_the_same():
    plain, compiled = (make(compile=flag, learning_rate=1e-2) for flag in (False, True))
    for agent in (plain, compiled):
        agent.learn(300)
    for name, tensor in plain.policy.state_dict().items():
        torch.testing.assert_close(compiled.policy.state_dict()[name], tensor, rtol=0, atol=1e-3)
