"""Tokens per second of MelodyGen-v0 against bare PyTorch loops over the same prior.

    python benchmarks/env_throughput.py [--threads 2] [--repeats 9] [--quick] [--out FOLDER]

Every contender samples whole melodies from the bundled default prior by an exponential race
(``argmax p / e``, the fastest way we know), so that what differs is the rest; sampling is timed
with it. The environments do all that an agent meets: observations, nine rules, rewards, infos,
resets.

- vector: ``gym.make_vec`` at N; and the time inside ``env.step`` alone. Only tokens count: the step
  in which NEXT_STEP restarts a lane is time without one.
- single: ``gym.make``.
- bare nn.GRU: the prior's module called one token at a time.
- bare stepper: ``prior.step``; and with ``torch.multinomial``.

Then melodies of 8,192 tokens against melodies of 32, in microseconds a token. All contenders take
turns within every repeat, so a slow spell of the machine meets all alike. Tables show medians of
the repeats; a ratio is the median of each repeat's own ratio. On one thread the clock is the
process's CPU time, which other processes disturb least; on several it is the wall's.
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
from common import circumstances, clock, conditions, multinomial, parse_options, race, write_results
from torch import Tensor

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.prior import RecurrentPrior

ENV_ID = "MelodyGen-v0"
#: Melodies a lane in one repeat, by N.
EPISODES = {1: 16, 64: 8, 256: 4, 1024: 2}
#: Lengths that are compared, and the numbers of lanes at which they are.
LENGTHS = (32, 8192)
LENGTH_LANES = (1, 16)
BARE = ("bare nn.GRU", "bare stepper, multinomial", "bare stepper, race")
#: Wanted of the fastest bare loop, by N; of gym.make over two loops.
WANTED = {256: 0.90, 1024: 0.92}
WANTED_SINGLE = {"the fastest bare loop": 0.80, "bare nn.GRU": 1.0}
WANTED_LENGTH = 1.3
#: Steps a second of the published reference implementation (magenta's RL Tuner), and how many times
#: the faster of them gym.make is to reach.
REFERENCE, WANTED_REFERENCE = (640, 960), 6

#: Runs so many melodies a lane; returns seconds by the name they are reported under.
Contender = Callable[[int], dict[str, float]]


def sampled(log_prior: np.ndarray) -> np.ndarray:
    return race(torch.from_numpy(log_prior)).numpy()


def vector_contender(n: int, length: int | None = None, name: str = "vector") -> Contender:
    env = gym.make_vec(ENV_ID, num_envs=n, length=length)
    env.unwrapped.task.prepare()
    horizon = env.unwrapped.lanes.horizon
    obs, _ = env.reset(seed=0)

    def run(episodes: int) -> dict[str, float]:
        nonlocal obs
        inside = 0.0
        start = clock()
        for _ in range(episodes * (horizon + 1)):  # the last step of each restarts the lanes
            actions = sampled(obs["log_prior"])
            before = clock()
            obs, *_ = env.step(actions)
            inside += clock() - before
        return {name: clock() - start, f"{name}, env.step alone": inside}

    return run


def single_contender(
    length: int | None = None, name: str = "single", env_id: str = ENV_ID
) -> Contender:
    env = gym.make(env_id, length=length)
    env.unwrapped.task.prepare()

    def run(episodes: int) -> dict[str, float]:
        start = clock()
        for _ in range(episodes):
            obs, _ = env.reset()
            terminated = False
            while not terminated:
                action = sampled(obs["log_prior"][None])[0]
                obs, _, terminated, _, _ = env.step(action)
        return {name: clock() - start}

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
        start = clock()
        for _ in range(episodes):
            state, tokens = first_state(), torch.full((n,), start_id)
            melody = torch.empty((n, horizon), dtype=torch.int64)
            for t in range(horizon):
                log_probs, state = step(tokens, state)
                tokens = sample(log_probs)
                melody[:, t] = tokens
        return {name: clock() - start}

    return run


def bare_contenders(prior: RecurrentPrior, n: int, horizon: int) -> list[Contender]:
    def module_step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = prior.network(tokens[:, None], state)
        return torch.log_softmax(logits[:, 0], dim=-1), state

    def zeros() -> Any:
        return prior.initial_state(n)

    sizes = (n, horizon, prior.vocabulary.start_id)
    return [
        bare_contender(BARE[0], module_step, lambda: None, race, *sizes),
        bare_contender(BARE[1], prior.step, zeros, multinomial, *sizes),
        bare_contender(BARE[2], prior.step, zeros, race, *sizes),
    ]


def measure(repeats: int, episodes: dict[int, int]) -> dict[int, dict[str, list[float]]]:
    """Tokens per second of every repeat, by N and contender."""
    env = gym.make(ENV_ID).unwrapped
    prior, horizon = env.prior, env.lanes.horizon
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


def measure_lengths(repeats: int, lengths: tuple[int, ...]) -> dict[int, dict[str, list[float]]]:
    """Microseconds a token of every repeat, by N and length; as many tokens of each."""
    speeds: dict[int, dict[str, list[float]]] = {n: {} for n in LENGTH_LANES}
    for repeat in range(repeats):
        for n in LENGTH_LANES:
            for length in lengths:
                name = str(length)
                make = single_contender if n == 1 else lambda *a, n=n: vector_contender(n, *a)
                run, episodes = make(length, name), max(lengths) // length
                if not repeat:
                    run(1)
                seconds = run(episodes)[name]
                speeds[n].setdefault(name, []).append(1e6 * seconds / (n * episodes * length))
    return speeds


def ratio(values: list[float], by: list[float]) -> float:
    """Median over the repeats."""
    return statistics.median(a / b for a, b in zip(values, by, strict=True))


def fastest(speeds: dict[str, list[float]]) -> list[float]:
    """The fastest bare loop's speed in each repeat."""
    return [max(each) for each in zip(*(speeds[name] for name in BARE), strict=True)]


