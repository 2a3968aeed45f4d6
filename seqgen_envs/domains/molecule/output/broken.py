"""Strings as molecules to draw, and why a string is none.

A SMILES that is being written, or that broke, is drawn with its branches closed and without open
rings; where that cannot be read, the longest prefix that can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rdkit import Chem

from seqgen_envs.domains.molecule.smiles import MAX_CHARACTERS, compound_of, parse, quiet, tokenize

_BONDS = frozenset("-=#/\\:~$.")
_DIGITS = frozenset("0123456789")


class Sketch(NamedTuple):
    """What can be drawn of a string.

    Attributes:
        molecule: sanitised if ``valid``, otherwise as far as it can be read, or None.
        valid: whether the string is a valid SMILES.
        problem: why it is not, in a few words; empty where it is.
    """

    molecule: Chem.Mol | None
    valid: bool
    problem: str


def sketch(smiles: str) -> Sketch:
    """The molecule of a string, valid or not; nothing a string holds makes it raise."""
    compound = compound_of(smiles)
    if compound is not None:
        return Sketch(compound.molecule, True, "")
    if len(smiles) > MAX_CHARACTERS:
        return Sketch(None, False, f"{len(smiles):,} characters")
    tokens = tokenize(smiles)
    structure = Structure.of(tokens)
    problem = structure.problem or _chemistry(_raw(smiles)) or "not a SMILES"
    whole = parse(structure.closed())
    if whole is not None:
        return Sketch(whole, False, problem)
    prefixes = (Structure.of(tokens[:end]).closed() for end in range(len(tokens), 0, -1))
    drawn = (molecule for molecule in map(_raw, prefixes) if molecule is not None)
    return Sketch(next(drawn, None), False, problem if tokens else "empty")


class Structure(NamedTuple):
    """What the tokens of a string leave open.

    Attributes:
        tokens: without those that dangle at the end, such as a bond without its atom.
        branches: ``(`` without ``)``.
        rings: ring labels without a partner, with the positions of their tokens.
        dangling: whether tokens were left out.
        stray: whether a ``)`` has no ``(``.
    """

    tokens: tuple[str, ...]
    branches: int
    rings: dict[str, int]
    dangling: bool
    stray: bool

    @classmethod
    def of(cls, tokens: Sequence[str]) -> Structure:
        """The structure of a string's tokens."""
        kept = len(tokens)
        while kept and (tokens[kept - 1] in _BONDS or tokens[kept - 1] == "("):
            kept -= 1
        rings: dict[str, int] = {}
        depth, stray = 0, False
        for at, token in enumerate(tokens[:kept]):
            if token == "(":
                depth += 1
            elif token == ")":
                stray, depth = stray or depth == 0, max(depth - 1, 0)
            elif token in _DIGITS or token.startswith("%"):
                if token in rings:
                    del rings[token]
                else:
                    rings[token] = at
        return cls(tuple(tokens[:kept]), depth, rings, kept < len(tokens), stray)

    def closed(self) -> str:
        """The string without its open rings' labels (and their bonds), its branches closed."""
        left_out = set()
        for at in self.rings.values():
            left_out.add(at)
            if at and self.tokens[at - 1] in _BONDS:
                left_out.add(at - 1)
        kept = [token for at, token in enumerate(self.tokens) if at not in left_out]
        return "".join(kept) + ")" * self.branches

    @property
    def problem(self) -> str:
        """What is open, in words."""
        opened = []
        if self.branches:
            opened.append("1 branch" if self.branches == 1 else f"{self.branches} branches")
        if self.rings:
            opened.append(f"ring{'s' if len(self.rings) > 1 else ''} {', '.join(self.rings)}")
        parts = ["a ) without ("] if self.stray else []
        parts += [f"{' and '.join(opened)} open"] if opened else []
        parts += ["an atom is missing"] if self.dangling else []
        return "; ".join(parts)


def _raw(smiles: str) -> Chem.Mol | None:
    """The atoms and bonds of a string whose chemistry may be wrong."""
    with quiet():
        try:
            molecule = Chem.MolFromSmiles(smiles, sanitize=False)
            if molecule is None or not molecule.GetNumAtoms():
                return None
            molecule.UpdatePropertyCache(strict=False)
            Chem.FastFindRings(molecule)
        except Exception:  # as in parse: whatever the bindings raise, there is no molecule
            return None
    return molecule


def _chemistry(molecule: Chem.Mol | None) -> str:
    """What is wrong with a molecule that can be read."""
    if molecule is None:
        return ""
    with quiet():
        problems = Chem.DetectChemistryProblems(molecule)
    if not problems:
        return ""
    return _in_words(problems[0], molecule)


def _in_words(problem: object, molecule: Chem.Mol) -> str:
    kind = problem.GetType()  # type: ignore[attr-defined]
    if kind == "AtomValenceException":
        atom = molecule.GetAtomWithIdx(problem.GetAtomIdx())  # type: ignore[attr-defined]
        return f"too many bonds at {atom.GetSymbol()} (atom {atom.GetIdx() + 1})"
    if kind == "KekulizeException":
        return "an aromatic ring without a Kekulé structure"
    if kind == "AtomKekulizeException":
        return "an aromatic atom outside a ring"
    return str(problem.Message())  # type: ignore[attr-defined]
