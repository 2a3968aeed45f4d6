"""Where a signal may end what is going on at once: while a user's code is waited for.

A training minds SIGINT and SIGTERM between its rounds, since an update must not be torn apart.
While an oracle answers nothing of the agent changes, and an oracle may take hours: there
:func:`ask` raises at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """A stop was asked for while a user's code was waited for."""


_waiting = 0
_asked = False


@contextmanager
def interruptible() -> Iterator[None]:
    """What is done meanwhile may be given up at any point.

    Raises:
        Interrupted: somebody asks for a stop, or has asked before.
    """
    global _waiting
    if _asked:
        raise Interrupted
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1


def ask() -> None:
    """Ask for a stop; a handler of signals calls it, in the main thread.

    Raises:
        Interrupted: in the block of an :func:`interruptible`.
    """
    global _asked
    _asked = True
    if _waiting:
        raise Interrupted


def waiting() -> bool:
    """Whether a user's code is waited for."""
    return _waiting > 0


def forget() -> None:
    """Nobody asks any more."""
    global _asked
    _asked = False
