"""The nine rules compiled by numba, where that is installed (the ``speed`` extra).

Nothing depends on it: what it computes is :mod:`~seqgen_envs.domains.melody.kernel`, to the last
bit. The machine code is kept in numba's cache, beside the source or in the user's cache folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from seqgen_envs.domains.melody import kernel
from seqgen_envs.extras import require

logger = logging.getLogger(__name__)

#: (tokens, lengths, state, ints, floats, values, after) of :func:`~.kernel.judge_many`.
_SIGNATURE = "boolean(i8[:, ::1], i8[::1], f8[:, ::1], i8[::1], f8[::1], f8[:, ::1], f8[:, ::1])"
_PARTS = (
    kernel.tonic,
    kernel.repetition,
    kernel.autocorrelation,
    kernel.rounded_sizes,
    kernel.distinct_notes,
    kernel.leap_resolution,
    kernel.judge,
)

#: Functions that the compiler is given others for.
_INSTEAD = (
    (kernel.occurs_before, kernel.scan_before),
    (kernel.extremes, kernel.scan_extremes),
)

JudgeMany = Callable[..., bool]


@cache
def judge_many() -> JudgeMany | None:
    """:func:`~.kernel.judge_many` as machine code, or None without numba. Arrays that are not
    contiguous and writeable, or of another type, are a TypeError.
    """
    try:
        numba: Any = require("numba", "speed")
        extending: Any = require("numba.extending", "speed")
    except ImportError as error:
        logger.info("the melody rules run uncompiled: %s", error)
        return None
    for part in _PARTS:
        extending.register_jitable(part)
    for plain, loops in _INSTEAD:
        extending.overload(plain, strict=False)(partial(_given, loops))
    try:
        compiled: JudgeMany = _compile(numba)
    except numba.core.errors.NumbaError as error:
        logger.warning("the melody rules run uncompiled: numba fails on them (%s)", error)
        return None
    return compiled


def _given(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """What numba is to compile, whatever the arguments' types."""
    return function


def _compile(numba: Any) -> Any:
    try:
        return numba.njit(_SIGNATURE, cache=True)(kernel.judge_many)
    except RuntimeError:  # there is no folder that its cache could be in
        return numba.njit(_SIGNATURE)(kernel.judge_many)
