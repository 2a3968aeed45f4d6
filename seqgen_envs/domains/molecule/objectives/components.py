"""The parts of an objective by name, each as it counts and as it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seqgen_envs.domains.molecule.objectives.alerts import AlertCount
from seqgen_envs.domains.molecule.objectives.means import Objective, parts_of
from seqgen_envs.domains.molecule.objectives.parts import (
    IsomerScore,
    Measured,
    Named,
    Similarity,
    Substructure,
)
from seqgen_envs.domains.molecule.objectives.properties import MatchCount

_NAMES: dict[type, str] = {
    Named: "custom",
    Similarity: "similarity",
    Substructure: "substructure",
    IsomerScore: "isomer",
    MatchCount: "count",
    AlertCount: "alerts",
}
#: Before the name of what a part measures, where a modifier makes another number of it.
RAW = "raw_"


def components(objective: Objective) -> dict[str, Objective]:
    """What an objective is made of, means within means taken apart, in order.

    Returns:
        each part under its name (a property's, or its key in a description; again with _2, _3), and
        where it has a modifier what it measures as ``raw_NAME``. Nothing of an objective that is
        one part without a modifier.
    """
    found: dict[str, Objective] = {}
    for part in _single(objective):
        name = _free(_name_of(part), found)
        found[name] = part
        if isinstance(part, (Measured, Named, Similarity)) and part.modifier is not None:
            found[f"{RAW}{name}"] = replace(part, modifier=None)
    return found if len(found) > 1 else {}


def _single(objective: Objective) -> Iterator[Objective]:
    inner = parts_of(objective)
    if not inner:
        yield objective
    for part in inner:
        yield from _single(part)


def _name_of(part: Objective) -> str:
    what = part.quantity if isinstance(part, Measured) else part
    if isinstance(what, str):
        return what
    return _NAMES.get(type(what)) or str(getattr(what, "__name__", type(what).__name__)).lower()


def _free(name: str, taken: dict[str, Objective]) -> str:
    names = (name if n == 1 else f"{name}_{n}" for n in range(1, len(taken) + 2))
    return next(one for one in names if one not in taken)
