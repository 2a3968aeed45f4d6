"""Runs that processes of their own can carry on, and what they leave behind."""

import csv
from pathlib import Path

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kl_agents.hyperparameters import load_hyperparams
from kl_agents.runs import RunOptions, RunSpec, run, start_run

STEPS = 15_000
LOGGED = RunOptions(checkpoint_rounds=2, eval_every=STEPS // 4, eval_episodes=32)
MOLECULE_STEPS = 12_000
KILLED = RunOptions(checkpoint_rounds=1, eval_every=MOLECULE_STEPS // 6, eval_episodes=16, media=1)


def toy_spec(algorithm="psi", steps=STEPS, seed=3, **settings):
    layers = [{"n_envs": 16, "replay_capacity": 60, "replay_sampling": "rank",
               "c": {"start": 5.0, "end": 0.5, "fraction": 0.7, "shape": "exponential"},
               "learning_rate": {"start": 3e-3, "end": 1e-3}}, settings]  # fmt: skip
    merged = load_hyperparams(algorithm, "ToyGen-v0", layers)
    merged.n_timesteps = steps
    return RunSpec.of(merged, "ToyGen-v0", seed)


def molecule_spec(budget=100_000, steps=MOLECULE_STEPS):
    """A training with a budget, a diversity filter, children, an oracle that fails and more."""
    task = {
        "name": "custom:helpers.runs:letters",
        "n_jobs": 0,
        "budget": budget,
        "diversity": {"kind": "scaffold", "bucket_size": 3, "min_score": 0.2},
    }
    small = {"init": "random", "architecture": {"cell": "gru", "hidden_size": 32}}
    layer = {
        "n_envs": 8,
        "episodes_per_round": 16,
        "augment": 0.5,
        "batch_episodes": 8,
        "replay_capacity": 64,
        "replay_sampling": "rank",
        "explore": "genetic",
        "epsilon": 0.25,
        "novelty": 0.8,
        "policy_kwargs": small,
        "env_kwargs": {"task": task, "length": 30},
    }
    merged = load_hyperparams("psi", "MoleculeGen-QED-v0", [layer])
    merged.n_timesteps = steps
    return RunSpec.of(merged, "MoleculeGen-QED-v0", 5)


def letters(smiles):
    """An oracle: the share of letters; it fails where there is bromine."""
    return [
        float("nan") if "Br" in text else sum(c.isalpha() for c in text) / len(text)
        for text in smiles
    ]


def keep_running(folder, spec, options):
    torch.set_num_threads(1)
    run(Path(folder), spec, options)


class Interrupt(Exception):
    pass


def interrupt(folder, spec, after):
    """A run that stops with an error in some round, after checkpoints of the rounds before."""

    class Stop(BaseCallback):
        rounds = 0

        def _on_step(self):
            return True

        def _on_rollout_end(self):
            self.rounds += 1
            if self.rounds == after:
                raise Interrupt

    with pytest.raises(Interrupt):
        start_run(folder, spec, RunOptions(checkpoint_rounds=1, callbacks=[Stop()]))


def same_parameters(a, b):
    mine, theirs = a.policy.state_dict(), b.policy.state_dict()
    return set(mine) == set(theirs) and all(torch.equal(mine[k], theirs[k]) for k in mine)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scalars_of(folder):
    """(step, value) of every scalar in the event files, by tag; clocks left out."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag not in ("time/fps", "time/time_elapsed")
    }
