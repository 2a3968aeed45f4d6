"""Tasks of molecules: what a finished SMILES earns.

All terms of a task but the carbon rule judge finished sequences and read one
:class:`~.scoring.Scorer`. An invalid SMILES earns nothing from them; the term ``validity`` then
holds minus the penalty, and for a valid one on which an objective failed the same or what the task
says. Any task takes a ``diversity`` (see :mod:`~.diversity`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from seqgen_envs.domains.molecule.objectives.components import components
from seqgen_envs.domains.molecule.objectives.described import objective_from, read_objective
from seqgen_envs.domains.molecule.objectives.means import Objective
from seqgen_envs.domains.molecule.objectives.modifiers import Clipped, Linear
from seqgen_envs.domains.molecule.objectives.oracles import ORACLES, oracle
from seqgen_envs.domains.molecule.objectives.parts import Measured, Similarity, Substructure
from seqgen_envs.domains.molecule.tasks.diversity import DiverseTask
from seqgen_envs.domains.molecule.tasks.memory import Diversity, diversity_from
from seqgen_envs.domains.molecule.tasks.own import (
    NamedFunction,
    Program,
    SmilesFunction,
)
from seqgen_envs.domains.molecule.tasks.rules import (
    Board,
    CarbonRunRule,
    ColumnRule,
    Columns,
    MoleculeTask,
    ValidityRule,
)
from seqgen_envs.domains.molecule.tasks.scoring import Scorer
from seqgen_envs.rules import Task, Term
from seqgen_envs.spelling import did_you_mean

VALIDITY, PART = "validity", "part_"
#: Weights of the task ``sequence-tutor``; at c = 0.5 each moves its property by about one standard
#: deviation of the corpus.
TUTOR_WEIGHTS = {"logp": 0.5, "sa": 5.0, "qed": 1.0, "ring_penalty": 1.0, "carbon_run": 1.0}


def scored_task(
    name: str,
    objectives: Mapping[str, Objective | SmilesFunction],
    *,
    weights: Mapping[str, float] | None = None,
    valid_reward: float = 0.0,
    invalid_penalty: float = 0.0,
    failed: float | None = None,
    extra: Sequence[Term] = (),
    beside: Mapping[str, Objective] | None = None,
    diversity: Diversity | Mapping[str, Any] | None = None,
    **scoring: Any,
) -> MoleculeTask:
    """A task of objectives: one term each, and ``validity``.

    Args:
        name: the task's.
        objectives: by the names of their terms.
        weights: of the terms, 1 where not named.
        valid_reward: what ``validity`` pays for a valid SMILES.
        invalid_penalty: what it takes for an invalid one.
        failed: what ``validity`` holds for a valid SMILES on which an objective failed; its other
            terms are 0. None: as for an invalid one, and never more than that.
        extra: further terms.
        beside: further objectives, which pay nothing: metrics ``part_NAME`` of each molecule.
        diversity: what becomes of molecules like those there were, as a
            :class:`~.memory.Diversity` or the dict of its arguments; None: nothing.
        scoring: ``n_jobs``, ``timeout``, ``cache_size``, ``budget``, and with ``n_jobs="ray"``
            ``num_cpus``, ``num_gpus`` and ``retries``: see :class:`~.scoring.Scorer`.

    Raises:
        ValueError: a number is out of its range, or a weight is for no term.
        TypeError: there is an argument that it does not know.
    """
    _check_known(scoring)
    for what, value in (("valid_reward", valid_reward), ("invalid_penalty", invalid_penalty)):
        if not isinstance(value, Real):
            raise ValueError(f"{what} must be a number, got {value!r}")
    if not invalid_penalty >= 0:
        raise ValueError(f"invalid_penalty must be >= 0, got {invalid_penalty}")
    failed = -invalid_penalty if failed is None else failed
    if not (isinstance(failed, Real) and -math.inf < failed <= -invalid_penalty):
        raise ValueError(
            f"failed must be at most {-invalid_penalty:g}, what an invalid SMILES earns, got "
            f"{failed!r}: failing must not pay"
        )
    looked_at = {f"{PART}{part}": objective for part, objective in (beside or {}).items()}
    scorer = Scorer({**objectives, **looked_at}, **scoring)
    board = Board(scorer)
    terms = [Term(term, ColumnRule(board, i), at="end") for i, term in enumerate(objectives)]
    validity = Term(VALIDITY, ValidityRule(board, valid_reward, invalid_penalty), at="end")
    every = [*terms, validity, *extra]
    if diversity is None:
        task = MoleculeTask(name, every, board, {VALIDITY: failed})
    else:
        task = DiverseTask(name, every, board, diversity_from(diversity), {VALIDITY: failed})
    if looked_at:
        task.facts["parts"] = Columns(scorer, tuple(looked_at))
    return task.with_weights(weights or {})


def _check_known(scoring: Iterable[str]) -> None:
    of_all = [*inspect.signature(scored_task).parameters, *inspect.signature(Scorer).parameters]
    known = sorted({*of_all} - {"name", "objectives", "beside", "extra", "scoring"})
    for name in scoring:
        if name not in known:
            raise TypeError(
                f"there is no {name!r}{did_you_mean(name, known)}; every task of molecules takes "
                f"{', '.join(known)}"
            )


def sequence_tutor_task(
    *,
    weights: Mapping[str, float] | None = None,
    max_run: int = 6,
    valid_reward: float = 1.0,
    invalid_penalty: float = 1.0,
    **scorer: Any,
) -> MoleculeTask:
    """The paper's task: valid, soluble in fat, easy to make, drug-like, small rings (section 5.2).

    ``logp`` is Crippen's, clipped to -2..6; ``sa`` is (10 - SA) / 9; ``ring_penalty`` is
    -max(largest ring - 6, 0); ``carbon_run`` watches every token. Weights are
    :data:`TUTOR_WEIGHTS` unless given.
    """
    objectives = {
        "logp": Measured("logp", Clipped(-2.0, 6.0, low_score=-2.0, high_score=6.0)),
        "sa": Measured("sa", Linear(-1 / 9, 10 / 9)),
        "qed": Measured("qed"),
        "ring_penalty": Measured("ring_penalty", Linear(-1.0)),
    }
    return scored_task(
        "sequence-tutor",
        objectives,
        weights=TUTOR_WEIGHTS | dict(weights or {}),
        valid_reward=valid_reward,
        invalid_penalty=invalid_penalty,
        extra=[Term("carbon_run", CarbonRunRule(max_run))],
        **scorer,
    )


def penalized_logp_task(*, standardized: bool = False, **others: Any) -> MoleculeTask:
    """logP - SA - max(largest ring - 6, 0), plain or each standardised by ZINC250k's figures.

    Many molecules are below 0, where an invalid SMILES would be better off: it costs 5.
    """
    measured = "penalized_logp_standardized" if standardized else "penalized_logp"
    objectives = {"penalized_logp": Measured(measured)}
    return scored_task("penalized-logp", objectives, **{"invalid_penalty": 5.0, **others})


def property_task(name: str, **others: Any) -> MoleculeTask:
    """One property as it is."""
    return scored_task(name, {name: Measured(name)}, **others)


def sa_task(**others: Any) -> MoleculeTask:
    """Minus the synthetic accessibility score (1: easy, 10: hard); as bad as 10 where invalid."""
    objectives = {"sa": Measured("sa", Linear(-1.0))}
    return scored_task("sa", objectives, **{"invalid_penalty": 10.0, **others})


def similarity_task(smiles: str, *, fingerprint: str = "ECFP4", **others: Any) -> MoleculeTask:
    """Tanimoto similarity to a molecule.

    Raises:
        ValueError: the SMILES does not parse, or the fingerprint is unknown.
    """
    objective = Similarity(smiles, fingerprint)
    return scored_task(f"similarity:{smiles}", {"similarity": objective}, **others)


def scaffold_task(smarts: str, **others: Any) -> MoleculeTask:
    """1 for a molecule that holds a substructure.

    Raises:
        ValueError: the SMARTS does not parse.
    """
    return scored_task(f"scaffold:{smarts}", {"scaffold": Substructure(smarts)}, **others)


def custom_task(where: str, **others: Any) -> MoleculeTask:
    """A function of yours, ``list[str] -> values``: ``module:NAME`` or ``FILE.py:NAME``.

    See :mod:`~.own` for what it may return. It is imported in the processes that call it and not
    here, unless ``n_jobs`` is 0.

    Raises:
        ValueError: the name has another form, or there is no such file. That the file has no such
            function is said by ``prepare()`` or at the first call.
    """
    file, _, name = where.rpartition(":")
    objective = NamedFunction(where)
    return scored_task(f"custom:{Path(file).name}:{name}", {"custom": objective}, **others)


def function_task(function: Callable[[list[str]], Any], **others: Any) -> MoleculeTask:
    """A task of your own function of canonical SMILES, as an object (see :func:`custom_task`)."""
    objective = SmilesFunction(function)
    return scored_task(f"custom:{objective.name}", {"custom": objective}, **others)


def command_task(command: str, **others: Any) -> MoleculeTask:
    """A program of yours: SMILES on standard input, numbers on standard output, one a line.

    See :class:`~.own.Program`.

    Raises:
        ValueError: there is no such program.
    """
    return scored_task(f"command:{command}", {"command": Program(command)}, **others)


def objective_task(*, objective: Any, parts: bool = False, **others: Any) -> MoleculeTask:
    """An objective as a dict (see :func:`~.objectives.described.objective_from`), for JSON, YAML.

    Args:
        objective: its description.
        parts: whether its parts stand beside each molecule's score, as metrics (``part_NAME``).
        others: see :func:`scored_task`.

    Raises:
        ValueError: the dict describes none.
    """
    return _described_task("objective", objective_from(objective), parts, **others)


def objective_file_task(path: str, *, parts: bool = False, **others: Any) -> MoleculeTask:
    """An objective that a YAML or JSON file describes; arguments as of :func:`objective_task`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it describes none.
    """
    return _described_task(f"objective:{path}", read_objective(path), parts, **others)


def _described_task(name: str, objective: Objective, parts: bool, **others: Any) -> MoleculeTask:
    if not isinstance(parts, bool):
        raise ValueError(f"parts must be true or false, got {parts!r}")
    beside = components(objective) if parts else {}
    return scored_task(name, {"objective": objective}, beside=beside, **others)


def pmo_task(name: str, **others: Any) -> MoleculeTask:
    """An oracle of Practical Molecular Optimization (Gao et al. 2022).

    Raises:
        ValueError: there is none of that name.
        ImportError: it needs a model that is not there; the message says how to get it.
    """
    return scored_task(f"pmo/{name}", {name: oracle(name)}, **others)


TASKS: dict[str, Callable[..., Task]] = {
    "sequence-tutor": sequence_tutor_task,
    "qed": partial(property_task, "qed"),
    "penalized-logp": penalized_logp_task,
    "logp": partial(property_task, "logp"),
    "sa": sa_task,
    "objective": objective_task,
    "objective:": objective_file_task,
    "similarity:": similarity_task,
    "scaffold:": scaffold_task,
    "custom:": custom_task,
    "command": command_task,
    "command:": command_task,
    **{f"pmo/{name}": partial(pmo_task, name) for name in ORACLES},
}
