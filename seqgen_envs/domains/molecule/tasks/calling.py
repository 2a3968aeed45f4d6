"""How objectives are called, and who is to blame where one fails: a molecule or the program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rdkit import Chem

from seqgen_envs.answers import ask, failed, number_of
from seqgen_envs.domains.molecule.objectives.means import Objective, Part, only_reads
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import Compound, quiet
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction


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
                smiles = [compound.canonical for compound in compounds]
                answers = ask(objective.score, smiles, objective.name, "molecules")
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
        return failed(error)
