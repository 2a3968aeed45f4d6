"""Collectors beside the learner (Ray): what they learn, steps a second, and a model of throughput.

    python benchmarks/collectors.py [--repeats 2] [--quick] [--only PART] [--out FOLDER]

On two local nodes of Ray (``ray.cluster_utils.Cluster``, one CPU each); every process has one
thread.

- toy: KL to the exact optimum of ToyGen-v0 after the shipped training of psi, by one process and by
  4 collectors whose rounds are up to 10 rounds behind (a broadcast every 7 rounds).
- melodies: J of psi on MelodyGen-v0, shipped settings, by one process and by 2 collectors, at equal
  steps.
- parts: CPU seconds of a round (to collect it, to take it in, to train on it), its bytes and the
  weights', for melodies, molecules and a language model of 6 layers (where transformers is
  installed). Medians over some rounds.
- speed: steps a second of psi on melodies without collectors and with 1 and 2, in turns, by the
  wall's clock, with the CPU seconds that were used; the model's forecast beside them.
- oracle: the same with a rule that takes a second for a round without using a core, as an
  oracle elsewhere does, and with an update for each transition collected (replay_ratio 1); up to 4
  collectors.

The model: with K collectors, so many rounds a second as the slowest of these allows: the collectors
(K / seconds to collect, an oracle's included), the learner (1 / seconds to take in and to train),
its network (link / bytes of a round and of the weights that a collector fetches for it) and, where
all share a machine, its cores (cores / CPU seconds of all).
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from common import circumstances, conditions, parse_options, write_results
from language_models import SIZES, domain_of, prior_of
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.collectors import CollectorSettings, collecting
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.registry import get_algorithm
from kl_agents.remote_collection import weights_as_arrays
from kl_agents.runs import RunSpec, evaluate_agent, make_env
from seqgen_envs.cluster import connect
from seqgen_envs.exact import PrefixTree
from seqgen_envs.rules import Task, Term
from seqgen_envs.vector_env import SequenceVectorEnv

#: Bytes a second of the learner's network, in the model: 10 Gbit/s.
LINK = 1.25e9
#: Seconds that the oracle of the measurement takes for a round, and the model's for a molecule.
WAIT, ORACLE = 1.0, 1.0
COLLECTORS = (1, 2, 4, 8, 16, 64, 256, 1000)
STALE = CollectorSettings(4, staleness=10, broadcast_every=7)
KL_BAR, J_BAR = 0.01, 0.02
#: What is measured, in this order: what needs a quiet machine first.
PARTS = ("parts", "speed", "oracle", "toy", "melodies")


@dataclass(frozen=True)
class Parts:
    """Of a round; seconds are the CPU's.

    Attributes:
        steps: environment steps.
        episodes: in it.
        collect: seconds of a collector.
        take: seconds of the learner to put its weights into the object store and to get the round
            out of it.
        train: seconds of the learner to keep the round and to train on it.
        updates: in that.
        round_bytes, weight_bytes: that travel.
        wait: seconds that a collector waits for an oracle, which takes no core.
    """

    steps: float
    episodes: float
    collect: float
    take: float
    train: float
    updates: float
    round_bytes: float
    weight_bytes: float
    wait: float = 0.0

    @property
    def learner(self) -> float:
        """Seconds of the learner."""
        return self.take + self.train


def limits(parts: Parts, collectors: int, cores: int | None = None) -> dict[str, float]:
    """Rounds a second that each part of the layout allows."""
    found = {
        "collectors": collectors / (parts.collect + parts.wait),
        "learner": 1 / parts.learner,
        "network": LINK / (parts.round_bytes + parts.weight_bytes),
    }
    if cores is not None:
        found["cores"] = cores / (parts.collect + parts.learner)
    return found


def forecast(parts: Parts, collectors: int, cores: int | None = None) -> float:
    """Environment steps a second; 0 collectors: the learner collects itself."""
    if collectors == 0:
        return parts.steps / (parts.collect + parts.wait + parts.train)
    return parts.steps * min(limits(parts, collectors, cores).values())


def saturation(parts: Parts) -> tuple[int, str]:
    """The number of collectors from which on more bring nothing, and what then is the limit."""
    found = limits(parts, 1)
    one = found.pop("collectors")
    name = min(found, key=found.__getitem__)
    return math.ceil(found[name] / one), name


# -- agents ---------------------------------------------------------------------------------------


def agent_of(spec: RunSpec) -> SequenceAlgorithm:
    agent: SequenceAlgorithm = get_algorithm(spec.algorithm)(
        "SequencePolicy", make_env(spec), seed=spec.seed, device="cpu", **spec.arguments
    )
    agent.set_logger(configure(None, []))
    return agent


def spec_of(env_id: str, steps: int | None = None, seed: int = 0) -> RunSpec:
    merged = load_hyperparams("psi", env_id)
    merged.n_timesteps = merged.n_timesteps if steps is None else steps
    return RunSpec.of(merged, env_id, seed)


def language_agent(sizes: tuple[int, int, int]) -> SequenceAlgorithm:
    """Trajectory balance on adapters of a GPT-2 of random weights, with the settings for verse."""
    prior = prior_of("gpt2", sizes)
    env = SequenceVectorEnv(domain_of(prior.vocabulary), 64, prior=prior, length=prior.length)
    arguments = load_hyperparams("tb", "TextGen-v0").arguments
    arguments |= {"policy_kwargs": {"lora_rank": 8}, "episodes_per_round": 64}
    agent: SequenceAlgorithm = get_algorithm("tb")(
        "SequencePolicy", env, seed=0, device="cpu", **arguments
    )
    agent.set_logger(configure(None, []))
    return agent


class Clock(BaseCallback):
    """Steps, the wall's seconds and CPU seconds after each round."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        logged = self.locals["collected"].logged
        row = {name.partition("/")[2]: value for name, value in logged.items()}
        now = {"wall": time.perf_counter(), "cpu": time.process_time()}
        self.rows.append({"steps": float(self.model.num_timesteps), **now, **row})


