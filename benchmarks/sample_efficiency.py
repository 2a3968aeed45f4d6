"""AUC of the ten best molecules within a budget of oracle calls, by agent (Gao et al. 2022).

    python benchmarks/sample_efficiency.py [--tasks qed,penalized-logp] [--agents psi,g,...]
        [--seeds 3] [--budget 10000] [--jobs 2] [--quick] [--report-only] [--out FOLDER]

Every run has a budget of distinct canonical SMILES, kept by the task's own scorer; repeats and
invalid SMILES cost nothing, and when the budget is spent the training stops; so it does at 60
environment steps a call of the budget, where an agent no longer writes anything new. Ours take
their hyper-parameters from the environments' files in ``kl_agents/hyperparams``; PPO is
Stable-Baselines3's, on the whole prefix, with the environment's own reward. ``prior`` samples and
learns nothing. A finished run is not run again: results are kept in the folder, one JSON file a
run; empty it when settings have changed. ``--report-only`` makes the table of those there are.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, machine, write_results

from kl_agents.callbacks import StopWhenSpent
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.registry import get_algorithm
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.benchmark.scores import auc_top, best_so_far
from seqgen_envs.reporting.files import write_json

ENV_IDS = {"qed": "MoleculeGen-QED-v0", "penalized-logp": "MoleculeGen-PenalizedLogP-v0"}
AGENTS = ("psi", "g", "reinvent", "q", "ppo", "prior")
PPO, PPO_LANES = "ppo", 64
#: Of 64 steps in 64 lanes, 8 batches: the default of 64 a batch is for one environment.
PPO_SIZES = {"n_steps": 64, "batch_size": 512}
#: A run that samples nothing new must end too: environment steps a call of the budget, at most.
STEPS_A_CALL = 60


@dataclass(frozen=True)
class Run:
    task: str
    agent: str
    seed: int
    budget: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.agent}-seed{self.seed}-{self.budget}"


def train(run: Run) -> dict[str, Any]:
    torch.set_num_threads(1)
    began = time.perf_counter()
    steps = STEPS_A_CALL * run.budget
    task = {"name": run.task, "budget": run.budget}
    if run.agent == PPO:
        from stable_baselines3 import PPO as Algorithm

        env = make_sb3_vec_env(
            ENV_IDS[run.task], num_envs=PPO_LANES, observation="tokens", task=task
        )
        model: Any = Algorithm("MlpPolicy", env, **PPO_SIZES, seed=run.seed, device="cpu")
    else:
        settings = load_hyperparams(run.agent, ENV_IDS[run.task])
        env = make_sb3_vec_env(
            ENV_IDS[run.task], num_envs=settings.n_envs, **{**settings.env_kwargs, "task": task}
        )
        kind = get_algorithm(run.agent)
        model = kind("SequencePolicy", env, seed=run.seed, device="cpu", **settings.arguments)
    scorer = env.lanes.task.scorer
    model.learn(steps, callback=StopWhenSpent())
    values = [value for _, (value,) in scorer.history]
    best = sorted(scorer.history, key=lambda entry: -entry[1][0])[:10]
    return {
        **asdict(run),
        "auc_top10": auc_top(values, budget=run.budget),
        "top10": float(best_so_far(values, 10)[-1]) if values else 0.0,
        "calls": scorer.calls,
        "requests": scorer.requests,
        "environment_steps": model.num_timesteps,
        "best": [[text, value] for text, (value,) in best],
        "seconds": time.perf_counter() - began,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def perform(run: Run, folder: Path) -> dict[str, Any]:
    path = folder / f"{run.name}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    result = train(run)
    write_json(path, result)
    return result


def perform_all(runs: list[Run], folder: Path, jobs: int) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    results = []
    # a process a run, so that peak memory is a run's own
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
        for result in pool.map(perform, runs, [folder] * len(runs)):
            results.append(result)
            print(
                f"{result['task']} {result['agent']} seed {result['seed']}: AUC top-10 "
                f"{result['auc_top10']:.3f}, top-10 {result['top10']:.3f}, "
                f"{result['calls']} calls, {result['seconds']:.0f} s",
                flush=True,
            )
    return results


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def table(results: list[dict[str, Any]], report: dict[str, Any]) -> str:
    tasks = list(dict.fromkeys(result["task"] for result in results))
    columns = [f"{task}: {what}" for task in tasks for what in ("AUC top-10", "top-10", "calls")]
    seeds = len({result["seed"] for result in results})
    facts = report["machine"]
    lines = [
        f"AUC of the ten best within {report['budget']:,} oracle calls, mean of {seeds} seeds ± "
        f"standard deviation, {report['date']}: {facts['processor']}, {facts['cores']} cores, one "
        f"thread a run, PyTorch {facts['versions']['torch']}. Largest peak memory of a run: "
        f"{max(result['peak_memory_mb'] for result in results):,.0f} MB.",
        "",
        f"| | {' | '.join(columns)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for agent in dict.fromkeys(result["agent"] for result in results):
        cells = []
        for task in tasks:
            mine = [r for r in results if (r["agent"], r["task"]) == (agent, task)]
            for key in ("auc_top10", "top10"):
                cells.append(spread([r[key] for r in mine]) if mine else "-")
            calls = [r["calls"] for r in mine]
            cells.append(f"{statistics.mean(calls):,.0f}" if mine else "-")
        runs = {r["seed"] for r in results if r["agent"] == agent}
        label = agent if len(runs) == seeds else f"{agent} ({len(runs)} of {seeds} seeds)"
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(ENV_IDS))
    parser.add_argument("--agents", default=",".join(AGENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at a size that shows only it works")
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    seeds, budget = (1, 100) if arguments.quick else (arguments.seeds, arguments.budget)
    runs = [
        Run(task, agent, seed, budget)
        for seed in range(seeds)
        for task in arguments.tasks.split(",")
        for agent in arguments.agents.split(",")
    ]
    folder = arguments.out / "sample_efficiency"
    if arguments.report_only:
        runs = [run for run in runs if (folder / f"{run.name}.json").is_file()]
    results = perform_all(runs, folder, arguments.jobs)
    report = {"date": date.today().isoformat(), "machine": machine(), "budget": budget}
    report["runs"] = results
    write_results(arguments.out, "sample_efficiency", report, table(results, report))


if __name__ == "__main__":
    main()
