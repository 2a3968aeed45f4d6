"""Tianshou's PPO on flat observations, from keywords alone.

    python examples/clients/tianshou_ppo.py [--env-id MelodyGen-v0] [--steps 8192]

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
    parser.add_argument("--steps", type=int, default=8192, help="of all lanes together")
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
    judge.reset()
    before = judge.collect(n_episode=128).returns.mean()
    algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=collector,
            max_epochs=1,
            epoch_num_steps=options.steps,
            collection_step_num_env_steps=STEPS,
            batch_size=256,
            update_step_num_repetitions=4,
            verbose=False,
            show_progress=False,
        )
    )
    judge.reset()
    after = judge.collect(n_episode=128).returns.mean()
    print(f"mean return of an episode: {before:.1f} before, {after:.1f} after")


if __name__ == "__main__":
    main()
