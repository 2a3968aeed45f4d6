"""Molecules as SMILES, judged by RDKit.

RDKit is imported here, PyTorch and matplotlib are not: the functions that need them bring them in.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seqgen_envs.domain import Domain
from seqgen_envs.domains.molecule.rules import TASKS
from seqgen_envs.domains.molecule.vocabulary import VOCABULARY, encode

if TYPE_CHECKING:
    from seqgen_envs.prior import Prior

PRIORS = Path(__file__).parents[2] / "priors" / "molecule"
HORIZON = 100
MIN_HORIZON = 2


def _bundled(name: str) -> Prior:
    from seqgen_envs.prior import load_prior_folder

    return load_prior_folder(PRIORS / name)


DOMAIN = Domain(
    name="molecule",
    vocabulary=VOCABULARY,
    priors={"zinc250k": partial(_bundled, "zinc250k")},
    tasks=TASKS,
    default_prior="zinc250k",
    default_task="sequence-tutor",
    horizon=HORIZON,
    min_horizon=MIN_HORIZON,
    encode=encode,
    presets=PRIORS / "presets.yaml",
)
