"""Where trials run: each in a process of its own, on this machine or on a Ray cluster.

Both kinds of workers have the same few methods, so that the search need not know which it has. A
worker sends messages, ``("look", number, worth)`` first, which it waits for the answer to, and one
of ``("done", worth)``, ``("pruned",)``, ``("failed", why)`` and ``("lost", why)`` last; a lost one
has not failed: its machine is gone.
"""

from __future__ import annotations

import multiprocessing
import queue
import traceback
from collections.abc import Callable, Hashable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Protocol

from kl_agents.runs.signals import end_with_parent
from kl_agents.tuning.trial import Pruned, Work, perform
from seqgen_envs import cluster

Message = tuple[Any, ...]
LOOK, DONE, PRUNED, FAILED, LOST = "look", "done", "pruned", "failed", "lost"
#: Seconds that one wait takes at most, so that Ctrl-C is heard.
_PATIENCE = 1.0


class Workers(Protocol):
    """Trials that run, by the keys they were started with."""

    def start(self, key: Hashable, work: Work) -> None:
        """Begin a trial."""

    def messages(self) -> list[tuple[Any, Message]]:
        """What has come, after a wait; a trial's last message ends it."""

    def answer(self, key: Hashable, go_on: bool) -> None:
        """To a look."""

    def close(self) -> None:
        """End them all."""

    def __len__(self) -> int: ...


def serve(work: Work, tell: Callable[[Message], None], hear: Callable[[], bool]) -> None:
    """Do the work; ``tell`` each message, ``hear`` the answer to a look."""
    import torch

    torch.set_num_threads(1)  # a process is a trial, and there may be one a core

    def go_on(look: int, worth: float) -> bool:
        tell((LOOK, look, worth))
        return hear()

    try:
        tell((DONE, perform(work, go_on)))
    except Pruned:
        tell((PRUNED,))
    except (ValueError, ImportError, OSError) as error:
        tell((FAILED, str(error)))
    except Exception:
        tell((FAILED, traceback.format_exc()))


class Processes:
    """On this machine; a process whose trial is over takes the next one."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Hashable, tuple[Any, Any]] = {}
        self._idle: list[tuple[Any, Any]] = []

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: Hashable, work: Work) -> None:
        """See :class:`Workers`."""
        process, pipe = self._idle.pop() if self._idle else self._new()
        pipe.send(work)
        self._running[key] = (process, pipe)

    def _new(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve_pipe, args=(theirs,))
        process.start()
        theirs.close()  # so that its death is the end of the pipe
        return process, ours

    def messages(self) -> list[tuple[Any, Message]]:
        """See :class:`Workers`."""
        ready = wait([pipe for _, pipe in self._running.values()], _PATIENCE)
        found = []
        for key, (process, pipe) in list(self._running.items()):
            if pipe not in ready:
                continue
            message = _received(process, pipe)
            found.append((key, message))
            if message[0] != LOOK:
                del self._running[key]
                if process.is_alive():
                    self._idle.append((process, pipe))
        return found

    def answer(self, key: Hashable, go_on: bool) -> None:
        """See :class:`Workers`."""
        with suppress(BrokenPipeError):  # it has just died, which its pipe says next
            self._running[key][1].send(go_on)

    def close(self) -> None:
        """See :class:`Workers`."""
        for process, pipe in [*self._running.values(), *self._idle]:
            process.terminate()
            pipe.close()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self._running.clear()
        self._idle.clear()


def _received(process: Any, pipe: Any) -> Message:
    try:
        message: Message = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return (FAILED, f"its process ended with code {process.exitcode}")
    return message


def _serve_pipe(pipe: Any) -> None:
    end_with_parent()
    with suppress(BrokenPipeError, EOFError):  # nobody is waiting any more
        while True:
            serve(pipe.recv(), pipe.send, pipe.recv)


class Trial:
    """On Ray an actor: one of its threads trains, the other carries messages."""

    def __init__(self) -> None:
        self._told: queue.Queue[Message] = queue.Queue()
        self._answers: queue.Queue[bool] = queue.Queue()

    def work(self, place: cluster.Place, work: Work) -> None:
        """Train, in the place of who asks; returns when it is over."""
        cluster.go_to(place)
        serve(work, self._told.put, self._answers.get)

    def message(self) -> Message:
        """The next message, as soon as there is one."""
        return self._told.get()

    def answer(self, go_on: bool) -> None:
        """To the last look."""
        self._answers.put(go_on)


class OnRay:
    """On a Ray cluster, each where a core is free.

    Args:
        address: see :func:`seqgen_envs.cluster.connect`.
    """

    def __init__(self, address: str | None) -> None:
        self._ray = cluster.connect(address)
        self._actors = self._ray.remote(num_cpus=1, max_concurrency=3)(Trial)
        self._running: dict[Hashable, Any] = {}
        self._next: dict[Any, Hashable] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: Hashable, work: Work) -> None:
        """See :class:`Workers`."""
        actor = self._actors.remote()
        actor.work.remote(cluster.here(), work)
        self._running[key] = actor
        self._next[actor.message.remote()] = key

    def messages(self) -> list[tuple[Any, Message]]:
        """See :class:`Workers`."""
        if not self._next:
            return []
        ready, _ = self._ray.wait(list(self._next), num_returns=1, timeout=_PATIENCE)
        found = []
        for reference in ready:
            key = self._next.pop(reference)
            message = self._received(reference)
            found.append((key, message))
            if message[0] == LOOK:
                self._next[self._running[key].message.remote()] = key
            else:
                self._ray.kill(self._running.pop(key))
        return found

    def _received(self, reference: Any) -> Message:
        try:
            message: Message = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            return (LOST, str(error).partition("\n")[0])
        return message

    def answer(self, key: Hashable, go_on: bool) -> None:
        """See :class:`Workers`."""
        self._running[key].answer.remote(go_on)

    def close(self) -> None:
        """See :class:`Workers`."""
        for actor in self._running.values():
            self._ray.kill(actor)
        self._running.clear()
        self._next.clear()
