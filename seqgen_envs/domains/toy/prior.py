"""A tabular prior: log p(next token | position, last token), small enough to enumerate."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from seqgen_envs.vocabulary import Vocabulary


class TabularPrior:
    """p(token | position, previous token) from a table.

    Args:
        log_probs: float [T, V + 1, V]; rows normalised by the last axis. Index V of the second
            axis is the start token.
        vocabulary: V tokens.

    Raises:
        ValueError: the shape does not fit the vocabulary, or a row does not sum to 1.
    """

    #: Equal states have equal futures, and they are few: see :mod:`seqgen_envs.graph`.
    finite_state = True

    def __init__(self, log_probs: np.ndarray, vocabulary: Vocabulary) -> None:
        expected = (vocabulary.size + 1, vocabulary.size)
        if log_probs.ndim != 3 or log_probs.shape[1:] != expected:
            raise ValueError(f"log_probs must be [T, {expected}], got {log_probs.shape}")
        if not np.allclose(np.exp(log_probs).sum(-1), 1.0, atol=1e-5):
            raise ValueError("every row of exp(log_probs) must sum to 1")
        self.vocabulary = vocabulary
        self._table = torch.as_tensor(log_probs, dtype=torch.float32)
        self.fingerprint = hashlib.sha256(self._table.numpy().tobytes()).hexdigest()[:16]

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """The position, int64 [N]."""
        return (torch.zeros(batch_size, dtype=torch.int64),)

    def step(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :class:`seqgen_envs.prior.Prior`; positions past the table keep its last row."""
        (position,) = state
        row = position.clamp(max=len(self._table) - 1)
        return self._table[row, tokens], (position + 1,)

    def sequence_log_probs(self, tokens: Tensor) -> Tensor:
        """See :class:`seqgen_envs.prior.Prior`."""
        start = tokens.new_full((len(tokens), 1), self.vocabulary.start_id)
        previous = torch.cat([start, tokens[:, :-1]], dim=1)
        rows = torch.arange(tokens.shape[1]).clamp(max=len(self._table) - 1)
        return self._table[rows[None], previous]


def random_prior(vocabulary: Vocabulary, horizon: int, seed: int, spread: float) -> TabularPrior:
    """A fixed random table; ``spread`` is the standard deviation of its logits."""
    shape = (horizon, vocabulary.size + 1, vocabulary.size)
    logits = np.random.default_rng(seed).normal(0.0, spread, shape)
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return TabularPrior(log_probs, vocabulary)
