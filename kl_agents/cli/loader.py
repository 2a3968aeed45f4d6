"""Agents for ``seqgen sample --agent``: a run's folder, or a file written by ``save``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqgen_envs.rollout import Policy
from seqgen_envs.vector_env import SequenceVectorEnv

READS = "a run's folder, with agent.zip or checkpoint.zip, or an agent's .zip file"


def can_load(path: Path) -> bool:
    """Whether ``path`` is a folder with an agent, or a .zip file."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("agent.zip", "checkpoint.zip"))
    return path.suffix == ".zip"


def environment(path: Path) -> dict[str, Any]:
    """What an agent was trained in; of one trained in Python on an environment, only c is known.

    Raises:
        ValueError: the files are damaged.
    """
    from kl_agents.runs import read_saved_run, read_spec
    from kl_agents.runs.spec import registered_arguments
    from kl_agents.runs.trust import check_code
    from kl_agents.storage import read_agent

    if path.is_dir():
        return read_spec(path).environment
    saved = read_saved_run(path)
    if saved is not None:
        return saved[0].environment
    config = read_agent(path).config
    trained_in = config["environment"]
    if trained_in is not None:
        check_code(path, "", trained_in["id"], trained_in["kwargs"])
    known = {} if trained_in is None else registered_arguments(trained_in["id"])
    return {**known, **(trained_in or {}).get("kwargs", {}), "c": config["c_now"]}


def load(path: Path, env: SequenceVectorEnv, seed: int) -> Policy:
    """The agent, to act in ``env`` at its c, its random numbers seeded.

    Raises:
        ValueError: the file cannot be read, or the agent is of another prior or vocabulary.
    """
    from kl_agents.registry import load as load_agent
    from kl_agents.runs import load_run

    agent = load_run(path)[0] if path.is_dir() else load_agent(path, device="cpu")
    agent.check_fits(env)
    agent.policy.c = env.c
    agent.policy.rng = np.random.default_rng(seed)
    policy: Policy = agent.policy
    return policy
