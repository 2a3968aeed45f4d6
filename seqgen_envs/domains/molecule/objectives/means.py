"""Objectives that share what they measure of a molecule, and means of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rdkit import Chem

from seqgen_envs.domains.molecule.smiles import Compound

Objective = Callable[[Chem.Mol], float]
_OURS = f"{__name__.partition('.')[0]}."


class Part(ABC):
    """An objective that asks a compound for what others may have measured of it."""

    def __call__(self, molecule: Chem.Mol) -> float:
        """The score of a molecule."""
        return self.score(Compound(molecule))

    @abstractmethod
    def score(self, compound: Compound) -> float:
        """The score of a compound."""

    @property
    def references(self) -> tuple[str, ...]:
        """What a user named of which code is imported for it: that is done where it is called."""
        return ()

    def prepare(self) -> None:  # noqa: B027
        """Load what is needed before the first call, if anything; processes begin with it.

        Raises:
            RuleError: it cannot be loaded.
        """


def score_of(objective: Objective, compound: Compound) -> float:
    """What an objective gives for a compound; nothing is measured again."""
    if isinstance(objective, Part):
        return float(objective.score(compound))
    return float(compound.take(objective, copied=not only_reads(objective)))


def only_reads(objective: Objective) -> bool:
    """Whether an objective can be given the molecule itself: one of this package's own. A user's
    gets a copy, which it may change.
    """
    return str(getattr(objective, "__module__", "")).startswith(_OURS)


def parts_of(objective: Objective) -> tuple[Objective, ...]:
    """What a mean is of; nothing of any other objective."""
    return objective.parts if isinstance(objective, _Mean) else ()


@dataclass(frozen=True)
class _Mean(Part):
    parts: tuple[Objective, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts or not all(map(callable, self.parts)):
            raise ValueError(
                f"a mean needs one or more objectives, callables of a molecule; got {self.parts}"
            )
        if self.weights is not None:
            weights = _checked_weights(self.weights, len(self.parts))
            object.__setattr__(self, "weights", weights)

    @property
    def references(self) -> tuple[str, ...]:
        """See :class:`Part`."""
        parts = [part for part in self.parts if isinstance(part, Part)]
        return tuple(reference for part in parts for reference in part.references)

    def prepare(self) -> None:
        """See :class:`Part`."""
        for part in self.parts:
            if isinstance(part, Part):
                part.prepare()

    def _scored(self, compound: Compound) -> Iterator[tuple[Objective, float, float]]:
        """Parts, their weights and their scores, in order and one at a time."""
        weights = self.weights or (1.0,) * len(self.parts)
        for part, weight in zip(self.parts, weights, strict=True):
            yield part, weight, score_of(part, compound)

    @property
    def _total(self) -> float:
        return float(len(self.parts)) if self.weights is None else sum(self.weights)


@dataclass(frozen=True)
class Arithmetic(_Mean):
    """The arithmetic mean of objectives.

    Args:
        parts: objectives, functions of your own among them.
        weights: one a part, above 0; equal where None.

    Raises:
        ValueError: there are no parts, or the weights do not fit.
    """

    def score(self, compound: Compound) -> float:
        """See :class:`Part`."""
        return sum(weight * score for _, weight, score in self._scored(compound)) / self._total


@dataclass(frozen=True)
class Geometric(_Mean):
    """The geometric mean of objectives: 0 where one of them is.

    The parts after one that gives 0 are not asked; put those that cost least first.

    Args, raises: as for :class:`Arithmetic`.
    """

    def score(self, compound: Compound) -> float:
        """See :class:`Part`.

        Raises:
            ValueError: a part gives less than 0.
        """
        logarithm = 0.0
        for part, weight, score in self._scored(compound):
            if score < 0:
                raise ValueError(
                    f"a geometric mean needs scores of at least 0, got {score} of {part}; modify "
                    f"that part, by Clipped say"
                )
            if score == 0:
                return 0.0
            logarithm += weight * math.log(score)
        return math.exp(logarithm / self._total)


def _checked_weights(weights: Sequence[float], n: int) -> tuple[float, ...]:
    numbers = all(isinstance(w, int | float) and 0 < w < math.inf for w in weights)
    if len(weights) != n or not numbers:
        raise ValueError(
            f"a mean of {n} parts needs {n} weights, finite and above 0; got {tuple(weights)}"
        )
    return tuple(map(float, weights))
