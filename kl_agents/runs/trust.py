"""A run's files name no code to run, unless the user trusts them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kl_agents.runs.spec import RunSpec
from seqgen_envs.loading import (
    UntrustedCodeError,
    check_trusted,
    from_file,
    is_reference,
    trusting_nobody,
)
from seqgen_envs.registration import check_environment


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
        check_environment(env_id, env_kwargs)


def names_code(spec: RunSpec) -> bool:
    """Whether files that say what this run is are only read with ``--trust``."""
    try:
        with trusting_nobody():
            check_code(Path(), spec.algorithm, spec.env_id, spec.env_kwargs)
    except UntrustedCodeError:
        return True
    return False
