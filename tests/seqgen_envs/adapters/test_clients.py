"""Agents of other libraries, unchanged, on these environments: each trains for 1,000 steps."""

import re
import runpy
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv

from helpers.envs import ENV_IDS, random_action
from helpers.paths import ROOT
from seqgen_envs.adapters.sb3 import make_sb3_vec_env

STEPS = 1000
RETURN = re.compile(r"mean return of an episode: (?P<first>-?\d+\.\d)\D+?(?P<last>-?\d+\.\d)")
SMALL = {"net_arch": [32]}
PPO_SETTINGS = {"n_steps": 128, "batch_size": 256, "n_epochs": 2}


def train_and_check(model):
    """Train, and check that it learnt something finite from finished episodes."""
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(STEPS)
    after = list(model.policy.parameters())
    assert model.num_timesteps >= STEPS
    assert all(torch.isfinite(p).all() for p in after)
    assert any((a - b).abs().max() > 1e-6 for a, b in zip(after, before, strict=True))
    episodes = list(model.ep_info_buffer)
    horizon = model.get_env().get_attr("lanes")[0].horizon
    finished = model.num_timesteps // horizon - model.n_envs  # at least
    assert len(episodes) >= min(max(finished, 1), 100)  # SB3 keeps the last 100
    assert all(np.isfinite(e["r"]) and 1 <= e["l"] <= horizon for e in episodes)
    return model


def act(model, **kwargs):
    """One greedy episode's actions."""
    venv = model.get_env()
    observations, state, starts = venv.reset(), None, np.ones(venv.num_envs, bool)
    actions = []
    while True:
        chosen, state = model.predict(
            observations, state, episode_start=starts, deterministic=True, **kwargs
        )
        observations, _, starts, _ = venv.step(chosen)
        actions.append(int(chosen[0]))
        if starts[0]:
            return actions


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [(PPO, PPO_SETTINGS), pytest.param(A2C, {"n_steps": 32}, marks=pytest.mark.slow)],
)
def test_sb3(env_id, algorithm, settings):
    venv = make_vec_env(env_id, n_envs=4, seed=0)
    assert isinstance(venv, DummyVecEnv)
    model = algorithm("MultiInputPolicy", venv, policy_kwargs=SMALL, seed=0, **settings)
    actions = act(train_and_check(model))
    assert venv.action_space.contains(actions[0])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_sb3_on_the_native_vector_environment(env_id):
    venv = make_sb3_vec_env(env_id, 16)
    settings = PPO_SETTINGS | {"n_steps": 32}
    model = PPO("MultiInputPolicy", venv, policy_kwargs=SMALL, seed=0, **settings)
    train_and_check(model)


def test_sb3_saves_and_loads(tmp_path):
    venv = make_sb3_vec_env("ToyGen-v0", 4)
    model = PPO("MultiInputPolicy", venv, policy_kwargs=SMALL, seed=0, **PPO_SETTINGS)
    model.learn(600).save(tmp_path / "model")
    again = PPO.load(tmp_path / "model", env=make_sb3_vec_env("ToyGen-v0", 4))
    assert act(again) == act(model)


@pytest.mark.parametrize("native", [True, False])
def test_maskable_ppo(native):
    make = make_sb3_vec_env if native else make_vec_env
    venv = make("MelodyGen-v0", 4)
    model = MaskablePPO("MultiInputPolicy", venv, policy_kwargs=SMALL, seed=0, **PPO_SETTINGS)
    train_and_check(model)


@pytest.mark.parametrize("native", [True, False])
def test_maskable_ppo_obeys_the_masks(native):
    """With a mask that leaves two tokens, only they are ever sampled; PPO itself takes others."""
    arguments = {"observation": "tokens"}
    venv = (
        make_sb3_vec_env("MelodyGen-v0", 4, **arguments)
        if native
        else make_vec_env("MelodyGen-v0", 4, env_kwargs=arguments)
    )
    narrow(venv, native)
    written = []
    step_wait = venv.step_wait

    def spy():
        result = step_wait()
        written.extend(i["terminal_observation"] for i in result[3] if "episode" in i)
        return result

    venv.step_wait = spy
    model = MaskablePPO("MlpPolicy", venv, policy_kwargs=SMALL, seed=0, **PPO_SETTINGS)
    train_and_check(model)
    assert set(np.unique(written)) == {3, 5}


