"""What is measured of a molecule: functions ``Mol -> float``, and their names.

They take sanitised molecules, as :func:`~seqgen_envs.domains.molecule.smiles.parse` gives them,
and let RDKit's errors through. Rings are those of RDKit's symmetrised smallest set.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from rdkit import Chem, RDConfig
from rdkit.Chem import Descriptors, GraphDescriptors, rdMolDescriptors

from seqgen_envs.domains.molecule.objectives.alerts import alerts
from seqgen_envs.domains.molecule.objectives.druglikeness import qed
from seqgen_envs.domains.molecule.objectives.means import Part
from seqgen_envs.domains.molecule.objectives.queries import read_smarts
from seqgen_envs.domains.molecule.smiles import Compound

Property = Callable[[Chem.Mol], float]

#: Atoms a ring may have before ``ring_penalty`` counts them.
RING_SIZE = 6
#: Mean and standard deviation over ZINC250k of logP, minus SA and minus the ring penalty, as
#: published with the code of You et al. 2018 (arXiv 1806.02473); Jin et al. 2018 (arXiv
#: 1802.04364) introduced the measure.
ZINC250K_LOGP = (2.4570953396190123, 1.434324401111988)
ZINC250K_MINUS_SA = (-3.0525811293166134, 0.8335207024513095)
ZINC250K_MINUS_RING_PENALTY = (-0.0485696876403053, 0.2860212110245455)
#: Matches that are looked for; a count stops there.
MAX_MATCHES = 1_000
_average_weight: Property = vars(Descriptors)["MolWt"]  # RDKit's type stubs do not know it


def logp(molecule: Chem.Mol) -> float:
    """Octanol-water partition coefficient, log10, by Wildman and Crippen's atom contributions."""
    return float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0])


def sa(molecule: Chem.Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard): Ertl and Schuffenhauer 2009.

    Computed by RDKit's own contributed module, of which one call is replaced (see
    :func:`_stereocentres`).

    Raises:
        ImportError: this RDKit came without its ``Contrib`` folder.
    """
    return float(_sa_scorer().calculateScore(molecule))


@cache
def _sa_scorer() -> ModuleType:
    """The contributed module, which no package contains: read from its file."""
    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("rdkit_contrib_sascorer", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ImportError(
            f"the synthetic accessibility score needs RDKit's {path}, which is missing; RDKit's "
            f"wheel has it: pip install rdkit"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    replaced = {"FindMolChiralCenters": _stereocentres}
    vars(module)["Chem"] = SimpleNamespace(**(vars(Chem) | replaced))
    return module


def _stereocentres(molecule: Chem.Mol, includeUnassigned: bool) -> Sequence[Any]:
    """As many as RDKit's ``FindMolChiralCenters`` finds, of which SA asks for the number only.

    That one perceives them as this does, and then asks each atom for its own from Python.
    """
    if not Chem.GetUseLegacyStereoPerception():
        found: Sequence[Any] = Chem.FindMolChiralCenters(molecule, includeUnassigned=True)
        return found
    Chem.AssignStereochemistry(
        molecule, cleanIt=True, force=True, flagPossibleStereoCenters=includeUnassigned
    )
    return range(rdMolDescriptors.CalcNumAtomStereoCenters(molecule))


def largest_ring(molecule: Chem.Mol) -> float:
    """Atoms of the largest ring, 0 without rings."""
    return float(max(map(len, molecule.GetRingInfo().AtomRings()), default=0))


def ring_penalty(molecule: Chem.Mol) -> float:
    """Atoms of the largest ring beyond six, at least 0."""
    return max(largest_ring(molecule) - RING_SIZE, 0.0)


@dataclass(frozen=True)
class PenalizedLogP(Part):
    """logP - SA - ring penalty.

    The standardized one takes the mean over ZINC250k off each part, and divides by its deviation.
    The reference looks for the largest ring in some basis of cycles, which may hold larger ones
    than RDKit's smallest rings do; this takes RDKit's.

    Args:
        name: in :data:`PROPERTIES`.
        logp, minus_sa, minus_ring_penalty: mean and deviation of each part.
    """

    name: str
    logp: tuple[float, float] = (0.0, 1.0)
    minus_sa: tuple[float, float] = (0.0, 1.0)
    minus_ring_penalty: tuple[float, float] = (0.0, 1.0)

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        parts = (
            (compound.take(logp), self.logp),
            (-compound.take(sa), self.minus_sa),
            (-compound.take(ring_penalty), self.minus_ring_penalty),
        )
        return sum((value - mean) / deviation for value, (mean, deviation) in parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return get_property, (self.name,)  # the same one, as of a function


penalized_logp = PenalizedLogP("penalized_logp")
penalized_logp_standardized = PenalizedLogP(
    "penalized_logp_standardized", ZINC250K_LOGP, ZINC250K_MINUS_SA, ZINC250K_MINUS_RING_PENALTY
)


def weight(molecule: Chem.Mol) -> float:
    """Average molecular weight, daltons, hydrogens included."""
    return float(_average_weight(molecule))


def tpsa(molecule: Chem.Mol) -> float:
    """Topological polar surface area, square angstroms, of nitrogen and oxygen."""
    return float(rdMolDescriptors.CalcTPSA(molecule))


def hbd(molecule: Chem.Mol) -> float:
    """Donors of hydrogen bonds."""
    return float(rdMolDescriptors.CalcNumHBD(molecule))


def hba(molecule: Chem.Mol) -> float:
    """Acceptors of hydrogen bonds."""
    return float(rdMolDescriptors.CalcNumHBA(molecule))


def rotatable_bonds(molecule: Chem.Mol) -> float:
    """Rotatable bonds, by RDKit's strict definition (no amides)."""
    return float(rdMolDescriptors.CalcNumRotatableBonds(molecule))


