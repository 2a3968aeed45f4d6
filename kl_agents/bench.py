"""The bundled agents as contestants of ``seqgen bench``, with the hyper-parameters they ship with.

``settings`` are those of a hyper-parameter file's block (see :mod:`kl_agents.hyperparameters`),
over the bundled ones of the task's environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kl_agents.hyperparameters import Hyperparams, load_hyperparams, with_final_c
from kl_agents.registry import ALGORITHMS, get_algorithm


def contestant(algorithm: str) -> Any:
    """A factory ``make(env, seed)`` of an algorithm, by its name in the registry."""

    def chosen(task: Any, settings: Mapping[str, Any]) -> Hyperparams:
        return load_hyperparams(algorithm, task.env_id, [settings])

    def make(env: Any, seed: int, *, task: Any, settings: Mapping[str, Any]) -> Any:
        arguments = dict(chosen(task, settings).arguments)
        if task.calls is None and "c" in arguments:  # the objective is judged at the suite's c
            arguments["c"] = with_final_c(arguments["c"], env.lanes.c)
        kind = get_algorithm(algorithm)
        return kind("SequencePolicy", env, seed=seed, device="cpu", **arguments)

    def environment(task: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"num_envs": chosen(task, settings).n_envs}

    make.environment = environment  # type: ignore[attr-defined]
    return make


def __getattr__(name: str) -> Any:
    """The factory of each registered algorithm, by its name (``-`` is spelled ``_``)."""
    algorithm = name.replace("_", "-")
    if algorithm not in ALGORITHMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return contestant(algorithm)
