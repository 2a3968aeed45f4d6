"""The environment of a run, to train in and to judge its agent in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode

import seqgen_envs  # noqa: F401  (registers the environments)
from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.runs.spec import RunSpec
from seqgen_envs.bounds import known_bounds
from seqgen_envs.domain import Domain
from seqgen_envs.evaluation import Evaluation, evaluate, evaluate_policy_network, shows_distribution
from seqgen_envs.lanes import Lanes
from seqgen_envs.registration import check_id
from seqgen_envs.vector_env import SequenceVectorEnv


def make_env(spec: RunSpec) -> SequenceVectorEnv:
    """The training's environment.

    Raises:
        ValueError: there is no such environment, or an argument is out of its range.
    """
    check_id(spec.env_id)
    try:
        env = gym.make_vec(
            spec.env_id,
            num_envs=spec.n_envs,
            autoreset_mode=AutoresetMode.SAME_STEP.value,
            **spec.env_kwargs,
        )
    except (TypeError, gym.error.Error) as error:
        raise ValueError(
            f"{spec.env_id} cannot be made as a vector environment of sequences with "
            f"{dict(spec.env_kwargs)}: {error}"
        ) from error
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, SequenceVectorEnv):
        raise ValueError(f"{spec.env_id} is not an environment of sequences (`seqgen envs`)")
    return unwrapped


def make_lanes(spec: RunSpec, n: int) -> Lanes:
    """Lanes of the same environment, to evaluate in; a budget is the training's alone."""
    one = single_lane(spec)
    return Lanes(n, replace(one.settings, task=one.task.for_evaluation()))


def published_for(spec: RunSpec, domain: Domain) -> Mapping[str, Mapping[str, float]]:
    """Published figures that stand beside a run's: none where its prior or task is another one."""
    compared = {"prior": domain.default_prior, "task": domain.default_task}
    same = all(spec.env_kwargs[name] == value for name, value in compared.items())
    return domain.metrics.published if same else {}


def single_lane(spec: RunSpec) -> Lanes:
    """The engine of the environment with one lane, which knows its settings, domain and task."""
    lanes: Lanes = make_env(replace(spec, n_envs=1)).lanes
    return lanes


def with_environment(spec: RunSpec, given: Mapping[str, Any]) -> RunSpec:
    """The run as if its environment had had these arguments; None leaves one as it is."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return replace(spec, env_kwargs={**spec.env_kwargs, **chosen})


def evaluate_agent(
    model: SequenceAlgorithm,
    spec: RunSpec,
    episodes: int,
    seed: int,
    num_envs: int = 512,
    c: float | None = None,
    progress: Callable[[int], object] | None = None,
    any_prior: bool = False,
) -> Evaluation:
    """A run's agent in its environment.

    Args:
        model: the agent.
        spec: its run.
        episodes, seed, progress: see :func:`~seqgen_envs.evaluation.evaluate`.
        num_envs: lanes.
        c: temperature it acts at; None is that of the end of its training.
        any_prior: see :meth:`~kl_agents.SequenceAlgorithm.check_fits`.

    Raises:
        ValueError: ``c`` is not above 0, or the environment's prior is not the agent's.
    """
    if c is not None and not c > 0:
        raise ValueError(f"c must be above 0, got {c}")
    model.policy.c = float(model.c_schedule(0.0) if c is None else c)
    lanes = make_lanes(spec, min(num_envs, episodes))
    model.check_fits(lanes, any_prior)
    lanes.c = model.policy.c  # the objective is that of the temperature it acts at
    judge = evaluate_policy_network if shows_distribution(model.policy) else evaluate
    result = judge(
        model.policy,
        lanes,
        episodes,
        seed,
        discount=model.settings.discount,
        bounds=known_bounds(lanes),
        progress=progress,
    )
    if not model.estimates_objective:
        result.start_value = None  # preferences, or values of another objective
    return result
