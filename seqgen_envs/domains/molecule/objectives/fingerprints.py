"""Fingerprints of molecules by name, and their similarity.

Sparse counts, unfolded, but for ``PHCO``, which is bits. Names are GuacaMol's (Brown et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator as generators
from rdkit.DataStructs import TanimotoSimilarity

from seqgen_envs.domains.molecule.objectives.pharmacophores import gobbi

Fingerprint = Callable[[Chem.Mol], Any]

_ECFP4 = generators.GetMorganGenerator(radius=2)
_ECFP6 = generators.GetMorganGenerator(radius=3)
_FEATURES = generators.GetMorganFeatureAtomInvGen()
_FCFP4 = generators.GetMorganGenerator(radius=2, atomInvariantsGenerator=_FEATURES)
_FCFP6 = generators.GetMorganGenerator(radius=3, atomInvariantsGenerator=_FEATURES)
_ATOM_PAIRS = generators.GetAtomPairGenerator(maxDistance=10)


# functions, since RDKit's generators cannot be pickled
def ecfp4(molecule: Chem.Mol) -> Any:
    """Counts of circular environments up to radius 2 (Morgan)."""
    return _ECFP4.GetSparseCountFingerprint(molecule)


def ecfp6(molecule: Chem.Mol) -> Any:
    """Counts of circular environments up to radius 3 (Morgan)."""
    return _ECFP6.GetSparseCountFingerprint(molecule)


def fcfp4(molecule: Chem.Mol) -> Any:
    """As :func:`ecfp4`, of atoms known by what they do (donor, acceptor, acid, ...)."""
    return _FCFP4.GetSparseCountFingerprint(molecule)


def fcfp6(molecule: Chem.Mol) -> Any:
    """As :func:`ecfp6`, of atoms known by what they do."""
    return _FCFP6.GetSparseCountFingerprint(molecule)


def atom_pairs(molecule: Chem.Mol) -> Any:
    """Counts of pairs of atoms at most 10 bonds apart."""
    return _ATOM_PAIRS.GetSparseCountFingerprint(molecule)


FINGERPRINTS: dict[str, Fingerprint] = {
    "ECFP4": ecfp4,
    "ECFP6": ecfp6,
    "FCFP4": fcfp4,
    "FCFP6": fcfp6,
    "AP": atom_pairs,
    "PHCO": gobbi,
}


def get_fingerprint(name: str) -> Fingerprint:
    """The fingerprint called ``name``.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if not isinstance(name, str) or name not in FINGERPRINTS:
        known = ", ".join(FINGERPRINTS)
        raise ValueError(f"unknown fingerprint {name!r}; expected one of {known}")
    return FINGERPRINTS[name]


def tanimoto(one: Any, other: Any) -> float:
    """Tanimoto similarity of two fingerprints of one kind, 0..1; of counts, min over max."""
    return float(TanimotoSimilarity(one, other))
