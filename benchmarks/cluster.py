"""Oracles on a Ray cluster of two nodes, both on this machine: what slots bring, what losses cost.

    python benchmarks/cluster.py [--threads 1] [--repeats 5] [--quick] [--out FOLDER]

- slots: a round of 64 molecules scored by an oracle that waits 100 ms for each, in 4 slots and in
  1: on nodes of 3 and 1 cores a task that takes 3 of them has one place.
- rollout: the same from the prior's first token on, where scoring begins while others are written.
- cheap: an oracle that costs nothing, beside processes of one machine: what Ray takes for itself.
- a lost node: a third node is killed in the middle of a round; what became of its molecules.

That a sweep whose driver and workers are killed ends with the table of one that was left alone is a
test: `pytest -m slow tests/seqgen_envs/benchmark/test_cluster_sweeps.py`.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from common import circumstances, conditions, parse_options, write_results

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.rollout import PriorPolicy, rollout

ENV_ID = "MoleculeGen-QED-v0"
LANES = 64
MILLISECONDS = 100
#: Cores of the nodes, and what a task takes of them where there are so many slots.
NODES = (3, 1)
CPUS = {4: 1, 1: 3}
ORACLE = """
import time

def waiting(smiles):
    for text in smiles:
        with open({log!r}, "a") as log:
            print(text, file=log, flush=True)
        time.sleep({seconds})
    return [float(len(text)) for text in smiles]

def cheap(smiles):
    return [float(len(text)) for text in smiles]
"""


@contextmanager
def two_nodes() -> Iterator[Any]:
    """The cluster, joined."""
    import ray
    from ray.cluster_utils import Cluster

    noticed = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    head = {"num_cpus": NODES[0], "include_dashboard": False, "_system_config": noticed}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=NODES[1])
    try:
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def molecules() -> Iterator[list[str]]:
    """Rounds of molecules that no other round has."""
    for first in itertools.count(1):
        yield [f"{'C' * n}O{'C' * first}S" for n in range(1, LANES + 1)]


def make(folder: Path, oracle: str, **options: Any) -> Any:
    """An environment whose oracle has started in all its slots."""
    task = {"name": f"custom:{folder}/oracle.py:{oracle}", **options}
    env = gym.make_vec(ENV_ID, num_envs=LANES, task=task).unwrapped
    env.reset()
    for k in range(2):  # by the second all slots have begun, and the size of tasks is known
        env.task.scorer.score([f"{'C' * n}{'NO'[k]}" for n in range(1, LANES + 1)])
    return env


def slots(folder: Path, repeats: int) -> dict[str, Any]:
    """Molecules a second, by way and number of slots.

    One number after the other: where tasks of two sizes take turns Ray replaces idle workers.
    """
    speeds: dict[str, Any] = {way: {n: [] for n in CPUS} for way in ("round", "rollout")}
    rounds = molecules()
    for n, cpus in CPUS.items():
        env = make(folder, "waiting", n_jobs="ray", num_cpus=cpus)
        for repeat in range(repeats):
            smiles, began = next(rounds), time.perf_counter()
            env.task.scorer.score(smiles)
            speeds["round"][n].append(len(smiles) / (time.perf_counter() - began))
            before, began = env.task.scorer.calls, time.perf_counter()
            rollout(env.lanes, PriorPolicy(repeat), LANES)
            scored = env.task.scorer.calls - before
            speeds["rollout"][n].append(scored / (time.perf_counter() - began))
        env.close()
    return speeds


def cheap(folder: Path, repeats: int) -> dict[str, float]:
    """Milliseconds a round of an oracle that costs nothing."""
    found, rounds = {}, molecules()
    for n_jobs in (2, "ray"):
        env = make(folder, "cheap", n_jobs=n_jobs)
        spent = []
        for _ in range(10 * repeats):
            smiles, began = next(rounds), time.perf_counter()
            env.task.scorer.score(smiles)
            spent.append(time.perf_counter() - began)
        found[str(n_jobs)] = 1000 * statistics.median(spent)
        env.close()
    return found


def lost_node(folder: Path, cluster: Any, repeats: int) -> list[dict[str, Any]]:
    """What became of rounds in the middle of which a node was killed."""
    found, rounds = [], molecules()
    env = make(folder, "waiting", n_jobs="ray")
    scorer, log = env.task.scorer, folder / "log"
    for _ in range(repeats):
        node = cluster.add_node(num_cpus=2)
        scorer.score([f"{text}I" for text in next(rounds)])  # it has begun there, too
        smiles, before = next(rounds), scorer.calls
        log.write_text("")
        killing = threading.Thread(target=_kill, args=(cluster, node, log))
        killing.start()
        began = time.perf_counter()
        verdicts = scorer.score(smiles)
        seconds = time.perf_counter() - began
        killing.join()
        right = sum(v.values[0] == len(str(v.canonical)) for v in verdicts)
        begun = len(log.read_text().split())
        found.append(
            {
                "asked": len(smiles), "scored": right, "calls": scorer.calls - before,
                "begun": begun, "seconds": seconds,
            }
        )  # fmt: skip
    env.close()
    return found


def _kill(cluster: Any, node: Any, log: Path) -> None:
    """A node, when a third of the round has begun."""
    while len(log.read_text().split()) < LANES // 3:
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)


def measure(repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = ORACLE.format(log=str(folder / "log"), seconds=MILLISECONDS / 1000)
        (folder / "oracle.py").write_text(source)
        with two_nodes() as cluster:
            return {
                "speeds": slots(folder, repeats),
                "cheap": cheap(folder, repeats),
                "lost": lost_node(folder, cluster, repeats),
            }


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Oracle of {MILLISECONDS} ms, {LANES} lanes, two nodes of {NODES[0]} and {NODES[1]} cores "
        f"on one machine, median of {report['repeats']}; load average "
        f"{report['load_average']:.1f} at the start. {conditions(report)}.",
        "",
        "| | slots | molecules/s | times 1 slot |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way, by_slots in report["speeds"].items():
        for n in sorted(by_slots):
            pairs = zip(by_slots[n], by_slots[1], strict=True)
            gain = statistics.median(a / b for a, b in pairs)
            lines.append(f"| {way} | {n} | {statistics.median(by_slots[n]):.1f} | {gain:.2f} |")
    local, there = report["cheap"]["2"], report["cheap"]["ray"]
    lines += [
        "",
        f"An oracle that costs nothing: {there:.1f} ms a round of {LANES}; {local:.1f} ms with two "
        "processes of this machine.",
        "",
        "| a node killed in a round | asked | scored | in the accounts | begun | seconds |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number, one in enumerate(report["lost"], 1):
        cells = [one[name] for name in ("asked", "scored", "calls", "begun")]
        lines.append(f"| {number} | {' | '.join(map(str, cells))} | {one['seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=5)
    torch.manual_seed(0)
    load = os.getloadavg()[0]
    repeats = 1 if arguments.quick else arguments.repeats
    report = circumstances(load) | {"repeats": repeats, **measure(repeats)}
    write_results(arguments.out, "cluster", report, to_markdown(report))


if __name__ == "__main__":
    main()
