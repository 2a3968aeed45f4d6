"""SMILES: their tokens, and the molecules they stand for, each read once.

Bracket atoms, two-letter elements and ring labels (``%10`` to ``%99`` too) are one token each. No
string is so broken that reading it raises. RDKit's messages are blocked while it works on strings
that a model made up, and only then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from rdkit.rdBase import BlockLogs

from seqgen_envs.vocabulary import Vocabulary

Result = TypeVar("Result")
#: Results by the identity of the function, which is held beside them.
Known = dict[int, tuple[Callable[..., Any], Any]]

END = "<end>"

#: What a token may be: a bracket atom, an element of the organic subset, a ring label, a bond, ...
_MEANT = re.compile(r"\[[^\[\]]+\]|Br|Cl|[BCNOPSFIbcnops*]|\d|%\d\d|[-=#$:/\\.()~]")
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

#: The tokens of ZINC250k (62) and the end token: those of the bundled priors.
VOCABULARY = Vocabulary((*_ATOMS, *_BONDS, *_RINGS, *_BRACKETS, END), end=END, joiner="")

#: Longer strings are not parsed: no token sequence of an environment comes near it, and RDKit's
#: parser needs time and stack for megabytes of nonsense.
MAX_CHARACTERS = 5_000
#: Strings that :func:`compound_of` remembers, with what was measured of them: 1 KB each.
REMEMBERED = 50_000
#: Those of them whose RDKit molecules are kept as well: up to 70 KB each.
LIVE = 2_000


# -- tokens ---------------------------------------------------------------------------------------


def tokenize(smiles: str) -> list[str]:
    """Tokens of a SMILES; ``"".join`` of them is the SMILES again."""
    return _TOKEN.findall(smiles)


def encode(smiles: str, vocabulary: Vocabulary = VOCABULARY) -> NDArray[np.int64]:
    """Ids of a SMILES, without the end token, int64 [n].

    Raises:
        ValueError: a token is unknown (the message names it and its position), or it has more than
            :data:`MAX_CHARACTERS`.
    """
    if len(smiles) > MAX_CHARACTERS:
        raise ValueError(
            f"it has {len(smiles):,} characters; SMILES with at most {MAX_CHARACTERS:,} are read"
        )
    return vocabulary.encode(tokenize(smiles))


def vocabulary_of(texts: Iterable[str]) -> Vocabulary:
    """The vocabulary of some SMILES: the tokens that occur in them, and the end token.

    Those of :data:`VOCABULARY` come first, in its order; further ones follow, sorted.
    """
    found = {token for text in texts for token in tokenize(text)}
    known = [token for token in VOCABULARY.tokens if token in found]
    further = sorted(found.difference(known))
    return Vocabulary((*known, *further, END), end=END, joiner="")


def is_of_smiles(vocabulary: Vocabulary) -> bool:
    """Whether sequences of the vocabulary are SMILES: tokens of these, and one that ends them."""
    tokens = [token for token in vocabulary.tokens if token != vocabulary.end]
    meant = all(_MEANT.fullmatch(token) for token in tokens)
    return meant and not vocabulary.joiner and vocabulary.end is not None


def is_written_like(text: str) -> bool:
    """Whether all tokens of a text may stand in SMILES, be it valid or not: no header's do."""
    return bool(text) and all(_MEANT.fullmatch(token) for token in tokenize(text))


