"""What a user writes of molecules, read with errors that name it: SMILES, SMARTS, formulas."""

from __future__ import annotations

import re
from functools import cache

from rdkit import Chem

from seqgen_envs.domains.molecule.smiles import MAX_CHARACTERS, parse, quiet

#: Bounds of a SMARTS, without which one that fits nothing may be looked for for hours: its atoms,
#: and its recursive parts ``$(...)``, those within others counted too.
MAX_QUERY_ATOMS, MAX_RECURSIONS = 100, 20
#: Pieces that no bond joins: each multiplies the time of all others.
MAX_PIECES = 2
#: Atoms of a molecule that others are compared with. Atom pairs of 5,000 atoms take ten seconds.
MAX_TARGET_ATOMS = 500
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*)+")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")


def read_smiles(smiles: str) -> Chem.Mol:
    """The molecule of a SMILES.

    Raises:
        ValueError: it is none, or too large.
    """
    molecule = parse(_text(smiles, "SMILES"))
    if molecule is None:
        raise ValueError(f"{smiles[:80]!r} is not a valid SMILES of a molecule")
    if molecule.GetNumAtoms() > MAX_TARGET_ATOMS:
        raise ValueError(
            f"the SMILES {smiles[:40]!r}... has {molecule.GetNumAtoms():,} atoms; molecules to "
            f"compare with have at most {MAX_TARGET_ATOMS}"
        )
    return molecule


def read_smarts(smarts: str) -> Chem.Mol:
    """The query of a SMARTS.

    Raises:
        ValueError: it is none, or too large to be looked for in reasonable time.
    """
    recursions = _text(smarts, "SMARTS").count("$(")
    if recursions > MAX_RECURSIONS or len(smarts) > MAX_CHARACTERS:
        raise ValueError(
            f"the SMARTS {smarts[:40]!r}... has {recursions} recursive parts in {len(smarts):,} "
            f"characters; at most {MAX_RECURSIONS} in {MAX_CHARACTERS:,} are looked for"
        )
    with quiet():
        query = Chem.MolFromSmarts(smarts)
    if query is None or not query.GetNumAtoms():
        raise ValueError(f"{smarts!r} is not a valid SMARTS")
    if query.GetNumAtoms() > MAX_QUERY_ATOMS:
        raise ValueError(
            f"the SMARTS {smarts[:40]!r}... has {query.GetNumAtoms()} atoms; at most "
            f"{MAX_QUERY_ATOMS} are looked for"
        )
    if len(Chem.GetMolFrags(query)) > MAX_PIECES:
        raise ValueError(
            f"the SMARTS {smarts[:40]!r}... has more than {MAX_PIECES} pieces that no bond joins: "
            "give each an objective of its own"
        )
    return query


def read_formula(formula: str) -> dict[str, int]:
    """Atoms by element of a molecular formula, as ``{"C": 2, "H": 6, "O": 1}`` of ``"C2H6O"``.

    An element named twice counts twice: ``"CH3CH2OH"`` is the same.

    Raises:
        ValueError: it is none, or names what is no element.
    """
    if not _FORMULA.fullmatch(_text(formula, "formula")):
        raise ValueError(f"{formula!r} is not a molecular formula; expected one such as 'C7H8N2O2'")
    counts: dict[str, int] = {}
    for symbol, number in _ELEMENT.findall(formula):
        if symbol not in _elements():
            raise ValueError(f"formula {formula!r} names {symbol!r}, which is no element")
        counts[symbol] = counts.get(symbol, 0) + int(number or 1)
    return counts


@cache
def _elements() -> frozenset[str]:
    table = Chem.GetPeriodicTable()
    return frozenset(table.GetElementSymbol(number) for number in range(1, 119))


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        # YAML reads unquoted NO, ON or [N+] as something else
        raise ValueError(f"a {what} must be text, got {value!r}; quote it in a YAML file")
    return value
