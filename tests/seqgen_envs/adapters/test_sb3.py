"""The SB3 adapter is SB3's own DummyVecEnv, only faster."""

import copy
import warnings

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from helpers.envs import MASKED_TOY, assert_same, kwargs_of, random_action
from seqgen_envs import SequenceEnv
from seqgen_envs.adapters.sb3 import SB3VecEnv, make_sb3_vec_env
from seqgen_envs.lanes import Lanes
from seqgen_envs.observations import KINDS
from seqgen_envs.settings import LaneSettings


def without_time(infos):
    infos = copy.deepcopy(infos)
    for info in infos:
        if "episode" in info:
            assert info["episode"].pop("t") >= 0
    return infos


def compare(mine, theirs, steps, seed=0):
    """Same actions to both; returns how many episodes ended."""
    rng, ended = np.random.default_rng(seed), 0
    assert_same(mine.reset(), theirs.reset(), 1e-5, "reset")
    for t in range(steps):
        masks = np.stack(mine.env_method("action_masks"))
        actions = np.array([random_action(row, rng) for row in masks])
        got, expected = mine.step(actions), theirs.step(actions)
        assert_same(got[:3], expected[:3], 1e-5, f"step {t}")
        assert_same(without_time(got[3]), without_time(expected[3]), 1e-5, f"infos {t}")
        assert_same(mine.reset_infos, theirs.reset_infos, where=f"reset infos {t}")
        ended += int(got[2].sum())
    return ended


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 5])
def test_equals_dummy_vec_env(env_id, n, kind):
    arguments = {"observation": kind, "length": 20}
    kwargs = kwargs_of(env_id) | arguments
    mine = make_sb3_vec_env(env_id, n, **arguments)
    theirs = DummyVecEnv([lambda: Monitor(SequenceEnv(**kwargs))] * n)
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    assert compare(mine, theirs, 2 * mine.lanes.horizon + 4) >= 2 * n


def test_equals_dummy_vec_env_with_masks_and_primer():
    kwargs = {"domain": MASKED_TOY, "primer": [0], "c": 2.0}
    mine = SB3VecEnv(Lanes(4, LaneSettings(**kwargs)))
    theirs = DummyVecEnv([lambda: Monitor(SequenceEnv(**kwargs))] * 4)
    assert compare(mine, theirs, 20) >= 16
    masks = get_action_masks(mine)
    assert is_masking_supported(mine)
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks, get_action_masks(theirs).astype(bool))
    assert not masks.all()


def test_equals_dummy_vec_env_under_a_time_limit():
    mine = make_sb3_vec_env("ToyGen-v0", 3, max_episode_steps=2)
    theirs = DummyVecEnv([lambda: Monitor(gym.make("ToyGen-v0", max_episode_steps=2))] * 3)
    assert compare(mine, theirs, 12) >= 18
    mine.reset()
    mine.step(np.zeros(3, dtype=int))
    infos = mine.step(np.zeros(3, dtype=int))[3]
    assert [info["TimeLimit.truncated"] for info in infos] == [True] * 3


def test_equals_dummy_vec_env_with_drawn_and_given_primers():
    kwargs = {"domain": "toy", "primer": ["a", "bc", ""]}
    mine = SB3VecEnv(Lanes(6, LaneSettings(**kwargs)))
    theirs = DummyVecEnv([lambda: Monitor(SequenceEnv(**kwargs))] * 6)
    for venv in (mine, theirs):
        venv.seed(5)
    assert compare(mine, theirs, 30) >= 36
    assert len(set(mine.lanes.primer_lengths.tolist())) > 1
    given = [{"primer": text} for text in ("", "a", "ab", "abc", "cba", "c")]
    for options in (given, {"primer": "cc"}):
        for venv in (mine, theirs):
            venv.set_options(options)
        assert compare(mine, theirs, 0) == 0  # the reset


def test_only_lanes(env_id):
    with pytest.raises(TypeError, match=r"takes Lanes, got OrderEnforcing: give env\.unwrapped"):
        SB3VecEnv(gym.make(env_id))


def test_attributes_and_methods():
    venv = make_sb3_vec_env("ToyGen-v0", 3, render_mode="ansi", c=0.25)
    venv.reset()
    venv.step(np.array([0, 1, 2]))
    assert venv.get_attr("c", indices=[0, 2]) == [0.25, 0.25]
    assert venv.get_attr("action_space") == [venv.action_space] * 3
    assert venv.env_method("render", indices=1) == ["b"]
    assert len(venv.env_method("action_masks", indices=[0, 1])) == 2
    assert not venv.has_attr("colour")
    with pytest.raises(AttributeError):
        venv.env_method("sing")
    venv.set_attr("colour", "blue")
    assert venv.get_attr("colour") == ["blue"] * 3
    with pytest.raises(ValueError, match="the lanes share 'colour': set it for all"):
        venv.set_attr("colour", "red", indices=[1])
    assert venv.env_is_wrapped(Monitor) == [True] * 3
    assert venv.env_is_wrapped(gym.wrappers.TimeLimit) == [False] * 3
    assert venv.seed(3) == [3, 4, 5]
    venv.close()


def test_pictures():
    venv = make_sb3_vec_env("MelodyGen-v0", 2, render_mode="rgb_array")
    venv.reset()
    venv.step(np.array([5, 30]))
    images = venv.get_images()
    assert (images[0] != images[1]).any()
    assert venv.render().shape[1] >= images[0].shape[1]


def test_works_under_sb3s_wrappers_and_evaluation():
    venv = VecNormalize(make_sb3_vec_env("ToyGen-v0", 4), norm_obs=False)

    class Always:
        def predict(self, observations, state=None, episode_start=None, deterministic=True):
            return np.zeros(4, dtype=np.int64), state

    venv.training = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rewards, lengths = evaluate_policy(Always(), venv, 4, return_episode_rewards=True)
    env, total = gym.make("ToyGen-v0"), 0.0
    env.reset()
    for _ in range(5):
        total += env.step(0)[1]
    assert rewards == pytest.approx([total] * 4)  # Monitor's figures: the true, unnormalised ones
    assert lengths == [5] * 4
