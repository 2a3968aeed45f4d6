"""RLlib's PPO on flat observations, and the same with action masks, from keywords alone.

    python examples/clients/rllib_ppo.py [--env-id MelodyGen-v0] [--steps 4096] [--masked]

Written for ray 2.60.0 (ray[rllib], which pins gymnasium 1.2.2) and torch 2.13.0; half a minute.
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

from seqgen_envs.adapters.wrappers import ActionMaskObservation

BATCH = 1024


def make(config: dict[str, Any]) -> gym.Env:
    """An environment of its keywords, in whichever process RLlib asks for it."""
    import seqgen_envs  # noqa: F401  (registers the ids)

    settings = dict(config)
    masked = settings.pop("masked")
    env = gym.make(settings.pop("env_id"), **settings)
    return ActionMaskObservation.rllib(env) if masked else env


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--steps", type=int, default=4096, help="of all lanes together")
    parser.add_argument("--masked", action="store_true", help="with action masks")
    options = parser.parse_args()
    register_env("seqgen", make)
    keywords = {"env_id": options.env_id, "observation": "flat", "masked": options.masked}
    config = (
        PPOConfig()
        .environment("seqgen", env_config=keywords)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .training(
            gamma=1.0, lr=1e-3, train_batch_size_per_learner=BATCH, minibatch_size=256,
            num_epochs=4, entropy_coeff=0.01, vf_clip_param=1e4, grad_clip=0.5,
        )
        .debugging(seed=0)
    )  # fmt: skip
    if options.masked:
        config.rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=ActionMaskingTorchRLModule,
                model_config={"head_fcnet_hiddens": [128, 128], "head_fcnet_activation": "tanh"},
            )
        )
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    algorithm = config.build_algo()
    returns = [
        algorithm.train()["env_runners"]["episode_return_mean"]
        for _ in range(max(1, options.steps // BATCH))
    ]
    algorithm.stop()
    ray.shutdown()
    print(f"mean return of an episode: {returns[0]:.1f} at first, {returns[-1]:.1f} at last")


if __name__ == "__main__":
    main()
