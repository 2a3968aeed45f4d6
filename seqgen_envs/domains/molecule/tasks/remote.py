"""Objectives on the nodes of a Ray cluster (``n_jobs="ray"``): :mod:`~.workers` from afar.

A task of Ray's carries some parts of a batch to a worker of Ray's, which has them scored by a
process of its own, as :mod:`~.workers` has on one machine: so a molecule that ends or hangs its
process costs itself alone, there too. What Ray itself loses, a node or its worker, is no
molecule's fault: those parts are given to another, each alone and so many times at most.

The process stays for the next task that comes to its worker, as what an objective loads may take
long, until Ray ends the worker: where a node has more idle workers than cores. With a GPU it keeps
what it holds of that one's memory.
"""

from __future__ import annotations

import math
import os
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from seqgen_envs.cluster import RETRIES, Calls, Gone, on_nodes
from seqgen_envs.domains.molecule.tasks.hosting import Process, Reply, end_processes, score_there
from seqgen_envs.domains.molecule.tasks.pool import Pool
from seqgen_envs.domains.molecule.tasks.process import Lost
from seqgen_envs.domains.molecule.tasks.workers import packed
from seqgen_envs.rules import RuleError

RAY = "ray"
#: Seconds that a task should last, so that what Ray takes for it (about 1 ms) does not count.
TASK_SECONDS = 0.05
#: Seconds for processes to be ended on their nodes.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Slot:
    """What a task of Ray's takes while it scores.

    Args:
        num_cpus, num_gpus: of its node; parts of one are possible.
        retries: how often a molecule is scored again whose node or worker was lost.

    Raises:
        ValueError: a number is out of its range.
    """

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    retries: int = RETRIES

    def __post_init__(self) -> None:
        if not (_is_number(self.num_cpus) and self.num_cpus > 0):
            raise ValueError(f"num_cpus must be a number above 0, got {self.num_cpus!r}")
        if not (_is_number(self.num_gpus) and self.num_gpus >= 0):
            raise ValueError(f"num_gpus must be a number of at least 0, got {self.num_gpus!r}")
        if not (isinstance(self.retries, int) and self.retries >= 0):
            raise ValueError(f"retries must be a whole number of at least 0, got {self.retries!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def slot_of(n_jobs: int | str, **given: Any) -> Slot | None:
    """The slot of a scorer; None where it does not run on Ray.

    Raises:
        ValueError: a number is out of its range, or given where ``n_jobs`` is not ``"ray"``.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if n_jobs == RAY:
        return Slot(**wanted)
    if wanted:
        raise ValueError(f"{', '.join(wanted)} are for n_jobs='ray', and n_jobs is {n_jobs!r}")
    return None


class RemoteWorkers(Pool):
    """What :class:`~.workers.Workers` is, on Ray.

    Args:
        function, objectives: see :func:`~.workers.packed`; those that a script defines go by value.
        timeout: seconds an answer may take from when a process begins with it, or None.
        slot: what a task takes.

    Raises:
        RuleError: Ray is not installed, or its cluster does not answer.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        objectives: Any,
        timeout: float | None,
        slot: Slot,
    ) -> None:
        self.timeout, self.slot = timeout, slot
        try:
            self._calls = Calls(score_there, num_cpus=slot.num_cpus, num_gpus=slot.num_gpus)
        except (ImportError, OSError) as error:
            raise RuleError(str(error)) from error
        ray = self._calls.ray
        begin = packed(function, objectives, ray.cloudpickle.dumps)
        self._key = uuid.uuid4().hex  # what one scorer closes is no other's
        self._begin = ray.put(begin)
        self._processes: dict[str, set[Process]] = {}  # by node
        self._seconds, self._scored = 0.0, 0
        self.n = max(self._calls.slots(), 1)
        super().__init__()
        self._end = weakref.finalize(self, _end_all, self._calls, self._processes, os.getpid())

    def _forget(self) -> None:
        super()._forget()
        self._losses: dict[int, int] = {}

    @property
    def free(self) -> int:
        """Slots of the cluster that this has given nothing to do."""
        return max(self.n - len(self._calls), 0)

    @property
    def least(self) -> int:
        """The fewest molecules that are worth a task."""
        if not self._scored:
            return 1
        return max(math.ceil(TASK_SECONDS * self._scored / max(self._seconds, 1e-6)), 1)

    def begin(self, parts: Sequence[Any]) -> None:
        """See :class:`~.pool.Pool`."""
        if not self._parts:
            self.n = max(self._calls.slots(), 1)
        with self._closed_on_error():
            first = self._take(parts).start
            for size in self._groups([len(part) for part in parts]):
                self._ask(range(first, first + size))
                first += size

    def _groups(self, sizes: Sequence[int]) -> Iterator[int]:
        """How many parts each task takes: fewer and fewer, so that all end together."""
        left, held, parts = sum(sizes), 0, 0
        for size in sizes:
            held, parts = held + size, parts + 1
            if held >= max(left / self.n / 2, self.least):
                yield parts
                left, held, parts = left - held, 0, 0
        if parts:
            yield parts

    def _ask(self, numbers: Sequence[int]) -> None:
        parts = [self._parts[number] for number in numbers]
        self._calls.begin(tuple(numbers), self._begin, self._key, parts, self.timeout)

    def work(self) -> None:
        """See :class:`~.pool.Pool`."""
        with self._closed_on_error():
            self._collect(0.0)

    def _wait(self) -> None:
        self._collect(None)

    def _collect(self, patience: float | None) -> dict[tuple[int, ...], Reply | Gone]:
        """What has ended, waited for ``patience`` seconds at most; its answers are kept."""
        try:
            ended = dict(self._calls.ended(patience))
        except ImportError as error:  # a node that lacks this package
            raise RuleError(str(error)) from error
        for numbers, outcome in ended.items():
            if isinstance(outcome, Gone):
                self._again(numbers, outcome)
                continue
            self._learn(numbers, outcome)
            for number, answer in zip(numbers, outcome.answers, strict=True):
                self._settle(number, answer)
        return ended

    def _learn(self, numbers: Sequence[int], reply: Reply) -> None:
        """What a reply says besides its answers.

        Raises:
            RuleError: something is wrong which is no molecule's fault.
        """
        self._processes.setdefault(reply.node, set()).update(reply.processes)
        if reply.fault is not None:
            raise RuleError(reply.fault)
        self._seconds += reply.seconds
        self._scored += sum(len(self._parts[number]) for number in numbers)

    def _again(self, numbers: Sequence[int], gone: Gone) -> None:
        """Have parts scored elsewhere, each by itself: if one of them did it, it is found."""
        for number in numbers:
            losses = self._losses[number] = self._losses.get(number, 0) + 1
            if losses > self.slot.retries:
                reason = f"Ray lost what scored it {losses} times, at last: {gone.reason}"
                self._settle(number, Lost(reason))
            else:
                self._ask([number])

    def prepare(self) -> None:
        """See :class:`~.pool.Pool`.

        Raises:
            RuleError: a process cannot begin, or no node can ever hold a task.
        """
        if not self._calls.slots():
            raise RuleError(
                f"no node of the Ray cluster has num_cpus={self.slot.num_cpus:g} and "
                f"num_gpus={self.slot.num_gpus:g} for a molecule: ask for less, or add such a node"
            )
        with self._closed_on_error():
            outcome: Reply | Gone = Gone("")
            for _ in range(self.slot.retries + 1):
                self._ask([])
                while () not in (ended := self._collect(None)):
                    pass
                outcome = ended[()]
                if isinstance(outcome, Reply):
                    return
            assert isinstance(outcome, Gone)
            raise RuleError(f"no process for the objectives began: {outcome.reason}")

    def close(self) -> None:
        """See :class:`~.pool.Pool`."""
        self._forget()
        _end_all(self._calls, self._processes, os.getpid())


def _end_all(calls: Calls, processes: dict[str, set[Process]], owner: int) -> None:
    """End them, in the process that started them and while it is one of the cluster's."""
    if os.getpid() == owner and calls.ray.is_initialized():
        calls.cancel()
        on_nodes(end_processes, processes, _PATIENCE)
    processes.clear()
