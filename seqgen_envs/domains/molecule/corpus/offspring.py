"""Children of two molecules: the operators of graph genetic algorithms (Jensen 2019).

A pure graph search with these operators ranks high on PMO, and its children are what a sequence
model needs to look beyond what it writes already (Genetic GFN; Kim et al. 2024). The operators are
those of the package ``mol_ga`` (Tripp and Hernández-Lobato 2023), extra ``genetic``: both parents
are cut at a bond outside rings, or through a ring, and parts of the two are joined; now and then an
atom or a bond of the child is changed.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode, parse
from seqgen_envs.extras import require
from seqgen_envs.vocabulary import Vocabulary

#: How often a child is changed once more, as in Genetic GFN.
MUTATION_RATE = 0.01


def cross(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    rng: np.random.Generator,
    vocabulary: Vocabulary = VOCABULARY,
) -> NDArray[np.int64] | None:
    """A child of two molecules, drawn at random.

    Args:
        one: tokens of a valid SMILES [n], with or without the end token.
        other: those of the second [m].
        rng: what is drawn from.
        vocabulary: of the ids.

    Returns:
        tokens of the child's canonical SMILES [k], without the end token; None where the parents
        have no child (nothing to cut, or nothing valid came of it), and where it needs a token that
        the vocabulary lacks.

    Raises:
        ImportError: ``mol_ga`` is not installed.
    """
    operators = require("mol_ga.graph_ga.gen_candidates", "genetic")
    parents = [parse(vocabulary.to_text(ids)) for ids in (one, other)]
    if None in parents:
        return None
    with rdBase.BlockLogs():
        child = operators.reproduce(
            *(Chem.MolToSmiles(parent) for parent in parents),
            mutation_rate=MUTATION_RATE,
            rng=random.Random(int(rng.integers(2**63))),
        )
    if child is None or "." in child or parse(child) is None:
        return None
    try:
        return encode(child, vocabulary)
    except ValueError:  # a token that the vocabulary lacks
        return None