def trained(spec: RunSpec, collectors: CollectorSettings | None) -> tuple[SequenceAlgorithm, Clock]:
    agent, clock = agent_of(spec), Clock()
    with collecting(agent, collectors):
        agent.learn(spec.total_timesteps, callback=clock)
    return agent, clock


# -- what is learned ------------------------------------------------------------------------------


def toy() -> dict[str, Any]:
    spec, found = spec_of("ToyGen-v0"), {}
    for name, collectors in {"one process": None, "4 collectors": STALE}.items():
        agent, clock = trained(spec, collectors)
        assert agent.collector is not None
        tree = PrefixTree.build(agent.collector.source.settings)  # type: ignore[union-attr]

        def log_policy(observation: Any, policy: Any = agent.policy) -> Any:
            g, _ = policy.read_prefixes(observation["tokens"])
            return policy.log_policy(observation["log_prior"], g)

        found[name] = {
            "kl": float(tree.kl(tree.policy_of(log_policy), agent.policy.c)),
            "staleness_max": max(row.get("staleness", 0.0) for row in clock.rows),
            "staleness_mean": statistics.mean(row.get("staleness", 0.0) for row in clock.rows),
            "rounds": len(clock.rows),
        }
    return {"steps": spec.total_timesteps, "bar": KL_BAR, **found}


