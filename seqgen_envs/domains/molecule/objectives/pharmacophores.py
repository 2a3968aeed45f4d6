"""Gobbi and Poppinger's 2D pharmacophores (Biotechnology and Bioengineering 61, 1998), fast.

The bits are those of RDKit's ``Generate.Gen2DFingerprint`` with its ``Gobbi_Pharm2D`` factory,
under other numbers: one for each pair and each triple of features that some atoms of the molecule
show, at their distances. RDKit walks over all triples in Python; here it is done by arrays.

A point is an atom that shows a feature. Distances are bonds on the shortest path; points closer
than two bonds, or not connected, make no pair and no triple.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.DataStructs import SparseBitVect

Indices = NDArray[np.intp]

#: Distances of 2, 3, ... bonds have the bins 1, 2, ...; from 8 on they share the last. 0 is no bin.
_NEAREST, _FARTHEST = 2, 100
_LAST_BIN = 7
#: Features, and bins with that of no distance: the digits that a bit's number is written in.
_BASE = 8
_PAIRS, _TRIPLES = _BASE**3, _BASE**6
#: Points up to which all their triples are judged at once.
_AT_ONCE = 64


@cache
def _features() -> tuple[Any, ...]:
    """Queries of the eight features, each of one atom, in the order of their families' names."""
    from rdkit.Chem.Pharm2D import Gobbi_Pharm2D

    factory: Any = Gobbi_Pharm2D.factory
    definitions = factory.featFactory.GetFeatureDefs()  # {"family.name": SMARTS}
    return tuple(Chem.MolFromSmarts(definitions[name]) for name in sorted(definitions))


def gobbi(molecule: Chem.Mol) -> SparseBitVect:
    """The fingerprint of a molecule."""
    feature, atom = _points(molecule)
    bins = _binned(molecule, atom)
    present = np.zeros(_PAIRS + _TRIPLES, dtype=bool)
    first, second = _pairs(len(atom))
    present[(feature[first] * _BASE + feature[second]) * _BASE + bins[first, second]] = True
    canonical = _canonical_triples()
    for codes in _triple_codes(feature, bins):
        present[canonical[codes]] = True
    present[:_PAIRS:_BASE] = False  # pairs, and with them triples, that are none
    bits = SparseBitVect(len(present))
    bits.SetBitsFromList(np.flatnonzero(present).tolist())
    return bits


def _points(molecule: Chem.Mol) -> tuple[Indices, Indices]:
    """Features and atoms of the points, sorted by feature."""
    pairs = [
        (number, match[0])
        for number, query in enumerate(_features())
        for match in molecule.GetSubstructMatches(query, maxMatches=molecule.GetNumAtoms())
    ]
    feature, atom = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return feature, atom


def _binned(molecule: Chem.Mol, atom: Indices) -> Indices:
    """Bins of the distances between points, [points, points], 0 where there is no pair."""
    distances = Chem.GetDistanceMatrix(molecule)[np.ix_(atom, atom)]
    bins = np.minimum(distances - _NEAREST + 1, _LAST_BIN).astype(np.intp)
    return np.where((distances >= _NEAREST) & (distances < _FARTHEST), bins, 0)


def _pairs(n: int) -> tuple[Indices, Indices]:
    """All i < j below n, those of fewer points first."""
    second, first = np.tril_indices(n, -1)
    return first, second


@cache
def _triples() -> tuple[Indices, Indices, Indices]:
    """All i < j < k below ``_AT_ONCE``, those of fewer points first."""
    parts = [(*_pairs(k), np.full(comb(k, 2), k)) for k in range(_AT_ONCE)]
    i, j, k = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return i, j, k


def _triple_codes(feature: Indices, bins: Indices) -> Iterator[Indices]:
    """Six digits a triple i < j < k, as one number: its features, then bins of ij, ik and jk."""
    n = len(feature)
    ij = feature[:, None] * _BASE**5 + feature * _BASE**4 + bins * _BASE**2
    ik = feature * _BASE**3 + bins * _BASE
    if n <= _AT_ONCE:
        i, j, k = (column[: comb(n, 3)] for column in _triples())
        yield ij[i, j] + ik[i, k] + bins[j, k]
        return
    for last in range(n):
        i, j = _pairs(last)
        yield ij[i, j] + ik[i, last] + bins[j, last]


@cache
def _canonical_triples() -> Indices:
    """Numbers of the bits of all triples' codes; 0 where a distance has no bin.

    Points of one feature are interchangeable: the longer distances come first. (Their features
    are sorted, so such points are neighbours.)
    """
    a, b, c, ab, ac, bc = np.indices((_BASE,) * 6).reshape(6, -1)
    none = (ab == 0) | (ac == 0) | (bc == 0)
    # exchanging a and b exchanges ac and bc, and so on; three exchanges sort three alike
    ac, bc = _exchanged(a == b, ac, bc)
    ab, ac = _exchanged(b == c, ab, ac)
    ac, bc = _exchanged(a == b, ac, bc)
    codes = _PAIRS + np.ravel_multi_index((a, b, c, ab, ac, bc), (_BASE,) * 6)
    return np.where(none, 0, codes)


def _exchanged(where: NDArray[np.bool_], one: Indices, other: Indices) -> tuple[Indices, Indices]:
    """Both, the larger of each two first ``where`` they may be exchanged."""
    large, small = np.maximum(one, other), np.minimum(one, other)
    return np.where(where, large, one), np.where(where, small, other)
