"""Sequence generation as Gymnasium environments.

``import seqgen_envs`` registers the ids and imports neither PyTorch nor any domain's libraries;
those come with the first environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

from seqgen_envs._version import __version__
from seqgen_envs.domain import Domain, get_domain, register_domain, registered_domains

if TYPE_CHECKING:
    from seqgen_envs.checks import check_domain
    from seqgen_envs.env import SequenceEnv
    from seqgen_envs.prior import Prior, RecurrentPrior, load_prior_folder
    from seqgen_envs.rules import ScanRule, Task, Term
    from seqgen_envs.vector_env import SequenceVectorEnv
    from seqgen_envs.vocabulary import Vocabulary

__all__ = [
    "Domain",
    "Prior",
    "RecurrentPrior",
    "ScanRule",
    "SequenceEnv",
    "SequenceVectorEnv",
    "Task",
    "Term",
    "Vocabulary",
    "__version__",
    "check_domain",
    "get_domain",
    "load_prior_folder",
    "register_domain",
    "register_env",
    "registered_domains",
]

_HOMES = {
    "checks": ("check_domain",),
    "env": ("SequenceEnv",),
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


def register_env(env_id: str, domain: str, **defaults: Any) -> None:
    """Register a Gymnasium id, native vector environment included.

    Args:
        env_id: such as ``"MelodyGen-v0"``.
        domain: a name known to :func:`register_domain`.
        defaults: further keyword arguments of :class:`~seqgen_envs.env.SequenceEnv`.
    """
    gymnasium.register(
        env_id,
        entry_point="seqgen_envs.env:SequenceEnv",
        vector_entry_point="seqgen_envs.vector_env:SequenceVectorEnv",
        kwargs={"domain": domain, **defaults},
    )


register_domain("toy", "seqgen_envs.domains.toy:DOMAIN")
register_domain("melody", "seqgen_envs.domains.melody:DOMAIN")

register_env("ToyGen-v0", domain="toy")
register_env("MelodyGen-v0", domain="melody")
