"""Other spellings of a molecule, to train on.

One molecule has many SMILES; a model that reads another one in every epoch samples more of the
space (Arús-Pous et al. 2019, "Randomized SMILES strings improve the quality of molecular generative
models").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.molecule.corpus.cleaning import MAX_TOKENS
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode, parse, randomize
from seqgen_envs.vocabulary import Vocabulary

#: Spellings drawn before the given one is kept.
TRIES = 10


def augment(
    ids: NDArray[np.int64], rng: np.random.Generator, vocabulary: Vocabulary = VOCABULARY
) -> NDArray[np.int64]:
    """The same molecule, its atoms written in an order drawn at random.

    A spelling with a token that the vocabulary lacks (a ninth ring label, say), or longer than both
    the default horizon and the given one, is drawn again.

    Args:
        ids: tokens of a SMILES [n], with or without the end token.
        rng: what the order is drawn from.
        vocabulary: of the ids.

    Returns:
        ids [m] that end as the given ones do; the given ones if no spelling out of :data:`TRIES`
        would do, or if they are no valid SMILES.
    """
    molecule = parse(vocabulary.to_text(ids))
    if molecule is None:
        return ids
    end = ids[-1:] if ids[-1] == vocabulary.end_id else ids[:0]
    longest = max(MAX_TOKENS, len(ids))
    for _ in range(TRIES):
        try:
            spelling = np.concatenate([encode(randomize(molecule, rng), vocabulary), end])
        except ValueError:  # a token that the vocabulary lacks
            continue
        if len(spelling) <= longest:
            return spelling
    return ids
