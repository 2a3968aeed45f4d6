"""KL-control agents in Stable-Baselines3's manner, for the environments of ``seqgen_envs``.

Importing the package imports neither PyTorch nor Stable-Baselines3; the first name used does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm
    from kl_agents.baselines import PriorAgent, Reinvent, RLOnly
    from kl_agents.g_learning import GLearning
    from kl_agents.psi_learning import PsiLearning
    from kl_agents.q_learning import QLearning
    from kl_agents.registry import ALGORITHMS
    from kl_agents.runs import load

__all__ = [
    "ALGORITHMS",
    "GLearning",
    "PriorAgent",
    "PsiLearning",
    "QLearning",
    "RLOnly",
    "Reinvent",
    "SequenceAlgorithm",
    "load",
]

_HOMES = {
    "algorithm": ("SequenceAlgorithm",),
    "baselines": ("PriorAgent", "RLOnly", "Reinvent"),
    "g_learning": ("GLearning",),
    "psi_learning": ("PsiLearning",),
    "q_learning": ("QLearning",),
    "registry": ("ALGORITHMS",),
    "runs": ("load",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
