"""Stable-Baselines3's manner: learn, callbacks, logging and evaluation."""

from __future__ import annotations

import csv
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import kl_agents
from helpers.agents import (
    ALGORITHMS,
    assert_equal_states,
    first_observation,
    log_policy_of,
    native,
    unlike_the_prior,
)
from helpers.agents import make_quick as make
from kl_agents import (
    BestOfN,
    GLearning,
    PriorAgent,
    PsiLearning,
    QLearning,
    RLOnly,
)
from seqgen_envs.adapters.sb3 import make_sb3_vec_env

ALL = [*ALGORITHMS, BestOfN]


# ---------------------------------------------------------------------- learn and its counters


@pytest.mark.parametrize("algorithm", ALL)
def test_learn_returns_the_agent_and_counts(algorithm):
    agent = make(algorithm)
    assert agent.learn(200) is agent
    assert 200 <= agent.num_timesteps < 200 + 16 * 5 + 8
    assert agent._episode_num % 16 == 0
    assert (agent._n_updates > 0) == (algorithm not in (PriorAgent, BestOfN))
    before = agent.num_timesteps
    agent.learn(200, reset_num_timesteps=False)
    assert agent.num_timesteps >= before + 200
    agent.learn(100)
    assert 100 <= agent.num_timesteps < before


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_the_replay_ratio_is_kept(ratio):
    agent = make(replay_ratio=ratio)
    counts = {"add": 0, "sample": 0}
    add, sample = agent.replay.add, agent.replay.sample

    def counted_add(episodes):
        counts["add"] += int(episodes.lengths.sum())
        add(episodes)

    def counted_sample(n, rng):
        batch = sample(n, rng)
        counts["sample"] += int(batch.lengths.sum())
        return batch

    agent.replay.add, agent.replay.sample = counted_add, counted_sample
    agent.learn(2000)
    assert counts["add"] > 1000
    assert 0 <= counts["sample"] - ratio * counts["add"] < 16 * 5  # one batch at most


def test_equal_seeds_give_equal_parameters():
    states = [make(seed=seed).learn(300).policy.state_dict() for seed in (5, 5, 6)]
    assert_equal_states(states[1], states[0])
    assert any(not torch.equal(states[2][name], states[0][name]) for name in states[0])


def test_set_random_seed_repeats_sampling_and_collection():
    agent = make().learn(100)
    observation = {k: np.repeat(v[None], 200, 0) for k, v in first_observation().items()}
    drawn = []
    for seed in (7, 7, 8):
        agent.set_random_seed(seed)
        collected = agent.collector.collect(agent.policy, 50, 0.0, agent.rng, lambda _: True)
        drawn.append((agent.predict(observation)[0], collected.episodes.tokens))
    for of_predict, of_collection in drawn[:1]:
        np.testing.assert_array_equal(drawn[1][0], of_predict)
        np.testing.assert_array_equal(drawn[1][1], of_collection)
        assert (drawn[2][0] != of_predict).any()
        assert (drawn[2][1] != of_collection).any()


def test_a_seed_repeats_sampling():
    first, second = (make(seed=3) for _ in range(2))
    observation = {k: np.repeat(v[None], 200, 0) for k, v in first_observation().items()}
    a, b = first.predict(observation)[0], second.predict(observation)[0]
    np.testing.assert_array_equal(a, b)
    assert len(set(a.tolist())) > 1
    assert (first.predict(observation)[0] != a).any()  # the generator moves on


# ---------------------------------------------------------------------- callbacks


