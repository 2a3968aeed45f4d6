"""A run's files name no code to run, unless the user trusts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym

from seqgen_envs.loading import UntrustedCodeError, check_trusted, from_file, is_reference
from seqgen_envs.registration import check_id, get_domain


def check_code(path: Path, algorithm: str, env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse what a file says of a run if it names code, before any of it is imported.

    The task is made for it, in part at least: only the domain knows which of its words are code.

    Args:
        path: of the file.
        algorithm, env_id, env_kwargs: see :class:`~kl_agents.runs.spec.RunSpec`.

    Raises:
        UntrustedCodeError: see :func:`~seqgen_envs.loading.check_trusted`.
    """
    with from_file(path):
        if is_reference(algorithm):
            check_trusted(algorithm, "algorithm")
        if not any(":" in text for text in _texts_in([env_id, dict(env_kwargs)])):
            return  # no reference, family or file: nothing that could lead to code
        try:
            check_id(env_id)
            registered = gym.spec(env_id.rpartition(":")[2]).kwargs
            domain = get_domain(env_kwargs.get("domain", registered.get("domain")))
            domain.for_prior(env_kwargs.get("prior")).make_task(env_kwargs.get("task"))
        except UntrustedCodeError:
            raise
        except Exception:  # what else is wrong is said by whoever makes the environment
            return


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(inner)
