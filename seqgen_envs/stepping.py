"""One call of a network for those lanes alone that go on.

Sequences end at different steps, and lanes whose next one nobody wants rest. A network that steps
them all the same works for nobody: with as many lanes as sequences, until the longest ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen_envs.recurrent import State

#: Where more than this share of the lanes goes on all are stepped: taking rows out costs time too.
_NEARLY_ALL = 0.9


@torch.inference_mode()
def step_rows(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    tokens: NDArray[np.int64],
    state: State,
    going: NDArray[np.bool_],
) -> tuple[Tensor, State]:
    """What ``step`` gives for the M lanes marked in ``going`` [N], and the state of all N.

    Args:
        step: takes tokens int64 [n] and the state of n lanes; a lane's output depends on its own
            row alone. Where it is a method of an object that has a method ``step_some`` too, this
            is asked in its place for some of the lanes: it takes tokens [M], the state of all N
            lanes and the M rows, int64, and need not copy the state.
        tokens: int64 [N]; those of the other lanes may be anything that ``step`` takes.
        state: tensors with N as first dimension.
        going: at least one is.

    Returns:
        The outputs [M, V], and the state [N, ...], which says nothing of the other lanes.
    """
    count = int(np.count_nonzero(going))
    if count > _NEARLY_ALL * len(going):
        output, state = step(torch.from_numpy(tokens), state)
        return (output if count == len(going) else output[torch.from_numpy(going)]), state
    rows = torch.from_numpy(np.flatnonzero(going))
    some_of = getattr(getattr(step, "__self__", None), "step_some", None)
    if some_of is not None:
        found: tuple[Tensor, State] = some_of(torch.from_numpy(tokens[going]), state, rows)
        return found
    of_state = [rows.to(tensor.device) for tensor in state]
    some = tuple(s.index_select(0, at) for s, at in zip(state, of_state, strict=True))
    output, fresh = step(torch.from_numpy(tokens[going]), some)
    whole = zip(state, of_state, fresh, strict=True)
    return output, tuple(s.index_copy(0, at, f) for s, at, f in whole)
