"""Where objectives are called: in this process, in processes of their own, or on Ray."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence

from seqgen_envs.answers import MANY
from seqgen_envs.domains.molecule.objectives.means import Objective, Part
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import Compound
from seqgen_envs.domains.molecule.tasks.calling import (
    Answer,
    Scored,
    answer_all,
    score_all,
)
from seqgen_envs.domains.molecule.tasks.hosting import Carried
from seqgen_envs.domains.molecule.tasks.own import Program, SmilesFunction
from seqgen_envs.domains.molecule.tasks.process import Lost
from seqgen_envs.domains.molecule.tasks.remote import RemoteWorkers, Slot
from seqgen_envs.domains.molecule.tasks.workers import Workers, packed
from seqgen_envs.interrupts import interruptible
from seqgen_envs.loading import files_of

#: Molecules a process is given at a time, where each is scored by itself.
_CHUNK = 16


class Dispatcher:
    """Has compounds scored.

    Args:
        objectives: by name.
        n_jobs, timeout: see :class:`~.scoring.Scorer`.
        slot: what a task of Ray's takes, where ``n_jobs`` is ``"ray"``.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective | SmilesFunction],
        n_jobs: int | str,
        timeout: float | None,
        slot: Slot | None = None,
    ) -> None:
        self.objectives, self.n_jobs, self.timeout, self.slot = objectives, n_jobs, timeout, slot
        self._workers: Workers | RemoteWorkers | None = None
        self._expected: list[Compound] = []  # not begun with yet
        self._begun: list[list[Compound]] = []  # parts that are, in order
        self._texts: set[str] = set()  # of both

    @property
    def here(self) -> bool:
        """Whether the objectives are called in this process."""
        if self.n_jobs != 1 or self.timeout is not None:
            return self.n_jobs == 0
        return not self._references or multiprocessing.current_process().daemon

    @property
    def _references(self) -> list[str]:
        """What users named of which code is imported for the objectives."""
        every = self.objectives.values()
        return [reference for one in every for reference in getattr(one, "references", ())]

    @property
    def ahead(self) -> bool:
        """Whether processes can begin with molecules before their scores are asked for."""
        return not self.here and self.timeout is None

    def prepare(self) -> None:
        """Load the objectives where they will be called.

        Raises:
            RuleError: one of them cannot be loaded.
        """
        if not self.here:
            with interruptible():
                self._pool().prepare()
            return
        for objective in self.objectives.values():
            if isinstance(objective, (Part, SmilesFunction)):
                objective.prepare()

    def expect(self, compounds: Sequence[Compound]) -> None:
        """Have processes begin with what :meth:`score` will be asked for; nothing is waited for.

        For functions of many SMILES a process that has nothing to do gets its share of what there
        is, and so few and large batches: a program takes its time to start.

        Raises:
            RuleError: what goes wrong is no molecule's fault.
        """
        fresh = {one.canonical: one for one in compounds if one.canonical not in self._texts}
        self._expected += fresh.values()
        self._texts.update(fresh)
        pool = self._pool()
        with self._forgotten_on_error():
            pool.work()
            if self._whole:
                enough = len(self._expected) >= pool.least * pool.n
                size = math.ceil(len(self._expected) / pool.n)
                ready = size * pool.free if enough else 0
            else:
                size, ready = _CHUNK, len(self._expected) // _CHUNK * _CHUNK
            if ready:
                now, self._expected = self._expected[:ready], self._expected[ready:]
                self._begin(self._parts(now, size))

    def score(self, compounds: Sequence[Compound]) -> dict[str, Scored]:
        """Values of compounds, and of all that has been begun with, by canonical SMILES.

        Raises:
            RuleError: what goes wrong is no molecule's fault.
        """
        if self.here:
            texts = [compound.canonical for compound in compounds]
            objectives = list(self.objectives.values())
            return dict(zip(texts, score_all(objectives, compounds), strict=True))
        begun = {compound.canonical for part in self._begun for compound in part}
        rest = [compound for compound in compounds if compound.canonical not in begun]
        if not (begun or rest):
            return {}
        with self._forgotten_on_error():
            self._begin(self._last_parts(rest))
            parts = self._begun
            answers = self._pool().finish(MANY if self.timeout else len(parts) + 1)
            scored = self._settled(parts, answers)
        self._forget()
        return scored

    def close(self) -> None:
        """End the processes; the next batch starts new ones."""
        self._forget()
        if self._workers is not None:
            self._workers.close()

    def _forget(self) -> None:
        self._expected, self._begun, self._texts = [], [], set()

    @contextlib.contextmanager
    def _forgotten_on_error(self) -> Iterator[None]:
        """Where the processes end, so does what they were asked for."""
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _pool(self) -> Workers | RemoteWorkers:
        if self._workers is None:
            objectives = list(self.objectives.values())
            if self.slot is not None:
                files = files_of(self._references)
                self._workers = RemoteWorkers(
                    Carried(answer_all, files), objectives, self.timeout, self.slot
                )
            else:
                n, begin = max(int(self.n_jobs), 1), packed(answer_all, objectives)
                self._workers = Workers(n, begin, self.timeout)
        return self._workers

    @property
    def _whole(self) -> bool:
        """Whether objectives take many molecules at a time."""
        return any(isinstance(one, SmilesFunction) for one in self.objectives.values())

    @property
    def _programs(self) -> bool:
        """Whether an objective starts a program each time it is called."""
        return any(isinstance(one, Program) for one in self.objectives.values())

    def _last_parts(self, compounds: list[Compound]) -> list[list[Compound]]:
        """Parts of what is left, with nothing to follow: all processes should end together.

        Those of a function of many SMILES become smaller and smaller (guided self-scheduling,
        Polychronopoulos & Kuck 1987); those of a program do not, as each takes a start.
        """
        pool = self._pool()
        if not self._whole:
            return self._parts(compounds, math.ceil(len(compounds) / pool.n / 4))
        each = math.ceil(len(compounds) / pool.n)
        if self._programs or self.timeout is not None:
            return self._parts(compounds, each)
        parts, left, least = [], compounds, min(pool.least, each)
        while left:
            size = max(math.ceil(len(left) / pool.n / 2), least)
            parts.append(left[:size])
            left = left[size:]
        return parts

    def _parts(self, compounds: list[Compound], size: int) -> list[list[Compound]]:
        """Parts of one size; of singly scored ones :data:`_CHUNK` at most, as some take longer than
        others.
        """
        if self.timeout is not None:
            size = 1
        elif not self._whole:
            size = min(_CHUNK, size)
        return [compounds[i : i + size] for i in range(0, len(compounds), max(size, 1))]

    def _begin(self, parts: list[list[Compound]]) -> None:
        self._begun += parts
        self._pool().begin(parts)

    def _settled(
        self, parts: Sequence[Sequence[Compound]], answers: Sequence[list[Answer] | Lost]
    ) -> dict[str, Scored]:
        """What each compound got; those of a lost part are asked for one by one."""
        suspects = [
            compound
            for part, answer in zip(parts, answers, strict=True)
            if isinstance(answer, Lost) and len(part) > 1
            for compound in part
        ]  # of which one has ended its process
        self._pool().begin([[one] for one in suspects])
        singly = iter(self._pool().finish(MANY))
        scored = {}
        for part, answer in zip(parts, answers, strict=True):
            for at, compound in enumerate(part):
                alone = isinstance(answer, Lost) and len(part) > 1
                found = next(singly) if alone else answer
                one = found if isinstance(found, Lost) else found[0 if alone else at]
                scored[compound.canonical] = self._learned(compound, one)
        return scored

    def _learned(self, compound: Compound, answer: Answer | Lost) -> Scored:
        """A compound's score; what a process has measured for it is not measured again here."""
        if isinstance(answer, Lost):
            return Scored((math.nan,) * len(self.objectives), answer.reason)
        for name, value in answer.measured.items():
            compound.learn(PROPERTIES[name], value)
        return answer.scored
