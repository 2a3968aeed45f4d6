"""Values of arguments, checked off annotations: one sentence says what was wrong and expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from kl_agents.schedules import Schedule, make_schedule


@dataclass(frozen=True)
class Within:
    """Limits of a number, or of both ends of a schedule; ``above``: ``low`` itself is outside."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether ``value`` is inside (NaN never is)."""
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        """To follow "a number"."""
        if self.high < math.inf:
            return f" in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"
        if self.low > -math.inf:
            return f" above {self.low:g}" if self.above else f" of at least {self.low:g}"
        return ""


@dataclass(frozen=True)
class OneOf:
    """The texts that are allowed."""

    options: tuple[str, ...]


def checked(name: str, value: Any, annotation: Any) -> Any:
    """``value``, of the kind and within the limits that ``annotation`` states.

    Raises:
        ValueError: it is not.
    """
    kind, limit = annotation, None
    if get_origin(annotation) is Annotated:
        kind, limit = get_args(annotation)[:2]
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    limits = limit if isinstance(limit, Within) else Within()
    if Schedule in kinds:
        return _schedule(name, value, limits)
    first = next(k for k in kinds if k is not NoneType)
    options = limit.options if isinstance(limit, OneOf) else ()
    if get_origin(first) is Literal:
        options = get_args(first)
    fits, expected = _kind(first, value, limits, options)
    if not fits:
        unset = ", or null" if NoneType in kinds else ""
        raise ValueError(f"{name} must be {expected}{unset}, got {value!r}")
    return int(value) if int in kinds else float(value) if float in kinds else value


def _kind(kind: Any, value: Any, limits: Within, options: tuple[str, ...]) -> tuple[bool, str]:
    """Whether ``value`` is such a thing, and what was expected."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if kind is float:
        return number and value in limits, f"a number{limits}"
    if kind is int:
        whole = number and math.isfinite(value) and value == int(value)
        return whole and value in limits, f"a whole number{limits}"
    if kind is bool:
        return isinstance(value, bool), "true or false"
    if options:
        return value in options, f"one of {', '.join(options)}"
    if kind is str:
        return isinstance(value, str), "a text"
    if get_origin(kind) is Mapping:
        return isinstance(value, Mapping), "names and values"
    return True, ""  # a kind of the learner's own: it checks it itself


def _schedule(name: str, value: Any, limits: Within) -> Any:
    schedule = make_schedule(value, name)
    if schedule.start not in limits or schedule.end not in limits:
        raise ValueError(f"{name} must be a number or a schedule{limits}, got {value!r}")
    return float(value) if isinstance(value, Real) else asdict(schedule)
