"""What processes bring where an oracle is slow: 10 ms a molecule, 1 to 4 of them.

    python benchmarks/oracle_throughput.py [--threads 1] [--repeats 3] [--quick] [--out FOLDER]

- rollout: episodes of the prior on N lanes of MoleculeGen-QED-v0 whose task asks the oracle for
  each distinct molecule; the molecules of all episodes are scored together.
- step by step: the vector environment itself, where each reward is due at its step and only the
  molecules that end together can share the processes.

The oracle waits, as for a program or a server, so that cores do not limit what is measured.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from common import circumstances, conditions, parse_options, write_results

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.rollout import PriorPolicy, rollout

ENV_ID = "MoleculeGen-QED-v0"
SECONDS = 0.01
LANES = 64
EPISODES = 512
JOBS = (1, 2, 4)


def waiting(smiles: list[str]) -> list[float]:
    """The oracle."""
    time.sleep(SECONDS * len(smiles))
    return [0.5] * len(smiles)


def make(n_jobs: int) -> Any:
    task = {"name": f"custom:{__file__}:waiting", "n_jobs": n_jobs}
    env = gym.make_vec(ENV_ID, num_envs=LANES, task=task).unwrapped
    env.reset()
    # long enough that all processes have started, each of which takes half a second
    env.task.scorer.score(["C" * n for n in range(1, 1 + 100 * n_jobs)])
    return env


def by_rollout(env: Any, episodes: int, seed: int) -> None:
    rollout(env.lanes, PriorPolicy(seed), episodes)


def by_steps(env: Any, episodes: int, seed: int) -> None:
    policy, ended = PriorPolicy(seed), 0
    observation, _ = env.reset()
    while ended < episodes:
        actions, _ = policy.predict(observation)
        observation, _, finished, _, _ = env.step(actions)
        ended += int(np.sum(finished))


WAYS: dict[str, Callable[[Any, int, int], None]] = {"rollout": by_rollout, "step by step": by_steps}


def measure(repeats: int, episodes: int, jobs: tuple[int, ...]) -> dict[str, Any]:
    """Molecules scored a second, by way and number of processes; all take turns."""
    speeds: dict[str, Any] = {way: {n: [] for n in jobs} for way in WAYS}
    for repeat in range(repeats):
        for way, run in WAYS.items():
            for n in jobs:
                env = make(n)
                before, start = env.task.scorer.calls, time.perf_counter()
                run(env, episodes, repeat)
                seconds = time.perf_counter() - start
                speeds[way][n].append((env.task.scorer.calls - before) / seconds)
                env.close()
    return speeds


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Oracle of {1000 * SECONDS:g} ms, {LANES} lanes, {report['episodes']} episodes, median of "
        f"{report['repeats']}. {conditions(report)}.",
        "",
        "| | n_jobs | molecules/s | times n_jobs=1 |",
        "| --- | --- | --- | --- |",
    ]
    for way, by_jobs in report["speeds"].items():
        one = by_jobs[1]
        for n, found in by_jobs.items():
            gain = statistics.median(a / b for a, b in zip(found, one, strict=True))
            lines.append(f"| {way} | {n} | {statistics.median(found):.0f} | {gain:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=3)
    torch.manual_seed(0)
    load = os.getloadavg()[0]
    repeats = 1 if arguments.quick else arguments.repeats
    episodes = LANES if arguments.quick else EPISODES
    jobs = JOBS[:2] if arguments.quick else JOBS
    report = circumstances(load) | {"repeats": repeats, "episodes": episodes}
    report["speeds"] = measure(repeats, episodes, jobs)
    write_results(arguments.out, "oracle_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
