"""QED (Bickerton et al. 2012), with nothing computed twice: RDKit's figure to the last bit.

RDKit's own function copies the molecule to take its hydrogen atoms off, though parsed SMILES hardly
ever have any, and the copy no longer knows its Crippen contributions, which logP has asked for
already; and it looks for each of 116 structural alerts by a call of its own. Here the molecule
itself is measured, and those alerts that its elements and bonds allow are counted in one call. What
is looked for and how it becomes a number stay RDKit's: :mod:`rdkit.Chem.QED`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogEntry, SmartsMatcher

#: What a pattern may need besides elements, by a SMARTS of the molecules that have it.
_DOUBLE_CARBON, _DOUBLE_NITROGEN, _TRIPLE, _CHARGED = "[#6]=[#6]", "[#7]=*", "*#*", "[!+0]"
_FEATURES = {
    text: Chem.MolFromSmarts(text) for text in (_DOUBLE_CARBON, _DOUBLE_NITROGEN, _TRIPLE, _CHARGED)
}
#: Catalogues that are kept: one for each set of elements and features that molecules have had.
_CATALOGS = 256


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
        ALERTS=count_alerts(molecule),
    )


def count_alerts(molecule: Chem.Mol) -> int:
    """How many of QED's structural alerts a molecule has."""
    elements = re.findall("[A-Z][a-z]?", rdMolDescriptors.CalcMolFormula(molecule))
    features = [text for text, query in _FEATURES.items() if molecule.HasSubstructMatch(query)]
    return len(_catalog(frozenset(elements), frozenset(features)).GetMatches(molecule))


@lru_cache(maxsize=_CATALOGS)
def _catalog(elements: frozenset[str], features: frozenset[str]) -> FilterCatalog:
    """The alerts that a molecule of such elements and features can have."""
    catalog = FilterCatalog()
    for alert in _alerts():
        if alert.features <= features and all(one & elements for one in alert.elements):
            catalog.AddEntry(FilterCatalogEntry("alert", alert.matcher))
    return catalog


class _Alert(NamedTuple):
    """A pattern, and what every molecule has in which it is found.

    ``elements``: of each set one or more; ``features``: all.
    """

    matcher: SmartsMatcher
    elements: tuple[frozenset[str], ...]
    features: frozenset[str]


@cache
def _alerts() -> tuple[_Alert, ...]:
    """QED's structural alerts."""
    alerts = []
    for pattern in QED.StructuralAlerts:
        matcher = SmartsMatcher("alert", _rarest_first(pattern), 1)
        needs = [_elements_of(atom) for atom in pattern.GetAtoms()]
        elements = tuple({one for one in needs if one is not None})
        alerts.append(_Alert(matcher, elements, _features_of(pattern, needs)))
    return tuple(alerts)


def _elements_of(atom: Chem.Atom) -> frozenset[str] | None:
    """The elements that an atom of a pattern can be; None where its SMARTS is not that simple."""
    alternatives = _alternatives(atom)
    firsts = [re.match(r"([A-Z][a-z]?|[a-z]{1,2}|#\d+)", one) for one in alternatives]
    if not alternatives or None in firsts:
        return None
    queries = [Chem.AtomFromSmarts(f"[{first[1]}]") for first in firsts if first is not None]
    numbers = [0 if query is None else query.GetAtomicNum() for query in queries]
    table = Chem.GetPeriodicTable()
    return frozenset(map(table.GetElementSymbol, numbers)) if all(numbers) else None


def _alternatives(atom: Chem.Atom) -> list[str]:
    """What the SMARTS of an atom lists, ``["N&X3", "N&X4"]``; nothing where it is more than a list
    of primitives. That an atom is in no ring is left out."""
    text = re.sub("&![Rr]", "", atom.GetSmarts()).strip("[]")
    return [] if re.search(r"[$!*;]", text) else text.split(",")


def _features_of(pattern: Chem.Mol, needs: list[frozenset[str] | None]) -> frozenset[str]:
    """Keys of :data:`_FEATURES`."""
    found = set()
    for bond in pattern.GetBonds():
        ends = needs[bond.GetBeginAtomIdx()], needs[bond.GetEndAtomIdx()]
        text = bond.GetSmarts()  # type: ignore[call-arg]  # RDKit's stubs are wrong
        if text == "#":
            found.add(_TRIPLE)
        elif text == "=" and set(ends) == {frozenset("C")}:
            found.add(_DOUBLE_CARBON)
        elif text == "=" and frozenset("N") in ends:
            found.add(_DOUBLE_NITROGEN)
    for atom in pattern.GetAtoms():
        alternatives = _alternatives(atom)
        if alternatives and all(re.search(r"[+-](?!0)", one) for one in alternatives):
            found.add(_CHARGED)
    return frozenset(found)


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
