"""What an agent sees of a lane: the three observation spaces.

=============== ================================================================================
``observation`` space
=============== ================================================================================
``dict``        ``Dict(tokens=MultiDiscrete([V+1]*T), log_prior=Box(V))``: the whole prefix padded
                with V, and log p(.|s) of the next token (zeros after the end)
``tokens``      ``MultiDiscrete([V+1]*T)``: the prefix alone
``last_token``  ``Discrete(V+1)``: the last token, V at the start; for recurrent agents
=============== ================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from seqgen_envs.lanes import MIN_LOG_PROB, Lanes

KINDS = ("dict", "tokens", "last_token")


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
    return {"tokens": lanes.tokens.copy(), "log_prior": lanes.log_prior.copy()}
