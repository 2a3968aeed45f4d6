"""Sigmoids and steps, as REINVENT 4 defines them (Loeffler et al. 2024).

See doi 10.1186/s13321-024-00812-5; functions ``float -> float``, NaN let through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any


def require_numbers(modifier: Any) -> None:
    """Raises ValueError where an argument is not a finite number."""
    for field in fields(modifier):
        value = getattr(modifier, field.name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            where = f"{type(modifier).__name__}: {field.name}"
            raise ValueError(f"{where} must be a finite number, got {value!r}")


def require(condition: bool, modifier: Any, what: str) -> None:
    """Raises ValueError that says ``what`` is required, unless it holds."""
    if not condition:
        raise ValueError(f"{what}, got {modifier}")


def logistic(z: float) -> float:
    """1 / (1 + exp(-z)), without the exponential of a number above 0, which may overflow."""
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


@dataclass(frozen=True)
class Sigmoid:
    """Rises from 0 to 1 between ``low`` and ``high``: 0.053 and 0.947 there with k = 0.25.

    ``1 / (1 + 10 ** (-10 k (x - (low + high) / 2) / (high - low)))``, as in REINVENT 4.

    Raises:
        ValueError: ``low`` is not below ``high``, or ``k`` not above 0.
    """

    low: float
    high: float
    k: float = 0.25

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.low < self.high, self, "low must be below high")
        require(self.k > 0, self, "k must be above 0")

    def __call__(self, x: float) -> float:
        """The modified value."""
        steepness = 10.0 * self.k / (self.high - self.low)
        return logistic(math.log(10.0) * steepness * (x - (self.low + self.high) / 2))


@dataclass(frozen=True)
class ReverseSigmoid(Sigmoid):
    """Falls from 1 to 0 between ``low`` and ``high``: 1 minus :class:`Sigmoid`."""

    def __call__(self, x: float) -> float:
        """The modified value."""
        return 1.0 - super().__call__(x)


@dataclass(frozen=True)
class DoubleSigmoid:
    """Near 1 between ``low`` and ``high`` and falling to 0 outside, 0.5 at both.

    ``1 / (1 + 10 ** (-(coef_si / coef_div) (x - low)))`` left of the middle, and right of it
    ``1 - 1 / (1 + 10 ** (-(coef_se / coef_div) (x - high)))``, as in REINVENT 4: ``coef_div`` is
    the width of the slopes in units of x, ``coef_si`` and ``coef_se`` sharpen the left and the
    right one.

    Raises:
        ValueError: ``low`` is not below ``high``, or a coefficient not above 0.
    """

    low: float
    high: float
    coef_div: float = 100.0
    coef_si: float = 150.0
    coef_se: float = 150.0

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.low < self.high, self, "low must be below high")
        least = min(self.coef_div, self.coef_si, self.coef_se)
        require(least > 0, self, "coef_div, coef_si and coef_se must be above 0")

    def __call__(self, x: float) -> float:
        """The modified value."""
        scale = math.log(10.0) / self.coef_div
        if x < (self.low + self.high) / 2:
            return logistic(scale * self.coef_si * (x - self.low))
        return logistic(-scale * self.coef_se * (x - self.high))


@dataclass(frozen=True)
class Step:
    """1 from ``low`` to ``high``, both included, and 0 outside.

    Raises:
        ValueError: ``low`` is above ``high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.low <= self.high, self, "low must not be above high")

    def __call__(self, x: float) -> float:
        """The modified value."""
        return _share(x, self.low <= x <= self.high)


@dataclass(frozen=True)
class LeftStep:
    """1 up to ``low``, included, and 0 above."""

    low: float

    def __post_init__(self) -> None:
        require_numbers(self)

    def __call__(self, x: float) -> float:
        """The modified value."""
        return _share(x, x <= self.low)


@dataclass(frozen=True)
class RightStep:
    """1 from ``high`` on, and 0 below."""

    high: float

    def __post_init__(self) -> None:
        require_numbers(self)

    def __call__(self, x: float) -> float:
        """The modified value."""
        return _share(x, x >= self.high)


def _share(x: float, good: bool) -> float:
    return math.nan if math.isnan(x) else float(good)
