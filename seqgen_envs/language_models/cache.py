"""The cache that transformers' models write keys and values to: a row and a place for each lane."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class _LaneLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's views of the tensor that all layers share."""

    is_sliding = False

    def __init__(self, owner: LaneCache) -> None:
        super().__init__()
        self.owner, self.is_initialized = owner, True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the tensor is there."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token's keys and values [N, heads, 1, D] of each lane at its position.

        Returns those of all tokens so far [N, heads, longest, D].
        """
        owner = self.owner
        self.keys[owner.rows, :, owner.position] = key_states[:, :, 0]
        self.values[owner.rows, :, owner.position] = value_states[:, :, 0]
        keys, values = self.keys[:, :, : owner.longest], self.values[:, :, : owner.longest]
        if owner.some:
            return keys.index_select(0, owner.rows), values.index_select(0, owner.rows)
        return keys, values

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        """Length and offset of the keys."""
        return self.owner.longest, 0

    def get_seq_length(self, *args: Any) -> int:
        """Tokens before this one, of the longest lane."""
        return self.owner.longest - 1

    def get_max_length(self) -> int:
        """No maximum of its own."""
        return -1

    get_max_cache_shape = get_max_length  # its name before transformers 5.20


class LaneCache:
    """Keys and values of lanes at different positions, in one tensor [N, layers, 2, heads, T, D].

    Args:
        layers: of the model.

    Attributes:
        cache: what the model takes.
        mask: additive, [N, 1, 1, longest].
    """

    def __init__(self, layers: int) -> None:
        self._layers = [_LaneLayer(self) for _ in range(layers)]
        self.cache = Cache(layers=self._layers)
        self.longest, self.some = 0, False
        self.position = self.rows = self.mask = torch.zeros(0)

    def enter(
        self, kept: Tensor, position: Tensor, longest: int, rows: Tensor | None = None
    ) -> None:
        """Take the lanes' tensor [N, layers, 2, heads, T, D] and positions int64 [N], or those of
        some ``rows`` [M].
        """
        self.longest, self.some = min(longest, kept.shape[4]), rows is not None
        every = torch.arange(len(kept)) if rows is None else rows
        self.position, self.rows = position, every.to(kept.device)
        ahead = torch.arange(self.longest, device=kept.device) > position[:, None]
        lowest = torch.finfo(kept.dtype).min
        empty = torch.zeros(ahead.shape, dtype=kept.dtype, device=kept.device)
        self.mask = empty.masked_fill_(ahead, lowest)[:, None, None]
        for k, layer in enumerate(self._layers):
            layer.keys, layer.values = kept[:, k, 0], kept[:, k, 1]

    def leave(self) -> None:
        """Let go of the lanes' tensor."""
        for layer in self._layers:
            layer.keys = layer.values = None