def rings(molecule: Chem.Mol) -> float:
    """Rings."""
    return float(rdMolDescriptors.CalcNumRings(molecule))


def aromatic_rings(molecule: Chem.Mol) -> float:
    """Aromatic rings."""
    return float(rdMolDescriptors.CalcNumAromaticRings(molecule))


def heavy_atoms(molecule: Chem.Mol) -> float:
    """Atoms other than hydrogen."""
    return float(molecule.GetNumHeavyAtoms())


def bertz(molecule: Chem.Mol) -> float:
    """Bertz's index of complexity (1981)."""
    return float(GraphDescriptors.BertzCT(molecule))


def fraction_csp3(molecule: Chem.Mol) -> float:
    """Share of the carbon atoms that are sp3, 0 without carbon."""
    return float(rdMolDescriptors.CalcFractionCSP3(molecule))


def stereocentres(molecule: Chem.Mol) -> float:
    """Tetrahedral stereocentres, specified or not."""
    return float(rdMolDescriptors.CalcNumAtomStereoCenters(molecule))


def formal_charge(molecule: Chem.Mol) -> float:
    """Formal charge of the whole, in elementary charges."""
    return float(Chem.GetFormalCharge(molecule))


PROPERTIES: dict[str, Property] = {
    "logp": logp,
    "qed": qed,
    "sa": sa,
    "largest_ring": largest_ring,
    "ring_penalty": ring_penalty,
    "penalized_logp": penalized_logp,
    "penalized_logp_standardized": penalized_logp_standardized,
    "weight": weight,
    "tpsa": tpsa,
    "hbd": hbd,
    "hba": hba,
    "rotatable_bonds": rotatable_bonds,
    "rings": rings,
    "aromatic_rings": aromatic_rings,
    "heavy_atoms": heavy_atoms,
    "bertz": bertz,
    "fraction_csp3": fraction_csp3,
    "stereocentres": stereocentres,
    "formal_charge": formal_charge,
    "alerts": alerts,
}


def get_property(name: str) -> Property:
    """The property called ``name``.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if not isinstance(name, str) or name not in PROPERTIES:
        raise ValueError(f"unknown property {name!r}; expected one of {', '.join(PROPERTIES)}")
    return PROPERTIES[name]


@dataclass(frozen=True)
class MatchCount:
    """How often a substructure is found, as sets of atoms: a property of your own.

    It stops at :data:`MAX_MATCHES`.

    Args:
        smarts: what is looked for.

    Raises:
        ValueError: the SMARTS does not parse.
    """

    smarts: str
    _query: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_query", read_smarts(self.smarts))

    def __call__(self, molecule: Chem.Mol) -> float:
        """The number of matches."""
        return float(len(molecule.GetSubstructMatches(self._query, maxMatches=MAX_MATCHES)))
