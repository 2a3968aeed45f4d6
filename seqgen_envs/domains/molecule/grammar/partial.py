"""Half-written SMILES: which tokens keep one completable to a valid molecule.

:class:`Partial` is what has been written so far; :meth:`Partial.push` appends a token, or says that
no molecule begins like that. It knows

- syntax: branches, bonds, ring labels, and that every label must find its second end;
- valence: what each atom may take is counted with its open labels and the bonds still to come,
  and bracket atoms, whose hydrogens are written, must be filled exactly (no radicals);
- aromaticity: every aromatic atom must come to lie in a ring, and the double bonds of its system
  must work out (:mod:`~.matching`).

Of the many spellings of a molecule, those of a depth-first writer are allowed, as RDKit's are
(canonical or shuffled) and other toolkits': ring labels follow their atom at once and are
closed within the branch that opened them, the last neighbour of an atom is not put in brackets, the
order of a ring bond is written where the ring is closed, and ``-`` stands between aromatic atoms
only. Every molecule that the tokens can spell at all has such a spelling.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from seqgen_envs.domains.molecule.grammar.atoms import AtomKind, kind_of
from seqgen_envs.domains.molecule.grammar.matching import Matching

#: Order of the bond that a symbol stands for; without one it is 1 (or aromatic).
BOND_ORDERS = {"": 1, "-": 1, "/": 1, "\\": 1, "=": 2, "#": 3}


def is_ring_label(token: str) -> bool:
    """Whether a token opens or closes a ring: ``0`` to ``9``, ``%10`` to ``%99``."""
    return token.isdigit() or token.startswith("%")


class Atom(NamedTuple):
    """An atom on the way from the first one to the present one.

    Attributes:
        kind: its chemistry.
        number: by the order of writing, from 0.
        sum: of its bonds' orders, open ring labels counted as 1.
        exocyclic: it is aromatic and has a double bond out of its system.
        ring: it lies in a ring already.
        ring_bond: so does the bond to the atom before it on the way.
    """

    kind: AtomKind
    number: int
    sum: int = 0
    exocyclic: bool = False
    ring: bool = False
    ring_bond: bool = False

    @property
    def room(self) -> int:
        """What may be added to the sum."""
        return (self.kind.exocyclic if self.exocyclic else self.kind.most) - self.sum

    @property
    def finished(self) -> bool:
        """Whether the sum is one the atom may keep."""
        if self.exocyclic:
            return self.sum == self.kind.exocyclic
        return self.sum in self.kind.sums

    @property
    def lacking(self) -> int:
        """What its sum must grow by for it to be finished."""
        sums = (self.kind.exocyclic,) if self.exocyclic else self.kind.sums
        return min((total - self.sum for total in sums if total >= self.sum), default=0)

    @property
    def needs_double(self) -> bool:
        """Whether it needs a double bond within its aromatic system, at this sum."""
        return self.sum <= self.kind.double_until and not self.exocyclic

    @property
    def may_stop_needing(self) -> bool:
        """Whether further bonds could take the need away: a third one of ``n``, or ``c=``."""
        kind = self.kind
        if self.sum < kind.most > kind.double_until:
            return True
        return not self.exocyclic and self.sum + 2 <= kind.exocyclic

    def bonded(self, order: int) -> Atom:
        """With another bond."""
        kind, number, total, exocyclic, ring, ring_bond = self
        return Atom(kind, number, total + order, exocyclic, ring, ring_bond)


#: What was written last.
START, ATOM, LABEL, BOND, OPEN, CLOSE = range(6)


class Partial:
    """What has been written of a SMILES; :meth:`push` leaves it as it is.

    Attributes:
        last: what was written last: ``START``, ``ATOM``, ``LABEL``, ``BOND``, ``OPEN``, ``CLOSE``.
        bond: the bond symbol that waits for its atom or label, or "".
        way: the atoms from the first one to the present one, branches left behind out of it.
        branches: places on the way of the atoms whose branches are open, the innermost last.
        labels: place on the way of each open ring label's atom.
    """

    __slots__ = ("_bonded", "_count", "_labelling", "_matching", "bond", "branches", "labels",
                 "last", "way")  # fmt: skip

    def __init__(self) -> None:
        self.last = START
        self.bond = ""
        self.way: tuple[Atom, ...] = ()
        self.branches: tuple[int, ...] = ()
        self.labels: dict[str, int] = {}
        self._labelling = False  # the present atom may still be given ring labels
        self._bonded: tuple[int, ...] = ()  # places that its ring labels have bonded it to
        self._count = 0
        self._matching = Matching()

    def push(self, token: str) -> Partial | None:
        """What it becomes with another token; None where no molecule is written like that."""
        kind = kind_of(token)
        if kind is not None:
            return self._write_atom(kind)
        if is_ring_label(token):
            return self._close_ring(token) if token in self.labels else self._open_ring(token)
        if token == "(":
            return self._open_branch()
        if token == ")":
            return self._close_branch()
        return self._write_bond(token) if token in BOND_ORDERS else None

    def complete(self) -> bool:
        """Whether it is a whole molecule as it stands."""
        if self.last not in (ATOM, LABEL) or self.branches or self.labels:
            return False
        present = self.way[-1]
        if not present.finished or (present.kind.aromatic and not present.ring):
            return False
        return not self._matching.lone or self._matching.copy().settle(frozenset())

    @property
    def aromatic_unsettled(self) -> bool:
        """Whether aromatic atoms still need a ring or a double bond, or one is to follow."""
        if self._matching.lone or self.bond == "-":
            return True
        return any(atom.kind.aromatic and not atom.ring for atom in self.way)

    @property
    def lacking(self) -> int:
        """Tokens that finish the present atom and those of open branches, no less than it takes.

        Those for the bonds that are sure to come (:meth:`_due`, after branches) are left out.
        Of 3 and more, some order needs a branch of its own.
        """
        present = self.way[-1]
        outer = self.branches[:-1] if self.last == OPEN else self.branches
        due = max(self._due(), int(self.last == CLOSE))  # after a branch the way goes on
        orders = [max(present.lacking, present.bonded(due).lacking)]
        orders += [self.way[place].bonded(1).lacking for place in outer]
        return sum(order + (order >= 3) for order in orders)

    # -- atoms ------------------------------------------------------------------------------------

    def _write_atom(self, kind: AtomKind) -> Partial | None:
        order = BOND_ORDERS[self.bond] if self.way else 0
        if kind.aromatic and order == 3:
            return None
        atom = Atom(kind, self._count, order, exocyclic=kind.aromatic and order == 2)
        if atom.room < self._must_go_on():
            return None
        after = self._next(ATOM)
        after._labelling, after._count = True, self._count + 1
        if atom.needs_double:
            after._matching = self._matching.copy()
            after._matching.lone.add(atom.number)
        if not self.way:
            after.way = (atom,)
        elif not self._may_hold(atom, order):
            return None
        else:
            before, place = self.way[-1], len(self.way) - 1
            after.way = (*self.way, atom)
            after._put(place, before.bonded(order))
            if not self.bond and before.kind.aromatic and self._may_be_ring(place):
                after._matching.join(before.number, atom.number)
        return after._settled()

    def _may_hold(self, atom: Atom, order: int) -> bool:
        """Whether the present atom may be bonded to a new one."""
        before, place = self.way[-1], len(self.way) - 1
        if not self._fits(before.bonded(order), place):
            return False
        if before.kind.aromatic and not (before.ring or self._may_be_ring(place)):
            return False
        if not atom.kind.aromatic:
            return self.bond != "-"
        if before.kind.aromatic:
            if order == 2:
                return False
        elif self.bond == "-":
            return False
        return self._may_be_ring(place) or atom.room >= 2

    def _fits(self, atom: Atom, place: int) -> bool:
        """Whether an atom on the way is finished, or has room for what its open branch needs."""
        return atom.room >= 1 if place in self.branches else atom.finished

    def _may_be_ring(self, place: int) -> bool:
        """Whether the bond after a place, if the way goes on, may come to lie in a ring."""
        return bool(self.labels) and min(self.labels.values()) <= place

    def _must_go_on(self) -> bool:
        """Whether the innermost branch has labels or aromatic atoms that need a bond more in it."""
        base = self.branches[-1] if self.branches else -1
        if self.labels and max(self.labels.values()) > base:
            return True
        return any(atom.kind.aromatic and not atom.ring for atom in self.way[base + 1 :])

    # -- ring labels ------------------------------------------------------------------------------

    def _open_ring(self, label: str) -> Partial | None:
        if not self._labelling or self.bond:
            return None
        place = len(self.way) - 1
        atom = self.way[place].bonded(1)
        if atom.room < 1:
            return None
        after = self._next(LABEL)
        after._labelling, after._bonded = True, self._bonded
        after.labels = {**self.labels, label: place}
        after._put(place, atom)
        return after._settled()

    def _close_ring(self, label: str) -> Partial | None:
        place, other = len(self.way) - 1, self.labels[label]
        if not self._labelling or other >= place - 1 or other in self._bonded:
            return None
        atom, opener = self.way[place], self.way[other]
        order, both = BOND_ORDERS[self.bond], atom.kind.aromatic and opener.kind.aromatic
        if (order > 1 and both) or (self.bond == "-" and not both):
            return None
        after = self._next(LABEL)
        after._labelling, after._bonded = True, (*self._bonded, other)
        after.labels = {name: at for name, at in self.labels.items() if name != label}
        if order > 1:
            if opener.kind.aromatic:
                opener = opener._replace(exocyclic=order == 2)
            opener = opener.bonded(order - 1)
            if not self._fits(opener, other):
                return None
        atom = atom.bonded(order)
        after._put(other, opener)
        after._put(place, atom)
        after.way = after.way[:other] + tuple(
            Atom(a.kind, a.number, a.sum, a.exocyclic, True, a.ring_bond or at > other)
            for at, a in enumerate(after.way[other:], other)
        )
        if atom.room < after._must_go_on():
            return None
        if both and not self.bond:
            after._matching = after._matching.copy()
            after._matching.join(atom.number, opener.number)
        if after._settled() is None:
            return None
        undecided = atom.needs_double and atom.room and not atom.bonded(1).needs_double
        return after if not undecided or after._may_end_or_go_on() else None

    def _may_end_or_go_on(self) -> bool:
        """Whether what an atom such as ``n`` may become, with two bonds or three, is of use."""
        if self.complete() or self._close_branch():
            return True
        return any(self.push(token) for token in ("C", "c", *self.labels))

    # -- branches and bonds -----------------------------------------------------------------------

    def _open_branch(self) -> Partial | None:
        if self.last not in (ATOM, LABEL, CLOSE):
            return None
        atom, place = self.way[-1], len(self.way) - 1
        if atom.room < 2 or (atom.kind.aromatic and not (atom.ring or self._may_be_ring(place))):
            return None
        after = self._next(OPEN)
        after.branches = (*self.branches, place)
        return after._settled()

    def _close_branch(self) -> Partial | None:
        if self.last not in (ATOM, LABEL) or not self.branches or not self.way[-1].finished:
            return None
        base = self.branches[-1]
        if self._must_go_on():
            return None
        after = self._next(CLOSE)
        after.way, after.branches = self.way[: base + 1], self.branches[:-1]
        after._matching = self._matching.copy()
        for before, atom in pairwise(self.way[base:]):
            if not atom.ring_bond:
                after._matching.part(before.number, atom.number)
        return after._settled()

    def _write_bond(self, symbol: str) -> Partial | None:
        if self.last in (START, BOND):
            return None
        atom, place, order = self.way[-1], len(self.way) - 1, BOND_ORDERS[symbol]
        if atom.kind.aromatic:
            if order == 3 or (order == 2 and atom.exocyclic):
                return None
            if not (atom.ring or self._may_be_ring(place)):
                return None
            if order == 2:
                atom = atom._replace(exocyclic=True)
        elif symbol == "-":
            return None
        after = self._next(BOND)
        after.bond, after._labelling, after._bonded = symbol, self._labelling, self._bonded
        after._put(place, atom)
        if self._fits(atom.bonded(order), place) and after._settled():
            return after
        return after if any(after.push(label) for label in self.labels) else None

    # -- the state --------------------------------------------------------------------------------

    def _next(self, last: int) -> Partial:
        """A copy that the caller goes on writing."""
        after = Partial.__new__(Partial)
        after.last, after.bond, after.way = last, "", self.way
        after.branches, after.labels = self.branches, self.labels
        after._labelling, after._bonded = False, ()
        after._count, after._matching = self._count, self._matching
        return after

    def _put(self, place: int, atom: Atom) -> None:
        """Change an atom of the way; one that no more needs a double bond is left without."""
        before = self.way[place]
        self.way = (*self.way[:place], atom, *self.way[place + 1 :])
        if before.needs_double and not atom.needs_double:
            self._matching = self._matching.copy()
            self._matching.drop(atom.number)

    def _settled(self) -> Partial | None:
        """Itself, if its aromatic systems can still be given their double bonds."""
        present = self.way[-1]
        if present.needs_double and not present.bonded(self._due()).needs_double:
            self._matching = self._matching.copy()
            self._matching.drop(present.number)
        if self._matching.lone:
            waiting = self._waiting()
            if not self._matching.lone <= waiting:
                self._matching = self._matching.copy()
                if not self._matching.settle(waiting):
                    return None
        if present.room == 0 and self.last in (ATOM, LABEL):  # nothing but the end can follow
            return self if self._close_branch() or self.complete() else None
        return self

    def _due(self) -> int:
        """What the present atom's sum will grow by at least."""
        if self.last == OPEN:
            return 2
        return BOND_ORDERS[self.bond] if self.bond else int(self._must_go_on())

    def _waiting(self) -> set[int]:
        """Numbers of the atoms that need not have their double bond yet.

        They may win an aromatic neighbour, or another bond that takes the need away.
        """
        way, places = self.way, [*self.labels.values()]
        places += [p for p in self.branches if self._may_be_ring(p) or way[p].may_stop_needing]
        present = len(way) - 1
        atom = way[present]
        if not self.bond and atom.room:
            new_ring = atom.room > 1 and self._labelling
            if new_ring or atom.may_stop_needing or self._may_be_ring(present):
                places.append(present)
        return {way[place].number for place in places}
