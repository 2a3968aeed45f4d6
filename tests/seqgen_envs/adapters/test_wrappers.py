"""The wrappers say what they show, under both libraries' checkers."""

import runpy
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from helpers.envs import MASKED_TOY, assert_same, random_action
from seqgen_envs import SequenceEnv, SequenceVectorEnv
from seqgen_envs.adapters import wrappers
from seqgen_envs.adapters.wrappers import ActionMaskObservation, ActionMaskVectorObservation
from seqgen_envs.observations import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_environments_pass_the_checkers(env_id, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = ActionMaskObservation(gym.make(env_id, observation=kind, disable_env_checker=True))
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        warnings.filterwarnings("ignore", ".*nested.*")  # a Dict in a Dict: not for SB3
        check_env(env, skip_render_check=True)
        if kind != "dict":
            sb3_check_env(env)


PRESETS = {
    "torchrl": ["observation", "action_mask"],
    "tianshou": ["obs", "mask"],
    "rllib": ["observations", "action_mask"],
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_masks_of_a_batch_are_those_of_single_environments(preset, mode):
    """Native lanes, Gymnasium's vector of plain ones, and its vector of wrapped ones agree."""
    kwargs = {"domain": MASKED_TOY, "observation": "flat"}
    of_batch = getattr(ActionMaskVectorObservation, preset)
    of_one = getattr(ActionMaskObservation, preset)
    envs = [
        of_batch(SequenceVectorEnv(num_envs=3, autoreset_mode=mode, **kwargs)),
        of_batch(SyncVectorEnv([lambda: SequenceEnv(**kwargs)] * 3, autoreset_mode=mode)),
        SyncVectorEnv([lambda: of_one(SequenceEnv(**kwargs))] * 3, autoreset_mode=mode),
    ]
    rng, ended, mask_key = np.random.default_rng(0), 0, PRESETS[preset][1]
    results = [env.reset(seed=1) for env in envs]
    for t in range(14):
        assert list(results[0][0]) == PRESETS[preset]
        assert envs[0].observation_space.contains(results[0][0])
        for result in results[1:]:
            assert_same(result, results[0], 1e-5, f"step {t}")
        actions = np.array([random_action(row, rng) for row in results[0][0][mask_key]])
        results = [env.step(actions) for env in envs]
        finished = results[0][2]
        ended += int(finished.sum())
        if mode == AutoresetMode.DISABLED and finished.any():
            results = [env.reset(options={"reset_mask": finished}) for env in envs]
    assert ended >= 6


def test_a_wrapper_is_in_the_spec():
    env = ActionMaskObservation.tianshou(gym.make("ToyGen-v0"))
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space


def test_masks_in_the_observation_are_those_of_the_next_action():
    env = ActionMaskObservation.rllib(SequenceEnv(MASKED_TOY, observation="tokens"))
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


def test_they_are_there_for_a_gymnasium_whose_wrappers_take_no_parameters(monkeypatch):
    """Gymnasium 1.2, which RLlib pins."""

    class Plain(gym.vector.VectorWrapper):
        pass

    with pytest.raises(TypeError):
        Plain[int]
    monkeypatch.setattr(gym.vector, "VectorWrapper", Plain)
    assert runpy.run_path(wrappers.__file__)["ActionMaskVectorObservation"].__mro__[2] is Plain
