"""What is logged of a round of episodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.utils import safe_mean

from kl_agents.collection import Collected
from kl_agents.replay import EpisodeBatch

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm


def environment_return(episodes: EpisodeBatch, c: float) -> NDArray[np.float64]:
    """log p(tau) + R/c of each episode, [B]."""
    total: NDArray[np.float64] = episodes.log_prior_taken.sum(1) + episodes.task_return / c
    return total


def episode_infos(agent: SequenceAlgorithm, episodes: EpisodeBatch) -> list[dict[str, float]]:
    """What Stable-Baselines3's windows hold of each episode: return, length, seconds so far."""
    total = environment_return(episodes, agent.policy.c)
    elapsed = round((time.time_ns() - agent.start_time) / 1e9, 3)
    return [
        {"r": float(r), "l": int(n), "t": elapsed}
        for r, n in zip(total, episodes.lengths, strict=True)
    ]


def agent_metrics(
    agent: SequenceAlgorithm, collected: Collected, losses: Mapping[str, float]
) -> dict[str, float]:
    """What an agent logs after a round: of its episodes, its updates, its schedules and the time.

    Args:
        agent: in training.
        collected: the round.
        losses: means over its updates, by name.
    """
    assert agent.ep_info_buffer is not None
    seconds = max((time.time_ns() - agent.start_time) / 1e9, 1e-9)
    return {
        "rollout/ep_rew_mean": safe_mean([info["r"] for info in agent.ep_info_buffer]),
        **round_metrics(collected, agent.policy.c),
        "train/c": agent.policy.c,
        "train/temperature": agent._temperature,
        "train/epsilon": agent.epsilon_schedule(agent._current_progress_remaining),
        "train/n_updates": float(agent._n_updates),
        **{f"train/{name}": value for name, value in losses.items()},
        "time/fps": (agent.num_timesteps - agent._num_timesteps_at_start) / seconds,
        "time/time_elapsed": seconds,
        "time/total_timesteps": float(agent.num_timesteps),
    }


def round_metrics(collected: Collected, c: float) -> dict[str, float]:
    """Means over the episodes of a round, under Stable-Baselines3's names.

    ``kl_to_prior`` and ``entropy`` are exact, of the policy, in the states of the episodes;
    while epsilon > 0 those are the behaviour's, and ``objective`` is not quite the policy's.
    """
    episodes = collected.episodes
    task_return = float(episodes.task_return.mean())
    return {
        "rollout/ep_len_mean": float(episodes.lengths.mean()),
        "rollout/task_reward": task_return,
        "rollout/log_prior": float(episodes.log_prior_taken.sum() / episodes.lengths.sum()),
        "rollout/kl_to_prior": collected.kl_to_prior,
        "rollout/entropy": collected.entropy,
        "rollout/objective": task_return / c - collected.kl_to_prior,
        "rollout/children": float(0 if collected.bred is None else len(collected.bred.episodes)),
        "rollout/unique": len({row.tobytes() for row in episodes.tokens}) / len(episodes),
        **collected.logged,
    }
