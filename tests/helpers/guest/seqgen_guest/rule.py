"""A rule: named by ``seqgen_guest.rule:sixes`` wherever a task is asked for."""

import numpy as np


def sixes(tokens, lengths):
    """1 for every six."""
    return (tokens[np.arange(len(tokens)), lengths - 1] == 5).astype(float)
