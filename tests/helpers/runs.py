"""A run on the toy domain that a process of its own can carry on."""

import torch

from kl_agents.hyperparameters import load_hyperparams
from kl_agents.runs import RunOptions, RunSpec, run

STEPS = 15_000
LOGGED = RunOptions(checkpoint_rounds=2, eval_every=STEPS // 4, eval_episodes=32)


def toy_spec(algorithm="psi", steps=STEPS, seed=3, **settings):
    layers = [{"n_envs": 16, "replay_capacity": 60, "replay_sampling": "rank",
               "c": {"start": 5.0, "end": 0.5, "fraction": 0.7, "shape": "exponential"},
               "learning_rate": {"start": 3e-3, "end": 1e-3}}, settings]  # fmt: skip
    merged = load_hyperparams(algorithm, "ToyGen-v0", layers)
    merged.n_timesteps = steps
    return RunSpec.of(merged, "ToyGen-v0", seed)


def keep_running(folder, spec):
    torch.set_num_threads(1)
    run(folder, spec, LOGGED)
