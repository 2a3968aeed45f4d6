"""Trainings in folders that carry themselves: what they are, their files, how they go on."""

from kl_agents.runs.environment import (
    evaluate_agent,
    make_env,
    make_lanes,
    single_lane,
    with_environment,
)
from kl_agents.runs.folder import (
    AGENT,
    CHECKPOINT,
    CONFIG,
    EVALUATION,
    FAILURES,
    PROGRESS,
    agent_file,
    read_saved_run,
    read_spec,
)
from kl_agents.runs.loading import initial_from, load, load_run, seeds_from
from kl_agents.runs.lock import FolderInUse
from kl_agents.runs.signals import Stopped
from kl_agents.runs.spec import RunSpec, check_same
from kl_agents.runs.training import (
    RunOptions,
    resume_run,
    run,
    start_run,
)
from kl_agents.runs.trust import names_code

__all__ = [
    "AGENT",
    "CHECKPOINT",
    "CONFIG",
    "EVALUATION",
    "FAILURES",
    "PROGRESS",
    "FolderInUse",
    "RunOptions",
    "RunSpec",
    "Stopped",
    "agent_file",
    "check_same",
    "evaluate_agent",
    "initial_from",
    "load",
    "load_run",
    "make_env",
    "make_lanes",
    "names_code",
    "read_saved_run",
    "read_spec",
    "resume_run",
    "run",
    "seeds_from",
    "single_lane",
    "start_run",
    "with_environment",
]