def narrow(venv, native):
    """Let only tokens 3 and 5 follow."""
    mask = np.isin(np.arange(38), [3, 5]).astype(np.int8)
    if native:
        venv.action_masks = lambda: np.repeat(mask[None], 4, axis=0)
    else:
        for env in venv.envs:
            env.unwrapped.action_masks = lambda: mask.copy()


def test_recurrent_ppo_on_the_last_token():
    venv = make_vec_env("MelodyGen-v0", 4, env_kwargs={"observation": "last_token"})
    policy = SMALL | {"lstm_hidden_size": 16}
    settings = PPO_SETTINGS | {"n_steps": 250, "batch_size": 500, "n_epochs": 1}
    model = RecurrentPPO("MlpLstmPolicy", venv, policy_kwargs=policy, seed=0, **settings)
    assert len(act(train_and_check(model))) == 32


def test_flat_observations_for_multilayer_perceptrons():
    venv = make_vec_env("MelodyGen-v0", 4, env_kwargs={"observation": "flat"})
    model = PPO("MlpPolicy", venv, policy_kwargs=SMALL, seed=0, **PPO_SETTINGS)
    train_and_check(model)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_gymnasiums_own_loop(env_id):
    """The loop of Gymnasium's front page, with its episode statistics."""
    env = gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=42)
    total, sequences = 0.0, []
    for _ in range(500):
        _, reward, terminated, truncated, info = env.step(random_action(info["action_mask"], rng))
        total += reward
        if terminated or truncated:
            assert info["episode"]["r"] == pytest.approx(total)
            sequences.append(info["sequence"])
            total = 0.0
            _, info = env.reset()
    assert len(sequences) >= 500 // env.unwrapped.lanes.horizon
    assert len(set(sequences)) > len(sequences) // 4


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_gymnasiums_vector_wrappers(env_id):
    """RecordEpisodeStatistics over the native vector environment counts its episodes."""
    env = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec(env_id, num_envs=3, length=20))
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    finished = 0
    for _ in range(80):
        _, rewards, terminated, _, infos = env.step(rng.integers(0, env.single_action_space.n, 3))
        assert np.isfinite(rewards).all()
        for lane in np.flatnonzero(terminated):
            finished += 1
            assert 1 <= infos["episode"]["l"][lane] <= env.unwrapped.lanes.horizon
    assert finished == env.episode_count
    assert finished >= 6


def run_client(monkeypatch, capsys, script, *arguments):
    """What a script of examples/clients prints."""
    path = ROOT / "examples" / "clients" / script
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def test_cleanrl_style_ppo(capsys, monkeypatch):
    """examples/clients/cleanrl_ppo.py, in small, and that it learns where that is quick."""
    example = runpy.run_path(str(ROOT / "examples" / "clients" / "cleanrl_ppo.py"))
    agent, history = example["train"]("ToyGen-v0", num_envs=16, num_steps=16, updates=30, seed=0)
    assert all(torch.isfinite(p).all() for p in agent.parameters())
    assert np.mean(history[-5:]) > np.mean(history[:5]) + 2
    given = ("--num-envs", "2", "--num-steps", "33", "--steps", "66")
    assert RETURN.match(run_client(monkeypatch, capsys, "cleanrl_ppo.py", *given))


def test_stable_baselines_client(capsys, monkeypatch, tmp_path):
    """It learns, and what it saves can be read."""
    saved = tmp_path / "ppo.zip"
    given = ("--env-id", "ToyGen-v0", "--steps", "10240", "--save", str(saved))
    said = RETURN.match(run_client(monkeypatch, capsys, "sb3_ppo.py", *given))
    assert float(said["last"]) > float(said["first"]) + 1
    assert PPO.load(saved).num_timesteps == 10240


@pytest.mark.parametrize("algorithm", ["MaskablePPO", "RecurrentPPO"])
def test_contrib_client(algorithm, capsys, monkeypatch):
    given = ("--algorithm", algorithm, "--steps", "1024")
    said = RETURN.match(run_client(monkeypatch, capsys, "contrib_ppo.py", *given))
    assert said["first"] != said["last"]


def test_every_client_is_run_by_nox():
    listed = (ROOT / "noxfile.py").read_text()
    scripts = {path.name for path in (ROOT / "examples" / "clients").glob("*.py")}
    assert scripts == set(re.findall(r'"(\w+\.py)"', listed))
