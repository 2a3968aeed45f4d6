"""Double bonds of half-written aromatic systems: a matching that grows with the SMILES.

Every aromatic atom that needs a double bond must get it from a neighbour, each bond serving two
atoms: a perfect matching. Of an unfinished SMILES only the atoms that can win no more neighbours
must be matched already; the others may wait.
"""

from __future__ import annotations

from collections.abc import Set

#: Atoms one search for an alternating path may visit. Real molecules need a few dozen; a search
#: that is cut off counts as failed, so the mask forbids what it cannot decide.
MAX_VISITS = 500


class Matching:
    """Bonds of an aromatic system that may become double, and those that are so far.

    Attributes:
        bonds: the neighbours of each atom over bonds that may become double.
        partner: the two atoms of each double bond, both ways.
        lone: atoms that need a double bond and have none yet.
    """

    __slots__ = ("_visits", "bonds", "lone", "partner")

    def __init__(self) -> None:
        self.bonds: dict[int, tuple[int, ...]] = {}
        self.partner: dict[int, int] = {}
        self.lone: set[int] = set()
        self._visits = 0

    def copy(self) -> Matching:
        """One that may change without this one."""
        other = Matching()
        other.bonds = self.bonds.copy()
        other.partner = self.partner.copy()
        other.lone = self.lone.copy()
        return other

    def needs(self, atom: int) -> bool:
        """Whether an atom is one that needs a double bond, matched or not."""
        return atom in self.lone or atom in self.partner

    def join(self, a: int, b: int) -> None:
        """A bond that may become double, if both atoms need one; it does if both are alone."""
        if not (self.needs(a) and self.needs(b)):
            return
        self.bonds[a] = (*self.bonds.get(a, ()), b)
        self.bonds[b] = (*self.bonds.get(b, ()), a)
        if a in self.lone and b in self.lone:
            self._pair(a, b)

    def part(self, a: int, b: int) -> None:
        """The bond can no more become double."""
        if b in self.bonds.get(a, ()):
            self.bonds[a] = tuple(n for n in self.bonds[a] if n != b)
            self.bonds[b] = tuple(n for n in self.bonds[b] if n != a)
            if self.partner.get(a) == b:
                self._free(a)
                self.lone.add(a)

    def drop(self, atom: int) -> None:
        """The atom no more needs a double bond; its partner is alone."""
        if atom in self.partner:
            self._free(atom)
        self.lone.discard(atom)
        for other in self.bonds.pop(atom, ()):
            self.bonds[other] = tuple(n for n in self.bonds[other] if n != atom)

    def settle(self, waiting: Set[int]) -> bool:
        """Match every lone atom that is not among those in ``waiting``, if that can be done."""
        for atom in sorted(self.lone - waiting):
            if atom in self.lone:
                self._visits = 0
                if not self._match(atom, waiting, {atom}):
                    return False
        return True

    def _match(self, atom: int, waiting: Set[int], path: set[int]) -> bool:
        """Find ``atom`` a partner along an alternating path that avoids the atoms of ``path``."""
        neighbours = self.bonds.get(atom, ())
        for other in neighbours:
            if other in self.lone and other not in path:
                self._pair(atom, other)
                return True
        for other in neighbours:
            after = self.partner.get(other)
            if after is None or other in path or after in path:
                continue
            self._visits += 1
            if self._visits > MAX_VISITS:
                return False
            self._free(after)
            if after in waiting:
                self.lone.add(after)
            elif not self._match(after, waiting, path | {other, after}):
                self._pair(after, other)
                continue
            self._pair(atom, other)
            return True
        return False

    def _pair(self, a: int, b: int) -> None:
        self.partner[a], self.partner[b] = b, a
        self.lone.discard(a)
        self.lone.discard(b)

    def _free(self, atom: int) -> None:
        """Undo the double bond of ``atom``; its partner becomes lone, the atom itself nothing."""
        other = self.partner.pop(atom)
        del self.partner[other]
        self.lone.add(other)
