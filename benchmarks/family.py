"""Where each method of KL-control ends: KL(q || q*) in nats against the exact optimum.

    python benchmarks/family.py [--part toy] [--seeds 3] [--only PATTERN] [--work FOLDER]

Parts: ``toy`` (ToyGen-v0, c 0.5; KL by enumeration) and ``melody`` (MelodyGen-Bigram-v0, 32 steps,
c 1; log Z by merged states, KL = log Z - J of 4,000 episodes). ``on``: the agent collects, equal
steps for all. ``off``: its replay is filled once by another policy (toy: uniform tokens; melody:
the optimum at c = 2) and nothing is collected. Rows are kept in --work as they come; the same
command goes on, and writes the table and the plot of what there is.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, circumstances, conditions, write_results
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.collection import Collected, Recorder
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.registry import get_algorithm
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.evaluation import evaluate
from seqgen_envs.exact import PrefixTree, exact_graph
from seqgen_envs.graph import GraphPolicy, StateGraph
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import play, sample_rows

ON_POLICY = {
    "replay_ratio": 1, "replay_sampling": "latest", "replay_unique": False,
    "episodes_per_round": 16, "batch_episodes": 16,
}  # fmt: skip
#: What holds off policy may explore: else sequences of 1 in 10,000 under q* are not met again.
EXPLORING = {"explore": "uniform", "epsilon": {"start": 1.0, "end": 0.1, "fraction": 0.5}}
#: One residual a sequence and not one a step: trajectory balance takes more updates at a high rate.
SLOWER = {"learning_rate": {"start": 1e-2, "end": 3e-5}}
NETWORK = {
    "init": "random", "scale": 5.0,
    "architecture": {"cell": "gru", "embedding_size": 16, "hidden_size": 64},
}  # fmt: skip
FALLING = {"start": 1e-2, "end": 3e-5, "shape": "exponential"}
LOOKS = 20
EPISODES = 4000


@dataclass(frozen=True)
class Method:
    """A row: an algorithm and what it changes.

    Args:
        name: in tables.
        algorithm: its name in the registry.
        settings: over those of the part.
        modes: of ``"on"`` and ``"off"``.
    """

    name: str
    algorithm: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    modes: tuple[str, ...] = ("on", "off")


def gradient(name: str, algorithm: str = "rloo", **settings: Any) -> Method:
    """A policy gradient."""
    return Method(name, algorithm, {**ON_POLICY, **SLOWER, **settings})


METHODS = (
    Method("psi", "psi", EXPLORING),
    Method("g", "g", EXPLORING),
    Method("tb, log Z learned", "tb", {**EXPLORING, **SLOWER}),
    Method("tb, log Z batch mean", "tb", {**EXPLORING, **SLOWER, "log_z": "batch"}),
    gradient("rloo (k1 in the reward)"),
    gradient("k1 in the loss", kl="loss", estimator="k1"),
    gradient("k2 in the loss", kl="loss", estimator="k2"),
    gradient("k3 in the loss", kl="loss", estimator="k3"),
    gradient("grpo, beta 0.04", "grpo"),
    gradient("grpo, beta 1", "grpo", beta=1.0),
    Method("reinvent", "reinvent", {"replay_capacity": 64, "replay_unique": False}),
    Method("q", "q", {"explore": "prior", "epsilon": {"start": 1.0, "end": 0.1}}, ("on",)),
    Method("prior", "prior", {}, ("on",)),
)


@dataclass(frozen=True)
class Part:
    """An environment and how its agents learn.

    Args:
        env_id: of it.
        steps: environment steps on policy.
        fill: episodes of the replay off policy.
        updates: off policy; about those of psi on policy.
        settings: of every method.
    """

    env_id: str
    steps: int
    fill: int
    updates: int
    settings: Mapping[str, Any]


TOY = {
    "c": 0.5, "learning_rate": FALLING, "batch_episodes": 64, "replay_ratio": 8,
    "n_envs": 32, "policy_kwargs": NETWORK,
}  # fmt: skip
PARTS = {
    "toy": Part("ToyGen-v0", 100_000, 10_000, 2000, TOY),
    "melody": Part("MelodyGen-Bigram-v0", 1_000_000, 20_000, 4000, {}),
}


@cache
def graph_of(env_id: str) -> tuple[StateGraph, Lanes]:
    """The states of an environment, and lanes to evaluate in."""
    lanes = Lanes(256, make_sb3_vec_env(env_id, 1).lanes.settings)
    small = env_id == PARTS["toy"].env_id
    return (PrefixTree.build if small else exact_graph)(lanes.settings), lanes


def distance(agent: SequenceAlgorithm, env_id: str, c: float, seed: int = 0) -> float:
    """KL(q || q*) at c."""
    graph, lanes = graph_of(env_id)
    policy = agent.policy
    policy.c = c
    if isinstance(graph, PrefixTree):
        shown = graph.policy_of(lambda seen: policy.distribution(seen, primed=False)[0])
        return graph.kl(shown, c)
    lanes.c = c
    found = evaluate(policy, lanes, EPISODES, seed)
    assert found.objective_sampled is not None
    return graph.log_z(c) - found.objective_sampled


def make(part: Part, method: Method, seed: int) -> SequenceAlgorithm:
    """The agent, with the settings of the part and of the method."""
    kind = get_algorithm(method.algorithm)
    shared = dict(load_hyperparams(method.algorithm, part.env_id).arguments) | {"n_envs": 128}
    wanted = {**shared, **part.settings, **method.settings}
    known = {*kind.settings_class.__dataclass_fields__, "n_envs", "policy_kwargs"}
    chosen = {name: value for name, value in wanted.items() if name in known}
    env = make_sb3_vec_env(part.env_id, chosen.pop("n_envs"))
    return kind("SequencePolicy", env, seed=seed, device="cpu", **chosen)


class Looks(BaseCallback):
    """KL(q || q*) as the training goes on."""

    def __init__(self, part: Part, c: float, curve: list[list[float]]) -> None:
        super().__init__()
        self.part, self.c, self.curve = part, c, curve

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        done = self.model.num_timesteps
        if done >= self.part.steps * (len(self.curve) + 1) / LOOKS:
            now = self.model.policy.c  # type: ignore[union-attr]
            kl = distance(self.model, self.part.env_id, self.c)  # type: ignore[arg-type]
            self.model.policy.c = now  # type: ignore[union-attr]
            self.curve.append([float(done), kl])


def on_policy(part: Part, agent: SequenceAlgorithm, c: float) -> list[list[float]]:
    """Collect and learn."""
    curve: list[list[float]] = []
    agent.learn(part.steps, callback=Looks(part, c, curve))
    return curve


def off_policy(part: Part, agent: SequenceAlgorithm, c: float, seed: int) -> list[list[float]]:
    """Learn from what another policy has collected, and nothing else."""
    agent.set_logger(configure(None, []))
    assert agent.replay is not None
    agent.replay.add(filled(part, agent, seed).episodes)
    curve = []
    for look in range(LOOKS):
        agent._update_current_progress_remaining(look, LOOKS)
        agent.policy.c = agent.c_schedule(agent._current_progress_remaining)
        while agent._n_updates < (look + 1) * part.updates // LOOKS:
            agent._training_debt = 1.0
            agent.train()
        curve.append([float(agent._n_updates), distance(agent, part.env_id, c)])
    return curve


def filled(part: Part, agent: SequenceAlgorithm, seed: int) -> Collected:
    """Episodes of a policy that is not the agent's."""
    graph, lanes = graph_of(part.env_id)
    assert agent.collector is not None
    source, rng = agent.collector.source, np.random.default_rng([seed, 7])
    uniform = np.where(graph.allowed, 0.0, -1e9)
    other = uniform if isinstance(graph, PrefixTree) else graph.optimal_policy(2.0)
    policy = GraphPolicy(graph, other - np.logaddexp.reduce(other, axis=1, keepdims=True))
    state: Any = None
    shown: Any = None

    def act(first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal state, shown
        shown, state = policy.distribution({"tokens": source.tokens}, state, first)
        return sample_rows(shown, rng), shown

    size, terms = agent.policy.vocabulary_size, len(lanes.task.terms)
    record = Recorder(part.fill, source.horizon, size, terms, agent.collector.whole)
    for moment in play(source, act, part.fill):
        record.note(moment, shown)
    return Collected(record.batch(), 0.0, 0.0, 0, record.terms)


def measure(part: Part, method: Method, mode: str, seed: int) -> dict[str, Any]:
    """One cell of the table."""
    kept = {} if mode == "on" else {"replay_capacity": part.fill, "replay_sampling": "uniform"}
    agent = make(part, replace(method, settings={**method.settings, **kept}), seed)
    c, began = float(agent.c_schedule(0.0)), time.process_time()
    run: Callable[..., list[list[float]]] = on_policy if mode == "on" else off_policy
    curve = run(part, agent, c) if mode == "on" else run(part, agent, c, seed)
    return {
        "method": method.name,
        "mode": mode,
        "seed": seed,
        "kl": distance(agent, part.env_id, c, 1000 + seed),
        "curve": curve,
        "updates": agent._n_updates,
        "steps": agent.num_timesteps,
        "cpu_seconds": time.process_time() - began,
    }


def best_of_n(part: Part, n: int) -> dict[str, Any]:
    """KL(q_n || q*) of the best of n, by enumeration; ties are drawn evenly."""
    graph, _ = graph_of(part.env_id)
    assert isinstance(graph, PrefixTree)
    found, c = graph.sequences, part.settings["c"]
    p = np.exp(found.log_prior)
    _, which = np.unique(np.round(found.task_return, 9), return_inverse=True)
    mass = np.bincount(which, p)
    at_most = np.minimum(np.cumsum(mass), 1.0)
    best = np.maximum(at_most**n - np.concatenate([[0.0], at_most[:-1]]) ** n, 1e-300)
    log_q = found.log_prior + np.log(best / mass)[which]
    kl = float((np.exp(log_q) * (log_q - found.log_optimal(c))).sum())
    to_prior = float((np.exp(log_q) * (log_q - found.log_prior)).sum())
    at_most_kl = np.log(n) - (n - 1) / n
    return {"n": n, "kl": kl, "kl_to_prior": to_prior, "kl_to_prior_at_most": float(at_most_kl)}


def cell(folder: Path, name: str, part: Part, method: Method, mode: str, seed: int) -> None:
    """Measure a cell, unless it has been."""
    label = "".join(x if x.isalnum() else "-" for x in method.name)
    path = folder / f"{name}.{label}.{mode}.{seed}.json"
    if not path.exists():
        found = {"part": name, **measure(part, method, mode, seed)}
        path.write_text(json.dumps(found), encoding="utf-8")
        print(f"{path.stem}: KL {found['kl']:.5f}, {found['updates']} updates, "
              f"{found['cpu_seconds']:.0f} s", flush=True)  # fmt: skip


def table(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """Methods by mode: the mean over seeds, and the worst."""
    lines = ["| method | on policy | off policy |", "| --- | --- | --- |"]
    for method in METHODS:
        cells = []
        for mode in ("on", "off"):
            found = [
                r["kl"] for r in rows
                if (r["part"], r["method"], r["mode"]) == (name, method.name, mode)
            ]  # fmt: skip
            several = f" ({min(found):.4f} to {max(found):.4f})" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.4f}{several}" if found else "-")
        if set(cells) != {"-"}:
            lines.append(f"| {method.name} | {cells[0]} | {cells[1]} |")
    return lines


def plot(path: Path, rows: list[dict[str, Any]]) -> None:
    """KL against steps and against updates, a line a method, the mean over seeds."""
    from matplotlib.figure import Figure

    names = [n for n in PARTS if any(r["part"] == n for r in rows)]
    figure = Figure(figsize=(12, 4.5 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for axis, mode in zip(row, ("on", "off"), strict=True):
            for index, method in enumerate(METHODS):
                mine = [
                    r["curve"] for r in rows
                    if (r["part"], r["method"], r["mode"]) == (name, method.name, mode)
                ]  # fmt: skip
                length = min(map(len, mine), default=0)
                if length:
                    points = np.mean([curve[:length] for curve in mine], axis=0)
                    style = "-" if index < 10 else "--"
                    axis.plot(*points.T, style, color=f"C{index % 10}", label=method.name)
            axis.set(yscale="log", ylabel="KL(q || q*), nats",
                     xlabel="environment steps" if mode == "on" else "updates",
                     title=f"{PARTS[name].env_id}, {mode} policy")  # fmt: skip
            axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def report(options: argparse.Namespace, load: float) -> None:
    """The table, the plot and all rows."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(options.work.glob("*.json"))]
    facts = {**circumstances(load), "command": "python benchmarks/family.py"}
    bests = [best_of_n(PARTS["toy"], n) for n in (4, 16, 64, 256)]
    lines = ["KL(q || q*) in nats: mean (range over seeds). " + conditions(facts), ""]
    for name, part in PARTS.items():
        mine = [r for r in rows if r["part"] == name]
        if mine:
            steps = f"{part.steps:,} steps on policy, {part.updates:,} updates off policy"
            lines += [f"**{part.env_id}**, {steps}, seeds {sorted({r['seed'] for r in mine})}", ""]
            lines += [*table(name, rows), ""]
    lines += ["Best of n on ToyGen-v0 (exact):", "", "| n | KL(q || q*) | KL(q || p) | its bound |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    lines += [
        f"| {b['n']} | {b['kl']:.3f} | {b['kl_to_prior']:.3f} | {b['kl_to_prior_at_most']:.3f} |"
        for b in bests
    ]
    lines = [
        line.replace("(q || ", "(q \\|\\| ") if line.startswith("|") else line for line in lines
    ]
    write_results(
        RESULTS, "family", {**facts, "rows": rows, "best_of_n": bests}, "\n".join(lines) + "\n"
    )
    plot(RESULTS / "family.png", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=list(PARTS), action="append", help="default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="*", help="methods, as a shell pattern")
    parser.add_argument("--mode", choices=("on", "off"), action="append", help="default: both")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/family"), help="rows, one file each"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.part or PARTS:
        for seed in range(options.seeds):
            for method in METHODS:
                if fnmatch.fnmatch(method.name, options.only):
                    for mode in method.modes:
                        if mode in (options.mode or ("on", "off")):
                            cell(options.work, name, PARTS[name], method, mode, seed)
    report(options, load)


if __name__ == "__main__":
    main()
