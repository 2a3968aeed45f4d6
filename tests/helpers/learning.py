"""Agents that learn the toy's optimum: how they are made, taught and measured."""

from __future__ import annotations

from stable_baselines3.common.logger import configure

from helpers.agents import log_policy_of, native
from kl_agents.settings import ValueSettings

BAR = 0.01  # nats
C = 0.5
NET = {
    "init": "random",
    "scale": 5.0,
    "architecture": {"cell": "gru", "embedding_size": 16, "hidden_size": 64},
}
FALLING = {"start": 1e-2, "end": 1e-4}


def make(algorithm, env=None, **kwargs):
    settings = {
        "c": C, "learning_rate": FALLING, "batch_episodes": 64, "replay_ratio": 24,
        "policy_kwargs": NET, "seed": 0, "device": "cpu",
    }  # fmt: skip
    if issubclass(algorithm.settings_class, ValueSettings):
        settings["tau"] = 0.1
    env = native(64) if env is None else env
    return algorithm("SequencePolicy", env, **(settings | kwargs))


def kl_of(agent, c=None):
    tree, log_policy = log_policy_of(agent)
    return tree.kl(log_policy, agent.policy.c if c is None else c)


def start_value(agent):
    """V(s_0) as the agent has it."""
    batch = agent._tensors(agent.replay.all())
    values = agent.backup.values(batch.log_prior, agent._networks().online(batch.tokens), batch.c)
    return agent.backup.state_value(batch.log_prior, values)[0, 0].item()


def study(agent, updates, rounds=50):
    """Train on what the replay holds; nothing is collected."""
    agent.set_logger(configure(None, []))
    stored = len(agent.replay)
    for k in range(rounds):
        agent._update_current_progress_remaining(k, rounds)
        while agent._n_updates < (k + 1) * updates // rounds:
            agent._training_debt = 1.0
            agent.train()
    assert len(agent.replay) == stored
    assert agent.num_timesteps == 0
    return agent
