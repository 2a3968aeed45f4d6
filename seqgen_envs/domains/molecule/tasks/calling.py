"""How objectives are called, and who is to blame where one fails: a molecule or the program."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from rdkit import Chem

from seqgen_envs.domains.molecule.objectives.means import Objective, Part, only_reads
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import Compound, quiet
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction, number_of
from seqgen_envs.rules import RuleError

#: Molecules of a batch that all fail, and none works, before an objective counts as broken.
MANY = 8


class Scored(NamedTuple):
    """Values of one molecule, one an objective; ``error`` is the first traceback, if any."""

    values: tuple[float, ...]
    error: str | None


class Answer(NamedTuple):
    """What a process answers for one molecule: its score, and what it has measured for that, by
    the names of :data:`~.objectives.properties.PROPERTIES`.
    """

    scored: Scored
    measured: dict[str, float]


def answer_all(
    objectives: Sequence[Objective | SmilesFunction], compounds: Sequence[Compound]
) -> list[Answer]:
    """:func:`score_all` in a process of its own."""
    scored = score_all(objectives, compounds)
    return [
        Answer(one, _measured(compound)) for one, compound in zip(scored, compounds, strict=True)
    ]


def _measured(compound: Compound) -> dict[str, float]:
    found = {name: compound.known(function) for name, function in PROPERTIES.items()}
    return {name: value for name, value in found.items() if value is not None}


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
        if only_reads(objective):
            return number_of(compound.take(objective))
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
