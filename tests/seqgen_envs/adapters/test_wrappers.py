"""The wrappers say what they show, under both libraries' checkers."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from helpers.envs import MASKED_TOY, random_action
from seqgen_envs import SequenceEnv
from seqgen_envs.adapters.wrappers import ActionMaskObservation, FlattenTokens

KINDS = ("dict", "tokens", "last_token")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapper", [ActionMaskObservation, FlattenTokens])
def test_wrapped_environments_pass_the_checkers(env_id, wrapper, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = wrapper(gym.make(env_id, observation=kind, disable_env_checker=True))
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        warnings.filterwarnings("ignore", ".*nested.*")  # a Dict in a Dict: not for SB3
        check_env(env, skip_render_check=True)
        if not (wrapper is ActionMaskObservation and kind == "dict"):
            sb3_check_env(env)


def test_masks_in_the_observation_are_those_of_the_next_action():
    env = ActionMaskObservation(SequenceEnv(MASKED_TOY, observation="tokens"), key="observations")
    rng = np.random.default_rng(0)
    observation, info = env.reset()
    hidden, terminated = 0, False
    while not terminated:
        assert list(observation) == ["observations", "action_mask"]
        np.testing.assert_array_equal(observation["action_mask"], info["action_mask"])
        hidden += int((observation["action_mask"] == 0).sum())
        action = random_action(observation["action_mask"], rng)
        observation, _, terminated, _, info = env.step(action)
        assert action in observation["observations"]
    assert hidden > 0


@pytest.mark.parametrize("kind", KINDS)
def test_flat_tokens_can_be_read_back(env_id, kind):
    flat, plain = FlattenTokens(gym.make(env_id, observation=kind)), gym.make(env_id)
    size = int(plain.action_space.n)
    flat.reset()
    plain.reset()
    for action in (1, 0, 2):
        vector, *_ = flat.step(action)
        expected, *_ = plain.step(action)
        assert vector.dtype == np.float32
        if kind == "dict":
            np.testing.assert_allclose(vector[-size:] * 100, expected["log_prior"], rtol=1e-5)
            vector = vector[:-size]
        rows = vector.reshape(-1, size)
        tokens = np.where(rows.any(1), rows.argmax(1), size)
        wanted = [action] if kind == "last_token" else expected["tokens"].tolist()
        assert tokens.tolist() == wanted
        assert set(rows.sum(1)) <= {0.0, 1.0}


def test_flatten_needs_plain_observations(env_id):
    with pytest.raises(ValueError, match="put it inside other observation wrappers"):
        FlattenTokens(ActionMaskObservation(gym.make(env_id)))
    with pytest.raises(ValueError, match="observations of a SequenceEnv"):
        FlattenTokens(gym.make("CartPole-v1"))
    inside = ActionMaskObservation(FlattenTokens(gym.make(env_id)))
    observation, _ = inside.reset()
    assert inside.observation_space.contains(observation)
