"""PPO in one file, as CleanRL writes it, on flat observations; PyTorch alone.

    python examples/clients/cleanrl_ppo.py [--env-id MelodyGen-v0] [--steps 81920]

Written for gymnasium 1.4.0 and torch 2.13.0; about ten seconds on one core. The loop is that of
CleanRL's ppo.py (Huang et al. 2022): generalised advantages, clipped ratios, one network for policy
and value. The environments are one native batch that restarts ended lanes in the same step.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import seqgen_envs  # noqa: F401  (registers the ids)

GAMMA, LAMBDA, CLIP, VALUE_WEIGHT, ENTROPY_WEIGHT = 1.0, 0.95, 0.2, 0.5, 0.01
EPOCHS, MINIBATCHES, LEARNING_RATE, MAX_GRAD_NORM = 4, 4, 1e-3, 0.5


class Agent(nn.Module):
    """Logits and value of flat observations [B, D]."""

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh())
        self.actor, self.critic = nn.Linear(128, actions), nn.Linear(128, 1)

    def forward(self, observations: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """The policy, and V(s) [B]."""
        hidden = self.body(observations)
        return Categorical(logits=self.actor(hidden)), self.critic(hidden)[:, 0]


def advantages(
    rewards: torch.Tensor, values: torch.Tensor, dones: torch.Tensor, last: torch.Tensor
) -> torch.Tensor:
    """Generalised advantage estimates [T, N] (Schulman et al. 2016); no value past an end."""
    result, running = torch.zeros_like(rewards), torch.zeros_like(last)
    following = last
    for t in reversed(range(len(rewards))):
        going = 1.0 - dones[t]
        delta = rewards[t] + GAMMA * following * going - values[t]
        running = delta + GAMMA * LAMBDA * going * running
        result[t], following = running, values[t]
    return result


def update(agent: Agent, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> None:
    """Some epochs of clipped policy and value updates on a flat batch."""
    size = len(batch["actions"])
    for _ in range(EPOCHS):
        for rows in torch.randperm(size).chunk(MINIBATCHES):
            policy, values = agent(batch["observations"][rows])
            ratio = (policy.log_prob(batch["actions"][rows]) - batch["log_probs"][rows]).exp()
            gain = batch["advantages"][rows]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            policy_loss = -torch.min(gain * ratio, gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            value_loss = 0.5 * (values - batch["returns"][rows]).square().mean()
            loss = policy_loss + VALUE_WEIGHT * value_loss
            loss = loss - ENTROPY_WEIGHT * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
            optimizer.step()


def train(
    env_id: str, num_envs: int, num_steps: int, updates: int, seed: int
) -> tuple[Agent, list[float]]:
    """The trained agent, and the mean return of the episodes that ended in each update."""
    torch.manual_seed(seed)
    envs = gym.make_vec(env_id, num_envs=num_envs, observation="flat", autoreset_mode="SameStep")
    inputs, actions = envs.single_observation_space.shape[0], int(envs.single_action_space.n)
    agent = Agent(inputs, actions)
    optimizer = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)
    seen, _ = envs.reset(seed=seed)
    returns, history = np.zeros(num_envs), []
    for _ in range(updates):
        rows: dict[str, list[torch.Tensor]] = {}
        ended: list[float] = []
        for _ in range(num_steps):
            observations = torch.from_numpy(seen)
            with torch.no_grad():
                policy, values = agent(observations)
                chosen = policy.sample()
            seen, reward, terminated, truncated, _ = envs.step(chosen.numpy())
            done = terminated | truncated
            returns += reward
            ended += returns[done].tolist()
            returns[done] = 0.0
            step = {
                "observations": observations, "actions": chosen, "values": values,
                "log_probs": policy.log_prob(chosen), "rewards": torch.from_numpy(reward).float(),
                "dones": torch.from_numpy(done).float(),
            }  # fmt: skip
            for name, value in step.items():
                rows.setdefault(name, []).append(value)
        batch = {name: torch.stack(values) for name, values in rows.items()}
        with torch.no_grad():
            last = agent(torch.from_numpy(seen))[1]
        gains = advantages(batch["rewards"], batch["values"], batch["dones"], last)
        batch |= {"advantages": gains, "returns": gains + batch["values"]}
        update(agent, optimizer, {name: values.flatten(0, 1) for name, values in batch.items()})
        history.append(float(np.mean(ended)) if ended else float("nan"))
    return agent, history


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--num-steps", type=int, default=32)
    parser.add_argument("--steps", type=int, default=81_920, help="of all lanes together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    updates = max(1, options.steps // (options.num_envs * options.num_steps))
    _, history = train(options.env_id, options.num_envs, options.num_steps, updates, options.seed)
    print(f"mean return of an episode: {history[0]:.1f} at first, {history[-1]:.1f} at last")


if __name__ == "__main__":
    main()
