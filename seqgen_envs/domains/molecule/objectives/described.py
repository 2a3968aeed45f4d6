"""Objectives described by plain data, as JSON and YAML hold it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from seqgen_envs.documents import read_yaml
from seqgen_envs.domains.molecule.objectives.alerts import AlertCount
from seqgen_envs.domains.molecule.objectives.means import Arithmetic, Geometric, Objective
from seqgen_envs.domains.molecule.objectives.modifiers import Modifier, modifier_from
from seqgen_envs.domains.molecule.objectives.oracles import oracle
from seqgen_envs.domains.molecule.objectives.parts import (
    IsomerScore,
    Measured,
    Named,
    Similarity,
    Substructure,
)
from seqgen_envs.domains.molecule.objectives.properties import MatchCount
from seqgen_envs.loading import from_file, is_reference


def objective_from(description: Any) -> Objective:
    """An objective of plain data, as JSON and YAML hold it.

    Args:
        description: a callable ``Mol -> float``, or where it is, as ``"module:attribute"`` or
            ``"FILE.py:attribute"``; or a mapping with exactly one of these keys, and with some of
            those in brackets:

            - ``property``: a name of :data:`~.properties.PROPERTIES` [``modifier``];
            - ``count``: a SMARTS, whose matches are counted [``modifier``];
            - ``alerts``: a name of :data:`~.alerts.CATALOGS`, or a list of some, whose alerts are
              counted [``modifier``];
            - ``similarity``: a SMILES, or a list of some [``fingerprint``, ``modifier``];
            - ``substructure``: a SMARTS [``inverse``];
            - ``isomer``: a molecular formula;
            - ``oracle``: a name of :data:`~.oracles.ORACLES`;
            - ``custom``: a function ``Mol -> float``, as above by name [``modifier``];
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
    if isinstance(description, str) and is_reference(description):
        return Named(description)
    if callable(description):
        found: Objective = description
        return found
    if not isinstance(description, Mapping):
        raise ValueError(
            f"an objective is described by a mapping such as {{'property': 'qed'}}, named as "
            f"FILE.py:function, or is a callable; got {description!r}"
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
        UntrustedCodeError: it names code to run, and nobody trusts it.
    """
    description = read_yaml(path)
    with from_file(path):
        try:
            return objective_from(description)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _property(name: str, modifier: Modifier | None = None) -> Objective:
    return Measured(name, modifier)


def _count(smarts: str, modifier: Modifier | None = None) -> Objective:
    return Measured(MatchCount(smarts), modifier)


def _alerts(catalogs: Any, modifier: Modifier | None = None) -> Objective:
    return Measured(AlertCount(catalogs), modifier)


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
    "alerts": (_alerts, ("modifier",)),
    "similarity": (Similarity, ("fingerprint", "modifier")),
    "substructure": (Substructure, ("inverse",)),
    "isomer": (IsomerScore, ()),
    "oracle": (oracle, ()),
    "custom": (Named, ("modifier",)),
    "arithmetic": (partial(_mean, Arithmetic), ("weights",)),
    "geometric": (partial(_mean, Geometric), ("weights",)),
}
