"""Parts of a list of work, for job arrays: the K-th of N, the same wherever it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

Item = TypeVar("Item")


class Shard(NamedTuple):
    """Part ``k`` of ``n``, counted from 1."""

    k: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The part that ``"K/N"`` names.

        Raises:
            ValueError: it names none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        k, n = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= k <= n:
            raise ValueError(
                f"--shard {text} must be K/N, the K-th of N parts, with K from 1 to N, such as 1/8"
            )
        return cls(k, n)

    def of(self, items: Sequence[Item], alike: Callable[[Item], Any]) -> list[Item]:
        """This part of ``items``, in their order.

        Parts have no item in common and are equally large, but for one. So are their shares of any
        items that come together where all are sorted by ``alike``: what takes as long as each
        other (an agent's rows, say) is dealt out evenly.

        Args:
            items: all of them, the same in every part.
            alike: what they are sorted by before they are dealt.
        """
        dealt = sorted(range(len(items)), key=lambda at: alike(items[at]))
        return [items[at] for at in sorted(dealt[self.k - 1 :: self.n])]
