"""How near to a bare loop an environment can come at all: with no more than its contract asks for.

    python benchmarks/env_limits.py [--threads 1] [--repeats 9] [--quick] [--out FOLDER]

The least environment does, for melodies of a fixed length that all begin together, only what no
environment of this contract can leave out: one product of the prior a step, log p as a bounded
array of NumPy that the caller may keep, the tokens beside it, the rules' values, log p of the token
taken, the reward of both, and the infos' entries. It has no checks, masks, primers, or lanes that
end apart; texts of finished melodies are left out. It is timed in turns with the bare loops and the
environments of ``env_throughput.py``, as a batch and, for ``gym.make``, as an environment of
Gymnasium's with the wrappers that ``gym.make`` adds.

Its speed over the fastest bare loop's is the part that cannot shrink: where that is below what was
wanted of the environment, what was wanted is out of reach.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from typing import Any

import env_throughput as whole
import gymnasium as gym
import numpy as np
import torch
from common import circumstances, clock, conditions, parse_options, write_results
from gymnasium import spaces

from seqgen_envs.starts import MIN_LOG_PROB, bounded

LEAST_ID = "LeastMelody-v0"
SIZES = (1, 256, 1024)
#: Lanes of which long melodies are compared with short ones.
LONG_LANES = 16


class Least:
    """The least that a step of N melodies costs."""

    def __init__(self, n: int, length: int | None = None, prior: str | None = None) -> None:
        model = gym.make(whole.ENV_ID, length=length, prior=prior).unwrapped
        self.n, self.prior, self.task, self.c = n, model.prior, model.task, model.lanes.c
        self.horizon, self.size = model.lanes.horizon, model.prior.vocabulary.size
        self.rows = np.arange(n)
        (self.first_rules,) = (np.repeat(s[None], n, axis=0) for s in self.task.initial_state())
        self.task.prepare()

    def reset(self) -> dict[str, Any]:
        self.tokens = np.full((self.n, self.horizon), self.size)
        self.lengths = np.zeros(self.n, dtype=np.int64)
        self.rules: Any = (self.first_rules,)
        self.state = self.prior.initial_state(self.n)
        return self.observation(np.full(self.n, self.size))

    def observation(self, last: np.ndarray) -> dict[str, Any]:
        log_probs, self.state = self.prior.step(torch.from_numpy(last), self.state)
        self.log_prior = bounded(log_probs)
        return {"tokens": self.tokens.copy(), "log_prior": self.log_prior}

    def step(self, actions: np.ndarray) -> tuple[dict[str, Any], np.ndarray, bool]:
        self.log_prob = log_prob = self.log_prior[self.rows, actions].astype(np.float64)
        self.tokens[self.rows, self.lengths] = actions
        self.lengths += 1
        finished = self.lengths == self.horizon
        self.terms, self.rules = self.task.score(self.tokens, self.lengths, finished, self.rules)
        self.task_reward = self.terms.sum(axis=1)
        reward = log_prob + self.task_reward / self.c
        if finished[0]:
            return {"tokens": self.tokens.copy(), "log_prior": self.log_prior}, reward, True
        return self.observation(actions), reward, False

    def infos(self) -> dict[str, Any]:
        """Of all lanes, with Gymnasium's masks of who has an entry."""
        columns = np.ascontiguousarray(self.terms.T)
        entries = {
            "prior_log_prob": self.log_prob,
            "task_reward": self.task_reward,
            "reward_terms": masked(dict(zip(self.task.names, columns, strict=True)), self.n),
            "action_mask": np.ones((self.n, self.size), dtype=np.int8),
            "sequence": np.full(self.n, "", dtype=object),
        }
        return masked(entries, self.n)

    def info(self) -> dict[str, Any]:
        """Of the one lane."""
        return {
            "prior_log_prob": self.log_prob[0],
            "task_reward": self.task_reward[0],
            "reward_terms": dict(zip(self.task.names, self.terms[0], strict=True)),
            "action_mask": np.ones(self.size, dtype=np.int8),
            "sequence": "",
        }


