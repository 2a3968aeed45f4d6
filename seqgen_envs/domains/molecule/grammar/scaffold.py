"""Scaffolds with attachment points, written so that generation from left to right fills them.

``c1ccc(cc1)C(=O)N[*]`` has one point, at its end: all before it is what a sequence starts with. Of
several points, all but the last stand at the ends of branches: ``N(`` [*] ``)c1cc(`` [*] ``)ccc1``
[*] alternates fixed parts with places, and a place that is no longer written in is closed by the
bracket with which the next part begins.

A place takes one group of atoms, at least one, bonded to the attachment atom by the bond the
scaffold has there. It is written after a stand-in for the attachment atom, a :class:`Partial` of
its own, so that nothing written in it reaches the scaffold: not its rings, whose open labels a
place does not know, and not its branches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rdkit import Chem

from seqgen_envs.domain_groups import Template
from seqgen_envs.domains.molecule.grammar.mask import Alphabet, find_ending
from seqgen_envs.domains.molecule.grammar.partial import BOND_ORDERS, START, Partial
from seqgen_envs.domains.molecule.smiles import parse, quiet, tokenize
from seqgen_envs.vocabulary import Vocabulary

_POINT = re.compile(r"\*|\[\d*\*(?::\d+)?\]")
#: Spellings, drawn always alike, that are tried.
_SPELLINGS = 1_000
#: Most tokens of what a place is filled with at least; one carbon as a rule.
_FILLING = 20


@dataclass(frozen=True)
class Place:
    """Where generation writes.

    Attributes:
        start: the stand-in for the attachment atom, and the bond from it.
        alphabet: the tokens, without the labels of rings that are open around the place.
        filling: the least that fills it.
    """

    start: Partial
    alphabet: Alphabet
    filling: tuple[str, ...]


@dataclass(frozen=True)
class Scaffold:
    """Fixed parts and, after each of them, a place.

    Attributes:
        parts: their tokens; all but the first begin with the ``)`` that closes a place.
        places: as many.
    """

    parts: tuple[tuple[str, ...], ...]
    places: tuple[Place, ...]

    @cached_property
    def tails(self) -> tuple[int, ...]:
        """Tokens that must follow each place at least."""
        after = [
            len(part) + len(place.filling)
            for part, place in zip(self.parts[1:], self.places[1:], strict=True)
        ]
        return tuple(sum(after[i:]) for i in range(len(self.parts)))

    @property
    def least(self) -> int:
        """Tokens of the shortest molecule that holds it."""
        return len(self.parts[0]) + len(self.places[0].filling) + self.tails[0]


def has_points(text: str) -> bool:
    """Whether a SMILES has attachment points."""
    return any(map(_POINT.fullmatch, tokenize(text)))


def read_template(text: str, vocabulary: Vocabulary) -> Template | None:
    """The scaffold of a SMILES with attachment points (``[*]``, ``*``, ``[*:1]``); None without.

    A spelling that ends with a point and begins with none is kept as it is; otherwise the scaffold
    is spelled anew.

    Raises:
        ValueError: it is no valid SMILES, a point is not at the end of one bond, a token is
            unknown, or no spelling of it is one that the mask "partial-smiles" knows.
    """
    if not has_points(text):
        return None
    alphabet = Alphabet(vocabulary)
    unknown: ValueError | None = None
    for spelling in _spellings(text, _checked(text)):
        parts = _parts_of(tokenize(spelling))
        try:
            ids = tuple(tuple(vocabulary.encode(part).tolist()) for part in parts or ())
        except ValueError as error:
            unknown = error
            continue
        scaffold = scaffold_of_parts(parts, alphabet) if parts else None
        if scaffold is not None:
            return Template(text, ids, scaffold.least)
    if unknown is not None:
        raise ValueError(f"scaffold {text!r}: {unknown}") from unknown
    raise ValueError(
        f"scaffold {text!r} has no spelling that ends with an attachment point and that the mask "
        "'partial-smiles' knows: give one with usual valences, in one piece"
    )


def scaffold_of_parts(parts: Sequence[Sequence[str]], alphabet: Alphabet) -> Scaffold | None:
    """The scaffold of the tokens of its parts; None where the grammar knows no such molecule."""
    state: Partial | None = Partial()
    places = []
    for part in parts:
        state = _pushed(state, part)
        place = None if state is None else _place_after(state, alphabet)
        if place is None:
            return None
        places.append(place)
        state = _pushed(state, place.filling)
    if state is None or not state.complete():
        return None
    return Scaffold(tuple(map(tuple, parts)), tuple(places))


def _pushed(state: Partial | None, tokens: Sequence[str]) -> Partial | None:
    for token in tokens:
        state = None if state is None else state.push(token)
    return state


def _place_after(state: Partial, alphabet: Alphabet) -> Place | None:
    """The place behind what has been written."""
    if state.last == START:
        return None
    order = BOND_ORDERS[state.bond]
    # a seven-ring has an atom that may take the double bond out of the aromatic system
    ring = "c1cccccc1" if order == 2 else "c1ccccc1"
    atom = ring if state.way[-1].kind.aromatic else "C"
    start = _pushed(Partial(), [*atom, *([state.bond] if state.bond else [])])
    if start is None:
        return None
    known = alphabet.without(state.labels)
    for first in ("C", *(token for token, _ in known.atom_classes(order))):
        after = start.push(first) if first in known.ids else None
        ending = None if after is None else find_ending(after, _FILLING, known)
        if ending is not None:
            return Place(start, known, (first, *ending))
    return None


def _checked(text: str) -> Chem.Mol:
    molecule = parse(text)
    if molecule is None:
        raise ValueError(f"scaffold {text!r} is not a valid SMILES")
    points = [atom for atom in molecule.GetAtoms() if atom.GetAtomicNum() == 0]
    for atom in points:
        others = atom.GetNeighbors()
        if len(others) != 1 or others[0].GetAtomicNum() == 0:
            raise ValueError(
                f"scaffold {text!r}: an attachment point must be bonded to one atom of the "
                f"scaffold, and one has {len(others)} neighbours or another point beside it"
            )
        atom.SetAtomMapNum(0)
        atom.SetIsotope(0)
    return molecule


def _spellings(text: str, molecule: Chem.Mol) -> Iterator[str]:
    """The user's own, then others: those with little in brackets first, as priors know them."""
    aromatic = sum(atom.GetIsAromatic() for atom in molecule.GetAtoms())
    if aromatic == sum(token.strip("[]").lstrip("0123456789")[:1].islower()
                       for token in tokenize(text)):  # fmt: skip
        yield text  # not one of alternating bonds, which priors find far-fetched
    with quiet():
        drawn = set(Chem.MolToRandomSmilesVect(molecule, _SPELLINGS, randomSeed=1))
    yield from sorted(drawn, key=lambda spelling: (_bracketed(tokenize(spelling)), spelling))


def _bracketed(tokens: Sequence[str]) -> int:
    """Tokens in branches, those of branches in them counted again."""
    depth = total = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        total += depth
    return total


def _parts_of(tokens: Sequence[str]) -> list[list[str]] | None:
    """What stands between the points; None unless each is at the end of a branch or of all."""
    parts: list[list[str]] = [[]]
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if not _POINT.fullmatch(token):
            parts[-1].append(token)
            continue
        if following not in (")", "") or not parts[-1]:
            return None
        if parts[-1][-1] == "-":  # a place may begin with it or not
            parts[-1].pop()
        parts.append([])
    return parts[:-1] if not parts[-1] else None
