"""Scores of whole batches of SMILES: parsed once, canonical once, each molecule scored once.

An *objective* is what is computed of a molecule: a picklable callable ``Mol -> float``. A
:class:`SmilesFunction` is one that takes SMILES, many at a time. Neither ends a run: where one
raises or returns NaN, that molecule's value is NaN and its verdict says why.

With a budget the scorer keeps the accounts of the PMO benchmark (Gao et al. 2022): distinct
canonical SMILES cost one call each, repeats and invalid strings cost nothing, and once the budget
is spent everything scores 0.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

from rdkit import Chem

from seqgen_envs.domains.molecule.means import Objective
from seqgen_envs.domains.molecule.smiles import canonicalize, quiet

#: Molecules a process is given at a time.
_CHUNK = 16


class SmilesFunction:
    """An objective that scores canonical SMILES many at a time: docking, a server, a model.

    Args:
        function: ``list[str] -> list[float]``, picklable where the scorer has several processes.
    """

    def __init__(self, function: Callable[[list[str]], Sequence[float]]) -> None:
        self.function = function

    def score(self, smiles: list[str]) -> list[float]:
        """Values of ``smiles``.

        Raises:
            ValueError: the function returned another number of values.
        """
        values = [float(value) for value in self.function(smiles)]
        if len(values) != len(smiles):
            name = getattr(self.function, "__qualname__", repr(self.function))
            raise ValueError(f"{name} returned {len(values)} values for {len(smiles)} SMILES")
        return values


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
        n_jobs: processes; 1 is this one. Objectives must be picklable for more.
        cache_size: strings, and molecules, whose results are remembered.
        budget: molecules that may be scored at most, or None.

    Attributes:
        calls: distinct molecules scored.
        requests, repeats: strings asked for, and those of them that the caches answered (since a
            resume).
        history: (canonical SMILES, values) of the molecules in the order of their first call;
            kept only with a budget.

    Raises:
        ValueError: no objectives, or a number is below 1.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective | SmilesFunction],
        *,
        n_jobs: int = 1,
        cache_size: int = 200_000,
        budget: int | None = None,
    ) -> None:
        if not objectives:
            raise ValueError("a scorer needs at least one objective")
        for name, value in (("n_jobs", n_jobs), ("cache_size", cache_size), ("budget", budget)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.objectives = dict(objectives)
        self.names = tuple(self.objectives)
        self.n_jobs, self.budget = n_jobs, budget
        self.cache_size = cache_size if budget is None else max(cache_size, budget)
        self._start_anew()

    def _start_anew(self) -> None:
        self.calls = self.requests = self.repeats = 0
        self.history: list[tuple[str, tuple[float, ...]]] = []
        self._zeros = (0.0,) * len(self.names)
        self._canonical: OrderedDict[str, str | None] = OrderedDict()
        self._scored: OrderedDict[str, Scored] = OrderedDict()
        self._pool: ProcessPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("objectives", "names", "n_jobs", "budget", "cache_size")
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

    def canonicalize(self, smiles: str) -> str | None:
        """The canonical SMILES of a string, or None where it is invalid; remembered."""
        if smiles not in self._canonical:
            _remember(self._canonical, smiles, canonicalize(smiles), self.cache_size)
        return self._canonical[smiles]

    def score(self, smiles: Sequence[str]) -> list[Verdict]:
        """Verdicts of ``smiles``, in order; never raises on a molecule."""
        self.requests += len(smiles)
        if self.exhausted:
            return [Verdict(self.canonicalize(s), self._zeros, None) for s in smiles]
        known = sum(s in self._canonical for s in smiles)
        texts = [self.canonicalize(s) for s in smiles]
        self.repeats += known
        fresh = [t for t in dict.fromkeys(texts) if t is not None and t not in self._scored]
        if self.budget is not None:
            fresh = fresh[: self.budget - self.calls]
        results = dict(zip(fresh, self._evaluate(fresh), strict=True))
        self.calls += len(fresh)
        if self.budget is not None:
            self.history.extend((text, results[text].values) for text in fresh)
        verdicts = [self._verdict(text, results) for text in texts]
        for text, scored in results.items():
            _remember(self._scored, text, scored, self.cache_size)
        return verdicts

    def _verdict(self, text: str | None, results: Mapping[str, Scored]) -> Verdict:
        if text is None:
            return Verdict(None, self._zeros, None)
        scored = results.get(text) or self._scored.get(text)
        if scored is None:  # the budget ran out within the batch
            return Verdict(text, self._zeros, None)
        return Verdict(text, *scored)

    def _evaluate(self, smiles: list[str]) -> list[Scored]:
        if self.n_jobs == 1 or len(smiles) <= _CHUNK:
            return score_all(list(self.objectives.values()), smiles)
        if self._pool is None:
            # spawn: a fork of a process that already runs torch's threads can hang
            self._pool = ProcessPoolExecutor(
                self.n_jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare,
                initargs=(list(self.objectives.values()),),
            )
        chunks = [smiles[i : i + _CHUNK] for i in range(0, len(smiles), _CHUNK)]
        return [scored for part in self._pool.map(_work, chunks) for scored in part]

    def close(self) -> None:
        """End the worker processes; the next batch starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _remember(cache: OrderedDict[str, Any], key: str, value: Any, size: int) -> None:
    """Store, forgetting the oldest where the cache is full."""
    cache[key] = value
    if len(cache) > size:
        cache.popitem(last=False)


def score_all(
    objectives: Sequence[Objective | SmilesFunction], smiles: Sequence[str]
) -> list[Scored]:
    """Values of canonical SMILES; what goes wrong becomes NaN and a traceback."""
    values = [[math.nan] * len(objectives) for _ in smiles]
    errors: list[str | None] = [None] * len(smiles)
    with quiet():
        molecules = [Chem.MolFromSmiles(text) for text in smiles]
        for column, objective in enumerate(objectives):
            if isinstance(objective, SmilesFunction):
                answers = _ask(objective, list(smiles))
            else:
                answers = [_try(objective, molecule) for molecule in molecules]
            for row, (value, error) in enumerate(answers):
                values[row][column] = value
                errors[row] = errors[row] or error
    return [Scored(tuple(row), error) for row, error in zip(values, errors, strict=True)]


def _try(objective: Objective, molecule: Chem.Mol) -> tuple[float, str | None]:
    try:
        return _checked(float(objective(molecule)))
    except Exception:
        return math.nan, traceback.format_exc()


def _ask(objective: SmilesFunction, smiles: list[str]) -> list[tuple[float, str | None]]:
    """All at once; one by one where that fails, to find those to blame."""
    try:
        return [_checked(value) for value in objective.score(smiles)]
    except Exception:
        if len(smiles) == 1:
            return [(math.nan, traceback.format_exc())]
        return [answer for text in smiles for answer in _ask(objective, [text])]


def _checked(value: float) -> tuple[float, str | None]:
    if math.isfinite(value):
        return value, None
    return math.nan, f"the objective returned {value}, expected a finite number"


_objectives: list[Objective | SmilesFunction] = []


def _prepare(objectives: list[Objective | SmilesFunction]) -> None:
    """What a worker scores by; Ctrl-C is for its parent, which finishes the round."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _objectives[:] = objectives


def _work(smiles: list[str]) -> list[Scored]:
    return score_all(_objectives, smiles)
