"""A row of a benchmark in a process of its own, and what becomes of that process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seqgen_envs.benchmark.work import Job

#: Characters kept of what a failed process said last.
LAST_WORDS = 8000
#: Exit code of a Python process whose exception nobody caught: what it said names the reason.
RAISED = 1
POLL = 0.05
#: Of prctl(2): send me this signal when my parent ends. Looked up here, since little may be done
#: between fork and exec.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Outcome(NamedTuple):
    """What a process has left: what :func:`~.work.perform` returned, or None and why not."""

    found: dict[str, Any] | None
    error: str
    seconds: float


@dataclass
class Working:
    """A process that makes a row.

    Args:
        process: it.
        result, errors: files that it writes.
        began: on the monotonic clock.
        timeout: seconds it may take, or None.
    """

    process: subprocess.Popen[bytes]
    result: Path
    errors: Path
    began: float
    timeout: float | None

    @classmethod
    def on(cls, job: Job, folder: Path, timeout: float | None) -> Working:
        """A process that begins to work on a job, with files in a folder."""
        stem = f"{time.monotonic_ns()}"
        task, result, errors = (folder / f"{stem}.{end}" for end in ("job", "json", "err"))
        task.write_text(job.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "seqgen_envs.benchmark.work", str(task), str(result)]
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
        return cls(process, result, errors, time.monotonic(), timeout)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or has had its time."""
        if self.process.poll() is not None:
            return True
        return self.timeout is not None and time.monotonic() - self.began > self.timeout

    def outcome(self) -> Outcome:
        """What it has left; it is ended."""
        hung = self.process.poll() is None
        self.kill()
        seconds = time.monotonic() - self.began
        if self.result.is_file():
            return Outcome(json.loads(self.result.read_text(encoding="utf-8")), "", seconds)
        said = self.errors.read_text(encoding="utf-8", errors="replace").strip()[-LAST_WORDS:]
        code = self.process.returncode
        why = f"it took longer than {self.timeout:g} seconds" if hung else _why(code)
        if self.process.returncode != RAISED or hung or not said:
            said = f"{said}\n{why}".strip()
        return Outcome(None, said, seconds)

    def kill(self) -> None:
        """End it and what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def perform_apart(job: str, timeout: float | None) -> Outcome:
    """A task of Ray's: a row in a process of its own, waited for.

    Args:
        job: as :meth:`~.work.Job.to_json` wrote it.
        timeout: seconds it may take, or None.
    """
    with tempfile.TemporaryDirectory(prefix="seqgen-bench-") as folder:
        working = Working.on(Job.from_json(job), Path(folder), timeout)
        try:
            while not working.is_over:
                time.sleep(POLL)
            return working.outcome()
        finally:
            working.kill()


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent, whatever ends that: SIGKILL, too."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _why(code: int) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
