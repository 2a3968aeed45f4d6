"""Means of objectives, which share what they measure of a molecule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rdkit import Chem

Objective = Callable[[Chem.Mol], float]
Result = TypeVar("Result")


class Measurements:
    """One molecule, and what has been measured of it so far."""

    def __init__(self, molecule: Chem.Mol) -> None:
        self.molecule = molecule
        # by identity, as callables need not be hashable; held, so that no identity comes again
        self._known: dict[int, tuple[Callable[..., Any], Any]] = {}

    def take(self, function: Callable[[Chem.Mol], Result]) -> Result:
        """What ``function`` gives for the molecule; it is called once."""
        if id(function) not in self._known:
            self._known[id(function)] = (function, function(self.molecule))
        value: Result = self._known[id(function)][1]
        return value


class Part(ABC):
    """An objective that shares its measurements with the others of a mean."""

    def __call__(self, molecule: Chem.Mol) -> float:
        """The score of a molecule."""
        return self.score(Measurements(molecule))

    @abstractmethod
    def score(self, measurements: Measurements) -> float:
        """The score of the molecule that the measurements are of."""


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

    def _scored(self, measurements: Measurements) -> Iterator[tuple[Objective, float, float]]:
        """Parts, their weights and their scores, in order and one at a time."""
        weights = self.weights or (1.0,) * len(self.parts)
        for part, weight in zip(self.parts, weights, strict=True):
            if isinstance(part, Part):
                yield part, weight, part.score(measurements)
            else:
                yield part, weight, float(measurements.take(part))

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

    def score(self, measurements: Measurements) -> float:
        """See :class:`Part`."""
        return sum(weight * score for _, weight, score in self._scored(measurements)) / self._total


@dataclass(frozen=True)
class Geometric(_Mean):
    """The geometric mean of objectives: 0 where one of them is.

    The parts after one that gives 0 are not asked; put those that cost least first.

    Args, raises: as for :class:`Arithmetic`.
    """

    def score(self, measurements: Measurements) -> float:
        """See :class:`Part`.

        Raises:
            ValueError: a part gives less than 0.
        """
        logarithm = 0.0
        for part, weight, score in self._scored(measurements):
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
