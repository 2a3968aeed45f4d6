"""Training on a graphics card over training on the CPU.

    python benchmarks/device.py [--threads 2] [--repeats 3] [--quick] [--out FOLDER]

``PsiLearning`` on MelodyGen-v0 with 128 lanes, the paper's LSTM of 100 and a GRU of 3 x 512, the
same settings and seeds on both devices; steps per second of wall time, in turns. The environment,
its prior and its rules run on the CPU either way, so only the learner's networks gain. Without a
card there is nothing to compare, which is said, and no file is written.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import gymnasium as gym
import torch
from common import circumstances, conditions, parse_options, write_results
from stable_baselines3.common.logger import configure

import seqgen_envs  # noqa: F401  (registers the ids)
from kl_agents import PsiLearning

LANES, HORIZON = 128, 32
NETWORKS: dict[str, dict[str, Any]] = {
    "LSTM 100": {},
    "GRU 3 x 512": {
        "init": "random",
        "architecture": {"cell": "gru", "embedding_size": 256, "hidden_size": 512, "layers": 3},
    },
}


def agent_on(device: str, policy_kwargs: dict[str, Any]) -> PsiLearning:
    env = gym.make_vec("MelodyGen-v0", num_envs=LANES, prior="paper", autoreset_mode="SameStep")
    agent = PsiLearning("SequencePolicy", env, seed=0, device=device, policy_kwargs=policy_kwargs)
    agent.set_logger(configure(None, []))
    agent.learn(LANES * HORIZON)  # to warm up
    return agent


def measure(repeats: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kwargs in NETWORKS.items():
        agents = {device: agent_on(device, kwargs) for device in ("cuda", "cpu")}
        speeds: dict[str, list[float]] = {device: [] for device in agents}
        for _ in range(repeats):
            for device, agent in agents.items():
                start = time.perf_counter()
                agent.learn(2 * LANES * HORIZON, reset_num_timesteps=False)
                speeds[device].append(2 * LANES * HORIZON / (time.perf_counter() - start))
        ratios = [a / b for a, b in zip(speeds["cuda"], speeds["cpu"], strict=True)]
        found[name] = {"steps_per_second": speeds, "ratio": statistics.median(ratios)}
    return {"card": torch.cuda.get_device_name(), "networks": found}


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Training steps per second, {report['card']}, {conditions(report)}.\n",
        "| network | card | CPU | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, found in report["networks"].items():
        card, cpu = (statistics.median(found["steps_per_second"][d]) for d in ("cuda", "cpu"))
        lines.append(f"| {name} | {card:,.0f} | {cpu:,.0f} | {found['ratio']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=3)
    if not torch.cuda.is_available():
        print("PyTorch finds no graphics card here: nothing to compare.")
        return
    load = os.getloadavg()[0]
    repeats = 1 if arguments.quick else arguments.repeats
    report = circumstances(load) | {"repeats": repeats, **measure(repeats)}
    write_results(arguments.out, "device", report, to_markdown(report))


if __name__ == "__main__":
    main()
