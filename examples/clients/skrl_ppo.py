"""skrl's PPO on flat observations, from keywords alone.

    python examples/clients/skrl_ppo.py [--env-id MelodyGen-v0] [--steps 20480]

Written for skrl 2.1.1, gymnasium 1.4.0 and torch 2.13.0; about ten seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import gymnasium as gym
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

import seqgen_envs  # noqa: F401  (registers the ids)

LANES, ROLLOUT = 32, 32


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)
    )


class Policy(CategoricalMixin, Model):
    """Logits of the next token."""

    def __init__(self, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        CategoricalMixin.__init__(self)
        self.net = perceptron(self.num_observations, self.num_actions)

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[torch.Tensor, dict[str, Any]]:
        """See skrl's ``Model``."""
        return self.net(inputs["observations"]), {}


class Value(DeterministicMixin, Model):
    """V(s)."""

    def __init__(self, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = perceptron(self.num_observations, 1)

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[torch.Tensor, dict[str, Any]]:
        """See skrl's ``Model``."""
        return self.net(inputs["observations"]), {}


def mean_reward(envs: gym.vector.VectorEnv, policy: Policy, steps: int = 96) -> float:
    """Of a step, over some episodes of every lane."""
    seen, _ = envs.reset(seed=1)
    total = 0.0
    for _ in range(steps):
        with torch.no_grad():
            actions, _ = policy.act({"observations": torch.from_numpy(seen)})
        seen, reward, *_ = envs.step(actions.numpy())  # [N, 1], as skrl has them
        total += float(reward.mean())
    return total / steps


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--steps", type=int, default=20_480, help="of all lanes together")
    options = parser.parse_args()
    set_seed(0)
    made = {"num_envs": LANES, "observation": "flat", "autoreset_mode": "SameStep"}
    env = wrap_env(gym.make_vec(options.env_id, **made), verbose=False)
    spaces = {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "device": env.device,
    }
    models = {"policy": Policy(**spaces), "value": Value(**spaces)}
    settings = PPO_CFG(
        rollouts=ROLLOUT, learning_epochs=4, mini_batches=4, discount_factor=1.0,
        learning_rate=1e-3, entropy_loss_scale=0.01, value_loss_scale=0.5,
    )  # fmt: skip
    settings.experiment.directory = tempfile.mkdtemp()
    settings.experiment.write_interval = settings.experiment.checkpoint_interval = 0
    memory = RandomMemory(memory_size=ROLLOUT, num_envs=env.num_envs, device=env.device)
    agent = PPO(models=models, memory=memory, cfg=settings, **spaces)
    judged = gym.make_vec(options.env_id, **made)
    before = mean_reward(judged, models["policy"])
    schedule = {"timesteps": max(ROLLOUT, options.steps // LANES), "headless": True}
    SequentialTrainer(env=env, agents=agent, cfg=schedule).train()
    after = mean_reward(judged, models["policy"])
    print(f"mean reward of a step: {before:.2f} before, {after:.2f} after")


if __name__ == "__main__":
    main()
