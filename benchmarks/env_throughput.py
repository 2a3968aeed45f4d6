"""Tokens per second of MelodyGen-v0 against bare PyTorch loops over the same prior.

    python benchmarks/env_throughput.py [--threads 2] [--repeats 9] [--quick] [--out FOLDER]

Every contender samples whole melodies from the bundled default prior; sampling is timed with the
rest. The environments do all that an agent meets: observations, nine rules, rewards, infos, resets.

- vector: ``gym.make_vec`` at N, actions by :func:`seqgen_envs.rollout.sample_rows` from
  ``obs["log_prior"]``; and the time inside ``env.step`` alone. Only tokens count: the step in which
  NEXT_STEP restarts a lane is time without one.
- single: ``gym.make``, the same sampler.
- bare nn.GRU: the prior's module called one token at a time, ``torch.multinomial``.
- bare stepper: ``prior.step`` with ``torch.multinomial``; and with an exponential race
  (``argmax p / e``), the fastest way we know.

All contenders take turns within every repeat, so a slow spell of the machine meets all alike.
Tables show medians of the repeats; a ratio is the median of each repeat's own ratio.
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
from common import circumstances, multinomial, parse_options, race, write_results
from torch import Tensor

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.rollout import sample_rows

ENV_ID = "MelodyGen-v0"
#: Melodies a lane in one repeat, by N.
EPISODES = {1: 16, 64: 8, 256: 4, 1024: 2}
BARE = ("bare nn.GRU", "bare stepper, multinomial", "bare stepper, race")
TARGET_N, TARGET_RATIO = 256, 0.5

#: Runs so many melodies a lane; returns seconds by the name they are reported under.
Contender = Callable[[int], dict[str, float]]


def vector_contender(n: int) -> Contender:
    env = gym.make_vec(ENV_ID, num_envs=n)
    horizon = env.unwrapped.lanes.horizon
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=0)

    def run(episodes: int) -> dict[str, float]:
        nonlocal obs
        inside = 0.0
        start = time.perf_counter()
        for _ in range(episodes * (horizon + 1)):  # the last step of each restarts the lanes
            actions = sample_rows(obs["log_prior"], rng)
            before = time.perf_counter()
            obs, *_ = env.step(actions)
            inside += time.perf_counter() - before
        return {"vector": time.perf_counter() - start, "vector, env.step alone": inside}

    return run


def single_contender() -> Contender:
    env = gym.make(ENV_ID)
    rng = np.random.default_rng(0)

    def run(episodes: int) -> dict[str, float]:
        start = time.perf_counter()
        for _ in range(episodes):
            obs, _ = env.reset()
            terminated = False
            while not terminated:
                action = sample_rows(obs["log_prior"][None], rng)[0]
                obs, _, terminated, _, _ = env.step(action)
        return {"single": time.perf_counter() - start}

    return run


def bare_contender(
    name: str,
    step: Callable[[Tensor, Any], tuple[Tensor, Any]],
    first_state: Callable[[], Any],
    sample: Callable[[Tensor], Tensor],
    n: int,
    horizon: int,
    start_id: int,
) -> Contender:
    @torch.inference_mode()
    def run(episodes: int) -> dict[str, float]:
        start = time.perf_counter()
        for _ in range(episodes):
            state, tokens = first_state(), torch.full((n,), start_id)
            melody = torch.empty((n, horizon), dtype=torch.int64)
            for t in range(horizon):
                log_probs, state = step(tokens, state)
                tokens = sample(log_probs)
                melody[:, t] = tokens
        return {name: time.perf_counter() - start}

    return run


def bare_contenders(prior: RecurrentPrior, n: int, horizon: int) -> list[Contender]:
    def module_step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = prior.network(tokens[:, None], state)
        return torch.log_softmax(logits[:, 0], dim=-1), state

    sizes = (n, horizon, prior.vocabulary.start_id)

    def zeros() -> Any:
        return prior.initial_state(n)

    return [
        bare_contender(BARE[0], module_step, lambda: None, multinomial, *sizes),
        bare_contender(BARE[1], prior.step, zeros, multinomial, *sizes),
        bare_contender(BARE[2], prior.step, zeros, race, *sizes),
    ]


def measure(repeats: int, episodes: dict[int, int]) -> dict[int, dict[str, list[float]]]:
    """Tokens per second of every repeat, by N and contender."""
    prior = gym.make(ENV_ID).unwrapped.prior
    horizon = gym.make(ENV_ID).unwrapped.lanes.horizon
    torch.manual_seed(0)
    groups = {
        n: [vector_contender(n), *bare_contenders(prior, n, horizon)]
        + ([single_contender()] if n == 1 else [])
        for n in episodes
    }
    for contenders in groups.values():
        for contender in contenders:
            contender(1)
    speeds: dict[int, dict[str, list[float]]] = {n: {} for n in groups}
    for _ in range(repeats):
        for n, contenders in groups.items():
            for contender in contenders:
                for name, seconds in contender(episodes[n]).items():
                    speeds[n].setdefault(name, []).append(n * episodes[n] * horizon / seconds)
    return speeds


def ratios(speeds: dict[str, list[float]], name: str) -> dict[str, float]:
    """Median over the repeats of ``name``'s speed by each bare loop's in the same repeat."""
    return {
        bare: statistics.median(a / b for a, b in zip(speeds[name], speeds[bare], strict=True))
        for bare in BARE
    }


def to_report(speeds: dict[int, dict[str, list[float]]], repeats: int, seconds: float) -> Any:
    prior = gym.make(ENV_ID).unwrapped.prior
    sizes = prior.network.config
    return {
        "repeats": repeats,
        "seconds": round(seconds, 1),
        "prior": {
            "fingerprint": prior.fingerprint,
            "network": f"{sizes.layers} x {sizes.cell.upper()} of {sizes.hidden_size}",
        },
        "tokens_per_second": {
            str(n): {name: statistics.median(values) for name, values in group.items()}
            for n, group in speeds.items()
        },
        "vector_by_bare": {str(n): ratios(group, "vector") for n, group in speeds.items()},
        "all_repeats": {str(n): group for n, group in speeds.items()},
    }


def to_markdown(report: dict[str, Any]) -> str:
    where, versions = report["machine"], report["machine"]["versions"]
    columns = ("vector", "vector, env.step alone", *BARE, "vector / nn.GRU", "vector / race")
    lines = [
        f"Tokens per second, {report['date']}: {where['processor']}, {where['cores']} cores, "
        f"{report['threads']} PyTorch thread(s), {where['system']}, Python {versions['python']}, "
        f"PyTorch {versions['torch']}, NumPy {versions['numpy']}, Gymnasium "
        f"{versions['gymnasium']}. Prior: {report['prior']['network']}. "
        f"Medians of {report['repeats']} interleaved repeats; load average of the machine "
        f"{report['load_average']:.1f} at the start.",
        "",
        "| N | " + " | ".join(columns) + " |",
        "| ---: |" + " ---: |" * len(columns),
    ]
    for n, speeds in report["tokens_per_second"].items():
        ratio = report["vector_by_bare"][n]
        figures = [f"{speeds[name]:,.0f}" for name in columns[:-2]]
        figures += [f"{ratio[BARE[0]]:.2f}", f"{ratio[BARE[2]]:.2f}"]
        lines.append(f"| {n} | " + " | ".join(figures) + " |")
    single = report["tokens_per_second"].get("1", {}).get("single")
    if single is not None:
        lines += ["", f"The single environment (`gym.make`): {single:,.0f} tokens per second."]
    ratio = report["vector_by_bare"].get(str(TARGET_N))
    if ratio is not None:
        lowest = min(ratio.values())
        lines += [
            "",
            f"At N = {TARGET_N} the vector environment reaches {lowest:.2f} of the fastest bare "
            f"loop (wanted: at least {TARGET_RATIO}).",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=9)
    episodes = {1: 2, 256: 1} if arguments.quick else EPISODES
    repeats = min(arguments.repeats, 3) if arguments.quick else arguments.repeats
    start, load = time.perf_counter(), os.getloadavg()[0]
    speeds = measure(repeats, episodes)
    report = circumstances(load) | to_report(speeds, repeats, time.perf_counter() - start)
    write_results(arguments.out, "env_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
