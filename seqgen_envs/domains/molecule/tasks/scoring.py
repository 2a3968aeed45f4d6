"""Scores of whole batches of SMILES: parsed once, canonical once, each molecule scored once.

An *objective* is what is computed of a molecule: a picklable callable ``Mol -> float``. A
:class:`~.own.SmilesFunction` is one that takes SMILES, many at a time. A bad molecule does not end
a run: where an objective raises or gives no finite number, that molecule's value is NaN and its
verdict says why. An error of the program does: an import that fails, an answer of the wrong length,
processes that cannot begin, or an objective that fails on whatever it is given
(:class:`~seqgen_envs.rules.RuleError`).

With ``n_jobs`` of 2 and more, with a ``timeout``, and where text names code to import, objectives
are called in processes of their own only (:mod:`~.workers`): a molecule whose process dies or is
late has failed, and the process is replaced. Otherwise they are called in this one, and what ends
or hangs it ends or hangs the run.

With a budget the scorer keeps the accounts of the PMO benchmark (Gao et al. 2022): distinct
canonical SMILES cost one call each, repeats and invalid strings cost nothing, and once the budget
is spent everything scores 0.
"""

from __future__ import annotations

import math
import multiprocessing
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from rdkit import Chem

from seqgen_envs.domains.molecule.objectives.means import Objective, Part
from seqgen_envs.domains.molecule.smiles import Compound, compound_of, quiet
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction, number_of
from seqgen_envs.domains.molecule.tasks.workers import Lost, Workers
from seqgen_envs.interrupts import interruptible
from seqgen_envs.rules import RuleError

#: Molecules a process is given at a time, where each is scored by itself.
_CHUNK = 16
#: Molecules of a batch that all fail, and none works, before an objective counts as broken.
MANY = 8


class Scored(NamedTuple):
    """Values of one molecule, one an objective; ``error`` is the first traceback, if any."""

    values: tuple[float, ...]
    error: str | None


class Verdict(NamedTuple):
    """What is known of one string: ``canonical`` is None where it is invalid (values are 0)."""

    canonical: str | None
    values: tuple[float, ...]
    error: str | None


