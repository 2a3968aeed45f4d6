"""SMILES as tokens: bracket atoms, two-letter elements and ring labels are one token each.

The tokens are those of ZINC250k (62) and the end token. ``%nn`` ring labels are recognised, so an
unknown one is named whole.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.vocabulary import Vocabulary

END = "<end>"

_TOKEN = re.compile(r"\[[^\[\]]*\]|Br|Cl|%\d\d|.", re.DOTALL)

# fmt: off
_ATOMS = ("C", "c", "N", "n", "O", "o", "S", "s", "P", "F", "Cl", "Br", "I")
_BONDS = ("(", ")", "-", "=", "#", "/", "\\")
_RINGS = ("1", "2", "3", "4", "5", "6", "7", "8")
_BRACKETS = (
    "[C@]", "[C@@]", "[C@H]", "[C@@H]", "[CH-]", "[CH2-]",
    "[N+]", "[N-]", "[NH+]", "[NH-]", "[NH2+]", "[NH3+]", "[n+]", "[n-]", "[nH]", "[nH+]",
    "[O+]", "[O-]", "[OH+]", "[o+]",
    "[P+]", "[P@]", "[P@@]", "[P@@H]", "[PH]", "[PH+]", "[PH2]",
    "[S+]", "[S-]", "[S@]", "[S@@]", "[S@@+]", "[SH+]", "[s+]",
)
# fmt: on

VOCABULARY = Vocabulary((*_ATOMS, *_BONDS, *_RINGS, *_BRACKETS, END), end=END, joiner="")


#: Ids of the two carbon tokens.
CARBONS = np.array([VOCABULARY.tokens.index("C"), VOCABULARY.tokens.index("c")])


def tokenize(smiles: str) -> list[str]:
    """Tokens of a SMILES; ``"".join`` of them is the SMILES again."""
    return _TOKEN.findall(smiles)


def encode(smiles: str) -> NDArray[np.int64]:
    """Ids of a SMILES, without the end token, int64 [n].

    Raises:
        ValueError: a token is unknown; the message names it and its position.
    """
    return VOCABULARY.encode(tokenize(smiles))
