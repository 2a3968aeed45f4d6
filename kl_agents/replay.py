"""Replay of whole episodes.

The state of a sequence environment is a function of its tokens, so an episode is stored once and
one pass of the network gives the values of all its states: exact hidden states, no staleness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kl_agents.ranking import Ranking

SAMPLING = ("uniform", "rank", "latest")
#: Bytes that log p of all tokens may take in a replay; where they would take more, only that of the
#: actions taken is kept, and the prior is asked again for what an update reads.
LARGEST_LOG_PRIOR = 2**30


@dataclass(frozen=True)
class EpisodeBatch:
    """B episodes of at most T steps.

    Attributes:
        tokens: int64 [B, T], padded with V; the primer is not part of them.
        lengths: int64 [B], number of actions.
        log_prior_taken: float32 [B, T], log p of each action as the environment showed it, 0 past
            the end.
        task_reward: float32 [B, T], r_T(s_t, a_t), not divided by c.
        log_behaviour: float32 [B, T], log probability with which a_t was chosen.
        log_prior: float32 [B, T, V], log p(.|s_t) as the environment showed it; None where it is
            not kept (:func:`keeps_log_prior`).
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    log_prior_taken: NDArray[np.float32]
    task_reward: NDArray[np.float32]
    log_behaviour: NDArray[np.float32]
    log_prior: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def empty(cls, episodes: int, horizon: int, vocabulary_size: int, whole: bool) -> EpisodeBatch:
        """Episodes without a step, to be filled; ``whole``: with log p of all tokens."""
        shape = (episodes, horizon)
        taken, reward, behaviour = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        return cls(
            tokens=np.full(shape, vocabulary_size, dtype=np.int64),
            lengths=np.zeros(episodes, dtype=np.int64),
            log_prior_taken=taken,
            task_reward=reward,
            log_behaviour=behaviour,
            log_prior=np.zeros((*shape, vocabulary_size), dtype=np.float32) if whole else None,
        )

    @classmethod
    def joined(cls, parts: Sequence[EpisodeBatch]) -> EpisodeBatch:
        """The episodes of all ``parts``."""
        arrays = [part.arrays() for part in parts]
        return cls(**{name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those that it has, by name."""
        return {name: array for name, array in vars(self).items() if array is not None}

    @property
    def task_return(self) -> NDArray[np.float64]:
        """Sum of task rewards, [B]."""
        found: NDArray[np.float64] = self.task_reward.sum(axis=1, dtype=np.float64)
        return found

    def cropped(self) -> EpisodeBatch:
        """The same episodes without the steps that none of them has: [B, longest]."""
        longest = int(self.lengths.max(initial=1))
        return EpisodeBatch(
            **{n: a if a.ndim == 1 else a[:, :longest] for n, a in self.arrays().items()}
        )

    def rows(self, index: Any) -> EpisodeBatch:
        """Some of the episodes."""
        return EpisodeBatch(**{name: array[index] for name, array in self.arrays().items()})


def keeps_log_prior(capacity: int, horizon: int, vocabulary_size: int) -> bool:
    """Whether a replay of this size keeps log p of all tokens: where :data:`LARGEST_LOG_PRIOR`
    holds it. For 10,000 melodies it takes 49 MB; of 50,000 tokens 12.8 MB an episode.
    """
    return 4 * capacity * horizon * vocabulary_size <= LARGEST_LOG_PRIOR


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

    Attributes:
        keeps_log_prior: whether log p of all tokens is kept; see :func:`keeps_log_prior`.

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
        self.keeps_log_prior = keeps_log_prior(capacity, horizon, vocabulary_size)
        self._store = EpisodeBatch.empty(capacity, horizon, vocabulary_size, self.keeps_log_prior)
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes | None] = [None] * capacity
        self._next = 0
        self._size = 0
        self._round = 0
        self._ranking = Ranking(capacity, rank_offset) if sampling == "rank" else None

    def __len__(self) -> int:
        return self._size

    def add(self, episodes: EpisodeBatch) -> None:
        """Store episodes; of equal ones only the last where ``unique``."""
        slots = np.array([self._slot(row.tobytes()) for row in episodes.tokens], dtype=np.int64)
        given = episodes.arrays()
        for name, stored in self._store.arrays().items():
            stored[slots] = given[name]
        if self._ranking is not None:
            self._ranking.change(slots, episodes.task_return)
        self._round = len(episodes)

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

    def holds(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of the sequences [B, T], padded, is stored; [B].

        Raises:
            ValueError: equal sequences are stored as often as they come, so nobody keeps account.
        """
        if not self.unique:
            raise ValueError("only a replay of unique sequences knows what it holds")
        return np.array([row.tobytes() in self._slots for row in tokens], dtype=bool)

    def fresh(self, tokens: NDArray[np.int64]) -> float:
        """How many sequences of [B, T] are new, each counted once, as a share of B.

        Raises:
            ValueError: as for :meth:`holds`.
        """
        return len({row.tobytes() for row in tokens[~self.holds(tokens)]}) / len(tokens)

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
        assert self._ranking is not None
        return self._store.rows(self._ranking.draw(n, rng))

    def all(self) -> EpisodeBatch:
        """Every stored episode, oldest slot first."""
        return self._store.rows(slice(0, self._size))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Contents as arrays, for saving without pickle."""
        return {**self.all().arrays(), "next": np.array(self._next)}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the contents by those of :meth:`state_dict`.

        Raises:
            ValueError: they do not fit this replay's capacity or shapes.
        """
        size, following = len(state["tokens"]), int(state["next"])
        fits = size == self.capacity or (size < self.capacity and following == size)
        for name, mine in self._store.arrays().items():
            theirs = state.get(name)
            if not fits or theirs is None or theirs.shape[1:] != mine.shape[1:]:
                has = "no" if theirs is None else theirs.shape
                raise ValueError(
                    f"the saved replay ({has} of {name}) does not fit this one "
                    f"({mine.shape}); use the same capacity and environment"
                )
        for name, mine in self._store.arrays().items():
            mine[:size] = state[name]
        self._size, self._next = size, following % self.capacity
        keys = [row.tobytes() for row in self._store.tokens[:size]]
        self._keys = [*keys, *[None] * (self.capacity - size)]
        self._slots = {key: i for i, key in enumerate(keys)} if self.unique else {}
        if self._ranking is not None:
            self._ranking = Ranking(self.capacity, self.rank_offset)
            self._ranking.change(np.arange(size), self.all().task_return)
