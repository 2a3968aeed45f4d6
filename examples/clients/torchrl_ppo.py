"""TorchRL's PPO on flat observations with action masks, from keywords alone.

    python examples/clients/torchrl_ppo.py [--env-id MelodyGen-v0] [--steps 12288]

Written for torchrl 0.14.1, tensordict 0.14.3, gymnasium 1.4.0 and torch 2.13.0; about a minute.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import ActionMask, Compose, DTypeCastTransform, GymWrapper, TransformedEnv
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.adapters.wrappers import ActionMaskObservation

FRAMES, EPOCHS, MINIBATCHES = 1024, 4, 4


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)
    )


def make_env(env_id: str) -> TransformedEnv:
    """One environment, whose observation and mask TorchRL finds under its own names."""
    env = ActionMaskObservation.torchrl(gym.make(env_id, observation="flat"))
    wrapped = GymWrapper(env, categorical_action_encoding=True)
    as_bool = DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"])
    return TransformedEnv(wrapped, Compose(as_bool, ActionMask()))


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--steps", type=int, default=12_288)
    options = parser.parse_args()
    torch.manual_seed(0)
    env = make_env(options.env_id)
    env.set_seed(0)
    inputs, actions = env.observation_spec["observation"].shape[-1], env.action_spec.space.n
    actor = ProbabilisticActor(
        TensorDictModule(perceptron(inputs, actions), ["observation"], ["logits"]),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(perceptron(inputs, 1), in_keys=["observation"])
    advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic, average_gae=True)
    loss_module = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.01)
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=1e-3)
    collector = Collector(
        env,
        actor,
        frames_per_batch=FRAMES,
        total_frames=max(FRAMES, options.steps // FRAMES * FRAMES),
        auto_register_policy_transforms=False,
    )
    history = []
    for data in collector:
        history.append(float(data["next", "reward"].mean()))
        with torch.no_grad():
            advantage(data)
        for _ in range(EPOCHS):
            for rows in torch.randperm(FRAMES).chunk(MINIBATCHES):
                losses = loss_module(data.reshape(-1)[rows])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
                optimizer.step()
    collector.shutdown()
    print(f"mean reward of a step: {history[0]:.2f} at first, {history[-1]:.2f} at last")


if __name__ == "__main__":
    main()
