"""What is logged of a round of episodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kl_agents.collection import Collected
from kl_agents.replay import EpisodeBatch


def environment_return(episodes: EpisodeBatch, c: float) -> NDArray[np.float64]:
    """log p(tau) + R/c of each episode, [B]."""
    total: NDArray[np.float64] = episodes.log_prior_taken.sum(1) + episodes.task_return / c
    return total


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
        "rollout/unique": len({row.tobytes() for row in episodes.tokens}) / len(episodes),
    }
