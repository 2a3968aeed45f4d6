"""Objectives: measured properties, made desirable by modifiers, combined by means.

An objective is a picklable callable ``Mol -> float``; so is any function of your own, which may be
a part of a mean as it stands. A multi-property objective is one line of Python,

    Geometric([Similarity("CCOc1ccccc1"), Measured("logp", Gaussian(2.0, 0.5))])

or a few of YAML, see :func:`objective_from`. Within a mean nothing is measured twice of one
molecule. Objectives are frozen and keep nothing of the molecules they have seen.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rdkit import Chem

from seqgen_envs.domains.molecule.fingerprints import Fingerprint, get_fingerprint, tanimoto
from seqgen_envs.domains.molecule.means import (
    Arithmetic,
    Geometric,
    Measurements,
    Objective,
    Part,
)
from seqgen_envs.domains.molecule.modifiers import Modifier, modifier_from
from seqgen_envs.domains.molecule.properties import MatchCount, Property, get_property
from seqgen_envs.domains.molecule.queries import read_formula, read_smarts, read_smiles


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

    def score(self, measurements: Measurements) -> float:
        """See :class:`~.means.Part`."""
        return _modified(float(measurements.take(self._measure)), self.modifier)


@dataclass(frozen=True)
class Similarity(Part):
    """Tanimoto similarity to a molecule, modified.

    Args:
        smiles: the molecule.
        fingerprint: a name of :data:`~.fingerprints.FINGERPRINTS`.
        modifier: as of :class:`Measured`.

    Raises:
        ValueError: the SMILES does not parse, or there is no fingerprint of that name.
    """

    smiles: str
    fingerprint: str = "ECFP4"
    modifier: Modifier | None = None
    _compute: Fingerprint = field(init=False, repr=False, compare=False)
    _target: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _derive(self, "_compute", get_fingerprint(self.fingerprint))
        _derive(self, "_target", self._compute(read_smiles(self.smiles)))

    def score(self, measurements: Measurements) -> float:
        """See :class:`~.means.Part`."""
        similarity = tanimoto(measurements.take(self._compute), self._target)
        return _modified(similarity, self.modifier)


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

    def score(self, measurements: Measurements) -> float:
        """See :class:`~.means.Part`."""
        return float(measurements.molecule.HasSubstructMatch(self._query) != self.inverse)


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

    def score(self, measurements: Measurements) -> float:
        """See :class:`~.means.Part`."""
        counts = measurements.take(atom_counts)
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


def objective_from(description: Any) -> Objective:
    """An objective of plain data, as JSON and YAML hold it.

    Args:
        description: a callable, which is returned as it is, or a mapping with exactly one of these
            keys, and with some of those in brackets:

            - ``property``: a name of :data:`~.properties.PROPERTIES` [``modifier``];
            - ``count``: a SMARTS, whose matches are counted [``modifier``];
            - ``similarity``: a SMILES [``fingerprint``, ``modifier``];
            - ``substructure``: a SMARTS [``inverse``];
            - ``isomer``: a molecular formula;
            - ``oracle``: a name of :data:`~.oracles.ORACLES`;
            - ``arithmetic`` or ``geometric``: a list of descriptions [``weights``].

            A ``modifier`` is described as for :func:`~.modifiers.modifier_from`. In YAML::

                geometric:
                  - property: logp
                    modifier: {max_gaussian: {mu: 7, sigma: 1}}
                  - similarity: "COc1ccccc1OCC(O)CN"
                    fingerprint: AP
                    modifier: {clipped: {lower: 0, upper: 0.7}}
                weights: [1, 2]

    Raises:
        ValueError: it describes none; the message says which part and why.
    """
    if callable(description):
        return description
    if not isinstance(description, Mapping):
        raise ValueError(
            f"an objective is described by a mapping such as {{'property': 'qed'}}, or is a "
            f"callable; got {description!r}"
        )
    kinds = [kind for kind in _KINDS if kind in description]
    if len(kinds) != 1:
        raise ValueError(
            f"an objective needs exactly one of the keys {', '.join(_KINDS)}; got "
            f"{', '.join(map(str, description)) or 'none'}"
        )
    build, options = _KINDS[kinds[0]]
    if unknown := [str(key) for key in description if key not in (kinds[0], *options)]:
        raise ValueError(
            f"unknown key {', '.join(unknown)} beside {kinds[0]!r}, which may have "
            f"{', '.join(options) or 'no other'}"
        )
    given = {key: value for key, value in description.items() if key != kinds[0]}
    if "modifier" in given:
        given["modifier"] = modifier_from(given["modifier"])
    return build(description[kinds[0]], **given)


def read_objective(path: str | os.PathLike[str]) -> Objective:
    """The objective that a YAML (or JSON) file describes, see :func:`objective_from`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, or describes no objective.
    """
    import yaml

    try:
        return objective_from(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _property(name: str, modifier: Modifier | None = None) -> Objective:
    return Measured(name, modifier)


def _count(smarts: str, modifier: Modifier | None = None) -> Objective:
    return Measured(MatchCount(smarts), modifier)


def _oracle(name: str) -> Objective:
    from seqgen_envs.domains.molecule.oracles import oracle  # they are made of objectives

    return oracle(name)


def _mean(kind: type[Arithmetic | Geometric], parts: Any, weights: Any = None) -> Objective:
    name = kind.__name__.lower()
    for key, value in ((name, parts), ("weights", weights)):
        if value is not None and (not isinstance(value, Sequence) or isinstance(value, str)):
            raise ValueError(f"{key!r} needs a list, got {value!r}")
    built = []
    for number, part in enumerate(parts or (), start=1):
        try:
            built.append(objective_from(part))
        except ValueError as error:
            raise ValueError(f"part {number} of {name!r}: {error}") from error
    return kind(tuple(built), weights)


#: How an objective is built of its key's value and the keys that may stand beside it.
_KINDS: dict[str, tuple[Callable[..., Objective], tuple[str, ...]]] = {
    "property": (_property, ("modifier",)),
    "count": (_count, ("modifier",)),
    "similarity": (Similarity, ("fingerprint", "modifier")),
    "substructure": (Substructure, ("inverse",)),
    "isomer": (IsomerScore, ()),
    "oracle": (_oracle, ()),
    "arithmetic": (partial(_mean, Arithmetic), ("weights",)),
    "geometric": (partial(_mean, Geometric), ("weights",)),
}
