"""Objectives of one measurement: a property, a similarity, a substructure, a formula, a user's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rdkit import Chem

from seqgen_envs.domains.molecule.objectives.fingerprints import (
    Fingerprint,
    get_fingerprint,
    tanimoto,
)
from seqgen_envs.domains.molecule.objectives.means import Objective, Part, score_of
from seqgen_envs.domains.molecule.objectives.modifiers import Modifier
from seqgen_envs.domains.molecule.objectives.properties import Property, get_property
from seqgen_envs.domains.molecule.objectives.queries import read_formula, read_smarts, read_smiles
from seqgen_envs.domains.molecule.smiles import Compound
from seqgen_envs.loading import checked_reference, load_callable
from seqgen_envs.rules import RuleError


def _modified(value: float, modifier: Modifier | None) -> float:
    return value if modifier is None else float(modifier(value))


def _derive(part: Part, name: str, value: Any) -> None:
    """Sets a field of a frozen dataclass that follows from the others."""
    object.__setattr__(part, name, value)


@dataclass(frozen=True)
class Measured(Part):
    """A property, modified.

    Args:
        quantity: a name of :data:`~.properties.PROPERTIES`, or a function ``Mol -> float``.
        modifier: a function ``float -> float``; None leaves the value as it is.

    Raises:
        ValueError: there is no property of that name.
    """

    quantity: str | Property
    modifier: Modifier | None = None
    _measure: Property = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        quantity = self.quantity
        _derive(self, "_measure", quantity if callable(quantity) else get_property(quantity))

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        return _modified(score_of(self._measure, compound), self.modifier)


@dataclass(frozen=True)
class Named(Part):
    """A function ``Mol -> float`` of a user's, modified; imported where it is first called.

    Args:
        reference: ``"module:attribute"`` or ``"FILE.py:attribute"``.
        modifier: as of :class:`Measured`.

    Raises:
        UntrustedCodeError: see :func:`~seqgen_envs.loading.check_trusted`.
        ValueError: it has another form, or there is no such file.
    """

    reference: str
    modifier: Modifier | None = None
    _loaded: Objective | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        checked_reference(self.reference, "objective")

    @property
    def references(self) -> tuple[str, ...]:
        """See :class:`~.means.Part`."""
        return (self.reference,)

    def prepare(self) -> None:
        """See :class:`~.means.Part`."""
        if self._loaded is None:
            try:
                _derive(self, "_loaded", load_callable(self.reference, "objective"))
            except ValueError as error:
                raise RuleError(str(error)) from error

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        self.prepare()
        assert self._loaded is not None
        found: float = compound.take(self._loaded, copied=True)  # it may change what it is given
        return _modified(found, self.modifier)

    def __getstate__(self) -> dict[str, Any]:
        return {"reference": self.reference, "modifier": self.modifier, "_loaded": None}


@dataclass(frozen=True)
class Similarity(Part):
    """Tanimoto similarity to a molecule, or to the most similar one of several, modified.

    Args:
        smiles: the molecule, or a list of some.
        fingerprint: a name of :data:`~.fingerprints.FINGERPRINTS`.
        modifier: as of :class:`Measured`.

    Raises:
        ValueError: a SMILES does not parse, there is none, or no fingerprint of that name.
    """

    smiles: str | Sequence[str]
    fingerprint: str = "ECFP4"
    modifier: Modifier | None = None
    _compute: Fingerprint = field(init=False, repr=False, compare=False)
    _targets: list[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.smiles, list):
            _derive(self, "smiles", tuple(self.smiles))
        several = self.smiles if isinstance(self.smiles, tuple) else (self.smiles,)
        if not several:
            raise ValueError("similarity needs a SMILES, or a list of one or more")
        _derive(self, "_compute", get_fingerprint(self.fingerprint))
        _derive(self, "_targets", [self._compute(read_smiles(smiles)) for smiles in several])

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        own = compound.take(self._compute)
        return _modified(max(tanimoto(own, target) for target in self._targets), self.modifier)


@dataclass(frozen=True)
class Substructure(Part):
    """1 for a molecule that holds a substructure, else 0.

    Args:
        smarts: the substructure.
        inverse: 1 for a molecule without it instead.

    Raises:
        ValueError: the SMARTS does not parse, or ``inverse`` is no bool.
    """

    smarts: str
    inverse: bool = False
    _query: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.inverse, bool):
            raise ValueError(f"inverse must be true or false, got {self.inverse!r}")
        _derive(self, "_query", read_smarts(self.smarts))

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        return float(compound.molecule.HasSubstructMatch(self._query) != self.inverse)


@dataclass(frozen=True)
class IsomerScore(Part):
    """How near a molecule is to a molecular formula: 1 at its isomers (Brown et al. 2019).

    The geometric mean of one Gaussian for each element's number of atoms (sigma 1) and one for the
    number of all atoms (sigma 2).

    Raises:
        ValueError: the formula is none.
    """

    formula: str
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _derive(self, "_numbers", read_formula(self.formula))

    def score(self, compound: Compound) -> float:
        """See :class:`~.means.Part`."""
        counts = compound.take(atom_counts)
        excess = sum(counts.values()) - sum(self._numbers.values())
        squares = sum((counts[symbol] - n) ** 2 for symbol, n in self._numbers.items())
        return math.exp(-0.5 * (squares + (excess / 2.0) ** 2) / (len(self._numbers) + 1))


def atom_counts(molecule: Chem.Mol) -> Counter[str]:
    """Atoms by element, hydrogens included."""
    counts: Counter[str] = Counter()
    for atom in molecule.GetAtoms():
        counts[atom.GetSymbol()] += 1
        counts["H"] += atom.GetTotalNumHs()
    return counts
