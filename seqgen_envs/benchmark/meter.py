"""A budget of environment steps that the environment itself keeps, and the curve of a training.

The meter hangs on the engine of the environment (:attr:`~seqgen_envs.lanes.Lanes.on_step`), so it
counts what every agent does, whatever wrapper it steps through.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.lanes import Lanes, Step

#: Points of a curve, at most.
POINTS = 60


class BudgetSpent(Exception):
    """A budget is used up; it ends a training, it is no error."""


class Meter:
    """Counts what is done in some lanes.

    Args:
        lanes: what is counted in; one meter at a time.
        limit: steps, of all lanes together; the step that exceeds it raises
            :class:`BudgetSpent`, and so does every step once the task's own budget is spent (what
            follows would earn nothing). None: counts only.

    Attributes:
        steps, episodes: so far.
    """

    def __init__(self, lanes: Lanes, limit: int | None = None) -> None:
        self.limit = limit
        self.steps = self.episodes = 0
        self._returns = np.zeros(lanes.n)
        self._log_prior = np.zeros(lanes.n)
        self._ended: list[tuple[int, float, float]] = []
        self._lanes = lanes
        lanes.on_step = self._count

    def _count(self, step: Step, rows: NDArray[np.int64]) -> None:
        self.steps += len(rows)
        self._returns[rows] += step.task_reward[rows]
        self._log_prior[rows] += step.prior_log_prob[rows]
        for lane in rows[step.ended[rows]].tolist():
            self.episodes += 1
            self._ended.append((self.steps, self._returns[lane], self._log_prior[lane]))
            self._returns[lane] = self._log_prior[lane] = 0.0
        if self.limit is not None and self.steps > self.limit:
            raise BudgetSpent(f"the {self.limit:,} environment steps of the budget are used up")
        if self.limit is not None and self._lanes.task.spent:
            raise BudgetSpent("the task's budget of calls is used up")

    def close(self) -> None:
        """Count no further."""
        self._lanes.on_step = None

    def curve(self) -> list[dict[str, float]]:
        """Means of the episodes that ended in each of :data:`POINTS` equal parts of the steps."""
        if not self._ended:
            return []
        table = np.array(self._ended)
        part = np.minimum((table[:, 0] - 1) * POINTS // max(self.steps, 1), POINTS - 1)
        points = []
        for number in np.unique(part):
            at = table[part == number]
            points.append(
                {
                    "steps": float(at[-1, 0]),
                    "task_return": float(at[:, 1].mean()),
                    "log_prior": float(at[:, 2].mean()),
                }
            )
        return points
