"""Sequence generation as Gymnasium environments.

``import seqgen_envs`` registers the ids and imports neither PyTorch nor any domain's libraries;
those come with the first environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqgen_envs._version import __version__
from seqgen_envs.domain import Domain
from seqgen_envs.domain_groups import Corpora, Files, Metrics, View
from seqgen_envs.registration import (
    get_domain,
    register_all,
    register_domain,
    register_env,
    registered_domains,
)

if TYPE_CHECKING:
    from seqgen_envs.checks import check_domain
    from seqgen_envs.env import SequenceEnv
    from seqgen_envs.evaluation import Evaluation, evaluate
    from seqgen_envs.prior import Prior, RecurrentPrior, load_prior_folder
    from seqgen_envs.rules import ScanRule, Task, Term
    from seqgen_envs.vector_env import SequenceVectorEnv
    from seqgen_envs.vocabulary import Vocabulary

__all__ = [
    "Corpora",
    "Domain",
    "Evaluation",
    "Files",
    "Metrics",
    "Prior",
    "RecurrentPrior",
    "ScanRule",
    "SequenceEnv",
    "SequenceVectorEnv",
    "Task",
    "Term",
    "View",
    "Vocabulary",
    "__version__",
    "check_domain",
    "evaluate",
    "get_domain",
    "load_prior_folder",
    "register_domain",
    "register_env",
    "registered_domains",
]

_HOMES = {
    "checks": ("check_domain",),
    "env": ("SequenceEnv",),
    "evaluation": ("Evaluation", "evaluate"),
    "prior": ("Prior", "RecurrentPrior", "load_prior_folder"),
    "rules": ("ScanRule", "Task", "Term"),
    "vector_env": ("SequenceVectorEnv",),
    "vocabulary": ("Vocabulary",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register_all()
