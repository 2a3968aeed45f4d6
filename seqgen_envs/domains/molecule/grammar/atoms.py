"""What atom tokens may be bonded to, whichever tokens a vocabulary has.

Those of the bundled vocabulary are in a table; of others RDKit is asked, by small molecules made
around the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from seqgen_envs.domains.molecule.smiles import parse

#: Organic elements, which may stand without brackets, and those that may be aromatic so.
_BARE = frozenset(("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", *"bcnops*"))
#: Most single bonds of an atom that is asked about.
_MOST = 6


@dataclass(frozen=True)
class AtomKind:
    """An atom token's chemistry. Sums are of the orders of its bonds, hydrogens left out.

    Args:
        sums: where the atom may be finished (1 for an aromatic bond).
        aromatic: written in lower case.
        double_until: it needs a double bond within its aromatic system up to this sum; -1: never.
        exocyclic: the sum it must have with a double bond out of the system; 0: it takes none.
    """

    sums: frozenset[int]
    aromatic: bool = False
    double_until: int = -1
    exocyclic: int = 0

    @cached_property
    def most(self) -> int:
        """The largest sum without a double bond out of the system."""
        return max(self.sums)


@cache
def _table() -> dict[str, AtomKind]:
    """Valences that both RDKit and partialsmiles call normal."""
    implicit = {"C": 4, "N": 3, "O": 2, "S": 6, "P": 5, "F": 1, "Cl": 1, "Br": 1, "I": 1}
    kinds = {token: AtomKind(frozenset(range(most + 1))) for token, most in implicit.items()}
    bracket: dict[tuple[int, ...], str] = {
        (1,): "[CH2-] [NH-] [NH3+] [O-]",
        (2,): "[CH-] [N-] [NH2+] [OH+]",
        (3,): "[C@H] [C@@H] [NH+] [O+] [PH+]",
        (4,): "[C@] [C@@] [N+] [P+]",
        (1, 3): "[PH2]",
        (1, 3, 5): "[S-]",
        (2, 4): "[P@@H] [PH] [SH+]",
        (2, 4, 6): "[S@] [S@@]",
        (3, 5): "[P@] [P@@] [S+] [S@@+]",
    }
    for sums, tokens in bracket.items():
        kinds |= {token: AtomKind(frozenset(sums)) for token in tokens.split()}
    two, three, both = frozenset({2}), frozenset({3}), frozenset({2, 3})
    kinds |= {token: AtomKind(two, True) for token in ("o", "s", "[nH]", "[n-]")}
    kinds |= {token: AtomKind(two, True, 2) for token in ("[nH+]", "[o+]")}
    kinds |= {token: AtomKind(both, True, 2) for token in ("n", "[s+]")}
    kinds["c"] = AtomKind(both, True, 3, exocyclic=4)
    kinds["[n+]"] = AtomKind(three, True, 3, exocyclic=4)
    return kinds


@cache
def kind_of(token: str) -> AtomKind | None:
    """The chemistry of an atom token; None for another token, and for an atom that can be nowhere.

    What an atom's place would decide (an aromatic atom that needs a double bond in some systems
    and none in others) is settled on the cautious side.
    """
    if token in _table():
        return _table()[token]
    if not (token in _BARE or (token.startswith("[") and token.endswith("]"))):
        return None
    symbol = token.strip("[]").lstrip("0123456789")[:1]
    return _aromatic(token) if symbol.islower() else _aliphatic(token)


def _aliphatic(token: str) -> AtomKind | None:
    sums = {n for n in range(_MOST + 1) if _exists(_star(token, n))}
    return AtomKind(frozenset(sums)) if sums else None


def _star(token: str, bonds: int) -> str:
    """The atom with so many single bonds to carbon."""
    return f"{token}{'(C)' * max(bonds - 1, 0)}{'C' if bonds else ''}"


def _aromatic(token: str) -> AtomKind | None:
    most = 2 if "H" in token else 3  # with a hydrogen and three bonds it would be aromatic in name
    # a five-ring's other four atoms pair, a six-ring's other five do not
    alone = {2 + n for n in range(most - 1) if _exists(f"c1cc{token}{'(C)' * n}c1")}
    paired = {2 + n for n in range(most - 1) if _exists(f"c1cc{token}{'(C)' * n}cc1")}
    if 2 in alone - paired or not paired:
        return AtomKind(frozenset(alone), True) if alone else None
    until = 2 if 2 in paired and 3 in alone else max(paired)
    sums = frozenset(paired | {total for total in alone if total > until})
    out = until == 3 and _exists(f"O={token}1cccccc1")
    return AtomKind(sums, True, until, exocyclic=4 if out else 0)


def _exists(smiles: str) -> bool:
    """Whether a molecule is valid and has no radical."""
    molecule = parse(smiles)
    return molecule is not None and not any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms())
