"""Carries out a suite: every (agent, task, seed) in a process of its own, here or on Ray.

What has finished in the store is not done again. A row that raises, hangs, or whose process dies is
kept as failed, with what is known of the reason, and the others go on; asked for again, failed rows
are tried again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgen_envs.benchmark.agents import Contestant
from seqgen_envs.benchmark.apart import POLL, Outcome, Working, perform_apart
from seqgen_envs.benchmark.store import FAILED, FINISHED, Row, Store
from seqgen_envs.benchmark.suites import BenchTask, Suite
from seqgen_envs.benchmark.work import Job
from seqgen_envs.cluster import Gone, results_of
from seqgen_envs.shards import Shard


@dataclass(frozen=True)
class Plan:
    """One row to be made."""

    suite: Suite
    agent: Contestant
    task: BenchTask
    seed: int
    trust: bool = False

    def row(self, status: str, **others: Any) -> Row:
        """The row, with what has become of it."""
        return Row(
            suite=self.suite.name,
            suite_fingerprint=self.suite.fingerprint,
            agent=self.agent.name,
            agent_fingerprint=self.agent.fingerprint,
            task=self.task.name,
            seed=self.seed,
            reference=self.agent.reference,
            settings=dict(self.agent.settings),
            status=status,
            **others,
        )

    def row_of(self, outcome: Outcome) -> Row:
        """The row, with what its process has left."""
        if outcome.found is None:
            return self.row(FAILED, error=outcome.error, seconds=outcome.seconds)
        found = dict(outcome.found)
        found["commit_id"] = found.pop("commit")
        return self.row(FINISHED, **found)

    @property
    def job(self) -> Job:
        """What the process is told."""
        return Job(
            self.suite.measure,
            self.task,
            self.agent.reference,
            self.seed,
            self.agent.settings,
            self.trust,
        )

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.suite.name}: {self.agent.name} on {self.task.name}, seed {self.seed}"


def plans(
    suite: Suite,
    agents: Sequence[Contestant],
    seeds: int,
    tasks: Sequence[str] | None = None,
    trust: bool = False,
    shard: Shard | None = None,
) -> list[Plan]:
    """Every row: seed by seed, so that the first seeds are complete early.

    Args:
        suite, agents, seeds: what is measured, of whom, how often.
        tasks: those of the suite; None: all.
        trust: whether code that the agents' files name may be run.
        shard: only this part of the rows.

    Raises:
        ValueError: a task is not of the suite, or two agents have one name.
    """
    chosen = list(suite.tasks) if tasks is None else list(tasks)
    if unknown := [name for name in chosen if name not in suite.tasks]:
        raise ValueError(
            f"suite {suite.name!r} has no task {unknown[0]!r}; it has {', '.join(suite.tasks)}"
        )
    names = [agent.name for agent in agents]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two agents are called {sorted(twice)[0]!r}: give one another file name")
    rows = [
        Plan(suite, agent, suite.tasks[task], seed, trust)
        for seed in range(seeds)
        for task in chosen
        for agent in agents
    ]
    if shard is None:
        return rows
    return shard.of(rows, lambda plan: (plan.agent.name, plan.task.name, plan.seed))


def missing(store: Store, wanted: Sequence[Plan]) -> list[Plan]:
    """What has not finished yet."""
    known = store.keys()
    return [plan for plan in wanted if known.get(plan.row("").key) != FINISHED]


def carry_out(
    store: Store,
    wanted: Sequence[Plan],
    *,
    jobs: int = 1,
    timeout: float | None = None,
    on_row: Callable[[Row], object] | None = None,
) -> None:
    """Make the rows that are missing.

    Args:
        store: where they are kept.
        wanted: rows; those that have finished are left alone.
        jobs: processes at a time.
        timeout: seconds a row may take before it counts as hung; None: for ever.
        on_row: told of each row when it is kept.
    """
    waiting = iter(missing(store, wanted))
    working: list[tuple[Plan, Working]] = []
    with tempfile.TemporaryDirectory(prefix="seqgen-bench-") as folder:
        try:
            while _fill(working, waiting, jobs, Path(folder), timeout) or working:
                time.sleep(POLL)
                for one in [one for one in working if one[1].is_over]:
                    working.remove(one)
                    plan, process = one
                    _keep(store, plan.row_of(process.outcome()), on_row)
        finally:
            for _, process in working:
                process.kill()


def carry_out_on_ray(
    store: Store,
    wanted: Sequence[Plan],
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    on_row: Callable[[Row], object] | None = None,
    address: str | None = None,
) -> None:
    """:func:`carry_out` with a task of a Ray cluster for each row, in a process of its own there.

    The store is written here alone. A row whose worker or node is lost is made again, and failed
    where that has happened too often.

    Args:
        store, wanted, timeout, on_row: as there.
        jobs: tasks at a time; None: as many as the cluster has cores for.
        address: see :func:`~seqgen_envs.cluster.connect`.

    Raises:
        ImportError: Ray is not installed here, or this package not on a node.
        ConnectionError: its cluster does not answer.
    """
    plans = missing(store, wanted)
    if not plans:
        return
    tasks = [(plan.job.to_json(), timeout) for plan in plans]
    for number, outcome in results_of(perform_apart, tasks, address=address, most=jobs):
        if isinstance(outcome, Gone):
            outcome = Outcome(None, outcome.reason, 0.0)
        _keep(store, plans[number].row_of(outcome), on_row)


def _keep(store: Store, row: Row, on_row: Callable[[Row], object] | None) -> None:
    store.add(row)
    if on_row is not None:
        on_row(row)


def _fill(
    working: list[tuple[Plan, Working]],
    waiting: Iterator[Plan],
    jobs: int,
    folder: Path,
    timeout: float | None,
) -> bool:
    """Start as many as may run; whether any was started."""
    started = False
    while len(working) < jobs:
        plan = next(waiting, None)
        if plan is None:
            break
        working.append((plan, Working.on(plan.job, folder, timeout)))
        started = True
    return started
