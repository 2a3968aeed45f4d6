"""Stable-Baselines3's PPO on flat observations, from keywords alone.

    python examples/clients/sb3_ppo.py [--env-id MelodyGen-v0] [--steps 40960] [--save ppo.zip]

Written for stable-baselines3 2.9.2, gymnasium 1.4.0 and torch 2.13.0; about ten seconds. What it
saves can be benchmarked: ``seqgen bench run --suite melody-v1 --agent ppo.zip --trust --out
results``.
"""

from __future__ import annotations

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from seqgen_envs.adapters.sb3 import make_sb3_vec_env

LANES = 64


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="MelodyGen-v0")
    parser.add_argument("--steps", type=int, default=40_960, help="of all lanes together")
    parser.add_argument("--save", help="where to keep the model")
    options = parser.parse_args()
    # one native batch; make_vec_env(id, env_kwargs={"observation": "flat"}) of SB3 works as well
    env = make_sb3_vec_env(options.env_id, num_envs=LANES, observation="flat")
    judged = make_sb3_vec_env(options.env_id, num_envs=LANES, observation="flat")
    settings = {"n_steps": 32, "batch_size": 512, "n_epochs": 4, "gamma": 1.0, "ent_coef": 0.01}
    network = {"net_arch": [128, 128]}
    model = PPO("MlpPolicy", env, learning_rate=1e-3, policy_kwargs=network, seed=0,
                device="cpu", **settings)  # fmt: skip
    before, _ = evaluate_policy(model, judged, n_eval_episodes=2 * LANES, deterministic=False)
    model.learn(options.steps)
    after, _ = evaluate_policy(model, judged, n_eval_episodes=2 * LANES, deterministic=False)
    if options.save:
        model.save(options.save)
    print(f"mean return of an episode: {before:.1f} before, {after:.1f} after")


if __name__ == "__main__":
    main()
