"""The algorithms by the names the command line knows them by."""

from __future__ import annotations

from typing import Any

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.baselines import PriorAgent, Reinvent, RLOnly
from kl_agents.g_learning import GLearning
from kl_agents.psi_learning import PsiLearning
from kl_agents.q_learning import QLearning
from kl_agents.storage import PathOrFile, read_agent

ALGORITHMS: dict[str, type[SequenceAlgorithm]] = {
    "q": QLearning,
    "psi": PsiLearning,
    "g": GLearning,
    "rl-only": RLOnly,
    "reinvent": Reinvent,
    "prior": PriorAgent,
}


def get_algorithm(name: str) -> type[SequenceAlgorithm]:
    """The class of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def load(path: PathOrFile, env: Any = None, **kwargs: Any) -> SequenceAlgorithm:
    """An agent of any of these classes, from a file written by ``save``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, or of an algorithm this package does not have.
    """
    name = read_agent(path).config["algorithm"]
    for algorithm in ALGORITHMS.values():
        if algorithm.__name__ == name:
            return algorithm.load(path, env=env, **kwargs)
    known = sorted(a.__name__ for a in ALGORITHMS.values())
    raise ValueError(f"{path} holds a {name}; this version has {known}")
