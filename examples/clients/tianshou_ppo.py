"""Tianshou's PPO on flat observations, from keywords alone.

    python examples/clients/tianshou_ppo.py [--env-id MelodyGen-v0] [--epochs 4]

Written for tianshou 2.0.1, gymnasium 1.4.0 and torch 2.13.0; about half a minute. Tianshou's
Q-learners read masks from the observation: ``ActionMaskObservation.tianshou(gym.make(...))``.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

import seqgen_envs  # noqa: F401  (registers the ids)

LANES, STEPS = 16, 1024


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(0)
    envs = DummyVectorEnv([lambda: gym.make(options.env_id, observation="flat")] * LANES)
    space, actions = envs.observation_space[0].shape, envs.action_space[0]
    body = {"state_shape": space, "hidden_sizes": [128, 128]}
    actor = DiscreteActor(
        preprocess_net=Net(**body), action_shape=int(actions.n), softmax_output=False
    )
    algorithm = PPO(
        policy=DiscreteActorPolicy(actor=actor, action_space=actions),
        critic=DiscreteCritic(preprocess_net=Net(**body)),
        optim=AdamOptimizerFactory(lr=1e-3),
        gamma=1.0,
        max_grad_norm=0.5,
    )
    collector = Collector(algorithm, envs, VectorReplayBuffer(STEPS * LANES, LANES))
    judge = Collector(
        algorithm, DummyVectorEnv([lambda: gym.make(options.env_id, observation="flat")] * LANES)
    )
    returns = []
    for epoch in range(options.epochs + 1):
        judge.reset()
        returns.append(float(judge.collect(n_episode=64).returns.mean()))
        if epoch < options.epochs:
            algorithm.run_training(
                OnPolicyTrainerParams(
                    training_collector=collector,
                    max_epochs=1,
                    epoch_num_steps=2 * STEPS,
                    collection_step_num_env_steps=STEPS,
                    batch_size=256,
                    update_step_num_repetitions=4,
                    verbose=False,
                    show_progress=False,
                )
            )
    print(f"mean return of an episode: {returns[0]:.1f} before, {returns[-1]:.1f} after")


if __name__ == "__main__":
    main()
