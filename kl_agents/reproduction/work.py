"""Carrying out runs, in processes or on Ray; what is done already is not done again."""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from pathlib import Path
from typing import Any

from kl_agents.reproduction.plan import Job
from kl_agents.runs.signals import end_with_parent
from seqgen_envs.cluster import Gone, results_of
from seqgen_envs.loading import trusting

RUNS = "runs"
#: Points of the curves over a training, and the episodes behind each.
CURVE_POINTS, CURVE_EPISODES = 40, 128
EVALUATION_LANES = 512
#: Sequences that the report shows of each agent.
SAMPLES = 3


def folder_of(out: Path, job: Job) -> Path:
    """Where a run is."""
    return out / RUNS / job.name


def stored_evaluation(out: Path, job: Job) -> dict[str, Any] | None:
    """The evaluation of a finished run; None: there is none yet, whole and of that size."""
    from kl_agents.runs import EVALUATION
    from seqgen_envs.evaluation import Evaluation

    path = folder_of(out, job) / EVALUATION
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    c = job.c if job.act_c is None else job.act_c
    acted = math.isnan(c) or stored.get("c") == c
    whole = {f.name for f in fields(Evaluation)} - {"examples"} <= set(stored)
    return stored if whole and acted and stored["episodes"] == job.episodes else None


def check_jobs(out: Path, jobs: Sequence[Job]) -> None:
    """Raise a ValueError if a folder holds a run of other settings, before anything is begun."""
    from kl_agents.runs import CONFIG, check_same, read_spec

    for job in jobs:
        folder = folder_of(out, job)
        if (folder / CONFIG).exists():
            with trusting(False, given=job.spec.to_dict()):
                check_same(read_spec(folder), job.spec, folder)


def run_jobs(
    out: Path,
    jobs: Sequence[Job],
    workers: int,
    command: str,
    on_done: Callable[[Job, dict[str, Any]], None],
) -> list[tuple[Job, str]]:
    """Run what is missing in ``workers`` processes, one thread each.

    Args:
        out: the reproduction's folder.
        jobs: all of them.
        workers: processes.
        command: for the runs' ``config.json``.
        on_done: told of every run as it finishes.

    Returns:
        the runs that failed, and why.
    """
    waiting = [job for job in jobs if stored_evaluation(out, job) is None]
    if not waiting:
        return []
    failed = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(waiting)), mp_context=context, initializer=_prepare_worker
    ) as pool:
        futures = {pool.submit(run_job, out, job, command): job for job in waiting}
        try:
            for future in as_completed(futures):
                job = futures[future]
                error = future.exception()
                if error is None:
                    on_done(job, future.result())
                else:
                    failed.append((job, _said(error)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def run_jobs_on_ray(
    out: Path,
    jobs: Sequence[Job],
    workers: int | None,
    command: str,
    on_done: Callable[[Job, dict[str, Any]], None],
    address: str | None = None,
) -> list[tuple[Job, str]]:
    """:func:`run_jobs` with a task of a Ray cluster for each run.

    A run whose worker or node is lost goes on elsewhere from its checkpoint, and has failed where
    that has happened too often.

    Args:
        out, jobs, command, on_done: as there; the folder is one that all nodes share.
        workers: tasks at a time; None: as many as the cluster has cores for.
        address: see :func:`~seqgen_envs.cluster.connect`.

    Raises:
        ImportError: Ray is not installed here, or this package not on a node.
        ConnectionError: its cluster does not answer.
    """
    waiting = [job for job in jobs if stored_evaluation(out, job) is None]
    if not waiting:
        return []
    tasks = [(out.resolve(), job, command) for job in waiting]
    failed = []
    for number, result in results_of(run_job_there, tasks, address=address, most=workers):
        if isinstance(result, dict):
            on_done(waiting[number], result)
        else:
            why = result.reason if isinstance(result, Gone) else result
            failed.append((waiting[number], why))
    return failed


def run_job_there(out: Path, job: Job, command: str) -> dict[str, Any] | str:
    """A task of Ray's: :func:`run_job` on one thread; what goes wrong is told."""
    import torch

    if not out.is_dir():
        return f"a node of the cluster has no folder {out}: --out must be one that all nodes share"
    torch.set_num_threads(1)
    try:
        return run_job(out, job, command)
    except Exception as error:
        return _said(error)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def run_job(out: Path, job: Job, command: str) -> dict[str, Any]:
    """Train, or go on, or neither where that is done; then evaluate. Returns the evaluation."""
    from kl_agents.runs import EVALUATION, RunOptions, run
    from seqgen_envs.reporting.files import write_json

    folder = folder_of(out, job)
    options = RunOptions(
        eval_every=max(job.spec.total_timesteps // CURVE_POINTS, 1),
        eval_episodes=min(CURVE_EPISODES, job.episodes),
        media=0,
        checkpoint_seconds=60.0,
        keep_checkpoint=False,
        command=command,
    )
    model = run(folder, job.spec, options)
    result = evaluate_run(model, job)
    write_json(folder / EVALUATION, result)
    return result


def evaluate_run(model: Any, job: Job) -> dict[str, Any]:
    """The evaluation of a run, with which run it is and a few of its sequences as text."""
    from kl_agents.runs import evaluate_agent, single_lane

    evaluation = evaluate_agent(
        model, job.spec, job.episodes, job.seed, EVALUATION_LANES, c=job.act_c
    )
    head = {"block": job.block, "agent": job.agent, "run_seed": job.seed}
    domain = single_lane(job.spec).domain
    size = domain.vocabulary.size
    samples = [domain.to_text(row[row < size]) for row in evaluation.examples[:SAMPLES]]
    return head | evaluation.to_dict() | {"samples": samples}


def _prepare_worker() -> None:
    """One thread; and no worker outlives a parent that was killed."""
    import torch

    torch.set_num_threads(1)
    end_with_parent()
