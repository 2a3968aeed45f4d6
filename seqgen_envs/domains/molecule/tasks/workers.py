"""Processes of their own for objectives: one that dies or hangs takes one molecule with it.

A process is started with spawn (a fork of one that already runs torch's threads can hang), reads
the objectives from its pipe and then scores what it is sent (:mod:`~.process`, :mod:`~.serving`).
It leads a process group, which is killed as a whole: programs that an oracle has started end with
it. It ends when its parent does. The user's script is imported there only where the objectives are
defined in it.

``concurrent.futures`` cannot kill one task and breaks as a whole where a process dies; Pebble can,
but waits for ever where a process ends with status 0 and starts anew without end one that cannot
begin (a script without its main guard).
"""

from __future__ import annotations

import os
import pickle
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from seqgen_envs.domains.molecule.tasks.pool import Pool
from seqgen_envs.domains.molecule.tasks.process import Worker
from seqgen_envs.rules import RuleError

#: The fewest things in a part of a function of many, where it is another process that scores it.
_FEWEST = 4


def packed(
    function: Callable[[Any, Any], Any],
    objectives: Any,
    dumps: Callable[[Any], bytes] = pickle.dumps,
) -> bytes:
    """What a process begins with.

    Args:
        function: called as ``function(objectives, part)`` in a process; a module's.
        objectives: what it is given; picklable. What has a method ``prepare`` is prepared, the
            function too.
        dumps: pickles it.

    Raises:
        RuleError: they cannot be pickled.
    """
    try:
        return dumps((function, objectives))
    except Exception as error:  # what cannot be pickled raises one of many kinds
        raise RuleError(
            f"processes of their own (n_jobs, timeout) cannot be given the objectives, which "
            f"cannot be pickled ({error}): define them at the top of a module, or use n_jobs=0"
        ) from error


class Workers(Pool):
    """Processes that apply one function to parts of a batch.

    Args:
        n: processes at most; they are started when needed.
        begin: the function and the objectives, :func:`packed`.
        timeout: seconds an answer may take, or None.
    """

    def __init__(self, n: int, begin: bytes, timeout: float | None) -> None:
        self.n, self.timeout, self._begin = n, timeout, begin
        self._workers: list[Worker] = []
        super().__init__()
        # at the latest when Python ends, and when nobody has the pool any more
        self._pid = os.getpid()
        self._end = weakref.finalize(self, _end_all, self._workers, self._pid)

    @property
    def least(self) -> int:
        """The fewest things that a part of a function of many should have."""
        return _FEWEST

    @property
    def pids(self) -> list[int]:
        """The processes there are."""
        return [worker.process.pid for worker in self._workers]

    def _forget(self) -> None:
        super()._forget()
        self._waiting: deque[int] = deque()

    @property
    def free(self) -> int:
        """Processes that would have nothing to do; also those that are not started yet."""
        return max(self.n - self._busy - len(self._waiting), 0)

    @property
    def _busy(self) -> int:
        return sum(worker.part is not None for worker in self._workers)

    def begin(self, parts: Sequence[Any]) -> None:
        """See :class:`~.pool.Pool`."""
        if not self._parts:
            self._replace_dead()
        self._waiting.extend(self._take(parts))
        self.work()

    def work(self) -> None:
        """See :class:`~.pool.Pool`."""
        with self._closed_on_error():
            if not self.idle:
                self._hand_out()
                if self._collect(0.0):
                    self._hand_out()

    def _wait(self) -> None:
        self._hand_out()
        self._collect(None)

    def prepare(self) -> None:
        """See :class:`~.pool.Pool`."""
        if self.idle:
            self._replace_dead()
        with self._closed_on_error():
            self._start(1)
            while self._workers and not any(worker.ready for worker in self._workers):
                self._collect(None)

    def _replace_dead(self) -> None:
        """Forget processes that have died since the last batch: no molecule is to blame."""
        for worker in [w for w in self._workers if not w.process.is_alive()]:
            worker.end()
            self._workers.remove(worker)

    def _start(self, wanted: int) -> None:
        """As many processes as there is work for."""
        most = min(self.n, self._busy + wanted)
        while len(self._workers) < most:
            self._workers.append(Worker.started(self._begin))

    def _hand_out(self) -> None:
        """Give each process that has nothing to do a part."""
        self._start(len(self._waiting))
        for worker in self._workers:
            if worker.ready and worker.part is None and self._waiting:
                worker.give(self._waiting.popleft(), self._parts, self.timeout)

    def _collect(self, patience: float | None) -> bool:
        """Wait until something happens, ``patience`` seconds at most; keep what has been answered
        or lost. Whether there was anything.
        """
        now = time.monotonic()
        first = min(worker.deadline for worker in self._workers)
        watched = {w.connection: w for w in self._workers} | {
            w.process.sentinel: w for w in self._workers
        }
        pause = None if first == float("inf") else max(first - now, 0.0)
        if patience is not None:
            pause = patience
        spoke = {id(w): w for w in (watched[one] for one in wait(list(watched), pause))}
        now = time.monotonic()
        late = [w for w in self._workers if w.deadline <= now]
        heard = {**{id(w): w for w in late}, **spoke}.values()
        for worker in heard:
            number, answer = worker.part, worker.hear()
            if answer is None and (worker.gone or worker.deadline <= now):
                answer = worker.lost(self.timeout)
                self._workers.remove(worker)
            if answer is not None and number is not None:
                self._settle(number, answer)
        return bool(heard)

    def close(self) -> None:
        """See :class:`~.pool.Pool`."""
        self._forget()
        _end_all(self._workers, self._pid)


def _end_all(workers: list[Worker], owner: int) -> None:
    """End them, in the process that started them: a fork of it leaves them alone."""
    if os.getpid() == owner:
        for worker in workers:
            worker.end()
    workers.clear()
