"""QED (Bickerton et al. 2012), with nothing computed twice: RDKit's figure to the last bit.

RDKit's own function copies the molecule to take its hydrogen atoms off, though parsed SMILES hardly
ever have any, and the copy no longer knows its Crippen contributions, which logP has asked for
already; and it looks for each of 116 structural alerts by a call of its own. Here the molecule
itself is measured, and its alerts are counted in one call. What is looked for and how it becomes a
number stay RDKit's: :mod:`rdkit.Chem.QED`.
"""

from __future__ import annotations

from functools import cache

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogEntry, SmartsMatcher


def qed(molecule: Chem.Mol) -> float:
    """Drug-likeness in 0..1 (Bickerton et al. 2012), with RDKit's mean weights."""
    if molecule.GetNumHeavyAtoms() < molecule.GetNumAtoms():  # explicit hydrogens, dummy atoms
        return float(QED.qed(molecule))
    return float(QED.qed(molecule, qedProperties=_properties(molecule)))


def _properties(molecule: Chem.Mol) -> QED.QEDproperties:
    """What QED is made of: ``QED.properties`` of a molecule without hydrogen atoms."""
    strict = rdMolDescriptors.NumRotatableBondsOptions.Strict
    aromatic = Chem.DeleteSubstructs(molecule, QED.AliphaticRings)  # a copy
    return QED.QEDproperties(
        MW=rdMolDescriptors._CalcMolWt(molecule),
        ALOGP=rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
        HBA=sum(len(molecule.GetSubstructMatches(pattern)) for pattern in QED.Acceptors),
        HBD=rdMolDescriptors.CalcNumHBD(molecule),
        PSA=rdMolDescriptors.CalcTPSA(molecule),
        ROTB=rdMolDescriptors.CalcNumRotatableBonds(molecule, strict),
        AROM=len(Chem.GetSSSR(aromatic)),
        ALERTS=len(_alerts().GetMatches(molecule)),
    )


@cache
def _alerts() -> FilterCatalog:
    """QED's structural alerts, each an entry of one catalogue."""
    catalog = FilterCatalog()
    for pattern in map(_rarest_first, QED.StructuralAlerts):
        catalog.AddEntry(FilterCatalogEntry("alert", SmartsMatcher("alert", pattern, 1)))
    return catalog


def _rarest_first(pattern: Chem.Mol) -> Chem.Mol:
    """The same pattern, its atoms in an order in which a search fails early.

    RDKit looks for a pattern's atoms in their order, and most of these begin with a carbon.
    """
    common = {0: 2, 6: 2, 7: 1, 8: 1}  # 0: any element, or one of several
    ranks = [common.get(atom.GetAtomicNum(), 0) for atom in pattern.GetAtoms()]
    left, order = set(range(len(ranks))), list[int]()
    while left:
        beside = {
            neighbor.GetIdx()
            for atom in order
            for neighbor in pattern.GetAtomWithIdx(atom).GetNeighbors()
        }
        order.append(min(beside & left or left, key=lambda atom: (ranks[atom], atom)))
        left.remove(order[-1])
    return Chem.RenumberAtoms(pattern, order)
