"""How fast an optimiser finds good sequences: the score of the PMO benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def best_so_far(values: Sequence[float], k: int) -> NDArray[np.float64]:
    """Mean of the k best of the first n values, for n = 1, 2, ...; of all while fewer than k."""
    best = np.full(k, -np.inf)  # ascending
    means = np.empty(len(values))
    for n, value in enumerate(values):
        if value > best[0]:
            best[0] = value
            best.sort()
        means[n] = best[max(k - n - 1, 0) :].mean()
    return means


def auc_top(
    values: Sequence[float],
    *,
    k: int = 10,
    budget: int = 10_000,
    every: int = 100,
    failed: float = 0.0,
) -> float:
    """Area under the mean of the k best against oracle calls, over the budget (Gao et al. 2022).

    The mean is taken at every ``every`` calls, from 0 at call 0, and joined by straight lines; a
    run that stops early keeps its last value to the end. So a constant 0.5 scores 0.4975.

    Args:
        values: of distinct molecules, in the order of their first call; those beyond the budget
            do not count.
        k: how many of the best.
        budget: oracle calls.
        every: calls between two looks.
        failed: what a molecule counts as whose value is not finite: it has cost its call.

    Raises:
        ValueError: a number is below 1.
    """
    for name, number in (("k", k), ("budget", budget), ("every", every)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    spent = np.asarray(values, dtype=np.float64)[:budget]
    spent = np.where(np.isfinite(spent), spent, failed)
    if not len(spent):
        return 0.0
    means = best_so_far(spent.tolist(), k)
    calls = np.append(np.arange(every, len(spent), every), len(spent))
    heights = np.append(0.0, means[calls - 1])
    trapezia = np.diff(calls, prepend=0) * (heights[1:] + heights[:-1]) / 2
    return float(trapezia.sum() + (budget - len(spent)) * heights[-1]) / budget
