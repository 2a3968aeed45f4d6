"""Objectives: measured properties, made desirable by modifiers, combined by means.

An objective is a picklable callable ``Mol -> float``; so is any function of your own, which may be
a part of a mean as it stands. A multi-property objective is one line of Python,

    Geometric([Similarity("CCOc1ccccc1"), Measured("logp", Gaussian(2.0, 0.5))])

or a few of YAML, see :func:`~.described.objective_from`. Nothing is measured twice of one molecule.
Objectives are frozen and keep nothing of the molecules they have seen.
"""

from seqgen_envs.domains.molecule.objectives.described import objective_from, read_objective
from seqgen_envs.domains.molecule.objectives.means import Arithmetic, Geometric, Objective
from seqgen_envs.domains.molecule.objectives.oracles import ORACLES, oracle
from seqgen_envs.domains.molecule.objectives.parts import (
    IsomerScore,
    Measured,
    Similarity,
    Substructure,
)

__all__ = [
    "ORACLES",
    "Arithmetic",
    "Geometric",
    "IsomerScore",
    "Measured",
    "Objective",
    "Similarity",
    "Substructure",
    "objective_from",
    "oracle",
    "read_objective",
]
