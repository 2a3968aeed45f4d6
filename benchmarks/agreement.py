"""The contract that a single environment and a lane of many agree, measured.

    python benchmarks/agreement.py [--sequences 100000] [--lanes 512] [--env MelodyGen-v0] [--quick]

The same sequences go through the prior and the rules once as lanes of a vector environment and once
as ``gym.make`` does it, one sequence at a time. Half are the prior's own, half of random tokens.
Compared are, at every step of every sequence, log p of
each token that an observation shows, log p of the action, and the reward. Printed are the largest
differences; the program fails where one is above the contract. Differences in log p are of what is
shown, so bounded below by -100.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from common import RESULTS, circumstances, conditions, unpaid_task, write_results

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import sample_rows

#: What single and vector environments agree to, in log p and reward, besides float32's resolution.
CONTRACT = 1e-5
RESOLUTION = 2e-7
SOURCES = ("the prior's own", "random tokens")


def lanes_of(env_id: str, n: int, scored: bool) -> Lanes:
    task = None if scored else unpaid_task()
    return gym.make_vec(env_id, num_envs=n, task=task).unwrapped.lanes


def play_all(lanes: Lanes, rng: np.random.Generator, own: bool) -> dict[str, Any]:
    """One sequence a lane: tokens [N, T], and at each step what was shown and paid."""
    n, size = lanes.n, lanes.domain.vocabulary.size
    lanes.reset()
    shown, rewards, going = [], [], [np.ones(n, dtype=bool)]
    while going[-1].any():
        shown.append(lanes.log_prior)
        actions = sample_rows(lanes.log_prior, rng) if own else rng.integers(0, size, n)
        step = lanes.step(np.where(going[-1], actions, 0), idle=~going[-1])
        rewards.append(step.reward)
        going.append(~lanes.finished)
    return {"tokens": lanes.tokens.copy(), "lengths": lanes.lengths.copy(), "shown": shown,
            "rewards": rewards}  # fmt: skip


def differences(alone: Lanes, played: dict[str, Any]) -> np.ndarray:
    """Largest difference in log p shown, of the action, and in reward beyond float32's."""
    worst = np.zeros(3)
    for row, length in enumerate(played["lengths"].tolist()):
        alone.reset()
        for t in range(length):
            action, theirs = played["tokens"][row, t], played["shown"][t][row]
            mine = alone.log_prior[0]
            step = alone.step(np.array([action]))
            reward = played["rewards"][t][row]
            apart = abs(step.reward[0] - reward) - RESOLUTION * abs(reward)
            found = (np.abs(mine - theirs).max(), abs(mine[action] - theirs[action]), apart)
            worst = np.maximum(worst, found)
    return worst


def measure(env_id: str, sequences: int, n: int) -> dict[str, list[float]]:
    rng, found = np.random.default_rng(0), {}
    scored = env_id.startswith("Melody")  # RDKit's part is the same function of the same text
    lanes, alone = lanes_of(env_id, n, scored), lanes_of(env_id, 1, scored)
    for own, source in zip((True, False), SOURCES, strict=True):
        worst = np.zeros(3)
        for _ in range(-(-sequences // (2 * n))):
            worst = np.maximum(worst, differences(alone, play_all(lanes, rng, own)))
        found[source] = worst.tolist()
    return found


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Largest differences between single and vector environments, {conditions(report)}; "
        f"{report['sequences']:,} sequences of {report['env']}, {report['lanes']} lanes. "
        f"Contract: {report['contract']:g} in log p and reward.",
        "",
        "| tokens | log p shown | log p of the action | reward |",
        "| --- | ---: | ---: | ---: |",
    ]
    for source, values in report["largest"].items():
        lines.append(f"| {source} | " + " | ".join(f"{value:.1e}" for value in values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="MelodyGen-v0")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--lanes", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="200 sequences")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sequences, n = (200, 100) if arguments.quick else (arguments.sequences, arguments.lanes)
    largest = measure(arguments.env, sequences, n)
    report = circumstances(0.0) | {
        "env": arguments.env,
        "sequences": sequences,
        "lanes": n,
        "contract": CONTRACT,
        "largest": largest,
    }
    write_results(arguments.out, f"agreement-{arguments.env}", report, to_markdown(report))
    if (worst := max(map(max, largest.values()))) > CONTRACT:
        raise SystemExit(f"they differ by {worst:.1e}, more than the contract of {CONTRACT:g}")


if __name__ == "__main__":
    main()
