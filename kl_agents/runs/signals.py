"""SIGINT and SIGTERM end a training after its round, with a checkpoint.

While an oracle is waited for they end it at once: the round that has begun is then given up.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from seqgen_envs import interrupts

WATCHED = (signal.SIGINT, signal.SIGTERM)
_AFTER = b"\nStopping after this round, with a checkpoint; once more ends at once.\n"
_NOW = b"\nStopping: this round is given up.\n"


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and has written its checkpoint.

    Attributes:
        signal_number: of the signal that asked for it.
        steps: trained so far.
    """

    def __init__(self, signal_number: int, steps: int) -> None:
        super().__init__(signal_number, steps)
        self.signal_number, self.steps = signal_number, steps

    def __str__(self) -> str:
        name = signal.Signals(self.signal_number).name
        if not self.steps:
            return f"stopped by {name} in the first round, of which nothing is kept"
        return f"stopped by {name} after {self.steps:,} steps, with a checkpoint"


class StopSignals:
    """Notes the first signal in the block; the next one ends the process.

    Where :func:`~seqgen_envs.interrupts.interruptible` allows it, the first one raises
    :class:`~seqgen_envs.interrupts.Interrupted` too.

    Outside the main thread, where Python allows no handlers, nothing is noted. A signal that is
    ignored when the block begins (``nohup``, a job in the background) stays ignored.

    Attributes:
        received: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in WATCHED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        interrupts.forget()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for watched in self._before:
            signal.signal(watched, signal.SIG_DFL)
        # print is not safe where a print may have been interrupted
        os.write(2, _NOW if interrupts.waiting() else _AFTER)
        interrupts.ask()


def end_with_parent() -> None:
    """In a worker process: let it not outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)
