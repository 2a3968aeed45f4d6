"""SMILES per second of the molecule environment, against the bare stepping loop; what RDKit costs.

    python benchmarks/molecule_throughput.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

- ours, end to end: ``rollout`` of MoleculeGen-v0 with its task ``sequence-tutor``: prior, tokens,
  rewards and RDKit, each molecule new to the caches. Two processes: the same with ``n_jobs=2``.
- ours, unscored: the same with a task that pays nothing, so that only the stepping differs.
- bare stepper, bare nn.GRU: a loop that samples from the same prior and does nothing else, N
  sequences at a time, each batch until its longest ends. The first steps the fast stepper that the
  environments use, the second ``nn.GRU`` itself.

All take turns within every repeat; ratios are medians of each repeat's own. Then: RDKit's cost of
each part of a score, the same by RDKit's own functions and the differences between the two, the
caches' hit rate and the worker processes' gain on the prior's own samples, and the memory of
scoring 10,000 molecules.
"""

from __future__ import annotations

import importlib
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from common import (
    circumstances,
    conditions,
    multinomial,
    parse_options,
    unpaid_task,
    write_results,
)
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen
from torch import Tensor

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.domains.molecule import smiles as smiles_module
from seqgen_envs.domains.molecule.objectives import properties
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import canonical, compound_of, parse
from seqgen_envs.domains.molecule.tasks.scoring import Scorer
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.rollout import PriorPolicy, rollout

ENV_ID = "MoleculeGen-v0"
#: Sequences of one repeat, by N.
SEQUENCES = {1: 20, 128: 2560, 256: 2560, 512: 5120}
OURS = ("ours, end to end", "ours, two processes", "ours, unscored")
BARE = ("bare stepper", "bare nn.GRU")
SCORED = ("logp", "sa", "qed", "ring_penalty")
MEMORY_OF = 10_000


def ours(n: int, task: Any) -> Callable[[int], float]:
    seed = 0

    def run(sequences: int) -> float:
        nonlocal seed
        seed += 1
        env = gym.make_vec(ENV_ID, num_envs=n, task=task).unwrapped  # its scorer knows nothing
        forget()
        env.reset()
        if isinstance(task, dict):
            env.task.scorer.score(["C" * i for i in range(1, 70)])  # the processes start here
        start = time.perf_counter()
        rollout(env.lanes, PriorPolicy(seed), sequences)
        elapsed = time.perf_counter() - start
        env.close()
        return sequences / elapsed

    return run


def forget() -> None:
    """All molecules that this process remembers."""
    for cache in (compound_of, smiles_module._first, smiles_module._live_of):
        cache.cache_clear()


def bare(prior: RecurrentPrior, n: int, horizon: int, module: bool) -> Callable[[int], float]:
    def module_step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = prior.network(tokens[:, None], state)
        return torch.log_softmax(logits[:, 0], dim=-1), state

    step = module_step if module else prior.step

    @torch.inference_mode()
    def run(sequences: int) -> float:
        start = time.perf_counter()
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
        return (sequences // n) * n / (time.perf_counter() - start)

    return run


def throughput(repeats: int, sequences: dict[int, int]) -> dict[str, dict[str, list[float]]]:
    env = gym.make(ENV_ID).unwrapped
    prior, horizon = env.prior, env.lanes.horizon
    groups = {
        n: {
            OURS[0]: ours(n, None),
            OURS[1]: ours(n, {"name": "sequence-tutor", "n_jobs": 2}),
            OURS[2]: ours(n, unpaid_task()),
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


def theirs_sa(molecule: Chem.Mol) -> float:
    """By RDKit's contributed module as it is."""
    folder = str(Path(RDConfig.RDContribDir) / "SA_Score")
    if folder not in sys.path:
        sys.path.append(folder)
    return float(importlib.import_module("sascorer").calculateScore(molecule))


#: RDKit's own, in the order of :data:`SCORED`.
THEIRS = (Crippen.MolLogP, theirs_sa, QED.qed, properties.ring_penalty)


def against_rdkit(smiles: list[str]) -> dict[str, Any]:
    """The four objectives and RDKit's own functions, by turns on parts of 100 molecules: CPU time
    of both, reading and canonical SMILES included, and the largest difference."""
    seconds, largest, n = [0.0, 0.0], 0.0, 0
    forget()
    for start in range(0, len(smiles), 100):
        part = [text for text in smiles[start : start + 100] if parse(text) is not None]
        began = time.process_time()
        molecules = [smiles_module._in_canonical_order(parse(text))[0] for text in part]
        theirs = [[f(Chem.Mol(molecule)) for f in THEIRS] for molecule in molecules]
        between = time.process_time()
        scorer = Scorer({name: PROPERTIES[name] for name in SCORED})
        found = [verdict.values for verdict in scorer.score(part)]
        if start:  # the first part loads what is loaded once
            seconds[0] += between - began
            seconds[1] += time.process_time() - between
        n += len(part)
        pairs = zip(np.ravel(theirs), np.ravel(found), strict=True)
        largest = max(largest, *(abs(a - b) for a, b in pairs))
    return {"molecules": n, "times_faster": seconds[0] / seconds[1], "largest_difference": largest}


def scoring(smiles: list[str]) -> dict[str, Any]:
    """The caches and the pool: the same samples scored once, again, and by two processes."""
    objectives = {name: PROPERTIES[name] for name in SCORED}

    def seconds(scorer: Scorer, batch: list[str]) -> float:
        start = time.perf_counter()
        scorer.score(batch)
        return time.perf_counter() - start

    alone, pool = Scorer(objectives), Scorer(objectives, n_jobs=2)
    pool.score(smiles[:64])  # the processes start here
    forget()
    first = seconds(alone, smiles)
    again = seconds(alone, smiles)
    forget()
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
        f"| N | {' | '.join((*OURS, *BARE))} | unscored / stepper | unscored / nn.GRU | "
        "end to end / nn.GRU | two processes / nn.GRU |",
        "| ---: |" + " ---: |" * 9,
    ]
    for n, speeds in report["all_repeats"].items():
        medians = [f"{statistics.median(speeds[name]):,.0f}" for name in (*OURS, *BARE)]
        ratios = (OURS[2], BARE[0]), (OURS[2], BARE[1]), (OURS[0], BARE[1]), (OURS[1], BARE[1])
        shown = [f"{ratio(speeds, name, by):.2f}" for name, by in ratios]
        lines.append(f"| {n} | {' | '.join((*medians, *shown))} |")
    parts = ", ".join(f"{name} {value:,.0f}" for name, value in report["microseconds"].items())
    pool, rdkit = report["scoring"], report["against_rdkit"]
    lines += [
        "",
        f"RDKit, microseconds a molecule: {parts}. The four objectives, reading included, are "
        f"{rdkit['times_faster']:.2f} times as fast as by RDKit's own functions; largest "
        f"difference on {rdkit['molecules']:,} molecules: {rdkit['largest_difference']:g}. Scored "
        f"by one process: "
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
        "against_rdkit": against_rdkit(smiles),
        "scoring": scoring(smiles),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    write_results(arguments.out, "molecule_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
