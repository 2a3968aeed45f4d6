"""Every registered id: the checkers, and the contract on sequences that the prior would write.

Uniformly random tokens are hardly ever a molecule, so here the actions are drawn from the
observation's ``log_prior``: what ends an episode is scored in earnest.
"""

import json
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from helpers.envs import ALL_IDS, ENV_IDS, assert_same, kwargs_of
from seqgen_envs import SequenceEnv
from seqgen_envs.rollout import sample_rows

ATOL = 1e-5
LANES = 4


CLASSIFIERS = {"PMO-DRD2-v0", "PMO-GSK3B-v0", "PMO-JNK3-v0"}


def make(env_id, **kwargs):
    """The environment; skips one whose classifier has not been fetched to this machine."""
    try:
        return gym.make(env_id, **kwargs)
    except ImportError as error:
        assert env_id in CLASSIFIERS
        pytest.skip(str(error))


def episode(env, seed):
    """An episode of the prior's: its actions, rewards and infos."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    steps, terminated = [], False
    while not terminated:
        allowed = np.where(info["action_mask"] == 1, observation["log_prior"], -np.inf)
        action = int(sample_rows(allowed[None], rng)[0])
        observation, reward, terminated, truncated, info = env.step(action)
        assert not truncated
        steps.append((action, reward, info))
    return steps


@pytest.fixture(params=ALL_IDS)
def any_id(request):
    return request.param


def test_each_domain_is_among_them():
    assert {gym.spec(i).kwargs["domain"] for i in ALL_IDS} == {
        gym.spec(i).kwargs["domain"] for i in ENV_IDS
    }
    assert sum(env_id.startswith("PMO-") for env_id in ALL_IDS) == 23


@pytest.mark.parametrize("checker", [check_env, sb3_check_env])
def test_checkers_are_clean(any_id, checker):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker(make(any_id).unwrapped)


def test_reward_terms_add_up(any_id):
    env = make(any_id)
    for action, reward, info in [step for seed in range(3) for step in episode(env, seed)]:
        assert 0 <= action < env.action_space.n
        assert sum(info["reward_terms"].values()) == pytest.approx(info["task_reward"])
        expected = info["prior_log_prob"] + info["task_reward"] / env.unwrapped.c
        assert reward == pytest.approx(expected)
    assert env.unwrapped.task.failures.count == 0


def test_same_seed_same_episode(any_id):
    one, other = episode(make(any_id), 5), episode(make(any_id), 5)
    assert_same(one, other)


def test_a_pickled_copy_goes_on_alike(any_id):
    env = make(any_id).unwrapped
    episode(env, 1)
    twin = pickle.loads(pickle.dumps(env))
    assert_same(episode(twin, 2), episode(env, 2))


def test_spec_survives_json(any_id):
    env = make(any_id)
    spec = EnvSpec.from_json(env.spec.to_json())
    assert_same(episode(gym.make(spec), 3), episode(env, 3))
    assert json.loads(env.spec.to_json())["id"] == any_id


def test_vector_is_single(any_id):
    """Every lane's episodes are a lone environment's, to 1e-5."""
    make(any_id)
    vector = gym.make_vec(any_id, num_envs=LANES, autoreset_mode="Disabled").unwrapped
    singles = [SequenceEnv(**kwargs_of(any_id)) for _ in range(LANES)]
    rng = np.random.default_rng(0)
    observation, info = vector.reset()
    for env in singles:
        env.reset()
    going = np.ones(LANES, dtype=bool)
    while going.any():
        allowed = np.where(info["action_mask"] == 1, observation["log_prior"], -np.inf)
        actions = sample_rows(allowed, rng)
        observation, rewards, finished, _, info = vector.step(actions)
        for lane in np.flatnonzero(going):
            alone, reward, terminated, _, _ = singles[lane].step(int(actions[lane]))
            assert rewards[lane] == pytest.approx(reward, abs=ATOL)
            np.testing.assert_allclose(
                observation["log_prior"][lane], alone["log_prior"], atol=ATOL
            )
            assert terminated == finished[lane]
        going &= ~finished
        if finished.any():
            observation, _ = vector.reset(options={"reset_mask": finished})
            info = {"action_mask": vector.action_masks()}
