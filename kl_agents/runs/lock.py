"""One process a folder: a lock that the system frees when its holder dies, however it dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = ".lock"
#: Windows locks bytes, and nobody else can read those: one far behind what is written.
_LOCKED_BYTE = 1 << 30


class FolderInUse(ValueError):
    """Another process trains in the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made where it is missing, for the length of the block.

    The file that holds the lock stays; whether it is locked is the system's knowledge, so that of
    a process that was killed is free at once.

    Raises:
        FolderInUse: another process holds it; the message has its number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+b") as file:
        if not _take(file):
            raise FolderInUse(_who_holds(folder, file))
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        file.flush()
        yield


def _who_holds(folder: Path, file: IO[bytes]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        who = f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):  # it has only just begun
        who = "another process"
    return f"{folder} is in use: {who} trains there; wait for it, or give another folder"


def _take(file: IO[bytes]) -> bool:
    """Lock an open file, if nobody has."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
