"""An n-gram model with back-off: the baseline a trained prior is measured against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.vocabulary import Vocabulary


@dataclass(frozen=True)
class _Counts:
    """Counts of one order: sorted n-gram codes with counts; their contexts with (total, types)."""

    grams: NDArray[np.int64]
    gram_counts: NDArray[np.int64]
    contexts: NDArray[np.int64]
    totals: NDArray[np.int64]
    types: NDArray[np.int64]


class NGram:
    """Interpolated back-off by Witten and Bell (1991, method C).

    ``p_k(w | h) = (count(h w) + types(h) p_{k-1}(w | h')) / (count(h) + types(h))`` with h' the
    context one token shorter, down to the uniform distribution over V. A sequence is preceded by
    start tokens, as for a recurrent prior.

    Args:
        vocabulary: V tokens.
        order: n, at least 1: the last n - 1 tokens are the context.

    Raises:
        ValueError: the order is out of range, or its n-grams do not fit 64 bits.
    """

    def __init__(self, vocabulary: Vocabulary, order: int = 5) -> None:
        if order < 1 or (vocabulary.size + 1) ** order >= 2**63:
            raise ValueError(
                f"order must be at least 1 and (V + 1)^order below 2^63, got order {order} "
                f"for V = {vocabulary.size}"
            )
        self.vocabulary = vocabulary
        self.order = order
        self._counts: list[_Counts] = []

    def fit(self, sequences: Sequence[NDArray[np.integer]]) -> NGram:
        """Count the n-grams of ``sequences``; returns self."""
        self._counts = [_count(codes, self._base) for codes in self._codes(sequences)]
        return self

    def log_probs(self, sequences: Sequence[NDArray[np.integer]]) -> NDArray[np.float64]:
        """log p of every token of ``sequences``, one array of all tokens in order.

        Raises:
            RuntimeError: the model has not been fitted.
        """
        if not self._counts:
            raise RuntimeError("fit() the n-gram model first")
        probability: NDArray[np.float64] | float = 1.0 / self.vocabulary.size
        for counts, codes in zip(self._counts, self._codes(sequences), strict=True):
            gram = _look_up(counts.grams, codes, counts.gram_counts)
            total = _look_up(counts.contexts, codes // self._base, counts.totals)
            types = _look_up(counts.contexts, codes // self._base, counts.types)
            seen = np.maximum(total + types, 1)
            blended = (gram + types * probability) / seen
            probability = np.where(total > 0, blended, probability)
        return np.log(probability)

    @property
    def _base(self) -> int:
        return self.vocabulary.size + 1

    def _codes(self, sequences: Sequence[NDArray[np.integer]]) -> Iterator[NDArray[np.int64]]:
        """For order 1..n in turn, every token with its context as one number, the token last."""
        start = np.full(self.order - 1, self.vocabulary.start_id, dtype=np.int64)
        parts = (part for s in sequences for part in (start, np.asarray(s, dtype=np.int64)))
        tokens = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        runs = np.stack([np.full_like(lengths, len(start)), lengths], axis=1).ravel()
        inside = np.repeat(np.tile([False, True], len(sequences)), runs)
        codes = np.zeros_like(tokens)
        for k in range(self.order):
            codes += np.roll(tokens, k) * self._base**k  # what wraps round is outside
            yield codes[inside]


def _count(codes: NDArray[np.int64], base: int) -> _Counts:
    grams, gram_counts = np.unique(codes, return_counts=True)
    contexts, first = np.unique(grams // base, return_index=True)
    totals = np.add.reduceat(gram_counts, first)
    types = np.diff(np.append(first, len(grams)))
    return _Counts(grams, gram_counts, contexts, totals, types)


def _look_up(
    keys: NDArray[np.int64], wanted: NDArray[np.int64], values: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``values`` at ``wanted``, 0 where it is not among the sorted ``keys``."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
