"""KL-control agents in Stable-Baselines3's manner, for the environments of ``seqgen_envs``.

Importing the package imports neither PyTorch nor Stable-Baselines3; the first name used does. The
learners' classes are those of the entry points ``seqgen.algorithms`` that are in this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers alone
    from kl_agents.algorithm import SequenceAlgorithm as SequenceAlgorithm
    from kl_agents.baselines import PriorAgent as PriorAgent
    from kl_agents.baselines import Reinvent as Reinvent
    from kl_agents.baselines import ReinventPMO as ReinventPMO
    from kl_agents.best_of_n import BestOfN as BestOfN
    from kl_agents.g_learning import GLearning as GLearning
    from kl_agents.policy_gradient import GRPO as GRPO
    from kl_agents.policy_gradient import PolicyGradient as PolicyGradient
    from kl_agents.psi_learning import PsiLearning as PsiLearning
    from kl_agents.q_learning import QLearning as QLearning
    from kl_agents.q_learning import RLOnly as RLOnly
    from kl_agents.registry import ALGORITHMS as ALGORITHMS
    from kl_agents.runs import load as load
    from kl_agents.trajectory_balance import TrajectoryBalance as TrajectoryBalance

_HOME_OF = {"ALGORITHMS": "registry", "SequenceAlgorithm": "algorithm", "load": "runs"}


def __getattr__(name: str) -> Any:
    home = f"{__name__}.{_HOME_OF[name]}" if name in _HOME_OF else _home_of_learner(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def _home_of_learner(name: str) -> str | None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="seqgen.algorithms"):
        if entry.attr == name and entry.module.startswith(f"{__name__}."):
            return entry.module
    return None
