"""SMILES and RDKit molecules; no string is so broken that anything here raises on it.

RDKit's messages are blocked while it works on strings that a model made up, and only then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from rdkit.rdBase import BlockLogs

#: Longer strings are not parsed: no token sequence of an environment comes near it, and RDKit's
#: parser needs time and stack for megabytes of nonsense.
MAX_CHARACTERS = 5_000


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


def largest_fragment(molecule: Chem.Mol) -> Chem.Mol:
    """The fragment of most heavy atoms, the first of equals (salts and solvents go)."""
    fragments = Chem.GetMolFrags(molecule, asMols=True)
    return max(fragments, key=lambda fragment: fragment.GetNumHeavyAtoms())


def randomize(molecule: Chem.Mol, rng: np.random.Generator) -> str:
    """A SMILES of the same molecule, its atoms in an order drawn at random."""
    order = rng.permutation(molecule.GetNumAtoms()).tolist()
    return Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
