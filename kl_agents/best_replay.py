"""Replay of the last round beside the best sequences ever: REINVENT's, as a benchmark ran it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kl_agents.replay import EpisodeBatch, EpisodeReplay, keeps_log_prior


class BestReplay(EpisodeReplay):
    """An update reads the last round, equal sequences once, and some of the best before it.

    Args:
        capacity: episodes that a file of it may have: the memory's and a round's.
        horizon, vocabulary_size: see :class:`~kl_agents.replay.EpisodeReplay`.
        memory: sequences kept, those of the highest task return.
        replayed: of them, drawn an update without replacement, with probability by task return
            (those of 0 and below are not drawn; evenly where too few are above); none while the
            memory holds no more than that.

    Raises:
        ValueError: ``capacity`` leaves no room for a round.
    """

    def __init__(
        self, capacity: int, horizon: int, vocabulary_size: int, *, memory: int, replayed: int
    ) -> None:
        if capacity <= memory:
            raise ValueError(
                f"replay_capacity must be above memory = {memory}, the rest is for a round: "
                f"got {capacity}"
            )
        super().__init__(1, horizon, vocabulary_size, sampling="latest", unique=False)
        self.room, self.memory_size, self.replayed = capacity, memory, replayed
        self.keeps_log_prior = keeps_log_prior(capacity, horizon, vocabulary_size)
        none = EpisodeBatch.empty(0, horizon, vocabulary_size, self.keeps_log_prior)
        self.memory = self.latest = none

    def __len__(self) -> int:
        return len(self.memory) + len(self.latest)

    def add(self, episodes: EpisodeBatch) -> None:
        """Move the last round into the memory, and keep this one.

        Raises:
            ValueError: it has more episodes than there is room for.
        """
        if len(episodes) > self.room - self.memory_size:
            raise ValueError(
                f"a round of {len(episodes)} episodes and a memory of {self.memory_size} need a "
                f"replay_capacity of as many together, got {self.room}"
            )
        known = _distinct(EpisodeBatch.joined([self.memory, self.latest]))
        best = np.argsort(-known.task_return, kind="stable")[: self.memory_size]
        self.memory, self.latest = known.rows(best), _distinct(episodes)

    def sample(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        """The last round and what is replayed with it; ``n`` plays no part.

        Raises:
            ValueError: nothing is stored yet.
        """
        if not len(self):
            raise ValueError("the replay is empty: collect episodes before sampling")
        if not self.replayed or len(self.memory) <= self.replayed:
            return self.latest
        weights = np.maximum(self.memory.task_return, 0.0)
        if np.count_nonzero(weights) < self.replayed:
            weights = np.ones_like(weights)
        rows = rng.choice(len(weights), self.replayed, replace=False, p=weights / weights.sum())
        return EpisodeBatch.joined([self.latest, self.memory.rows(rows)])

    def all(self) -> EpisodeBatch:
        """The memory, best first, then the last round."""
        return EpisodeBatch.joined([self.memory, self.latest])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """See :class:`~kl_agents.replay.EpisodeReplay`; ``next`` is where the last round begins."""
        return {**self.all().arrays(), "next": np.array(len(self.memory))}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """See :class:`~kl_agents.replay.EpisodeReplay`.

        Raises:
            ValueError: they do not fit this replay's shapes.
        """
        arrays = {name: state.get(name, np.zeros(0)) for name in self.memory.arrays()}
        for name, mine in self.memory.arrays().items():
            if arrays[name].shape[1:] != mine.shape[1:] or len(arrays[name]) > self.room:
                raise ValueError(
                    f"the saved replay ({arrays[name].shape} of {name}) does not fit this one "
                    f"({(self.room, *mine.shape[1:])}); use the same capacity and environment"
                )
        whole, following = EpisodeBatch(**arrays), int(state["next"])
        self.memory, self.latest = whole.rows(slice(following)), whole.rows(slice(following, None))


def _distinct(episodes: EpisodeBatch) -> EpisodeBatch:
    """The first of equal sequences, in their order."""
    first: dict[bytes, int] = {}
    for row, tokens in enumerate(episodes.tokens):
        first.setdefault(tokens.tobytes(), row)
    return episodes.rows(np.fromiter(first.values(), dtype=np.int64, count=len(first)))
