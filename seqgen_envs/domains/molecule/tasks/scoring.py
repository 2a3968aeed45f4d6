"""Scores of whole batches of SMILES: parsed once, canonical once, each molecule scored once.

An *objective* is what is computed of a molecule: a picklable callable ``Mol -> float``. A
:class:`~.own.SmilesFunction` is one that takes SMILES, many at a time. A bad molecule does not end
a run: where an objective raises or gives no finite number, that molecule's value is NaN and its
verdict says why. An error of the program does: an import that fails, an answer of the wrong length,
processes that cannot begin, or an objective that fails on whatever it is given
(:class:`~seqgen_envs.rules.RuleError`).

With ``n_jobs`` of 2 and more, with a ``timeout``, and where text names code to import, objectives
are called in processes of their own only (:mod:`~.workers`; with ``n_jobs="ray"`` those of a
cluster, :mod:`~.remote`): a molecule whose process dies or is late has failed, and the process is
replaced. Otherwise they are called in this one, and what ends
or hangs it ends or hangs the run. Processes begin with molecules whose scores will be asked for
later (:meth:`Scorer.expect`) while the next ones are written, unless there is a timeout or a budget
to keep.

With a budget the scorer keeps the accounts of the PMO benchmark (Gao et al. 2022): distinct
canonical SMILES cost one call each, repeats and invalid strings cost nothing, and once the budget
is spent everything scores 0.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from seqgen_envs.answers import MANY
from seqgen_envs.domains.molecule.objectives.means import Objective
from seqgen_envs.domains.molecule.smiles import Compound, compound_of
from seqgen_envs.domains.molecule.tasks.calling import Scored
from seqgen_envs.domains.molecule.tasks.dispatch import Dispatcher
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction
from seqgen_envs.domains.molecule.tasks.remote import RAY, slot_of
from seqgen_envs.interrupts import interruptible
from seqgen_envs.rules import RuleError
from seqgen_envs.tracebacks import last_line


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
            any, it is this one. 0 is this one always. ``"ray"``: as many as a Ray cluster has room
            for (that of ``RAY_ADDRESS``, or this machine's cores).
        timeout: seconds a molecule may take, or None. With it each molecule is asked for by
            itself, and ``n_jobs=1`` too is a process of its own.
        cache_size: strings, and molecules, whose results are remembered: those used most recently.
        budget: molecules that may be scored at most, or None.
        num_cpus, num_gpus, retries: with ``n_jobs="ray"``, see :class:`~.remote.Slot`.

    Attributes:
        calls: distinct molecules scored.
        requests, repeats: strings asked for, and those of them that the caches answered (since a
            resume).
        history: (canonical SMILES, values) of the molecules in the order of their first call;
            kept only with a budget.

    Raises:
        ValueError: no objectives, a number is out of its range, or something is for Ray alone.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective | SmilesFunction],
        *,
        n_jobs: int | str = 1,
        timeout: float | None = None,
        cache_size: int = 200_000,
        budget: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        retries: int | None = None,
    ) -> None:
        if not objectives:
            raise ValueError("a scorer needs at least one objective")
        if isinstance(n_jobs, str) and n_jobs != RAY:
            raise ValueError(f"n_jobs must be a whole number or 'ray', got {n_jobs!r}")
        for name, value, least in (
            ("n_jobs", None if n_jobs == RAY else n_jobs, 0),
            ("cache_size", cache_size, 1),
            ("budget", budget, 1),
        ):
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
        self.slot = slot_of(n_jobs, num_cpus=num_cpus, num_gpus=num_gpus, retries=retries)
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
        self._dispatcher = Dispatcher(self.objectives, self.n_jobs, self.timeout, self.slot)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("objectives", "names", "n_jobs", "timeout", "slot", "budget", "cache_size")
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

    def prepare(self) -> None:
        """Load the objectives where they will be called.

        Raises:
            RuleError: one of them cannot be loaded.
        """
        self._dispatcher.prepare()

    def canonicalize(self, smiles: str) -> str | None:
        """The canonical SMILES of a string, or None where it is invalid; remembered."""
        if smiles in self._canonical:
            self._canonical.move_to_end(smiles)
            return self._canonical[smiles]
        compound = compound_of(smiles)
        text = None if compound is None else compound.canonical
        _remember(self._canonical, smiles, text, self.cache_size)
        return text

    @property
    def ahead(self) -> bool:
        """Whether :meth:`expect` does anything. With a budget it does not: what is begun with may
        never be asked for, if the run ends, and has cost a call all the same.
        """
        return self.budget is None and self._dispatcher.ahead

    def expect(self, smiles: Sequence[str]) -> None:
        """Have processes begin with strings that :meth:`score` will be asked for, if they can.

        Raises:
            RuleError: what goes wrong is no molecule's fault.
        """
        if self.ahead:
            compounds = [one for one in map(compound_of, smiles) if one is not None]
            self._dispatcher.expect([c for c in compounds if c.canonical not in self._scored])

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
            results = self._dispatcher.score(list(fresh.values()))
        self._watch(results)
        self.calls += len(results)
        if self.budget is not None:
            self.history.extend((text, results[text].values) for text in fresh)
        verdicts = [self._verdict(text, results) for text in texts]
        for text, scored in results.items():
            _remember(self._scored, text, scored, self.cache_size)
        return verdicts

    def knows(self, smiles: str) -> bool:
        """Whether a string is invalid, or has been scored and is remembered."""
        text = self.canonicalize(smiles)
        return text is None or text in self._scored

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
        if text in results:
            return Verdict(text, *results[text])
        if text in self._scored:
            self._scored.move_to_end(text)
            return Verdict(text, *self._scored[text])
        return Verdict(text, self._zeros, None)  # the budget ran out within the batch

    def close(self) -> None:
        """End the processes; the next batch starts new ones."""
        self._dispatcher.close()


def _remember(cache: OrderedDict[str, Any], key: str, value: Any, size: int) -> None:
    """Store, forgetting what was used least recently where the cache is full."""
    cache[key] = value
    if len(cache) > size:
        cache.popitem(last=False)