class Counter(BaseCallback):
    """Records the protocol."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.calls, self.stop_after, self.lanes = [], stop_after, set()

    def _on_training_start(self):
        self.calls.append("training_start")

    def _on_rollout_start(self):
        self.calls.append("rollout_start")

    def _on_step(self):
        self.calls.append("step")
        self.lanes.add(len(self.locals["dones"]))
        return self.stop_after is None or self.calls.count("step") < self.stop_after

    def _on_rollout_end(self):
        self.calls.append("rollout_end")

    def _on_training_end(self):
        self.calls.append("training_end")


def test_callback_protocol():
    callback = Counter()
    agent = make().learn(200, callback=callback)
    calls = callback.calls
    assert calls[0] == "training_start"
    assert calls[-1] == "training_end"
    assert calls.count("rollout_start") == calls.count("rollout_end") > 1
    assert calls[1] == "rollout_start"
    assert calls[-2] == "rollout_end"
    assert calls.count("step") * agent.n_envs == agent.num_timesteps
    assert callback.num_timesteps == agent.num_timesteps
    assert callback.lanes == {8}


def test_a_callback_stops_the_training():
    callback = Counter(stop_after=7)
    agent = make().learn(10_000, callback=callback)
    assert callback.calls.count("step") == 7
    assert agent.num_timesteps == 7 * 8
    assert callback.calls[-1] == "training_end"


def test_stop_training_on_max_episodes():
    callback = StopTrainingOnMaxEpisodes(max_episodes=10)
    agent = make().learn(10_000, callback=callback)
    assert callback.n_episodes >= 80  # SB3 counts so many a lane
    assert agent.num_timesteps < 80 * 5 * 2


@pytest.mark.parametrize("make_env", [make_sb3_vec_env, make_vec_env])
def test_eval_callback_keeps_the_best_model(tmp_path, make_env):
    env = make_env("ToyGen-v0", 4)
    callback = EvalCallback(
        env,
        n_eval_episodes=20,
        eval_freq=20,
        best_model_save_path=tmp_path,
        log_path=tmp_path,
        verbose=0,
        callback_on_new_best=StopTrainingOnRewardThreshold(1e9),
    )
    agent = make(c=0.5).learn(1_500, callback=callback)
    results = np.load(tmp_path / "evaluations.npz")
    assert len(results["timesteps"]) == agent.num_timesteps // (20 * 8)
    assert callback.best_mean_reward == pytest.approx(results["results"].mean(1).max())
    best = kl_agents.load(tmp_path / "best_model.zip")
    mean, _ = evaluate_policy(best, env, n_eval_episodes=20, warn=False)
    assert mean == pytest.approx(callback.best_mean_reward)


def test_checkpoint_callback(tmp_path):
    callback = CheckpointCallback(20, str(tmp_path), save_replay_buffer=True)
    agent = make().learn(800, callback=callback)
    files = sorted(tmp_path.glob("rl_model_*_steps.zip"))
    assert len(files) == agent.num_timesteps // (20 * 8)
    for path in files:
        loaded = PsiLearning.load(path, env=native(8))
        assert f"_{loaded.num_timesteps}_" in path.name
    replays = list(tmp_path.glob("rl_model_replay_buffer_*"))
    assert len(replays) == len(files)
    loaded.load_replay_buffer(max(replays, key=lambda p: p.stat().st_size))
    assert len(loaded.replay) > 0


def test_progress_bar(capfd):
    make().learn(200, progress_bar=True)
    captured = capfd.readouterr()
    assert "it/s" in captured.out + captured.err


# ---------------------------------------------------------------------- logging

KEYS = [
    "rollout/ep_rew_mean", "rollout/task_reward", "rollout/log_prior", "rollout/kl_to_prior",
    "rollout/entropy", "rollout/objective", "train/loss", "train/start_value", "time/fps",
]  # fmt: skip


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning, RLOnly])
def test_the_log_holds_every_diagnostic(algorithm, tmp_path):
    agent = make(algorithm, explore="prior", epsilon=0.8, replay_ratio=8.0)
    agent.set_logger(configure(str(tmp_path), ["csv"]))
    agent.learn(500)
    rows = read_csv(tmp_path)
    assert len(rows) == agent._iteration > 2
    for row in rows:
        for key in KEYS:
            assert math.isfinite(float(row[key])), key
    assert float(rows[-1]["time/total_timesteps"]) == agent.num_timesteps


def read_csv(folder):
    with open(folder / "progress.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_logged_figures_are_what_they_say(tmp_path):
    agent = make(env=native(512), replay_ratio=0.0, episodes_per_round=20_000, c=0.5)
    unlike_the_prior(agent)
    agent.set_logger(configure(str(tmp_path), ["csv"]))
    agent.learn(1)
    (row,) = read_csv(tmp_path)
    tree, log_policy = log_policy_of(agent)
    log_q = tree.sequence_log_probs(log_policy)
    q, found = np.exp(log_q), tree.sequences
    expected = {
        "rollout/objective": tree.objective(log_policy, 0.5),
        "rollout/task_reward": (q * found.task_return).sum(),
        "rollout/kl_to_prior": (q * (log_q - found.log_prior)).sum(),
        "rollout/entropy": -(q * log_q).sum(),
        "rollout/log_prior": (q * found.log_prior).sum() / (q * found.lengths).sum(),
        "rollout/ep_len_mean": (q * found.lengths).sum(),
    }
    for key, value in expected.items():
        assert float(row[key]) == pytest.approx(value, abs=0.05), key


def test_log_interval_and_tensorboard(tmp_path):
    agent = make(tensorboard_log=str(tmp_path))
    agent.learn(600, log_interval=2, tb_log_name="mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine_1"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "mine_1")).Reload()
    assert set(KEYS) <= set(events.Tags()["scalars"])
    assert len(events.Scalars("rollout/objective")) == agent._iteration // 2


# ---------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("make_env", [make_sb3_vec_env, make_vec_env])
@pytest.mark.parametrize("deterministic", [True, False])
def test_evaluate_policy_agrees_with_enumeration(make_env, deterministic):
    agent = unlike_the_prior(make(c=0.5))
    env = make_env("ToyGen-v0", 16)
    rewards, lengths = evaluate_policy(
        agent, env, 3000, deterministic, return_episode_rewards=True, warn=False
    )
    tree, log_policy = log_policy_of(agent)
    found = tree.sequences
    if deterministic:
        greedy = np.where(log_policy == log_policy.max(1, keepdims=True), 0.0, -np.inf)
        q = np.exp(tree.sequence_log_probs(greedy))
    else:
        q = np.exp(tree.sequence_log_probs(log_policy))
    reward = found.log_prior + found.task_return / 0.5
    assert np.mean(rewards) == pytest.approx((q * reward).sum(), abs=0.25)
    assert np.mean(lengths) == pytest.approx((q * found.lengths).sum(), abs=0.15)
    assert (len(set(np.round(rewards, 4))) == 1) == deterministic


def test_other_wrappers_of_sb3():
    agent = make(env=VecMonitor(make_sb3_vec_env("ToyGen-v0", 4))).learn(100)
    assert agent._n_updates > 0
    agent = make(env=VecMonitor(DummyVecEnv([lambda: gym.make("ToyGen-v0")] * 2))).learn(100)
    assert agent._n_updates > 0