def single_ratios(speeds: dict[str, list[float]]) -> dict[str, float]:
    """gym.make over two loops."""
    loops = {"the fastest bare loop": fastest(speeds), BARE[0]: speeds[BARE[0]]}
    return {name: ratio(speeds["single"], loop) for name, loop in loops.items()}


def to_report(
    speeds: dict[int, dict[str, list[float]]],
    lengths: dict[int, dict[str, list[float]]],
    repeats: int,
    seconds: float,
) -> dict[str, Any]:
    prior = gym.make(ENV_ID).unwrapped.prior
    sizes = prior.network.config
    low, high = map(str, LENGTHS)
    report: dict[str, Any] = {
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
        "vector_by_bare": {
            str(n): {
                "bare nn.GRU": ratio(group["vector"], group[BARE[0]]),
                "the fastest bare loop": ratio(group["vector"], fastest(group)),
            }
            for n, group in speeds.items()
        },
        "single_by_bare": single_ratios(speeds[1]),
        "single_by_reference": statistics.median(speeds[1]["single"]) / max(REFERENCE),
        "all_repeats": {str(n): group for n, group in speeds.items()},
    }
    if lengths:
        report["microseconds_by_length"] = {
            str(n): {name: statistics.median(values) for name, values in group.items()}
            | {"ratio": ratio(group[high], group[low])}
            for n, group in lengths.items()
        }
    return report


def to_markdown(report: dict[str, Any]) -> str:
    columns = ("vector", "vector, env.step alone", *BARE, "vector / nn.GRU", "vector / fastest")
    lines = [
        f"Tokens per second, {conditions(report)}. Prior: {report['prior']['network']}. "
        f"Medians of {report['repeats']} interleaved repeats; load average of the machine "
        f"{report['load_average']:.1f} at the start. Melody rules: {report['rules']}.",
        "",
        "| N | " + " | ".join(columns) + " | wanted |",
        "| ---: |" + " ---: |" * (len(columns) + 1),
    ]
    for n, speeds in report["tokens_per_second"].items():
        by = report["vector_by_bare"][n]
        figures = [f"{speeds[name]:,.0f}" for name in columns[:-2]]
        figures += [f"{by[BARE[0]]:.2f}", f"{by['the fastest bare loop']:.2f}"]
        wanted = WANTED.get(int(n))
        figures.append(f"{wanted:.2f}" if wanted else "")
        lines.append(f"| {n} | " + " | ".join(figures) + " |")
    single = report["tokens_per_second"]["1"]["single"]
    by = ", ".join(
        f"{report['single_by_bare'][name]:.2f} of {name} (wanted: {wanted:.2f})"
        for name, wanted in WANTED_SINGLE.items()
    )
    lines += [
        "",
        f"The single environment (`gym.make`): {single:,.0f} tokens per second, {by}; "
        f"{report['single_by_reference']:.1f} times the {max(REFERENCE)} of the published "
        f"reference ({REFERENCE[0]} to {REFERENCE[1]}; wanted: {WANTED_REFERENCE}).",
    ]
    if "microseconds_by_length" in report:
        low, high = map(str, LENGTHS)
        by = ", ".join(
            f"N = {n}: {group[high]:.1f} against {group[low]:.1f}, {group['ratio']:.2f} times"
            for n, group in report["microseconds_by_length"].items()
        )
        lines += [
            "",
            f"Microseconds a token of melodies of {LENGTHS[1]:,} tokens against {LENGTHS[0]}: {by} "
            f"(wanted: at most {WANTED_LENGTH}).",
        ]
    return "\n".join(lines) + "\n"


def rules_form() -> str:
    from seqgen_envs.domains.melody import compiled

    return "NumPy and plain Python" if compiled.judge_many() is None else "compiled by numba"


def main() -> None:
    arguments = parse_options(__doc__, repeats=9)
    episodes = {1: 2, 256: 1} if arguments.quick else EPISODES
    repeats = min(arguments.repeats, 3) if arguments.quick else arguments.repeats
    start, load = time.perf_counter(), os.getloadavg()[0]
    speeds = measure(repeats, episodes)
    lengths = {} if arguments.quick else measure_lengths(min(repeats, 5), LENGTHS)
    report = circumstances(load) | {"rules": rules_form()}
    report |= to_report(speeds, lengths, repeats, time.perf_counter() - start)
    write_results(arguments.out, "env_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
