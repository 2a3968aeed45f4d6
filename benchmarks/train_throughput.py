"""Environment steps per CPU second of training, against the bare PyTorch loop of the same passes.

    python benchmarks/train_throughput.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

Work: that of the reference implementation, one update of 32 transitions every 5 steps (6.4 trained
transitions a step) with the paper's network, one LSTM of 100; here as batches of 32 whole melodies.

- ours: ``PsiLearning`` on MelodyGen-v0, everything included: nine rules, rewards, replay, targets,
  logging.
- bare: the same number of steps of prior and policy with sampling, and the same number of forward
  and backward passes, target passes, gradient clippings and Adam steps on tensors that lie ready.

Both take turns within every repeat; CPU seconds of all threads are counted, so that other work on
the machine does not. The table shows medians; the ratio is the median of each
repeat's own ratio. Peak memory is the whole process's.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch
from common import circumstances, conditions, parse_options, race, write_results

import seqgen_envs  # noqa: F401  (registers the ids)
from kl_agents import PsiLearning
from kl_agents.networks import make_network, polyak
from seqgen_envs.recurrent import Stepper

LANES, BATCH, TRAINED_PER_STEP = 128, 32, 6.4
TARGET_RATIO = 0.9


def ours() -> Callable[[int], float]:
    env = gym.make_vec("MelodyGen-v0", num_envs=LANES, prior="paper", autoreset_mode="SameStep")
    agent = PsiLearning(
        "SequencePolicy",
        env,
        batch_episodes=BATCH,
        replay_ratio=TRAINED_PER_STEP,
        seed=0,
        device="cpu",
    )

    def run(steps: int) -> float:
        start = time.process_time()
        agent.learn(steps, reset_num_timesteps=False)
        return time.process_time() - start

    return run


def bare() -> Callable[[int], float]:
    env = gym.make_vec("MelodyGen-v0", num_envs=1, prior="paper").unwrapped
    prior, horizon = env.prior, env.lanes.horizon
    size = prior.vocabulary.size
    torch.manual_seed(0)
    network, target = make_network(prior), make_network(prior)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    weights = list(network.parameters())
    tokens = torch.randint(0, size, (BATCH, horizon))
    wanted = torch.randn(BATCH, horizon)
    primer = torch.zeros(0, dtype=torch.int64)

    def collect() -> None:
        stepper = Stepper(network.trunk)
        prior_state, state = prior.initial_state(LANES), stepper.initial_state(LANES)
        last = torch.full((LANES,), size)
        with torch.inference_mode():
            for _ in range(horizon):
                log_prior, prior_state = prior.step(last, prior_state)
                g, state = stepper.step(last, state)
                last = race(torch.log_softmax(log_prior + g, dim=-1))

    def update() -> None:
        with torch.no_grad():
            target(tokens, primer)
        g = network(tokens, primer).gather(-1, tokens[..., None])[..., 0]
        loss = torch.nn.functional.huber_loss(g, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
        polyak(network, target, 0.01)

    def run(steps: int) -> float:
        start, debt = time.process_time(), 0.0
        for _ in range(steps // (LANES * horizon)):
            collect()
            debt += TRAINED_PER_STEP * LANES * horizon
            while debt > 0:
                update()
                debt -= BATCH * horizon
        return time.process_time() - start

    return run


def measure(repeats: int, steps: int) -> dict[str, Any]:
    contenders = {"ours": ours(), "bare": bare()}
    for contender in contenders.values():
        contender(LANES * 32)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            speeds[name].append(steps / contender(steps))
    pairs = zip(speeds["ours"], speeds["bare"], strict=True)
    return {
        "steps_per_second": {name: statistics.median(s) for name, s in speeds.items()},
        "ours_by_bare": statistics.median(a / b for a, b in pairs),
        "all_repeats": speeds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def to_markdown(report: dict[str, Any]) -> str:
    speed = report["steps_per_second"]
    return (
        f"Environment steps per CPU second of training, {conditions(report)}. Medians of "
        f"{report['repeats']} interleaved repeats of {report['steps']:,} steps; load average "
        f"{report['load_average']:.1f} at the start.\n\n"
        "| PsiLearning | bare loop of the same passes | ratio | 1,000,000 steps | peak memory |\n"
        "| ---: | ---: | ---: | ---: | ---: |\n"
        f"| {speed['ours']:,.0f} | {speed['bare']:,.0f} | {report['ours_by_bare']:.2f} "
        f"(wanted: {TARGET_RATIO}) | {1e6 / speed['ours'] / 60:.1f} min "
        f"| {report['peak_memory_mb']:.0f} MB |\n"
    )


def main() -> None:
    arguments = parse_options(__doc__, repeats=5)
    load = os.getloadavg()[0]
    repeats, rounds = (2, 1) if arguments.quick else (arguments.repeats, 10)
    steps = rounds * LANES * 32
    report = circumstances(load) | {
        "repeats": repeats,
        "steps": steps,
        **measure(repeats, steps),
    }
    write_results(arguments.out, "train_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
