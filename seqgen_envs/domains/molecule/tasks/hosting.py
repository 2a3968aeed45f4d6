"""What runs in a worker of Ray's for :mod:`~.remote`: parts, scored by a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqgen_envs.cluster import node_id
from seqgen_envs.domains.molecule.tasks.process import no_script
from seqgen_envs.domains.molecule.tasks.serving import began_at, kill_group
from seqgen_envs.domains.molecule.tasks.workers import Workers
from seqgen_envs.loading import carry
from seqgen_envs.rules import RuleError

Process = tuple[int, str]  # its id, and when it began
#: The processes that score for this worker of Ray's, by scorer, those last used last.
_HOSTED: OrderedDict[str, Workers] = OrderedDict()
#: How many of them are kept: a training's and its evaluations'.
_MOST_HOSTED = 2


class Carried:
    """A function, and the files that users named, for a machine that may not have them."""

    def __init__(self, function: Callable[[Any, Any], Any], files: Mapping[str, bytes]) -> None:
        self.function, self.files = function, files

    def prepare(self) -> None:
        """See :func:`~seqgen_envs.loading.carry`."""
        carry(self.files)

    def __call__(self, objectives: Any, part: Any) -> Any:
        """What the function returns."""
        return self.function(objectives, part)


@dataclass
class Reply:
    """What a task answers: for each part what :meth:`~.workers.Workers.finish` gives, or a
    ``fault`` that is no molecule's; the process that scored, its node, and how long it took.
    """

    node: str
    answers: list[Any] = field(default_factory=list)
    fault: str | None = None
    processes: list[Process] = field(default_factory=list)
    seconds: float = 0.0


def _hosted(key: str, begin: bytes, timeout: float | None) -> Workers:
    if key not in _HOSTED:
        _HOSTED[key] = Workers(1, begin, timeout)
    _HOSTED.move_to_end(key)
    if len(_HOSTED) > _MOST_HOSTED:
        _HOSTED.popitem(last=False)[1].close()
    return _HOSTED[key]


def score_there(begin: bytes, key: str, parts: Sequence[Any], timeout: float | None) -> Reply:
    """A task of Ray's: have parts scored by the process of this worker.

    Args:
        begin: see :func:`~.workers.packed`.
        key: of the scorer.
        parts: of a batch; none: the process is begun.
        timeout: see :class:`~.workers.Workers`.
    """
    reply = Reply(node_id())
    with no_script():  # the main module here is Ray's
        workers = _hosted(key, begin, timeout)
        try:
            workers.prepare()
            began = time.monotonic()
            workers.begin(parts)
            reply.answers = workers.finish(len(parts) + 1)
            reply.seconds = time.monotonic() - began
        except RuleError as error:
            reply.fault = str(error)
    reply.processes = [(pid, began_at(pid)) for pid in workers.pids]
    return reply


def end_processes(processes: Sequence[Process]) -> None:
    """A task of Ray's: end what processes are left, and what those have started."""
    for pid, began in processes:
        if began and began_at(pid) == began:
            kill_group(pid)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
