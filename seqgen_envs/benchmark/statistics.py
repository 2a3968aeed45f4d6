"""Statistics of few runs on several tasks (Agarwal et al. 2021, "Deep RL at the Edge of the
Statistical Precipice", arXiv 2108.13264).

Scores come as ``{task: [score of each seed]}``; tasks may have different numbers of seeds. Every
interval is a percentile interval of the stratified bootstrap: seeds are drawn again, with
replacement, inside each task; tasks are fixed, since they are the suite's and not a sample of any.
The generator is seeded, so the same scores give the same interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.extras import require

Scores = Mapping[str, Sequence[float]]
Floats = NDArray[np.float64]

#: Draws of a bootstrap, and the share of them that lies inside an interval.
RESAMPLES = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A number and its interval; ``low`` and ``high`` are None where no task has two runs."""

    value: float
    low: float | None
    high: float | None


class Profile(NamedTuple):
    """Share of the runs that are at least as good as each threshold, and its pointwise band [K].

    ``low`` and ``high`` equal ``share`` where no task has two runs.
    """

    thresholds: Floats
    share: Floats
    low: Floats
    high: Floats


def interquartile_mean(scores: ArrayLike, axis: int = -1) -> Floats:
    """Mean of the middle half: floor(n / 4) scores are left out at either end.

    Of fewer than four scores that would leave out nothing and be a bare mean, so of those it is
    the median.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape[axis] < 4:
        return np.asarray(np.median(values, axis=axis))
    trimmed = require("scipy.stats", "bench").trim_mean(values, 0.25, axis=axis)
    return np.asarray(trimmed, dtype=np.float64)


def estimate(scores: Scores, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The interquartile mean over all runs of all tasks, with its interval.

    Raises:
        ValueError: a task has no run, a score is not finite, or there is no task.
    """
    value = float(interquartile_mean(np.concatenate(_checked(scores))))
    return _with_interval(
        value, list(scores.values()), interquartile_mean(resampled(scores, resamples, seed))
    )


def performance_profile(
    scores: Scores,
    thresholds: ArrayLike,
    *,
    higher_is_better: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Profile:
    """How many of all runs score at least each threshold (at most, where lower is better).

    Args:
        scores: of one agent.
        thresholds: [K].
        higher_is_better: of the scores.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: as :func:`estimate`.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    sign = 1.0 if higher_is_better else -1.0

    def share(values: Floats) -> Floats:
        ordered = np.sort(sign * values)
        below = np.searchsorted(ordered, sign * limits, side="left")
        return np.asarray(1 - below / len(ordered))

    drawn = np.stack([share(values) for values in resampled(scores, resamples, seed)])
    low, high = np.quantile(drawn, _tails(), axis=0)
    return Profile(limits, share(np.concatenate(_checked(scores))), low, high)


def probability_of_improvement(
    first: Scores,
    second: Scores,
    *,
    higher_is_better: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """Chance that a run of the first beats one of the second: Mann-Whitney's U / (n m), over tasks.

    A tie counts as half. Averaged over the tasks that both have; None where there is none.

    Raises:
        ValueError: as :func:`estimate`.
    """
    shared = [task for task in first if task in second]
    if not shared:
        return None
    sign = 1.0 if higher_is_better else -1.0
    ours, theirs = ({task: side[task] for task in shared} for side in (first, second))
    rng = np.random.default_rng(seed)
    point, drawn = [], []
    for a, b in zip(_checked(ours), _checked(theirs), strict=True):
        point.append(float(_wins(sign * a, sign * b)))
        drawn.append(_wins(sign * _draws(a, resamples, rng), sign * _draws(b, resamples, rng)))
    runs = [*ours.values(), *theirs.values()]
    return _with_interval(float(np.mean(point)), runs, np.mean(drawn, axis=0))


def resampled(scores: Scores, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Draws [B, N] of all N scores, each task's from its own."""
    rng = np.random.default_rng(seed)
    return np.concatenate([_draws(values, resamples, rng) for values in _checked(scores)], axis=1)


def _draws(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    return np.asarray(values[rng.integers(len(values), size=(resamples, len(values)))])


def _wins(a: Floats, b: Floats) -> Floats:
    """U / (n m) of samples [..., n] and [..., m]."""
    signs = np.sign(a[..., :, None] - b[..., None, :])
    return np.asarray((1 + signs).mean(axis=(-2, -1)) / 2)


def _with_interval(value: float, runs: Sequence[Sequence[float]], drawn: Floats) -> Estimate:
    if all(len(seeds) < 2 for seeds in runs):
        return Estimate(value, None, None)
    low, high = np.quantile(drawn, _tails())
    return Estimate(value, float(low), float(high))


def _tails() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2


def _checked(scores: Scores) -> list[Floats]:
    if not scores:
        raise ValueError("there are no scores")
    arrays = [np.asarray(values, dtype=np.float64) for values in scores.values()]
    for task, values in zip(scores, arrays, strict=True):
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise ValueError(
                f"scores of task {task!r} must be one finite number for each seed, at least one; "
                f"got {values.tolist()}"
            )
    return arrays
