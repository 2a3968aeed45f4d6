"""SMILES per second of the molecule environment, against the bare stepping loop; what RDKit costs.

    python benchmarks/molecule_throughput.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

- ours, end to end: ``rollout`` of MoleculeGen-v0 with its task ``sequence-tutor``: prior, tokens,
  rewards and RDKit, each molecule new to the caches.
- ours, unscored: the same with a task that pays nothing, so that only the stepping differs.
- bare stepper, bare nn.GRU: a loop that samples from the same prior and does nothing else, N
  sequences at a time, each batch until its longest ends. The first steps the fast stepper that the
  environments use, the second ``nn.GRU`` itself.

All take turns within every repeat; ratios are medians of each repeat's own. Then: RDKit's cost of
each part of a score, the caches' hit rate and the worker processes' gain on the prior's own
samples, and the memory of scoring 10,000 molecules.
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
from common import (
    circumstances,
    clock,
    conditions,
    multinomial,
    parse_options,
    unpaid_task,
    write_results,
)
from torch import Tensor

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import canonical, parse
from seqgen_envs.domains.molecule.tasks.scoring import Scorer
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.rollout import PriorPolicy, rollout

ENV_ID = "MoleculeGen-v0"
#: Sequences of one repeat, by N.
SEQUENCES = {1: 20, 128: 2560, 512: 5120}
OURS = ("ours, end to end", "ours, unscored")
BARE = ("bare stepper", "bare nn.GRU")
SCORED = ("logp", "sa", "qed", "ring_penalty")
MEMORY_OF = 10_000


def ours(n: int, scored: bool) -> Callable[[int], float]:
    task = None if scored else unpaid_task()
    seed = 0

    def run(sequences: int) -> float:
        nonlocal seed
        seed += 1
        lanes = gym.make_vec(ENV_ID, num_envs=n, task=task).unwrapped.lanes  # empty caches
        lanes.reset()
        start = clock()
        rollout(lanes, PriorPolicy(seed), sequences)
        return sequences / (clock() - start)

    return run


def bare(prior: RecurrentPrior, n: int, horizon: int, module: bool) -> Callable[[int], float]:
    def module_step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = prior.network(tokens[:, None], state)
        return torch.log_softmax(logits[:, 0], dim=-1), state

    step = module_step if module else prior.step

    @torch.inference_mode()
    def run(sequences: int) -> float:
        start = clock()
        for _ in range(sequences // n):
            state = None if module else prior.initial_state(n)
            tokens = torch.full((n,), prior.vocabulary.start_id)
            ended = torch.zeros(n, dtype=torch.bool)
            written = torch.empty((n, horizon), dtype=torch.int64)
            for t in range(horizon):
                log_probs, state = step(tokens, state)
                tokens = multinomial(log_probs)
                written[:, t] = tokens
                ended |= tokens == prior.vocabulary.end_id
                if ended.all():
                    break
        return (sequences // n) * n / (clock() - start)

    return run


def throughput(repeats: int, sequences: dict[int, int]) -> dict[str, dict[str, list[float]]]:
    env = gym.make(ENV_ID).unwrapped
    prior, horizon = env.prior, env.lanes.horizon
    groups = {
        n: {
            OURS[0]: ours(n, scored=True),
            OURS[1]: ours(n, scored=False),
            BARE[0]: bare(prior, n, horizon, module=False),
            BARE[1]: bare(prior, n, horizon, module=True),
        }
        for n in sequences
    }
    speeds: dict[str, dict[str, list[float]]] = {str(n): {} for n in groups}
    for repeat in range(repeats + 1):
        for n, contenders in groups.items():
            for name, contender in contenders.items():
                speed = contender(sequences[n] if repeat else n)  # a short one first, to warm up
                if repeat:
                    speeds[str(n)].setdefault(name, []).append(speed)
    return speeds


def samples(n: int) -> list[str]:
    env = gym.make_vec(ENV_ID, num_envs=128, task=unpaid_task()).unwrapped
    episodes = rollout(env.lanes, PriorPolicy(123), n)
    return [env.domain.to_text(row) for row in episodes.tokens]


def costs(smiles: list[str]) -> dict[str, float]:
    """Microseconds a valid molecule, by part of its score."""
    start = time.perf_counter()
    molecules = [m for m in map(parse, smiles) if m is not None]
    spent = {"parse": time.perf_counter() - start}
    for name, function in {
        "canonical SMILES": canonical,
        **{k: PROPERTIES[k] for k in SCORED},
    }.items():
        function(molecules[0])  # what it loads on first use
        molecules = [m for m in map(parse, smiles) if m is not None]  # RDKit caches ring info
        start = time.perf_counter()
        for molecule in molecules:
            function(molecule)
        spent[name] = time.perf_counter() - start
    return {name: 1e6 * seconds / len(molecules) for name, seconds in spent.items()}


def scoring(smiles: list[str]) -> dict[str, Any]:
    """The caches and the pool: the same samples scored once, again, and by two processes."""
    objectives = {name: PROPERTIES[name] for name in SCORED}

    def seconds(scorer: Scorer, batch: list[str]) -> float:
        start = time.perf_counter()
        scorer.score(batch)
        return time.perf_counter() - start

    alone, pool = Scorer(objectives), Scorer(objectives, n_jobs=2)
    pool.score(smiles[:64])  # the processes start here
    first = seconds(alone, smiles)
    again = seconds(alone, smiles)
    together = seconds(pool, smiles)
    pool.close()
    return {
        "molecules": len(smiles),
        "scored_per_second": len(smiles) / first,
        "from_the_cache_per_second": len(smiles) / again,
        "two_processes_speed_up": first / together,
        "repeated_canonical_share": 1
        - alone.calls / sum(v.canonical is not None for v in alone.score(smiles)),
    }


def ratio(speeds: dict[str, list[float]], name: str, by: str) -> float:
    return statistics.median(a / b for a, b in zip(speeds[name], speeds[by], strict=True))


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"SMILES per second, {conditions(report)}. Prior: {report['prior']}. Medians of "
        f"{report['repeats']} interleaved repeats; load average {report['load_average']:.1f} at "
        "the start.",
        "",
        f"| N | {' | '.join((*OURS, *BARE))} | unscored / stepper | unscored / nn.GRU "
        "| end to end / nn.GRU |",
        "| ---: |" + " ---: |" * 7,
    ]
    for n, speeds in report["all_repeats"].items():
        medians = [f"{statistics.median(speeds[name]):,.0f}" for name in (*OURS, *BARE)]
        pairs = ((OURS[1], BARE[0]), (OURS[1], BARE[1]), (OURS[0], BARE[1]))
        ratios = [f"{ratio(speeds, ours, bare):.2f}" for ours, bare in pairs]
        lines.append(f"| {n} | {' | '.join((*medians, *ratios))} |")
    parts = ", ".join(f"{name} {value:,.0f}" for name, value in report["microseconds"].items())
    pool = report["scoring"]
    lines += [
        "",
        f"RDKit, microseconds a molecule: {parts}. Scored by one process: "
        f"{pool['scored_per_second']:,.0f} a second, by two {pool['two_processes_speed_up']:.2f} "
        f"times that; from the caches {pool['from_the_cache_per_second']:,.0f} a second. Of "
        f"{pool['molecules']:,} valid or invalid samples of the prior, "
        f"{pool['repeated_canonical_share']:.1%} of the valid ones repeat another. Peak memory "
        f"after scoring them: {report['peak_memory_mb']:,.0f} MB.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=5)
    torch.manual_seed(0)
    load = os.getloadavg()[0]
    sequences = {1: 2, 128: 256} if arguments.quick else SEQUENCES
    repeats = 1 if arguments.quick else arguments.repeats
    speeds = throughput(repeats, sequences)
    smiles = samples(256 if arguments.quick else MEMORY_OF)
    sizes = gym.make(ENV_ID).unwrapped.prior.network.config
    report = circumstances(load) | {
        "repeats": repeats,
        "prior": f"{sizes.layers} x {sizes.cell.upper()} of {sizes.hidden_size}",
        "all_repeats": speeds,
        "microseconds": costs(smiles[:1000]),
        "scoring": scoring(smiles),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    write_results(arguments.out, "molecule_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
