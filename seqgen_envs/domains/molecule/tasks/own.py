"""Oracles that users bring: a function of many SMILES, a function by name, a program.

What they answer means what :mod:`seqgen_envs.answers` says.

Processes of their own (see :mod:`~.dispatch`) begin while the round is still written, so a function
gets its molecules in several lists: each time what there is when all processes have nothing to do.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from seqgen_envs.answers import values_of
from seqgen_envs.domains.molecule.tasks.serving import kill_group
from seqgen_envs.loading import check_trusted, checked_reference, load_callable
from seqgen_envs.rules import RuleError


class SmilesFunction:
    """An objective that scores canonical SMILES many at a time: docking, a server, a model.

    Args:
        function: ``list[str] -> values``; what it may return says :mod:`seqgen_envs.answers`.
            Picklable where the scorer has processes of its own.
    """

    def __init__(self, function: Callable[[list[str]], Any]) -> None:
        self.function = function

    @property
    def name(self) -> str:
        """For messages."""
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    @property
    def references(self) -> tuple[str, ...]:
        """What a user named of which code is imported for it: that is done where it is called."""
        return ()

    def prepare(self) -> None:
        """Load what is needed before the first call; a process calls it when it starts.

        Raises:
            RuleError: it cannot be loaded.
        """

    def score(self, smiles: list[str]) -> list[Any]:
        """What the function gives for each of ``smiles``, as it is; what of that is a number says
        :func:`seqgen_envs.answers.number_of`.

        Raises:
            RuleError: the answer is not one value each.
        """
        return values_of(self.function(list(smiles)), len(smiles), self.name, "SMILES")


class NamedFunction(SmilesFunction):
    """A function that is imported when it is first needed, where it is needed.

    Args:
        reference: ``"module:attribute"`` or ``"FILE.py:attribute"``.

    Raises:
        ValueError: it has another form, or there is no such file.
    """

    def __init__(self, reference: str) -> None:
        self.reference = checked_reference(reference, "custom task")
        self._loaded: Callable[[list[str]], Any] | None = None

    @property
    def name(self) -> str:
        """See :class:`SmilesFunction`."""
        return self.reference.rpartition(":")[2]

    @property
    def references(self) -> tuple[str, ...]:
        """See :class:`SmilesFunction`."""
        return (self.reference,)

    def prepare(self) -> None:
        """See :class:`SmilesFunction`."""
        if self._loaded is None:
            try:
                self._loaded = load_callable(self.reference, "custom task")
            except ValueError as error:
                raise RuleError(str(error)) from error

    def score(self, smiles: list[str]) -> list[Any]:
        """See :class:`SmilesFunction`."""
        self.prepare()
        assert self._loaded is not None
        return values_of(self._loaded(list(smiles)), len(smiles), self.name, "SMILES")

    def __getstate__(self) -> dict[str, Any]:
        return {"reference": self.reference, "_loaded": None}


class Program(SmilesFunction):
    """A program that reads SMILES from standard input and writes a number a line, in order.

    It is started once a batch, without a shell. A line that is no finite number (``nan``, say) is a
    molecule that failed. An exit status other than 0 is a failed batch, of which the parts are
    asked for again; another number of lines ends the run.

    Args:
        command: the program and its arguments, quoted as for a shell.

    Raises:
        ValueError: there is no such program.
        UntrustedCodeError: see :func:`~seqgen_envs.loading.check_trusted`.
    """

    def __init__(self, command: str) -> None:
        check_trusted(command, "command task")
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"command {command!r}: {error}") from None
        if not self.words:
            raise ValueError("command is empty: give a program and its arguments")
        if shutil.which(self.words[0]) is None:
            raise ValueError(f"command {command!r}: there is no program {self.words[0]!r}")
        self.command = command

    @property
    def name(self) -> str:
        """See :class:`SmilesFunction`."""
        return self.command

    def score(self, smiles: list[str]) -> list[Any]:
        """See :class:`SmilesFunction`.

        Raises:
            RuleError: it cannot be started, or wrote another number of lines.
            RuntimeError: its exit status is not 0.
        """
        lines = "".join(f"{text}\n" for text in smiles).encode()
        try:
            ended = _run(self.words, lines)
        except OSError as error:
            raise RuleError(f"{self.command} cannot be started: {error}") from error
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        because = f"; it said: {said[:300]}" if said else ""
        if ended.returncode:
            raise RuntimeError(f"{self.command} ended with status {ended.returncode}{because}")
        written = ended.stdout.decode(errors="replace").strip().splitlines()
        if len(written) != len(smiles):
            first = f", {written[0][:80]!r} first" if written else ""
            raise RuleError(
                f"{self.command} wrote {len(written)} lines for {len(smiles)} SMILES{first}; it "
                f"must write one number a line for each{because}"
            )
        return [_read(line) for line in written]


def _run(words: Sequence[str], lines: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a program; where it is given up (a stop is asked for), all that it started ends too.

    It is given a session of its own, unless this process leads one (a row of a benchmark) or is a
    worker: those are killed as a whole, and the program must be among what is killed.
    """
    own = hasattr(os, "getsid") and os.getsid(0) != os.getpid()
    own = own and multiprocessing.parent_process() is None
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=own
    ) as process:
        try:
            output, errors = process.communicate(lines)
        except BaseException:
            if own:
                kill_group(process.pid)
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def _read(line: str) -> Any:
    """A number, or the line itself."""
    try:
        return float(line)
    except ValueError:
        return line.strip()
