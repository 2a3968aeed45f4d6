"""The life of a process that scores for :mod:`~.workers`: what runs there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection

from seqgen_envs.rules import RuleError


def serve(connection: Connection) -> None:
    """Read the objectives, then answer what is asked until nobody asks any more."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl-C is for the parent alone, which ends this group
    _end_with_parent()
    try:
        function, objectives = connection.recv()
        for one in (function, *objectives):
            if (prepare := getattr(one, "prepare", None)) is not None:
                prepare()
    except EOFError:
        return
    except BaseException as error:
        connection.send(("fault", _fault(error)))
        return
    connection.send(("ready", None))
    while True:
        try:
            part = connection.recv()
        except EOFError:
            return
        try:
            answer = ("answer", function(objectives, part))
        except RuleError as error:
            answer = ("fault", str(error))
        connection.send(answer)


def kill_group(leader: int) -> None:
    """Kill a process group, where there is one of that leader."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)


def began_at(pid: int) -> str:
    """When a process began, in the system's own terms: who has its id later began at another time.
    "" where there is none, and on systems that do not tell.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as status:
            return status.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _fault(error: BaseException) -> str:
    if isinstance(error, RuleError):
        return str(error)
    return (
        f"a process cannot load the objectives ({type(error).__name__}: {error}): define them at "
        "the top of a module that it can import, or use n_jobs=0"
    )


def _end_with_parent() -> None:
    """End with the parent, however it ends and whatever the oracle is doing.

    A fork watches it, where there are forks: a thread of this process would not come to its turn
    while compiled code of an oracle holds Python's lock.
    """
    group = os.getpid()
    if not hasattr(os, "fork"):
        threading.Thread(target=_follow_parent, args=(group,), daemon=True).start()
    elif os.fork() == 0:
        _follow_parent(group)


def _follow_parent(group: int) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    if os.getpid() != group:  # an open end of a pipe would hide that this group's leader has died
        os.closerange(3, parent.sentinel)
        os.closerange(parent.sentinel + 1, 4096)
    while _exists(parent.pid) and parent.is_alive():
        parent.join(1)
    kill_group(group)
    os._exit(1)


def _exists(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
