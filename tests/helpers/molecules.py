"""SMILES as the tokens of a task, and objectives that other processes can import."""

import numpy as np

from seqgen_envs.domains.molecule.vocabulary import VOCABULARY, encode
from seqgen_envs.rules import score_sequences


def fails_on_rings(molecule):
    if molecule.GetRingInfo().NumRings():
        raise ZeroDivisionError("no rings here")
    return 1.0


def lengths_of(smiles):
    return [float(len(text)) for text in smiles]


def atoms(smiles):
    """An objective: a tenth of the number of letters."""
    return [len(text) / 10 for text in smiles]


def tokens_of(smiles, horizon=20, end=True):
    """Padded ids [N, horizon] and lengths [N]."""
    rows = np.full((len(smiles), horizon), VOCABULARY.pad_id, dtype=np.int64)
    lengths = np.zeros(len(smiles), dtype=np.int64)
    for row, text in enumerate(smiles):
        ids = encode(text)
        if end:
            ids = np.append(ids, VOCABULARY.end_id)
        rows[row, : len(ids)] = ids
        lengths[row] = len(ids)
    return rows, lengths


def totals(task, smiles, **others):
    """Sum over the steps of each term, [N] by name."""
    values = score_sequences(task, *tokens_of(smiles, **others)).sum(axis=1)
    return {name: values[:, k] for k, name in enumerate(task.names)}
