"""What processes on one machine and on a cluster have in common: parts, and their answers."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from seqgen_envs.domains.molecule.tasks.process import Lost


class Pool(ABC):
    """Parts that are worked on elsewhere; :meth:`finish` gives their answers, in order."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """No parts."""
        self._parts: list[Any] = []
        self._answers: list[Any] = []  # None where there is none yet
        self._done = self._lost = 0

    @property
    def idle(self) -> bool:
        """Whether all parts have been answered."""
        return self._done == len(self._parts)

    @abstractmethod
    def begin(self, parts: Sequence[Any]) -> None:
        """Have parts worked on, of which :meth:`finish` gives the answers.

        Args:
            parts: picklable.

        Raises:
            RuleError: as :meth:`finish`.
        """

    def _take(self, parts: Sequence[Any]) -> range:
        """Enter parts; their numbers."""
        first = len(self._parts)
        self._parts += parts
        self._answers += [None] * len(parts)
        return range(first, len(self._parts))

    @abstractmethod
    def work(self) -> None:
        """Hear what has been answered and hand out what waits; nothing is waited for here."""

    @abstractmethod
    def prepare(self) -> None:
        """Start a process, and wait until it has read the objectives.

        Raises:
            RuleError: it cannot begin.
        """

    @abstractmethod
    def _wait(self) -> None:
        """Hand out what waits, and go on when something has been answered or lost."""

    def finish(self, hopeless: int) -> list[Any]:
        """The answer to each part that was begun, in order, or :class:`Lost`.

        Args:
            hopeless: give up where so many parts are lost and none has been answered; the rest
                is lost too.

        Raises:
            RuleError: a process cannot begin, or its function raised one.
        """
        with self._closed_on_error():
            while not self.idle:
                self._wait()
                if self._lost == self._done >= hopeless:
                    reason = next(a for a in self._answers if a is not None)
                    answers = [reason if a is None else a for a in self._answers]
                    self.close()
                    return answers
        answers = self._answers
        self._forget()
        return answers

    def _settle(self, number: int, answer: Any) -> None:
        self._answers[number] = answer
        self._done, self._lost = self._done + 1, self._lost + isinstance(answer, Lost)

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # Ctrl-C too: what is worked on is no longer wanted
            self.close()
            raise

    @abstractmethod
    def close(self) -> None:
        """End the processes, and forget what they were to do; :meth:`begin` starts new ones."""
