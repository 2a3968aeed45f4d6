"""Carries out a suite: every (agent, task, seed) in a process of its own, so many at a time.

What has finished in the store is not done again. A row that raises, hangs, or whose process dies is
kept as failed, with what is known of the reason, and the others go on; asked for again, failed rows
are tried again.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgen_envs.benchmark.agents import Contestant
from seqgen_envs.benchmark.store import FAILED, FINISHED, Row, Store
from seqgen_envs.benchmark.suites import BenchTask, Suite
from seqgen_envs.benchmark.work import Job

#: Characters kept of what a failed process said last.
LAST_WORDS = 8000
_POLL = 0.05
#: Of prctl(2): send me this signal when my parent ends. Looked up here, since little may be done
#: between fork and exec.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


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
) -> list[Plan]:
    """Every row: seed by seed, so that the first seeds are complete early.

    ``trust``: whether code that the agents' files name may be run.

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
    return [
        Plan(suite, agent, suite.tasks[task], seed, trust)
        for seed in range(seeds)
        for task in chosen
        for agent in agents
    ]


def missing(store: Store, wanted: Sequence[Plan]) -> list[Plan]:
    """What has not finished yet."""
    known = store.keys()
    return [plan for plan in wanted if known.get(plan.row("").key) != FINISHED]


@dataclass
class _Working:
    """A process that makes a row."""

    plan: Plan
    process: subprocess.Popen[bytes]
    result: Path
    errors: Path
    began: float


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
    working: list[_Working] = []
    with tempfile.TemporaryDirectory(prefix="seqgen-bench-") as folder:
        try:
            while _fill(working, waiting, jobs, Path(folder)) or working:
                time.sleep(_POLL)
                for one in [w for w in working if _is_over(w, timeout)]:
                    working.remove(one)
                    row = _row_of(one, timeout)
                    store.add(row)
                    if on_row is not None:
                        on_row(row)
        finally:
            for one in working:
                _kill(one.process)


def _fill(working: list[_Working], waiting: Iterator[Plan], jobs: int, folder: Path) -> bool:
    """Start as many as may run; whether any was started."""
    started = False
    while len(working) < jobs:
        plan = next(waiting, None)
        if plan is None:
            break
        working.append(_start(plan, folder))
        started = True
    return started


def _start(plan: Plan, folder: Path) -> _Working:
    stem = f"{time.monotonic_ns()}"
    job, result, errors = (folder / f"{stem}.{end}" for end in ("job", "json", "err"))
    job.write_text(plan.job.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "seqgen_envs.benchmark.work", str(job), str(result)]
    # a group of its own, so that what an agent starts ends with it; fixed hashes: rows repeat
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    with open(errors, "wb") as written:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=written,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            env=environment,
        )
    return _Working(plan, process, result, errors, time.monotonic())


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent, whatever ends that: SIGKILL, too."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_over(one: _Working, timeout: float | None) -> bool:
    if one.process.poll() is not None:
        return True
    return timeout is not None and time.monotonic() - one.began > timeout


def _row_of(one: _Working, timeout: float | None) -> Row:
    hung = one.process.poll() is None
    _kill(one.process)
    if one.result.is_file():
        found = json.loads(one.result.read_text(encoding="utf-8"))
        found["commit_id"] = found.pop("commit")
        return one.plan.row(FINISHED, **found)
    said = one.errors.read_text(encoding="utf-8", errors="replace").strip()[-LAST_WORDS:]
    code = one.process.returncode
    why = f"it took longer than {timeout:g} seconds" if hung else _why(code)
    return one.plan.row(
        FAILED, error=f"{said}\n{why}".strip(), seconds=time.monotonic() - one.began
    )


def _why(code: int) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
