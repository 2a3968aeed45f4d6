"""Buckets of molecules that are alike, and what becomes of more of their kind.

What for, and where the memory belongs: :mod:`~.diversity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.Scaffolds import MurckoScaffold
from rdkit.DataStructs import BulkTanimotoSimilarity

from seqgen_envs.domains.molecule.smiles import Compound, compound_of, quiet, scaffold_of

#: ECFP4 as 2,048 bits: counts take 17 times as long to compare with all there were.
_ECFP4 = GetMorganGenerator(radius=2, fpSize=2048)
KINDS = ("scaffold", "topological", "similarity", "smiles")


@dataclass(frozen=True)
class Diversity:
    """What counts as alike, and what becomes of it.

    Args:
        kind: which molecules share a bucket.

            - ``"scaffold"``: those of one Bemis-Murcko scaffold, stereochemistry left out
              (molecules without rings share the empty one);
            - ``"topological"``: those whose scaffolds are one graph, atoms and bonds being all the
              same;
            - ``"similarity"``: a molecule joins the bucket of the remembered one it is most
              similar to, where the two are ``similarity`` alike or more;
            - ``"smiles"``: nobody; only repeats are scaled.
        bucket_size: molecules a bucket holds; 25 where None.
        min_score: a molecule that scores less is neither remembered nor touched.
        scale: what the score of a new molecule is multiplied by, whose bucket is full.
        repeats: what the score of a molecule is multiplied by that is remembered already.
        similarity: Tanimoto of ECFP4 fingerprints, above 0 and at most 1; 0.6 where None.

    Raises:
        ValueError: an argument is out of its range, or is for another kind.
    """

    kind: str
    bucket_size: int | None = None
    min_score: float = 0.4
    scale: float = 0.0
    repeats: float = 0.0
    similarity: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"diversity: kind must be one of {list(KINDS)}, got {self.kind!r}")
        if not self.min_score >= 0:
            raise ValueError(
                f"diversity: min_score must be >= 0, got {self.min_score}: a score below 0 would "
                "rise by being set to 0 (valid_reward lifts the scores of a task)"
            )
        for name in ("scale", "repeats"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"diversity: {name} must be in [0, 1], got {getattr(self, name)}")
        self._only_for("bucket_size", KINDS[:3], 25)
        self._only_for("similarity", ("similarity",), 0.6)
        size = self.bucket_size
        if size is not None and not (isinstance(size, int) and size >= 1):
            raise ValueError(
                f"diversity: bucket_size must be a whole number of at least 1, got {size}"
            )
        if self.similarity is not None and not 0 < self.similarity <= 1:
            raise ValueError(
                f"diversity: similarity must be above 0 and at most 1, got {self.similarity}"
            )

    def _only_for(self, name: str, kinds: Sequence[str], default: Any) -> None:
        """Fill in the default for the kinds that have this argument, refuse it for others."""
        if self.kind in kinds:
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        elif getattr(self, name) is not None:
            raise ValueError(f"diversity: {name} is not for kind {self.kind!r}")


def diversity_from(value: Diversity | Mapping[str, Any]) -> Diversity:
    """A :class:`Diversity`, or one from a dict of its arguments.

    Raises:
        ValueError: the dict lacks ``kind``, or holds something unknown or out of range.
    """
    if isinstance(value, Diversity):
        return value
    known = [f.name for f in fields(Diversity)]
    if not isinstance(value, Mapping) or "kind" not in value or set(value) - set(known):
        raise ValueError(
            f"diversity must be a dict with 'kind' (one of {list(KINDS)}) and any of "
            f"{known[1:]}, got {value!r}"
        )
    return Diversity(**value)


def topology_of(molecule: Chem.Mol) -> str:
    """SMILES of the scaffold's graph: every atom carbon, every bond single, no side chains.

    What hangs on a scaffold by a double bond is a side chain here.
    """
    generic = MurckoScaffold.MakeScaffoldGeneric(MurckoScaffold.GetScaffoldForMol(molecule))
    return scaffold_of(generic)


class Judgement(NamedTuple):
    """What a diversity filter makes of a molecule: its bucket ("": not good enough for one), and
    what its score is multiplied by."""

    bucket: str
    factor: float


class Memory:
    """Buckets of good molecules.

    Attributes:
        buckets: score by canonical SMILES, by the bucket's name: a scaffold, or its first molecule.
        scaled: how many molecules have been scaled down so far.
    """

    def __init__(self, diversity: Diversity) -> None:
        self.diversity = diversity
        self.buckets: dict[str, dict[str, float]] = {}
        self.scaled = 0
        self._home: dict[str, str] = {}  # bucket of each remembered molecule, in order
        self._spelled: dict[str, str] = {}  # as they came: canonical SMILES are not parsed
        self._fingerprints: list[Any] = []  # for kind "similarity", and whose bucket is whose
        self._named: list[str] = []

    def judge(self, smiles: str, score: float) -> Judgement:
        """Its bucket, and what the score of a valid SMILES is to be multiplied by.

        A good molecule is remembered. The bucket of one that RDKit cannot take apart is its own.
        """
        wanted = self.diversity
        if score < wanted.min_score:
            return Judgement("", 1.0)
        compound = compound_of(smiles)
        assert compound is not None
        if compound.canonical in self._home:
            judgement = Judgement(self._home[compound.canonical], wanted.repeats)
        else:
            name, fingerprint = self._place(compound)
            admitted = self._admit(compound, smiles, score, name, fingerprint)
            judgement = Judgement(name, 1.0 if admitted else wanted.scale)
        self.scaled += judgement.factor != 1.0
        return judgement

    def _admit(
        self, compound: Compound, smiles: str, score: float, name: str, fingerprint: Any
    ) -> bool:
        """Put a new molecule into its bucket; False where that is full."""
        bucket = self.buckets.setdefault(name, {})
        size = self.diversity.bucket_size
        if size is not None and len(bucket) >= size:
            return False
        bucket[compound.canonical] = score
        self._home[compound.canonical] = name
        self._spelled[compound.canonical] = smiles
        if fingerprint is not None:
            self._fingerprints.append(fingerprint)
            self._named.append(name)
        return True

    def _place(self, compound: Compound) -> tuple[str, Any]:
        """The bucket a molecule belongs to, and its fingerprint where that decides."""
        kind = self.diversity.kind
        if kind == "smiles":
            return compound.canonical, None
        if kind == "similarity":
            return self._nearest(compound)
        try:
            with quiet():
                return compound.take(scaffold_of if kind == "scaffold" else topology_of), None
        except (ValueError, RuntimeError):  # a valence, say, that a carbon cannot have
            return compound.canonical, None

    def _nearest(self, compound: Compound) -> tuple[str, Any]:
        assert self.diversity.similarity is not None
        fingerprint = _ECFP4.GetFingerprint(compound.molecule)
        if self._fingerprints:
            alike = BulkTanimotoSimilarity(fingerprint, self._fingerprints)
            best = int(np.argmax(alike))
            if alike[best] >= self.diversity.similarity:
                return self._named[best], fingerprint
        return compound.canonical, fingerprint

    def state_dict(self) -> dict[str, Any]:
        """Contents, JSON-able: [SMILES, score, bucket] in the order they came."""
        molecules = [
            [self._spelled[text], self.buckets[name][text], name]
            for text, name in self._home.items()
        ]
        return {"molecules": molecules, "scaled": self.scaled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the contents by those of :meth:`state_dict`."""
        fresh = Memory(self.diversity)
        for smiles, score, name in state["molecules"]:
            compound = compound_of(smiles)
            assert compound is not None
            fresh.buckets.setdefault(name, {})[compound.canonical] = score
            fresh._home[compound.canonical] = name
            fresh._spelled[compound.canonical] = smiles
            if self.diversity.kind == "similarity":
                fresh._fingerprints.append(_ECFP4.GetFingerprint(compound.molecule))
                fresh._named.append(name)
        fresh.scaled = state["scaled"]
        vars(self).update(vars(fresh))
