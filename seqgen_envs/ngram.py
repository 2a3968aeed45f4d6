"""An n-gram model with back-off: what a trained prior is measured against, and a prior itself."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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

    def table(self) -> NDArray[np.float32]:
        """log p(w | context) float32 [(V + 1)^(n - 1), V]; see :class:`NGramPrior`.

        Contexts that no sequence has, with a start token after another, have rows of their own too.

        Raises:
            RuntimeError: the model has not been fitted.
        """
        size, width = self.vocabulary.size, self.order - 1
        found = np.full((self._base**width, size), -np.log(size), dtype=np.float32)
        for length in range(self.order):
            for context in itertools.product(range(size), repeat=length):
                whole = (self.vocabulary.start_id,) * (width - length) + context
                row = row_of(whole, self._base)
                asked = [np.array([*context, token]) for token in range(size)]
                found[row] = self.log_probs(asked)[length :: length + 1]
        return found

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


class NGramPrior:
    """An n-gram's table as a frozen prior; its states are the last n - 1 tokens.

    Args:
        log_probs: float [(V + 1)^(n - 1), V], rows that sum to 1. The row of a context is its
            tokens as digits in base V + 1, the latest last; V is the start token.
        vocabulary: V tokens.
        metadata: what ``config.json`` says of how it was made.
        source: the folder it was loaded from.

    Raises:
        ValueError: the shape does not fit the vocabulary, or a row does not sum to 1.
    """

    #: Equal states have equal futures, and they are few: see :mod:`seqgen_envs.graph`.
    finite_state = True

    def __init__(
        self,
        log_probs: NDArray[Any],
        vocabulary: Vocabulary,
        metadata: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        base = vocabulary.size + 1
        order = next((n for n in range(1, 8) if base ** (n - 1) == len(log_probs)), None)
        if order is None or log_probs.shape[1:] != (vocabulary.size,):
            raise ValueError(
                f"log_probs must be [{base}^(n - 1), {vocabulary.size}], got {log_probs.shape}"
            )
        if not np.allclose(np.exp(log_probs.astype(np.float64)).sum(-1), 1.0, atol=1e-5):
            raise ValueError("every row of exp(log_probs) must sum to 1")
        self.vocabulary, self.order, self.source = vocabulary, order, source
        self.metadata = dict(metadata or {})
        self.table = torch.as_tensor(log_probs, dtype=torch.float32)
        self.fingerprint = hashlib.sha256(self.table.numpy().tobytes()).hexdigest()[:16]

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """The n - 2 tokens before the one that is read next, as a number, int64 [N]."""
        earlier = [self.vocabulary.start_id] * max(self.order - 2, 0)
        start = row_of(earlier, self.vocabulary.size + 1)
        return (torch.full((batch_size,), start),)

    def step(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :class:`seqgen_envs.prior.Prior`."""
        base = self.vocabulary.size + 1
        context = (state[0] * base + tokens) % len(self.table)
        return self.table[context], (context % max(len(self.table) // base, 1),)

    def sequence_log_probs(self, tokens: Tensor) -> Tensor:
        """See :class:`seqgen_envs.prior.Prior`."""
        base, context = self.vocabulary.size + 1, tokens.new_zeros(tokens.shape)
        for back in range(1, self.order):
            before = torch.full_like(tokens, self.vocabulary.start_id)
            before[:, back:] = tokens[:, :-back]
            context += before * base ** (back - 1)
        return self.table[context]

    def __deepcopy__(self, memo: dict[int, Any]) -> NGramPrior:
        return self  # frozen


def row_of(context: Sequence[int], base: int) -> int:
    """A context's tokens as digits in ``base``, the latest last."""
    return sum(token * base**k for k, token in enumerate(reversed(context)))


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
