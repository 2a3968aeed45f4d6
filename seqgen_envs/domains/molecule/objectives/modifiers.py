"""How desirable a measured value is: functions ``float -> float``.

The definitions are those of GuacaMol (Brown et al. 2019, arXiv 1811.09621); those of
:mod:`~.sigmoids` are REINVENT 4's. All let NaN through, so that a failed measurement never looks
like a good one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from seqgen_envs.domains.molecule.objectives.sigmoids import (
    DoubleSigmoid,
    LeftStep,
    ReverseSigmoid,
    RightStep,
    Sigmoid,
    Step,
    logistic,
    require,
    require_numbers,
)

Modifier = Callable[[float], float]


@dataclass(frozen=True)
class Linear:
    """``slope * x + offset``."""

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        require_numbers(self)

    def __call__(self, x: float) -> float:
        """The modified value."""
        return self.slope * x + self.offset


@dataclass(frozen=True)
class Squared:
    """``1 - coefficient * (x - target) ** 2``: best at the target."""

    target: float
    coefficient: float = 1.0

    def __post_init__(self) -> None:
        require_numbers(self)

    def __call__(self, x: float) -> float:
        """The modified value."""
        distance = x - self.target
        return 1.0 - self.coefficient * distance * distance


@dataclass(frozen=True)
class Absolute:
    """``1 - |x - target|``: best at the target."""

    target: float

    def __post_init__(self) -> None:
        require_numbers(self)

    def __call__(self, x: float) -> float:
        """The modified value."""
        return 1.0 - abs(x - self.target)


@dataclass(frozen=True)
class Gaussian:
    """``exp(-((x - mu) / sigma) ** 2 / 2)``: 1 at mu, 0.607 one sigma away.

    Raises:
        ValueError: sigma is not above 0.
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.sigma > 0, self, "sigma must be above 0")

    def __call__(self, x: float) -> float:
        """The modified value."""
        z = (x - self.mu) / self.sigma
        return math.exp(-0.5 * z * z)


@dataclass(frozen=True)
class MinGaussian(Gaussian):
    """For what should be small: 1 up to mu, a Gaussian's fall above."""

    def __call__(self, x: float) -> float:
        """The modified value."""
        return 1.0 if x <= self.mu else super().__call__(x)


@dataclass(frozen=True)
class MaxGaussian(Gaussian):
    """For what should be large: 1 from mu on, a Gaussian's fall below."""

    def __call__(self, x: float) -> float:
        """The modified value."""
        return 1.0 if x >= self.mu else super().__call__(x)


@dataclass(frozen=True)
class Clipped:
    """A straight line from ``low_score`` at ``lower`` to ``high_score`` at ``upper``, flat outside.

    With ``upper`` below ``lower``, small values are the good ones.

    Raises:
        ValueError: ``lower`` equals ``upper``, or ``low_score`` is not below ``high_score``.
    """

    lower: float
    upper: float
    low_score: float = 0.0
    high_score: float = 1.0

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.lower != self.upper, self, "lower and upper must differ")
        require(self.low_score < self.high_score, self, "low_score must be below high_score")

    def __call__(self, x: float) -> float:
        """The modified value."""
        share = (x - self.lower) / (self.upper - self.lower)
        score = self.low_score + share * (self.high_score - self.low_score)
        # x first: min and max give their first argument where the second is no smaller or larger,
        # and nothing is smaller or larger than NaN
        return max(min(score, self.high_score), self.low_score)


@dataclass(frozen=True)
class SmoothClipped(Clipped):
    """A logistic curve between the two scores, in its middle as steep as :class:`Clipped`."""

    def __call__(self, x: float) -> float:
        """The modified value."""
        z = 4.0 * (x - (self.lower + self.upper) / 2) / (self.upper - self.lower)
        share = logistic(z)
        return self.low_score + share * (self.high_score - self.low_score)


@dataclass(frozen=True)
class Thresholded:
    """``min(x, threshold) / threshold``: proportional up to the threshold, 1 from there on.

    Raises:
        ValueError: the threshold is not above 0.
    """

    threshold: float

    def __post_init__(self) -> None:
        require_numbers(self)
        require(self.threshold > 0, self, "threshold must be above 0")

    def __call__(self, x: float) -> float:
        """The modified value."""
        return min(x, self.threshold) / self.threshold


@dataclass(frozen=True)
class Chained:
    """Several modifiers, the first one first."""

    modifiers: tuple[Modifier, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "modifiers", tuple(self.modifiers))

    def __call__(self, x: float) -> float:
        """The modified value."""
        for modifier in self.modifiers:
            x = modifier(x)
        return x


MODIFIERS: dict[str, type] = {
    "linear": Linear,
    "squared": Squared,
    "absolute": Absolute,
    "gaussian": Gaussian,
    "min_gaussian": MinGaussian,
    "max_gaussian": MaxGaussian,
    "clipped": Clipped,
    "smooth_clipped": SmoothClipped,
    "thresholded": Thresholded,
    "sigmoid": Sigmoid,
    "reverse_sigmoid": ReverseSigmoid,
    "double_sigmoid": DoubleSigmoid,
    "step": Step,
    "left_step": LeftStep,
    "right_step": RightStep,
}


def modifier_from(description: Any) -> Modifier:
    """A modifier of plain data: ``{"gaussian": {"mu": 2, "sigma": 0.5}}``.

    Args:
        description: a mapping of one name of :data:`MODIFIERS` to its arguments, a list of such
            mappings to be applied in order, or a callable, which is returned as it is.

    Raises:
        ValueError: it is none of those, a name is unknown, or an argument is unknown, missing or
            out of range.
    """
    if callable(description):
        found: Modifier = description
        return found
    if isinstance(description, Sequence) and not isinstance(description, str) and description:
        return Chained(tuple(modifier_from(part) for part in description))
    if not isinstance(description, Mapping) or len(description) != 1:
        raise ValueError(
            f"a modifier is described by one name and its arguments, such as "
            f"{{'gaussian': {{'mu': 2, 'sigma': 0.5}}}}, or by a list of those; got {description!r}"
        )
    ((name, arguments),) = description.items()
    if name not in MODIFIERS:
        raise ValueError(f"unknown modifier {name!r}; expected one of {', '.join(MODIFIERS)}")
    return _built(name, arguments)


def _built(name: str, arguments: Any) -> Modifier:
    kind = MODIFIERS[name]
    known = {field.name: field.default is MISSING for field in fields(kind)}
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"modifier {name!r} needs its arguments by name ({', '.join(known)}), got {arguments!r}"
        )
    if unknown := sorted(map(str, set(arguments) - set(known))):
        raise ValueError(
            f"modifier {name!r} has no argument {', '.join(unknown)}; it has {', '.join(known)}"
        )
    if missing := [key for key, needed in known.items() if needed and key not in arguments]:
        raise ValueError(f"modifier {name!r} needs {', '.join(missing)} too, got {arguments!r}")
    found: Modifier = kind(**arguments)
    return found
