"""A budget of environment steps that the environment itself keeps, and the curve of a training.

The meter hangs on the engine of the environment (``on_step`` of :class:`~seqgen_envs.lanes.Lanes`),
so it counts what every agent does, whatever wrapper it steps through.
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
        self._sums: list[tuple[int, int, float, float]] = []
        self._lanes = lanes
        lanes.on_step, lanes.on_judge = self._count, self._judged

    def _count(self, step: Step, rows: NDArray[np.int64]) -> None:
        self.steps += len(rows)
        ended = int(step.ended[rows].sum())
        self.episodes += ended
        task_reward, log_prior = step.task_reward[rows].sum(), step.prior_log_prob[rows].sum()
        self._sums.append((self.steps, ended, float(task_reward), float(log_prior)))
        if self.limit is not None and self.steps > self.limit:
            raise BudgetSpent(f"the {self.limit:,} environment steps of the budget are used up")
        if self.limit is not None and self._lanes.task.spent:
            raise BudgetSpent("the task's budget of calls is used up")

    def _judged(self, terms: NDArray[np.float64]) -> None:
        self._sums.append((self.steps, 0, float(terms.sum()), 0.0))

    def close(self) -> None:
        """Count no further."""
        self._lanes.on_step = self._lanes.on_judge = None

    def curve(self) -> list[dict[str, float]]:
        """In each of :data:`POINTS` equal parts of the steps: what was earned, an episode ended."""
        if not self.episodes:
            return []
        table = np.array(self._sums)
        part = np.minimum((table[:, 0] - 1) * POINTS // self.steps, POINTS - 1)
        points, waiting = [], np.zeros(3)
        for number in np.unique(part):
            at = table[part == number]
            waiting += at[:, 1:].sum(axis=0)
            if waiting[0]:  # an episode longer than a part counts where it ends
                task_return, log_prior = waiting[1:] / waiting[0]
                points.append(
                    {
                        "steps": float(at[-1, 0]),
                        "task_return": float(task_return),
                        "log_prior": float(log_prior),
                    }
                )
                waiting = np.zeros(3)
        return points
