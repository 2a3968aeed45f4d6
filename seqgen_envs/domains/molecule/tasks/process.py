"""One process for objectives: how it is started, fed, heard and ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NamedTuple

from seqgen_envs.domains.molecule.tasks.serving import kill_group, serve
from seqgen_envs.rules import RuleError

#: Seconds that a process may take to begin: it imports what the objectives need.
START = 300.0
#: Exit status of a process that was started by the import of a script without its main guard.
_NO_GUARD = 86


class Lost(NamedTuple):
    """A part that got no answer, and why."""

    reason: str


@dataclass(eq=False)
class Worker:
    """A process and what it is doing."""

    process: Any
    connection: Connection
    ready: bool = False
    gone: bool = False
    part: int | None = None
    deadline: float = field(default_factory=lambda: time.monotonic() + START)

    @classmethod
    def started(cls, begin: bytes) -> Worker:
        """A process that begins to import what it needs.

        Raises:
            RuleError: this process may not start any.
        """
        process = multiprocessing.current_process()
        if getattr(process, "_inheriting", False):  # we are the import of a script's main module
            os._exit(_NO_GUARD)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        started = context.Process(target=serve, args=(theirs,), name="oracle", daemon=False)
        try:
            with contextlib.nullcontext() if b"__main__" in begin else no_script():
                started.start()
            theirs.close()
            ours.send_bytes(begin)
        except AssertionError as error:  # daemonic processes may not have children
            raise RuleError(f"n_jobs and timeout need processes of their own: {error}") from error
        except OSError:  # it has died already: its sentinel says so
            pass
        return cls(started, ours)

    def give(self, part: int, parts: Sequence[Any], timeout: float | None) -> None:
        """Send a part; where the process has died the next look at it finds out."""
        self.part = part
        self.deadline = float("inf") if timeout is None else time.monotonic() + timeout
        with contextlib.suppress(OSError):
            self.connection.send(parts[part])

    def hear(self) -> Any:
        """Its answer to its part; None where it has said nothing, or that it is ready.

        Raises:
            RuleError: it says that something is wrong which is no molecule's fault.
        """
        try:
            if not self.connection.poll():
                self.gone = not self.process.is_alive()
                return None
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            self.gone = True
            return None
        if kind == "fault":
            raise RuleError(content)
        self.deadline = float("inf")
        if kind == "ready":
            self.ready = True
            return None
        self.part = None
        return content

    def lost(self, timeout: float | None) -> Lost:
        """End it, which has died or is late.

        Raises:
            RuleError: it had not even begun.
        """
        if self.gone:
            self.process.join(1)  # for its status: its pipe is closed a little earlier
        died = self.gone
        self.end()
        status = self.process.exitcode
        if not self.ready:
            raise RuleError(_why_not(status) if died else f"no process began within {START:g} s")
        if not died:
            return Lost(f"no answer within timeout={timeout:g} s: its process was killed")
        return Lost(f"the process that scored it ended ({_meaning(status)})")

    def end(self) -> None:
        """Kill it and what it has started."""
        kill_group(self.process.pid)
        self.process.kill()
        self.process.join()
        self.connection.close()


def _why_not(status: int | None) -> str:
    if status == _NO_GUARD:
        return (
            "n_jobs and timeout start processes that import your script anew: put what it does "
            "under if __name__ == '__main__':"
        )
    return (
        f"a process for the objectives ended before it began ({_meaning(status)}): they, or your "
        "script where it does its work without if __name__ == '__main__':, cannot be imported there"
    )


def _meaning(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"


@contextlib.contextmanager
def no_script() -> Iterator[None]:
    """A process that is started meanwhile does not import the user's script, which then needs no
    ``if __name__ == "__main__"``: :mod:`multiprocessing` sends it where the main module says.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