def carbon_ids(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Ids of the carbon tokens ``C`` and ``c``."""
    return np.array([i for i, token in enumerate(vocabulary.tokens) if token in ("C", "c")])


# -- molecules ------------------------------------------------------------------------------------


@contextmanager
def quiet() -> Iterator[None]:
    """Blocks RDKit's log for the time of a ``with``."""
    block = BlockLogs()
    try:
        yield
    finally:
        del block


def parse(smiles: str) -> Chem.Mol | None:
    """The sanitised molecule, or None where the string is not one valid, non-empty molecule."""
    if not smiles or len(smiles) > MAX_CHARACTERS:
        return None
    with quiet():
        try:
            molecule = Chem.MolFromSmiles(smiles)
        except Exception:  # RDKit returns None, but its bindings can raise on odd characters
            return None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


class Compound:
    """A molecule, and what has been measured of it so far.

    Numbers and texts are remembered as long as the compound, all else (fingerprints) as long as its
    RDKit molecule, which is parsed again if it was forgotten.

    Args:
        molecule: sanitised.
        canonical: RDKit's canonical SMILES, stereo included. It is a key and is not parsed again:
            RDKit writes, very rarely, what it does not read.
        smiles: what to parse instead; "" where ``molecule`` is to stay.
    """

    __slots__ = ("_own", "_small", "canonical", "smiles")

    def __init__(self, molecule: Chem.Mol, canonical: str = "", smiles: str = "") -> None:
        self.canonical, self.smiles = canonical, smiles
        self._own: tuple[Chem.Mol, Known] | None = (molecule, {})
        self._small: Known = {}

    @property
    def molecule(self) -> Chem.Mol:
        """The molecule itself. All who ask share it: nobody may change it."""
        return self._live()[0]

    def _live(self) -> tuple[Chem.Mol, Known]:
        return _live_of(self) if self.smiles or self._own is None else self._own

    def take(self, function: Callable[[Chem.Mol], Result], copied: bool = False) -> Result:
        """What ``function`` gives for the molecule, or a copy of it; it is called once."""
        # by identity, as callables need not be hashable; held, so that no identity comes again
        key = id(function)
        if key in self._small:
            return cast("Result", self._small[key][1])
        molecule, large = self._live()
        if key not in large:
            value = function(Chem.Mol(molecule) if copied else molecule)
            if isinstance(value, (float, int, str, bytes)):
                self._small[key] = (function, value)
                return value
            large[key] = (function, value)
        return cast("Result", large[key][1])

    def known(self, function: Callable[[Chem.Mol], Any]) -> Any:
        """What :meth:`take` remembers a function to have given, or None."""
        return self._small.get(id(function), (None, None))[1]

    def learn(self, function: Callable[[Chem.Mol], Any], value: float) -> None:
        """Remember what a function gives for the molecule, and has given elsewhere."""
        self._small.setdefault(id(function), (function, value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compound) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __reduce__(self) -> tuple[Any, ...]:
        return Compound, (self.molecule, self.canonical)


@lru_cache(maxsize=REMEMBERED)
def compound_of(smiles: str) -> Compound | None:
    """The compound a string stands for, or None where it is not a valid SMILES.

    Scores, metrics, files and pictures all ask here, so a string is parsed once; of spellings of
    one molecule the first is measured.
    """
    molecule = parse(smiles)
    if molecule is None:
        return None
    return _first(Compound(*_in_canonical_order(molecule), smiles))


def _in_canonical_order(molecule: Chem.Mol) -> tuple[Chem.Mol, str]:
    """The molecule with its atoms as in its canonical SMILES, and that.

    Otherwise the last digits of what is measured would depend on which spelling came first.
    """
    text = canonical(molecule)
    order = molecule.GetProp("_smilesAtomOutputOrder").strip("[],").split(",")
    return Chem.RenumberAtoms(molecule, [int(atom) for atom in order]), text


@lru_cache(maxsize=REMEMBERED)
def _first(compound: Compound) -> Compound:
    """The first of equal compounds."""
    _live_of(compound)
    return compound


@lru_cache(maxsize=LIVE)
def _live_of(compound: Compound) -> tuple[Chem.Mol, Known]:
    """A compound's molecule and what is remembered no longer than that."""
    own, compound._own = compound._own, None
    if own is not None:
        return own
    molecule = parse(compound.smiles)
    assert molecule is not None
    return _in_canonical_order(molecule)[0], {}


def canonical(molecule: Chem.Mol) -> str:
    """RDKit's canonical SMILES, stereo included."""
    return Chem.MolToSmiles(molecule)


def canonicalize(smiles: str) -> str | None:
    """The canonical SMILES of a string, or None where it is invalid."""
    molecule = parse(smiles)
    return None if molecule is None else canonical(molecule)


def scaffold_of(molecule: Chem.Mol) -> str:
    """SMILES of the Bemis-Murcko scaffold without stereochemistry; empty without rings."""
    scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
    return Chem.MolToSmiles(scaffold, isomericSmiles=False)


def randomize(molecule: Chem.Mol, rng: np.random.Generator) -> str:
    """A SMILES of the same molecule, its atoms in an order drawn at random."""
    order = rng.permutation(molecule.GetNumAtoms()).tolist()
    return Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
