"""SMILES as the tokens of a task, and objectives that other processes can import."""

import ctypes
import os
import random
import signal
import time
from itertools import product

import numpy as np

from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode
from seqgen_envs.rules import score_sequences


def fails_on_rings(molecule):
    if molecule.GetRingInfo().NumRings():
        raise ZeroDivisionError("no rings here")
    return 1.0


def lengths_of(smiles):
    return [float(len(text)) for text in smiles]


def sizes_of_batches(smiles):
    return [float(len(smiles))] * len(smiles)


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


def rare_lines(n):
    """``n`` distinct SMILES (at most 2,016) with boron, silicon or deuterium, always the same."""
    groups = (
        "OB(O)",
        "C[Si](C)(C)",
        "[2H]C([2H])([2H])",
        "CC1(C)OB(OC1(C)C)",
        "[2H]OC",
        "C[SiH](C)",
    )
    links = (
        "c1ccc({})cc1", "CCC{}", "c1ccnc({})c1", "C1CCC({})CC1", "CC(=O)N{}", "c1cc({})ccc1F",
        "CCOC{}", "c1csc({})c1",
    )  # fmt: skip
    ends = [
        "C",
        "CC",
        "CO",
        "CCN",
        "CC(C)C",
        "C(F)(F)F",
        "CCC",
        "CCOC",
        "CN(C)C",
        "Cc1ccccc1",
        "CC#N",
        "CC(=O)OC",
        "CCCl",
        "CCBr",
        "C1CC1",
        "CCS",
        "CC(N)=O",
        "CCCC",
        "CCC(C)C",
        "CCOCC",
        "CC=C",
        "CN1CCOCC1",
        "COC",
        "CSC",
        "CC(C)(C)C",
        "CCCN",
        "CCCO",
        "CCCCC",
        "CNC(C)=O",
        "CC(F)F",
        "CCI",
        "CNC",
        "CCNC",
        "CC(O)C",
        "CCC#C",
        "CC1CCC1",
        "CCC1CC1",
        "CCN(C)C",
        "CCSC",
        "COCC",
        "CCCF",
        "CCCCl",
    ]
    lines = [group + link.format(end) for group, link, end in product(groups, links, ends)]
    random.Random(0).shuffle(lines)
    return lines[:n]


def fatal(smiles):
    """An oracle that some elements are the end of, each in its own way."""
    for text in smiles:
        if "Br" in text:
            os._exit(3)
        if "Cl" in text:
            ctypes.string_at(0)
        if "F" in text:
            os._exit(0)
        if "P" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "S" in text:
            time.sleep(1000)
        if "N" in text:
            raise RuntimeError("the server is down")
    return lengths_of(smiles)
