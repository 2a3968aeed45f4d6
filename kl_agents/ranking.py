"""Draws by rank: the better an episode's return, the more often it comes back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Where more than this share of the returns has changed, sorting all is quicker than merging.
_MERGED = 0.125


class Ranking:
    """Slots by falling return, of equal ones the lower slot first; drawn as 1 / (rank + offset N).

    The order is a function of the returns alone, and is mended, not made anew, when some change.

    Args:
        capacity: slots at most; those in use are 0 .. N-1.
        offset: 0 is steep, 1 almost uniform.
    """

    def __init__(self, capacity: int, offset: float) -> None:
        self.offset = offset
        self._returns = np.zeros(capacity)
        self._order = np.arange(0)
        self._changed = np.zeros(capacity, dtype=bool)
        self._size = 0
        self._cumulative = np.zeros(0)

    def change(self, slots: NDArray[np.int64], returns: NDArray[np.float64]) -> None:
        """The returns of some slots, old or new; of those that come twice the last counts."""
        self._returns[slots] = returns
        self._changed[slots] = True
        self._size = max(self._size, int(slots.max(initial=-1)) + 1)

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """n slots, with replacement; there must be one."""
        order = self._sorted()
        if len(self._cumulative) != len(order):
            rank = np.arange(1, len(order) + 1)
            self._cumulative = np.cumsum(1.0 / (rank + self.offset * len(order)))
        threshold = rng.random(n) * self._cumulative[-1]
        found: NDArray[np.int64] = order[np.searchsorted(self._cumulative, threshold)]
        return found

    def _sorted(self) -> NDArray[np.int64]:
        fresh = np.flatnonzero(self._changed[: self._size])
        if len(fresh) > _MERGED * self._size:
            self._order = np.argsort(-self._returns[: self._size], kind="stable")
        elif len(fresh):
            kept = self._order[~self._changed[self._order]]
            fresh = fresh[np.argsort(-self._returns[fresh], kind="stable")]
            self._order = np.insert(kept, self._places(kept, fresh), fresh)
        self._changed[fresh] = False
        return self._order

    def _places(self, kept: NDArray[np.int64], fresh: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where ``fresh`` slots go among ``kept`` ones, both in order."""
        falling, wanted = -self._returns[kept], -self._returns[fresh]
        first, last = (np.searchsorted(falling, wanted, side=s) for s in ("left", "right"))
        among_equals = [
            np.searchsorted(kept[a:b], slot) for a, b, slot in zip(first, last, fresh, strict=True)
        ]
        return first + np.array(among_equals, dtype=np.int64)