class Scorer:
    """Objectives of SMILES.

    A pickled or copied scorer starts anew: with an empty cache and its whole budget. A resumed
    training goes on with what ``state_dict`` gave, unless the environments live in worker
    processes.

    Args:
        objectives: by name.
        n_jobs: processes that call them; objectives must be picklable for those. 1 is this one for
            what comes with this package and for function objects, and one of its own for code that
            text names (``"custom:FILE.py:function"``); in a daemonic process, which may not have
            any, it is this one. 0 is this one always.
        timeout: seconds a molecule may take, or None. With it each molecule is asked for by
            itself, and ``n_jobs=1`` too is a process of its own.
        cache_size: strings, and molecules, whose results are remembered.
        budget: molecules that may be scored at most, or None.

    Attributes:
        calls: distinct molecules scored.
        requests, repeats: strings asked for, and those of them that the caches answered (since a
            resume).
        history: (canonical SMILES, values) of the molecules in the order of their first call;
            kept only with a budget.

    Raises:
        ValueError: no objectives, or a number is out of its range.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective | SmilesFunction],
        *,
        n_jobs: int = 1,
        timeout: float | None = None,
        cache_size: int = 200_000,
        budget: int | None = None,
    ) -> None:
        if not objectives:
            raise ValueError("a scorer needs at least one objective")
        for name, value, least in (
            ("n_jobs", n_jobs, 0), ("cache_size", cache_size, 1), ("budget", budget, 1)
        ):  # fmt: skip
            if value is not None and not (isinstance(value, int) and value >= least):
                raise ValueError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )
        if timeout is not None and n_jobs == 0:
            raise ValueError("timeout needs processes of their own, and n_jobs=0 forbids them")
        if timeout is not None and not (isinstance(timeout, Real) and 0 < timeout < math.inf):
            raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}")
        self.objectives = dict(objectives)
        self.names = tuple(self.objectives)
        self.n_jobs, self.timeout, self.budget = n_jobs, timeout, budget
        self.cache_size = cache_size if budget is None else max(cache_size, budget)
        self._start_anew()

    def _start_anew(self) -> None:
        self.calls = self.requests = self.repeats = 0
        self.history: list[tuple[str, tuple[float, ...]]] = []
        self._worked = [False] * len(self.names)  # has each objective ever
        self._failed = [0] * len(self.names)  # failures before that
        self._zeros = (0.0,) * len(self.names)
        self._canonical: OrderedDict[str, str | None] = OrderedDict()
        self._scored: OrderedDict[str, Scored] = OrderedDict()
        self._workers: Workers | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("objectives", "names", "n_jobs", "timeout", "budget", "cache_size")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_anew()

    def state_dict(self) -> dict[str, Any]:
        """The accounts, JSON-able; without a budget there are none to keep.

        ``scored`` is [canonical SMILES, values (None for NaN), error] in the order of first calls.
        """
        if self.budget is None:
            return {}
        results = ((text, self._scored[text]) for text, _ in self.history)
        scored = [
            [text, [None if math.isnan(v) else v for v in known.values], known.error]
            for text, known in results
        ]
        return {"objectives": list(self.names), "requests": self.requests, "scored": scored}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the accounts by those of :meth:`state_dict`; what was scored is not again.

        Raises:
            ValueError: they are of a scorer with a budget, which this one does not have, or of
                other objectives.
        """
        if not state:
            return
        if self.budget is None:
            raise ValueError("the accounts are of a scorer with a budget: give the task one")
        if state["objectives"] != list(self.names):
            raise ValueError(
                f"the accounts are of {state['objectives']}, not of {list(self.names)}: "
                "they are another task's"
            )
        self.close()
        self._start_anew()
        self.requests = state["requests"]
        self.calls = len(state["scored"])
        for text, values, error in state["scored"]:
            known = Scored(tuple(math.nan if v is None else v for v in values), error)
            self._scored[text] = known
            self.history.append((text, known.values))

    @property
    def exhausted(self) -> bool:
        """Whether the budget is spent."""
        return self.budget is not None and self.calls >= self.budget

    @property
    def _here(self) -> bool:
        """Whether the objectives are called in this process."""
        if self.n_jobs != 1 or self.timeout is not None:
            return self.n_jobs == 0
        named = any(getattr(one, "named", False) for one in self.objectives.values())
        return not named or multiprocessing.current_process().daemon

    def prepare(self) -> None:
        """Load the objectives where they will be called.

        Raises:
            RuleError: one of them cannot be loaded.
        """
        if self._here:
            for objective in self.objectives.values():
                if isinstance(objective, (Part, SmilesFunction)):
                    objective.prepare()
        else:
            with interruptible():
                self._pool().prepare()

    def _pool(self) -> Workers:
        if self._workers is None:
            objectives = list(self.objectives.values())
            self._workers = Workers(max(self.n_jobs, 1), score_all, objectives, self.timeout)
        return self._workers

    def canonicalize(self, smiles: str) -> str | None:
        """The canonical SMILES of a string, or None where it is invalid; remembered."""
        if smiles not in self._canonical:
            compound = compound_of(smiles)
            text = None if compound is None else compound.canonical
            _remember(self._canonical, smiles, text, self.cache_size)
        return self._canonical[smiles]

    def score(self, smiles: Sequence[str]) -> list[Verdict]:
        """Verdicts of ``smiles``, in order; never raises on a molecule.

        Raises:
            RuleError: what goes wrong is no molecule's fault.
        """
        self.requests += len(smiles)
        if self.exhausted:
            return [Verdict(self.canonicalize(s), self._zeros, None) for s in smiles]
        known = sum(s in self._canonical for s in smiles)
        texts = [self.canonicalize(s) for s in smiles]
        self.repeats += known
        fresh = self._fresh(smiles, texts)
        with interruptible():
            results = dict(zip(fresh, self._evaluate(list(fresh.values())), strict=True))
        self._watch(results)
        self.calls += len(fresh)
        if self.budget is not None:
            self.history.extend((text, results[text].values) for text in fresh)
        verdicts = [self._verdict(text, results) for text in texts]
        for text, scored in results.items():
            _remember(self._scored, text, scored, self.cache_size)
        return verdicts

    def explain(self, smiles: str) -> str:
        """Why a molecule that was scored last has NaN: the traceback."""
        text = self.canonicalize(smiles)
        scored = None if text is None else self._scored.get(text)
        return f"on {text}: {scored.error if scored else 'forgotten'}"

    def _fresh(self, smiles: Sequence[str], texts: Sequence[str | None]) -> dict[str, Compound]:
        """What is to be scored, by canonical SMILES, in order and no more than the budget has."""
        left = math.inf if self.budget is None else self.budget - self.calls
        fresh: dict[str, Compound] = {}
        for spelling, text in zip(smiles, texts, strict=True):
            if text is None or text in self._scored or text in fresh or len(fresh) >= left:
                continue
            compound = compound_of(spelling)
            assert compound is not None
            fresh[text] = compound
        return fresh

    def _watch(self, results: Mapping[str, Scored]) -> None:
        """An objective that fails on all of a batch is broken.

        Raises:
            RuleError: it failed on two and more at once, or on :data:`MANY` one by one, and
                has never worked; or it failed on :data:`MANY` and more at once.
        """
        for column, name in enumerate(self.names):
            failed = [text for text, one in results.items() if math.isnan(one.values[column])]
            if len(failed) < len(results):
                self._worked[column] = True
            elif failed and self._is_broken(column, len(failed)):
                reason = last_line(results[failed[0]].error)
                raise RuleError(
                    f"objective {name!r} failed on each of {len(failed)} molecules, {failed[0]} "
                    f"first, so it is not the molecules: {reason}"
                )

    def _is_broken(self, column: int, failed: int) -> bool:
        """Whether an objective that failed on all of a batch is to blame, not the molecules."""
        if self._worked[column]:
            return failed >= MANY
        self._failed[column] += failed
        return failed >= 2 or self._failed[column] >= MANY

    def _verdict(self, text: str | None, results: Mapping[str, Scored]) -> Verdict:
        if text is None:
            return Verdict(None, self._zeros, None)
        scored = results.get(text) or self._scored.get(text)
        if scored is None:  # the budget ran out within the batch
            return Verdict(text, self._zeros, None)
        return Verdict(text, *scored)

    def _evaluate(self, compounds: list[Compound]) -> list[Scored]:
        """Values of compounds, in order, wherever the objectives are called."""
        if not compounds:
            return []
        if self._here:
            return score_all(list(self.objectives.values()), compounds)
        workers, parts = self._pool(), self._parts(compounds)
        answers = workers.run(parts, MANY if self.timeout else len(parts) + 1)
        suspects = [
            compound
            for part, answer in zip(parts, answers, strict=True)
            if isinstance(answer, Lost) and len(part) > 1
            for compound in part
        ]  # of which one has ended its process
        singly = iter(workers.run([[one] for one in suspects], MANY))
        scored = []
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, Lost):
                found = [next(singly) for _ in part] if len(part) > 1 else [answer]
                scored += [self._lost(one) if isinstance(one, Lost) else one[0] for one in found]
            else:
                scored += answer
        return scored

    def _parts(self, compounds: list[Compound]) -> list[list[Compound]]:
        """What each call of a process gets."""
        whole = any(isinstance(one, SmilesFunction) for one in self.objectives.values())
        size = math.ceil(len(compounds) / self.n_jobs)
        if not whole:
            size = min(_CHUNK, math.ceil(size / 4))  # some molecules take longer than others
        if self.timeout is not None:
            size = 1
        return [compounds[i : i + size] for i in range(0, len(compounds), size)]

    def _lost(self, lost: Lost) -> Scored:
        return Scored((math.nan,) * len(self.names), lost.reason)

    def close(self) -> None:
        """End the processes; the next batch starts new ones."""
        if self._workers is not None:
            self._workers.close()