def melodies(steps: int | None, seeds: int, episodes: int) -> dict[str, Any]:
    """J of both, seed by seed, after the shipped number of steps or ``steps``."""
    objective: dict[str, list[float]] = {"one process": [], "2 collectors": []}
    ways = dict(zip(objective, (None, CollectorSettings(2)), strict=True))
    for seed in range(seeds):
        spec = spec_of("MelodyGen-v0", steps, seed)
        for name, collectors in ways.items():
            agent, _ = trained(spec, collectors)
            objective[name].append(evaluate_agent(agent, spec, episodes, seed=100).objective)
    means = {name: statistics.mean(values) for name, values in objective.items()}
    one, two = means.values()
    return {
        "steps": spec.total_timesteps, "episodes": episodes, "bar": J_BAR, "seeds": objective,
        "means": means,
        "difference": (two - one) / abs(one),
    }  # fmt: skip


# -- parts ----------------------------------------------------------------------------------------


def parts_of(agent: SequenceAlgorithm, rounds: int) -> Parts:
    """Medians over some rounds, after one that warms up."""
    ray = connect()
    assert agent.collector is not None
    agent.learn(1)
    size = agent.settings.episodes_per_round or agent.n_envs
    rows: list[dict[str, float]] = []
    for _ in range(rounds):
        began = time.process_time()
        collected = agent.collector.collect(agent.policy, size, 0.0, agent.rng, lambda _: True)
        assert collected is not None
        stored = ray.put(collected)  # a collector's part, as its end of the way
        put = time.process_time()
        weights = weights_as_arrays(agent.policy)
        reference, got = ray.put(weights), ray.get(stored)
        taken, before = time.process_time(), agent._n_updates
        agent._keep(got.episodes)
        agent.train()
        row = {
            "steps": float(collected.environment_steps),
            "episodes": float(len(collected.episodes)),
            "collect": put - began,
            "take": taken - put,
            "train": time.process_time() - taken,
            "updates": float(agent._n_updates - before),
            "round_bytes": float(
                sum(array.nbytes for array in collected.episodes.arrays().values())
                + collected.terms.nbytes
            ),
            "weight_bytes": float(sum(array.nbytes for array in weights.values())),
        }
        rows.append(row)
        del stored, reference
    return Parts(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def all_parts(rounds: int, quick: bool) -> dict[str, dict[str, float]]:
    """Of each kind of sequence, as JSON has them."""
    found = {
        "melodies": parts_of(agent_of(spec_of("MelodyGen-v0")), rounds),
        "molecules": parts_of(agent_of(spec_of("MoleculeGen-v0")), rounds),
    }
    if find_spec("transformers") is not None and find_spec("peft") is not None:
        sizes = SIZES["small" if quick else "middle"]
        found["a language model"] = parts_of(language_agent(sizes), max(rounds // 4, 1))
    return {name: asdict(one) for name, one in found.items()}


def cases_of(parts: dict[str, Parts]) -> dict[str, Parts]:
    """What the model is asked for: what was measured, and what follows from it."""
    molecules = parts["molecules"]
    slow = replace(molecules, wait=molecules.episodes * ORACLE)
    return {
        **parts,
        "melodies, replay_ratio 1": at_ratio_1(parts["melodies"]),
        f"molecules, {ORACLE:g} s each": slow,
    }


def at_ratio_1(parts: Parts) -> Parts:
    """With an update for each transition collected instead of four."""
    return replace(parts, train=parts.train / 4, updates=parts.updates / 4)


# -- speed ----------------------------------------------------------------------------------------


def waiting(tokens: Any, lengths: Any) -> Any:
    """A rule that takes a while, whatever it is asked."""
    time.sleep(WAIT)
    return np.zeros(len(tokens))


def speed(collectors: int, rounds: int, oracle: bool) -> dict[str, float]:
    """Of psi on melodies between the rounds that begin and end it."""
    settings = CollectorSettings(collectors) if collectors else None
    agent, clock = agent_of(spec_of("MelodyGen-v0")), Clock()
    if oracle:
        task = Task("waiting", [Term("waiting", waiting, at="end")])
        env = SequenceVectorEnv("melody", 128, task=task, autoreset_mode="SameStep")
        arguments = spec_of("MelodyGen-v0").arguments | {"replay_ratio": 1}
        agent = get_algorithm("psi")("SequencePolicy", env, seed=0, device="cpu", **arguments)
        agent.set_logger(configure(None, []))
    with collecting(agent, settings):
        agent.learn(rounds * 128 * 32, callback=clock)
    first, last = clock.rows[2 * collectors + 1], clock.rows[-1 - collectors]
    between = clock.rows[2 * collectors + 2 : len(clock.rows) - collectors]
    wall = last["wall"] - first["wall"]
    return {
        "steps_per_second": (last["steps"] - first["steps"]) / wall,
        "learner_cpu": (last["cpu"] - first["cpu"]) / wall,
        "collectors_cpu": sum(row.get("seconds", 0.0) for row in between) / wall,
        "waited": sum(row.get("waited", 0.0) for row in between) / wall,
        "staleness": statistics.mean(row.get("staleness", 0.0) for row in between),
    }


def speeds(repeats: int, rounds: int, counts: tuple[int, ...], oracle: bool) -> dict[str, Any]:
    """Each number of collectors in turn; ratios within a turn."""
    turns = [{str(k): speed(k, rounds, oracle) for k in counts} for _ in range(repeats)]
    medians = {
        k: {name: statistics.median(turn[k][name] for turn in turns) for name in turns[0][k]}
        for k in turns[0]
    }
    ratios = {
        k: statistics.median(
            turn[k]["steps_per_second"] / turn["0"]["steps_per_second"] for turn in turns
        )
        for k in turns[0]
    }
    return {"rounds": rounds, "medians": medians, "of_one_process": ratios, "turns": turns}


# -- the report -----------------------------------------------------------------------------------


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two local nodes of one CPU each, joined."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray = connect(cluster.address)
    try:
        yield ray
    finally:
        ray.shutdown()
        cluster.shutdown()


def to_markdown(report: dict[str, Any]) -> str:
    """What has been measured so far."""
    measured = report["measured"]
    some = next(iter(measured.values()))
    began = ", ".join(
        f"{name} {about['load_average']:.1f} ({about['date']})" for name, about in measured.items()
    )
    written = [
        f"Two local nodes of Ray {some['ray']}; {conditions(some)}. Load average when each part "
        f"began: {began}."
    ]
    written += [toy_line(report["toy"])] if "toy" in report else []
    written += [melodies_line(report["melodies"])] if "melodies" in report else []
    if "parts" in report:
        parts = {name: Parts(**entry) for name, entry in report["parts"].items()}
        if {"speed", "oracle"} <= report.keys():
            written.append(speed_table(report, parts["melodies"]))
        written += [parts_table(parts), model_table(parts)]
    return "\n\n".join([*written, ""])


def toy_line(toys: dict[str, Any]) -> str:
    stale = toys["4 collectors"]
    return (
        f"KL to the exact optimum of ToyGen-v0 after {toys['steps']:,} steps: {stale['kl']:.4f} "
        f"nats with 4 collectors, rounds {stale['staleness_mean']:.1f} rounds behind in the mean "
        f"and {stale['staleness_max']:.0f} at most (wanted: below {toys['bar']}); "
        f"{toys['one process']['kl']:.4f} by one process."
    )


def melodies_line(tunes: dict[str, Any]) -> str:
    return (
        f"J of psi on MelodyGen-v0 after {tunes['steps']:,} steps, mean over "
        f"{len(tunes['seeds']['one process'])} seed(s), {tunes['episodes']:,} melodies each: "
        f"{tunes['means']['2 collectors']:.2f} with 2 collectors, "
        f"{tunes['means']['one process']:.2f} by one process, a difference of "
        f"{tunes['difference']:+.1%} (wanted: within {tunes['bar']:.0%})."
    )


def speed_table(report: dict[str, Any], melodies: Parts) -> str:
    measured = report["measured"]["speed"]
    cores = measured["machine"]["cores"]
    waiting_parts = replace(at_ratio_1(melodies), wait=WAIT)
    cases = {"speed": ("as shipped", melodies), "oracle": ("an oracle", waiting_parts)}
    rows = []
    for key, (name, parts) in cases.items():
        for k, row in report[key]["medians"].items():
            told = forecast(parts, int(k), cores)
            rows.append(
                f"| {name} | {k} | {row['steps_per_second']:,.0f} | "
                f"{report[key]['of_one_process'][k]:.2f} | {told:,.0f} | "
                f"{told / forecast(parts, 0):.2f} | {row['learner_cpu']:.2f} | "
                f"{row['collectors_cpu']:.2f} | {row['waited']:.0%} | {row['staleness']:.1f} |"
            )
    return "\n".join(
        [
            f"Steps a second of psi on melodies on {cores} cores, medians of "
            f"{measured['repeats']} turn(s) of {report['speed']['rounds']} rounds: as shipped, and "
            f"with an oracle that takes {WAIT:g} s for a round and replay_ratio 1. The forecast is "
            "the model's; cores are CPU seconds a second.\n",
            "| | collectors | steps a second | over none | forecast | over none | learner, cores | "
            "collectors, cores | learner waits | rounds behind |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def parts_table(parts: dict[str, Parts]) -> str:
    rows = [
        f"| {name} | {one.steps:,.0f} | {one.round_bytes / one.episodes / 1e3:,.1f} | "
        f"{one.weight_bytes / 1e6:,.2f} | {1e3 * one.collect:,.0f} | {1e3 * one.take:,.1f} | "
        f"{1e3 * one.train:,.0f} | {one.updates / one.train:,.1f} | "
        f"{one.steps / one.learner:,.0f} |"
        for name, one in parts.items()
    ]
    return "\n".join(
        [
            "A round, in CPU seconds of one core.\n",
            "| | steps | KB an episode | MB of weights | ms to collect | ms to take in | ms to "
            "train | updates a second | steps a second, learner alone |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def model_table(parts: dict[str, Parts]) -> str:
    rows = []
    for name, one in cases_of(parts).items():
        told = [f"{forecast(one, k):,.0f}" for k in COLLECTORS]
        enough, limit = saturation(one)
        rows.append(f"| {name} | {' | '.join(told)} | {enough:,} ({limit}) |")
    return "\n".join(
        [
            "The model, with a core for each process and 10 Gbit/s at the learner: steps a second "
            "by the number of collectors, and from which number on more bring nothing.\n",
            f"| | {' | '.join(f'{k:,}' for k in COLLECTORS)} | enough |",
            f"| --- |{' ---: |' * len(COLLECTORS)} ---: |",
            *rows,
        ]
    )


def main() -> None:
    options = parse_options(__doc__, 2, PARTS)
    torch.set_num_threads(1)
    quick = options.quick
    repeats = 1 if quick else options.repeats
    steps, seeds, episodes = (60_000, 1, 2048) if quick else (None, 3, 4096)
    rounds, counts = (10, ((0, 2), (0, 2))) if quick else (24, ((0, 1, 2), (0, 1, 2, 4)))
    measures: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: all_parts(1 if quick else 8, quick),
        lambda: speeds(repeats, rounds, counts[0], False),
        lambda: speeds(repeats, rounds, counts[1], True),
        toy,
        lambda: melodies(steps, seeds, episodes),
    )
    report: dict[str, Any] = {"measured": {}}
    if options.only:
        kept = options.out / "collectors.json"
        report = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else report
    with two_nodes() as ray:
        for name, measure in zip(PARTS, measures, strict=True):
            if name in (options.only or PARTS):
                load = os.getloadavg()[0]
                report[name] = measure()
                about = {"ray": ray.__version__, "repeats": repeats}
                report["measured"][name] = circumstances(load) | about
                print(name, json.dumps(report[name]), file=sys.stderr, flush=True)
    write_results(options.out, "collectors", report, to_markdown(report))


if __name__ == "__main__":
    main()
