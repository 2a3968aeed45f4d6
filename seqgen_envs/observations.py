"""What an agent sees of a lane: the four kinds of observation.

=============== ================================================================================
``observation`` space
=============== ================================================================================
``dict``        ``Dict(tokens=MultiDiscrete([V+1]*T), log_prior=Box(V))``: the whole prefix padded
                with V, and log p(.|s) of the next token (zeros after the end)
``tokens``      ``MultiDiscrete([V+1]*T)``: the prefix alone
``last_token``  ``Discrete(V+1)``: the last token, V at the start; for recurrent agents
``flat``        ``Box(T*V + V)``, float32: what ``dict`` holds for libraries that take one vector:
                each token as one-hot of V (padding: zeros), then log p(.|s) / 100, in [-1, 0]
=============== ================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from seqgen_envs.domain import ActionMask, Domain
from seqgen_envs.lanes import Lanes
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task
from seqgen_envs.starts import MIN_LOG_PROB

KINDS = ("dict", "tokens", "last_token", "flat")


def check_kind(kind: str) -> str:
    """``kind``, if it is one of :data:`KINDS`.

    Raises:
        ValueError: it is not.
    """
    if kind not in KINDS:
        raise ValueError(f"observation must be one of {list(KINDS)}, got {kind!r}")
    return kind


def single_space(kind: str, vocabulary_size: int, horizon: int) -> spaces.Space[Any]:
    """Observation space of one lane."""
    if kind == "last_token":
        return spaces.Discrete(vocabulary_size + 1)
    if kind == "flat":
        one_hot = np.arange((horizon + 1) * vocabulary_size) < horizon * vocabulary_size
        return spaces.Box(one_hot - np.float32(1), one_hot.astype(np.float32), dtype=np.float32)
    tokens = spaces.MultiDiscrete(np.full(horizon, vocabulary_size + 1))
    if kind == "tokens":
        return tokens
    log_prior = spaces.Box(MIN_LOG_PROB, 0.0, (vocabulary_size,), np.float32)
    return spaces.Dict(tokens=tokens, log_prior=log_prior)


def observe(kind: str, lanes: Lanes) -> Any:
    """Observations of all lanes; arrays the caller may keep."""
    if kind == "last_token":
        last = lanes.tokens[lanes.lane_ids, np.maximum(lanes.lengths - 1, 0)]
        return np.where(lanes.lengths > 0, last, lanes.domain.vocabulary.start_id)
    if kind == "tokens":
        return lanes.tokens.copy()
    if kind == "flat":
        return _flat(lanes)
    return {"tokens": lanes.tokens.copy(), "log_prior": lanes.log_prior.copy()}


def _flat(lanes: Lanes) -> NDArray[np.float32]:
    """One-hot tokens and log p / 100, float32 [N, T*V + V]."""
    size = lanes.domain.vocabulary.size
    flat = np.zeros((lanes.n, (lanes.horizon + 1) * size), dtype=np.float32)
    lane, at = np.nonzero(lanes.tokens < size)
    flat[lane, at * size + lanes.tokens[lane, at]] = 1.0
    flat[:, -size:] = lanes.log_prior / -MIN_LOG_PROB
    return flat


def row_of(batch: Any, lane: int) -> Any:
    """One lane's observation, of those of all."""
    if isinstance(batch, dict):
        return {key: value[lane] for key, value in batch.items()}
    return batch[lane]


class LanesView:
    """What every environment over lanes shows of them."""

    lanes: Lanes

    @property
    def domain(self) -> Domain:
        """What kind of sequence this is."""
        return self.lanes.domain

    @property
    def task(self) -> Task:
        """The rules, their weights and their failures."""
        return self.lanes.task

    @property
    def prior(self) -> Prior:
        """The frozen prior (loaded on first use)."""
        return self.lanes.prior

    @property
    def mask(self) -> ActionMask | None:
        """Which tokens may follow, as a function of prefixes; None: all may."""
        return self.lanes.mask

    @property
    def c(self) -> float:
        """Temperature of the task reward; one that is set counts from the next step on.

        Raises:
            ValueError: when set to what is no finite number > 0.
        """
        return self.lanes.c

    @c.setter
    def c(self, value: float) -> None:
        self.lanes.c = value
