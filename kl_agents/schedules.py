"""Numbers that change over training: exploration, temperature, learning rate.

A schedule is JSON-able, so it survives ``save`` without pickling: a number (constant), or a mapping
``{"start": 50.0, "end": 0.5, "fraction": 0.6, "shape": "exponential"}``. As in Stable-Baselines3 it
is a function of the remaining progress, 1 at the start of training and 0 at its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHAPES = ("linear", "exponential")


@dataclass(frozen=True)
class Schedule:
    """From ``start`` to ``end``, between the shares ``hold`` and ``fraction`` of training.

    Args:
        start, end: the values, constant before and after the change.
        fraction: share of training after which the change is over, in (0, 1].
        hold: share of training before it begins, in [0, fraction).
        shape: ``"linear"``, or ``"exponential"`` (a straight line in the logarithm).

    Raises:
        ValueError: a value is out of its range.
    """

    start: float
    end: float
    fraction: float = 1.0
    shape: str = "linear"
    hold: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {list(SHAPES)}, got {self.shape!r}")
        numbers = (self.start, self.end, self.fraction, self.hold)
        if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
            raise ValueError(f"start, end, fraction and hold must be finite numbers, got {numbers}")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}")
        if not 0 <= self.hold < self.fraction:
            raise ValueError(f"hold must be in [0, fraction = {self.fraction}), got {self.hold}")
        if self.shape == "exponential" and min(self.start, self.end) <= 0:
            raise ValueError("an exponential schedule needs start > 0 and end > 0")

    def __call__(self, progress_remaining: float) -> float:
        """The value when this share of training (1 to 0) is still to come."""
        done = (1.0 - progress_remaining - self.hold) / (self.fraction - self.hold)
        if done >= 1.0:
            return float(self.end)  # to the bit
        if done <= 0.0:
            return float(self.start)
        if self.shape == "exponential":
            return float(self.start * (self.end / self.start) ** done)
        return float(self.start + (self.end - self.start) * done)


ScheduleSpec = float | int | Mapping[str, Any] | Schedule


def make_schedule(spec: ScheduleSpec, name: str) -> Schedule:
    """A schedule from a number or a mapping.

    Args:
        spec: see the module's docstring.
        name: of the setting, for messages.

    Raises:
        ValueError: not a number nor such a mapping.
    """
    if isinstance(spec, Schedule):
        return spec
    if isinstance(spec, bool) or not isinstance(spec, (int, float, Mapping)):
        raise ValueError(f"{name} must be a number or a schedule, got {spec!r}")
    given = spec if isinstance(spec, Mapping) else {"start": float(spec), "end": float(spec)}
    try:
        return Schedule(**given)
    except TypeError as error:
        raise ValueError(
            f"{name}: a schedule has start, end, fraction, shape and hold; got {dict(given)}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
