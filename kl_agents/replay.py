"""Replay of whole episodes.

The state of a sequence environment is a function of its tokens, so an episode is stored once and
one pass of the network gives the values of all its states: exact hidden states, no staleness.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLING = ("uniform", "rank", "latest")


@dataclass(frozen=True)
class EpisodeBatch:
    """B episodes of at most T steps.

    Attributes:
        tokens: int64 [B, T], padded with V; the primer is not part of them.
        lengths: int64 [B], number of actions.
        log_prior: float32 [B, T, V], log p(.|s_t) as the environment showed it.
        task_reward: float32 [B, T], r_T(s_t, a_t), not divided by c.
        log_behaviour: float32 [B, T], log probability with which a_t was chosen.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    log_prior: NDArray[np.float32]
    task_reward: NDArray[np.float32]
    log_behaviour: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def task_return(self) -> NDArray[np.float64]:
        """Sum of task rewards, [B]."""
        found: NDArray[np.float64] = self.task_reward.sum(axis=1, dtype=np.float64)
        return found

    @property
    def log_prior_taken(self) -> NDArray[np.float32]:
        """log p of each action, [B, T], 0 past the end."""
        steps = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        actions = np.where(steps, self.tokens, 0)
        picked = np.take_along_axis(self.log_prior, actions[..., None], axis=2)[..., 0]
        return np.where(steps, picked, np.float32(0.0))

    def cropped(self) -> EpisodeBatch:
        """The same episodes without the steps that none of them has: [B, longest]."""
        longest = int(self.lengths.max(initial=1))
        arrays = (getattr(self, f.name) for f in fields(self))
        return EpisodeBatch(*(a if a.ndim == 1 else a[:, :longest] for a in arrays))

    def rows(self, index: Any) -> EpisodeBatch:
        """Some of the episodes."""
        return EpisodeBatch(*(getattr(self, f.name)[index] for f in fields(self)))


class EpisodeReplay:
    """A ring of episodes, each sequence kept once where ``unique``.

    Args:
        capacity: episodes at most; the oldest make room.
        horizon: T.
        vocabulary_size: V.
        sampling: ``"uniform"``, or ``"rank"``: probability falls with the rank of the task return
            as 1 / (rank + ``rank_offset`` * size), so good sequences come back more often; or
            ``"latest"``: the last round as a whole, each once, which on-policy losses are for.
        unique: a sequence that is already there replaces itself (its newest copy is kept).
        rank_offset: 0 is steep, 1 almost uniform.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        capacity: int,
        horizon: int,
        vocabulary_size: int,
        *,
        sampling: str = "uniform",
        unique: bool = True,
        rank_offset: float = 0.01,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"replay capacity must be at least 1 episode, got {capacity}")
        if sampling not in SAMPLING:
            raise ValueError(f"replay sampling must be one of {list(SAMPLING)}, got {sampling!r}")
        if sampling == "latest" and unique:
            raise ValueError(
                "replay sampling 'latest' gives the episodes as they were collected, repeated ones "
                "too: set replay_unique to false"
            )
        if rank_offset < 0:
            raise ValueError(f"rank_offset must be >= 0, got {rank_offset}")
        self.capacity, self.sampling, self.unique = capacity, sampling, unique
        self.rank_offset = rank_offset
        shape = (capacity, horizon)
        self._store = EpisodeBatch(
            tokens=np.full(shape, vocabulary_size, dtype=np.int64),
            lengths=np.zeros(capacity, dtype=np.int64),
            log_prior=np.zeros((*shape, vocabulary_size), dtype=np.float32),
            task_reward=np.zeros(shape, dtype=np.float32),
            log_behaviour=np.zeros(shape, dtype=np.float32),
        )
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes | None] = [None] * capacity
        self._next = 0
        self._size = 0
        self._round = 0
        self._weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return self._size

    def add(self, episodes: EpisodeBatch) -> None:
        """Store episodes; of equal ones only the last where ``unique``."""
        slots = np.array([self._slot(row.tobytes()) for row in episodes.tokens], dtype=np.int64)
        for f in fields(EpisodeBatch):
            getattr(self._store, f.name)[slots] = getattr(episodes, f.name)
        self._weights, self._round = None, len(episodes)

    def _slot(self, key: bytes) -> int:
        """Where an episode goes: its own place if it is known, otherwise the ring's next."""
        if self.unique and key in self._slots:
            return self._slots[key]
        slot = self._next
        old = self._keys[slot]
        if self.unique and old is not None and self._slots.get(old) == slot:
            del self._slots[old]
        self._keys[slot] = key
        if self.unique:
            self._slots[key] = slot
        self._next = (slot + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)
        return slot

    def sample(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        """n episodes, drawn with replacement; ``"latest"``: the last round, or the last n if more.

        Raises:
            ValueError: nothing is stored yet.
        """
        if self._size == 0:
            raise ValueError("the replay is empty: collect episodes before sampling")
        if self.sampling == "latest":
            count = min(max(n, self._round), self._size)
            newest = np.arange(self._next - count, self._next)
            return self._store.rows(newest % self.capacity)
        if self.sampling == "uniform":
            return self._store.rows(rng.integers(0, self._size, n))
        cumulative = self._cumulative_weights()
        return self._store.rows(np.searchsorted(cumulative, rng.random(n) * cumulative[-1]))

    def _cumulative_weights(self) -> NDArray[np.float64]:
        if self._weights is None:
            returns = self._store.task_reward[: self._size].sum(axis=1, dtype=np.float64)
            rank = np.empty(self._size)
            rank[np.argsort(-returns, kind="stable")] = np.arange(self._size)
            self._weights = np.cumsum(1.0 / (rank + 1.0 + self.rank_offset * self._size))
        return self._weights

    def all(self) -> EpisodeBatch:
        """Every stored episode, oldest slot first."""
        return self._store.rows(slice(0, self._size))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Contents as arrays, for saving without pickle."""
        stored = self.all()
        arrays = {f.name: getattr(stored, f.name) for f in fields(EpisodeBatch)}
        return {**arrays, "next": np.array(self._next)}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the contents by those of :meth:`state_dict`.

        Raises:
            ValueError: they do not fit this replay's capacity or shapes.
        """
        size, following = len(state["tokens"]), int(state["next"])
        fits = size == self.capacity or (size < self.capacity and following == size)
        for f in fields(EpisodeBatch):
            mine, theirs = getattr(self._store, f.name), state[f.name]
            if not fits or theirs.shape[1:] != mine.shape[1:]:
                raise ValueError(
                    f"the saved replay ({theirs.shape} of {f.name}) does not fit this one "
                    f"({mine.shape}); use the same capacity and environment"
                )
        for f in fields(EpisodeBatch):
            getattr(self._store, f.name)[:size] = state[f.name]
        self._size, self._next = size, following % self.capacity
        keys = [row.tobytes() for row in self._store.tokens[:size]]
        self._keys = [*keys, *[None] * (self.capacity - size)]
        self._slots = {key: i for i, key in enumerate(keys)} if self.unique else {}
        self._weights = None
