"""Tunes longer than a corpus takes, cut at bar lines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.melody.vocabulary import HOLD, NOTE_OFF

BAR = 16  # of a tune whose file names no metre


def pieces(
    tokens: NDArray[np.int64], bar: int, upbeat: int, longest: int
) -> list[NDArray[np.int64]]:
    """Tokens cut into pieces of whole bars, as equal in length as the music allows.

    Pieces start where a note does, if one of the bars has one there; a note held over the cut is
    struck again. Rests at either end of a piece are left out, as they are of a tune.

    Args:
        tokens: of one tune, shape [steps].
        bar: steps of a bar.
        upbeat: steps before the first bar line.
        longest: most steps of a piece.
    """
    cuts, start = [], 0
    while len(tokens) - start > longest:
        left = len(tokens) - start
        aim = start + left / math.ceil(left / longest)
        lines = np.arange(upbeat, len(tokens), bar)
        within = lines[(lines > start + longest // 2) & (lines <= start + longest)]
        struck = within[tokens[within] > HOLD]
        near = struck if len(struck) else within if len(within) else np.array([start + longest])
        start = int(near[np.argmin(np.abs(near - aim))])
        cuts.append(start)
    ends = [*cuts, len(tokens)]
    cut = [_piece(tokens, a, b) for a, b in zip([0, *cuts], ends, strict=True)]
    return [piece for piece in cut if len(piece)]


def _piece(tokens: NDArray[np.int64], start: int, end: int) -> NDArray[np.int64]:
    piece = tokens[start:end].copy()
    before = tokens[:start][tokens[:start] != HOLD]
    if piece[0] == HOLD and len(before):
        piece[0] = before[-1]  # the note held over the cut, or the rest
    events = np.flatnonzero(piece != HOLD)
    notes = events[piece[events] != NOTE_OFF]
    if not len(notes):
        return piece[:0]
    last = events[-1] if piece[events[-1]] == NOTE_OFF else end - start
    return piece[notes[0] : last]