def _remember(cache: OrderedDict[str, Any], key: str, value: Any, size: int) -> None:
    """Store, forgetting the oldest where the cache is full."""
    cache[key] = value
    if len(cache) > size:
        cache.popitem(last=False)


def score_all(
    objectives: Sequence[Objective | SmilesFunction], compounds: Sequence[Compound]
) -> list[Scored]:
    """Values of compounds; what goes wrong with one becomes NaN and a traceback.

    Raises:
        RuleError: what goes wrong is no molecule's fault.
    """
    values = [[math.nan] * len(objectives) for _ in compounds]
    errors: list[str | None] = [None] * len(compounds)
    with quiet():
        for column, objective in enumerate(objectives):
            if isinstance(objective, SmilesFunction):
                answers = _ask(objective, [compound.canonical for compound in compounds])
            else:
                answers = [_try(objective, compound) for compound in compounds]
            for row, (value, error) in enumerate(answers):
                values[row][column] = value
                errors[row] = errors[row] or error
    return [Scored(tuple(row), error) for row, error in zip(values, errors, strict=True)]


def _try(objective: Objective, compound: Compound) -> tuple[float, str | None]:
    try:
        if isinstance(objective, Part):
            return number_of(objective.score(compound))
        return number_of(objective(Chem.Mol(compound.molecule)))  # which it may change
    except (Exception, SystemExit) as error:
        return _failed(error)


def _ask(objective: SmilesFunction, smiles: list[str]) -> list[tuple[float, str | None]]:
    """All at once; where that fails, the first by themselves and then the rest in halves.

    Raises:
        RuleError: it fails for each of the first :data:`MANY`; or it is no molecule's fault.
    """
    try:
        return [number_of(value) for value in objective.score(smiles)]
    except (Exception, SystemExit) as error:
        failed = _failed(error)
    if len(smiles) == 1:
        return [failed]
    answers = [answer for text in smiles[:MANY] for answer in _ask(objective, [text])]
    if len(answers) == MANY and all(error is not None for _, error in answers):
        raise RuleError(
            f"{objective.name} failed on a batch of {len(smiles)} molecules and on each of the "
            f"first {MANY} by themselves, {smiles[0]} first, so it is not the molecules: "
            f"{last_line(answers[0][1])}"
        )
    return answers + _in_halves(objective, smiles[MANY:])


def _in_halves(objective: SmilesFunction, smiles: list[str]) -> list[tuple[float, str | None]]:
    """Asks for all at once, and for each half where that fails."""
    if not smiles:
        return []
    try:
        return [number_of(value) for value in objective.score(smiles)]
    except (Exception, SystemExit) as error:
        failed = _failed(error)
    if len(smiles) == 1:
        return [failed]
    middle = len(smiles) // 2
    return _in_halves(objective, smiles[:middle]) + _in_halves(objective, smiles[middle:])


def _failed(error: BaseException) -> tuple[float, str]:
    """NaN and the traceback, unless the error is the program's."""
    if isinstance(error, RuleError):
        raise error
    if isinstance(error, ImportError):
        raise RuleError(f"an objective needs what cannot be imported: {error}") from error
    return math.nan, "".join(traceback.format_exception(error))


def last_line(text: str | None) -> str:
    """What an error says, of its traceback."""
    return str(text).strip().rpartition("\n")[2]
