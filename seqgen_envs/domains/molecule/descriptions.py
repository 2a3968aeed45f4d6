"""What is measured of a molecule, once for each: properties, scaffold, fingerprint.

Results are kept by canonical SMILES for the time of the process, as an optimised policy writes the
same molecules again and again, and the drug-likeness of one costs as much as sampling it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from seqgen_envs.domains.molecule.properties import PROPERTIES
from seqgen_envs.domains.molecule.smiles import canonical, canonicalize, parse, quiet, scaffold_of

logger = logging.getLogger(__name__)

#: Properties that are described, by their names in :data:`~.properties.PROPERTIES`.
MEASURED = ("logp", "qed", "sa", "weight", "ring_penalty")
#: MOSES' fingerprint (Polykovskiy et al. 2020): Morgan, radius 2, folded to 1,024 bits.
RADIUS, BITS = 2, 1024
_CACHED = 100_000
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
#: Fingerprints compared at a time.
_BLOCK = 1000

_canonical_of = lru_cache(maxsize=_CACHED)(canonicalize)


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
    text = _canonical_of(smiles)
    return None if text is None else _described(text)


@lru_cache(maxsize=_CACHED)
def _described(text: str) -> Description:
    molecule = parse(text)
    if molecule is None:  # RDKit writes, very rarely, what it does not read
        return Description(text, (math.nan,) * len(MEASURED), "", bytes(BITS // 8))
    with quiet():
        values = tuple(_measured(name, molecule, text) for name in MEASURED)
        bits = _MORGAN.GetFingerprintAsNumPy(molecule)
        return Description(text, values, _scaffold(molecule), np.packbits(bits).tobytes())


def _measured(name: str, molecule: Chem.Mol, text: str) -> float:
    try:
        return float(PROPERTIES[name](molecule))
    except Exception as error:  # one odd molecule must not end the table of ten thousand
        _say_once(name, f"{name} of {text} cannot be computed: {error!r}")
        return math.nan


def _scaffold(molecule: Chem.Mol) -> str:
    try:
        return scaffold_of(molecule)
    except Exception as error:
        _say_once("scaffold", f"the scaffold of {canonical(molecule)} cannot be found: {error!r}")
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
