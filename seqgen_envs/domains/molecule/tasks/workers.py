"""Processes of their own for objectives: one that dies or hangs takes one molecule with it.

A process is started with spawn (a fork of one that already runs torch's threads can hang), reads
the objectives from its pipe and then scores what it is sent (:mod:`~.serving`). It leads a process
group, which is killed as a whole: programs that an oracle has started end with it. It ends when its
parent does. The user's script is imported there only where the objectives are defined in it.

``concurrent.futures`` cannot kill one task and breaks as a whole where a process dies; Pebble can,
but waits for ever where a process ends with status 0 and starts anew without end one that cannot
begin (a script without its main guard).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
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


class Workers:
    """Processes that apply one function to parts of a batch.

    Args:
        n: processes at most; they are started when needed.
        function: called as ``function(objectives, part)`` in a process; a module's.
        objectives: what it is given; picklable. What has a method ``prepare`` is prepared.
        timeout: seconds an answer may take, or None.
    """

    def __init__(
        self, n: int, function: Callable[[Any, Any], Any], objectives: Any, timeout: float | None
    ) -> None:
        self.n, self.timeout = n, timeout
        try:
            self._begin = pickle.dumps((function, objectives))
        except Exception as error:  # what cannot be pickled raises one of many kinds
            raise RuleError(
                f"processes of their own (n_jobs, timeout) cannot be given the objectives, which "
                f"cannot be pickled ({error}): define them at the top of a module, or use n_jobs=0"
            ) from error
        self._workers: list[_Worker] = []
        # at the latest when Python ends, and when nobody has the pool any more
        self._pid = os.getpid()
        self._end = weakref.finalize(self, _end_all, self._workers, self._pid)

    def run(self, parts: Sequence[Any], hopeless: int) -> list[Any]:
        """The answer to each part, or :class:`Lost`.

        Args:
            parts: picklable.
            hopeless: give up where so many parts are lost and none has been answered; the rest
                is lost too.

        Raises:
            RuleError: a process cannot begin, or its function raised one.
        """
        self._replace_dead()
        answers: list[Any] = [None] * len(parts)
        waiting, lost, done = deque(range(len(parts))), 0, 0
        try:
            while done < len(parts):
                self._start(len(waiting))
                for worker in self._workers:
                    if worker.ready and worker.part is None and waiting:
                        worker.give(waiting.popleft(), parts, self.timeout)
                for number, answer in self._collect():
                    answers[number] = answer
                    done, lost = done + 1, lost + isinstance(answer, Lost)
                if lost == done >= hopeless:
                    self.close()
                    reason = next(a for a in answers if a is not None)
                    return [reason if a is None else a for a in answers]
        except BaseException:  # Ctrl-C too: what the processes do is no longer wanted
            self.close()
            raise
        return answers

    def prepare(self) -> None:
        """Start a process, and wait until it has read the objectives.

        Raises:
            RuleError: it cannot begin.
        """
        self._replace_dead()
        try:
            self._start(1)
            while self._workers and not any(worker.ready for worker in self._workers):
                self._collect()
        except BaseException:
            self.close()
            raise

    def _replace_dead(self) -> None:
        """Forget processes that have died since the last batch: no molecule is to blame."""
        for worker in [w for w in self._workers if not w.process.is_alive()]:
            worker.end()
            self._workers.remove(worker)

    def _start(self, wanted: int) -> None:
        """As many processes as there is work for."""
        busy = sum(worker.part is not None for worker in self._workers)
        while len(self._workers) < min(self.n, busy + wanted):
            self._workers.append(_Worker.started(self._begin))

    def _collect(self) -> list[tuple[int, Any]]:
        """Wait until something happens; what has been answered or lost, by part."""
        now = time.monotonic()
        first = min(worker.deadline for worker in self._workers)
        watched = {w.connection: w for w in self._workers} | {
            w.process.sentinel: w for w in self._workers
        }
        pause = None if first == float("inf") else max(first - now, 0.0)
        spoke = {id(w): w for w in (watched[one] for one in wait(list(watched), pause))}
        now = time.monotonic()
        late = [w for w in self._workers if w.deadline <= now]
        found = []
        for worker in {**{id(w): w for w in late}, **spoke}.values():
            number, answer = worker.part, worker.hear()
            if answer is None and (worker.gone or worker.deadline <= now):
                answer = worker.lost(self.timeout)
                self._workers.remove(worker)
            if answer is not None and number is not None:
                found.append((number, answer))
        return found

    def close(self) -> None:
        """End the processes; the next batch starts new ones."""
        _end_all(self._workers, self._pid)


@dataclass(eq=False)
class _Worker:
    """A process and what it is doing."""

    process: Any
    connection: Connection
    ready: bool = False
    gone: bool = False
    part: int | None = None
    deadline: float = field(default_factory=lambda: time.monotonic() + START)

    @classmethod
    def started(cls, begin: bytes) -> _Worker:
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
            with contextlib.nullcontext() if b"__main__" in begin else _no_script():
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


def _end_all(workers: list[_Worker], owner: int) -> None:
    """End them, in the process that started them: a fork of it leaves them alone."""
    if os.getpid() == owner:
        for worker in workers:
            worker.end()
    workers.clear()


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    """A process that is started meanwhile does not import the user's script, which then needs no
    ``if __name__ == "__main__"``: :mod:`multiprocessing` sends it where the main module says.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
