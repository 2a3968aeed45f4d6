"""What is described of a molecule: properties, scaffold, fingerprint.

The compound remembers them (:func:`~.smiles.compound_of`): an optimised policy writes the same
molecules again and again, and the drug-likeness of one costs as much as sampling it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import Compound, compound_of, quiet, scaffold_of

logger = logging.getLogger(__name__)

#: Properties that are described, by their names in :data:`~.objectives.properties.PROPERTIES`.
MEASURED = ("logp", "qed", "sa", "weight", "ring_penalty")
#: MOSES' fingerprint (Polykovskiy et al. 2020): Morgan, radius 2, folded to 1,024 bits.
RADIUS, BITS = 2, 1024
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
#: Fingerprints compared at a time.
_BLOCK = 1000


class Description(NamedTuple):
    """One molecule.

    Attributes:
        canonical: its canonical SMILES.
        values: the properties of :data:`MEASURED`, NaN where one cannot be computed.
        scaffold: canonical SMILES of its Bemis-Murcko scaffold, empty for a molecule without rings.
        fingerprint: its bits, packed into 128 bytes.
    """

    canonical: str
    values: tuple[float, ...]
    scaffold: str
    fingerprint: bytes


def describe(smiles: str) -> Description | None:
    """The molecule a string stands for, or None where it is not a valid SMILES."""
    compound = compound_of(smiles)
    if compound is None:
        return None
    with quiet():
        values = tuple(_measured(name, compound) for name in MEASURED)
        return Description(
            compound.canonical, values, _scaffold(compound), compound.take(_packed_bits)
        )


def _packed_bits(molecule: Chem.Mol) -> bytes:
    return np.packbits(_MORGAN.GetFingerprintAsNumPy(molecule)).tobytes()


def _measured(name: str, compound: Compound) -> float:
    try:
        return float(compound.take(PROPERTIES[name]))
    except Exception as error:  # one odd molecule must not end the table of ten thousand
        _say_once(name, f"{name} of {compound.canonical} cannot be computed: {error!r}")
        return math.nan


def _scaffold(compound: Compound) -> str:
    try:
        return compound.take(scaffold_of)
    except Exception as error:
        text = compound.canonical
        _say_once("scaffold", f"the scaffold of {text} cannot be found: {error!r}")
        return ""


_said: set[str] = set()


def _say_once(what: str, message: str) -> None:
    if what not in _said:
        _said.add(what)
        logger.warning("%s (later cases are not reported)", message)


def internal_diversity(fingerprints: Sequence[bytes]) -> float:
    """Mean Tanimoto distance over all ordered pairs, each molecule paired with itself as well.

    That is IntDiv1 of MOSES (Polykovskiy et al. 2020, arXiv 1811.12823). 0 for no molecules.
    """
    if not fingerprints:
        return 0.0
    packed = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), -1)
    bits = np.unpackbits(packed, axis=1).astype(np.float32)
    counts = bits.sum(axis=1)
    total = 0.0
    for start in range(0, len(bits), _BLOCK):
        rows = slice(start, start + _BLOCK)
        total += _similarities(bits[rows], bits[rows], counts[rows], counts[rows])
        rest = slice(start + _BLOCK, None)
        total += 2 * _similarities(bits[rows], bits[rest], counts[rows], counts[rest])
    return 1 - total / len(bits) ** 2


def _similarities(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    in_a: NDArray[np.float32],
    in_b: NDArray[np.float32],
) -> float:
    """Sum of the similarities of all pairs; two fingerprints without bits are the same."""
    common = a @ b.T
    union = in_a[:, None] + in_b - common
    ratio = np.divide(common, union, out=np.ones_like(common), where=union > 0)
    return float(ratio.sum(dtype=np.float64))