def masked(entries: dict[str, Any], n: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in entries.items():
        found[name], found[f"_{name}"] = value, np.ones(n, dtype=bool)
    return found


class LeastEnv(gym.Env[Any, Any]):
    """One of them for ``gym.make``."""

    def __init__(self, length: int | None = None) -> None:
        self.least = Least(1, length)
        self.task = self.least.task
        size = self.least.size
        self.action_space = spaces.Discrete(size)
        tokens = spaces.MultiDiscrete(np.full(self.least.horizon, size + 1))
        log_prior = spaces.Box(MIN_LOG_PROB, 0.0, (size,), np.float32)
        self.observation_space = spaces.Dict(tokens=tokens, log_prior=log_prior)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return {name: array[0] for name, array in self.least.reset().items()}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        found, reward, finished = self.least.step(np.array([action]))
        observation = {name: array[0] for name, array in found.items()}
        return observation, reward.item(0), finished, False, self.least.info()


def batch_contender(n: int, length: int | None = None) -> whole.Contender:
    least = Least(n, length)

    def run(episodes: int) -> dict[str, float]:
        start = clock()
        for _ in range(episodes):
            observation, finished = least.reset(), False
            while not finished:
                actions = whole.sampled(observation["log_prior"])
                observation, _, finished = least.step(actions)
                least.infos()
        return {"the least": clock() - start}

    return run


def contenders(n: int) -> list[whole.Contender]:
    """Bare loops, the environment and the least one, of N lanes; of one by ``gym.make``."""
    model = gym.make(whole.ENV_ID).unwrapped
    bare = whole.bare_contenders(model.prior, n, model.lanes.horizon)
    if n == 1:
        single = (("the environment", whole.ENV_ID), ("the least", LEAST_ID))
        return [*bare, *(whole.single_contender(None, name, env_id) for name, env_id in single)]
    return [*bare, whole.vector_contender(n, name="the environment"), batch_contender(n)]


def measure(repeats: int, episodes: dict[int, int]) -> dict[int, dict[str, list[float]]]:
    """Seconds of each repeat, by N and contender."""
    torch.manual_seed(0)
    groups: dict[int, list[Callable[[int], dict[str, float]]]] = {
        n: contenders(n) for n in episodes
    }
    found: dict[int, dict[str, list[float]]] = {n: {} for n in groups}
    for repeat in range(repeats + 1):
        for n, group in groups.items():
            for contender in group:
                for name, seconds in contender(episodes[n]).items():
                    if repeat:  # the first warms up
                        found[n].setdefault(name, []).append(seconds)
    return found


def measure_lengths(repeats: int) -> dict[str, float]:
    """How much dearer a token of long melodies is than one of short ones, of the two environments.

    Medians of each repeat's own ratio.
    """
    low, high = whole.LENGTHS
    kinds = {
        "the environment": lambda n, length: whole.vector_contender(n, length, "the environment"),
        "the least": batch_contender,
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repeats):
        for name, make in kinds.items():
            seconds = {}
            for length in (low, high):
                run = make(LONG_LANES, length)
                run(1)
                seconds[length] = run(high // length)[name]
            found[name].append(seconds[high] / seconds[low])
    return {name: statistics.median(values) for name, values in found.items()}


def to_report(seconds: dict[int, dict[str, list[float]]], tokens: dict[int, int]) -> dict[str, Any]:
    """Microseconds a step of all lanes, and ratios: medians of each repeat's own."""
    report: dict[str, Any] = {}
    for n, group in seconds.items():
        loops = {
            "the fastest bare loop": [
                min(each) for each in zip(*(group[name] for name in whole.BARE), strict=True)
            ],
            "bare nn.GRU": group[whole.BARE[0]],
        }
        report[str(n)] = {
            "microseconds": {
                name: 1e6 * statistics.median(values) / tokens[n] for name, values in group.items()
            },
            "ratios": {
                loop: {
                    name: statistics.median(a / b for a, b in zip(bare, group[name], strict=True))
                    for name in ("the environment", "the least")
                }
                for loop, bare in loops.items()
            },
        }
    return report


WANTED = {
    "1": {"the fastest bare loop": 0.80, "bare nn.GRU": 1.0},
    **{str(n): {"the fastest bare loop": wanted} for n, wanted in whole.WANTED.items()},
}


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Speed over a bare loop's, {conditions(report)}; medians of {report['repeats']} "
        f"interleaved repeats, load average {report['load_average']:.1f} at the start. "
        f"Melody rules: {report['rules']}. N = 1 is `gym.make`.",
        "",
        "| N | over | the environment | the least there can be | wanted |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for n, loops in WANTED.items():
        for loop, wanted in loops.items():
            ratios = report["limits"][n]["ratios"][loop]
            lines.append(
                f"| {int(n):,} | {loop} | {ratios['the environment']:.2f} | "
                f"{ratios['the least']:.2f} | {wanted:.2f} |"
            )
    one = report["limits"]["1"]["microseconds"]
    fastest = max(whole.REFERENCE)
    lines += [
        "",
        f"Steps a second by `gym.make`: {1e6 / one['the environment']:,.0f}, "
        f"{1e6 / one['the environment'] / fastest:.1f} times the published reference's {fastest}; "
        f"the least there can be {1e6 / one['the least']:,.0f}, "
        f"{1e6 / one['the least'] / fastest:.1f} times (wanted: {whole.WANTED_REFERENCE}).",
    ]
    if lengths := report["lengths"]:
        lines += [
            "",
            f"A token of {LONG_LANES} melodies of {whole.LENGTHS[1]:,} tokens, of which every "
            f"observation is a copy, takes {lengths['the environment']:.2f} times what one of "
            f"{whole.LENGTHS[0]} takes; of the least there can be, {lengths['the least']:.2f} "
            f"times (wanted: at most {whole.WANTED_LENGTH}).",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = parse_options(__doc__, repeats=9)
    load = os.getloadavg()[0]
    gym.register(LEAST_ID, entry_point=LeastEnv)
    repeats = 2 if options.quick else options.repeats
    episodes = {n: 1 if options.quick and n > 1 else whole.EPISODES[n] for n in SIZES}
    horizon = gym.make(whole.ENV_ID).unwrapped.lanes.horizon
    limits = to_report(measure(repeats, episodes), {n: e * horizon for n, e in episodes.items()})
    report = circumstances(load) | {"rules": whole.rules_form(), "repeats": repeats}
    report |= {"limits": limits, "lengths": {} if options.quick else measure_lengths(3)}
    write_results(options.out, "env_limits", report, to_markdown(report))


if __name__ == "__main__":
    main()
