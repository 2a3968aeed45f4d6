"""One row of a benchmark: one agent on one task with one seed, in a process of its own.

    python -m seqgen_envs.benchmark.work JOB.json RESULT.json

The result is written whole or not at all; without one the process has failed, and its last words
are on standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from seqgen_envs.benchmark.agents import find_agent
from seqgen_envs.benchmark.measures import (
    LANES,
    Measured,
    measure_calls,
    measure_objective,
    measure_speed,
)
from seqgen_envs.benchmark.meter import BudgetSpent, Meter
from seqgen_envs.benchmark.stable import StablePolicy, is_model
from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.evaluation import shows_distribution
from seqgen_envs.lanes import Lanes
from seqgen_envs.loading import trusting
from seqgen_envs.reporting.files import write_json
from seqgen_envs.reporting.machine import machine, now

#: Of the seed that an agent is judged with: another stream than the one it learned with.
EVALUATION_SEED = 10_000


@dataclass(frozen=True)
class Job:
    """What a row is made of, JSON-able.

    Args:
        measure: see :mod:`~seqgen_envs.benchmark.measures`.
        task: of the suite.
        agent: its reference.
        seed: of the training.
        settings: of the agent's factory.
        trust: whether code that the agent's files name may be run.
    """

    measure: str
    task: BenchTask
    agent: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    trust: bool = False

    def to_json(self) -> str:
        """For :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """What :meth:`to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, "task": BenchTask(**content["task"])})


def perform(job: Job) -> dict[str, Any]:
    """Train and measure.

    Returns:
        ``metrics``, ``curve``, ``samples``, ``history``, ``seconds``, ``steps``, ``machine``,
        ``commit``, ``date``; JSON-able.
    """
    contestant = find_agent(job.agent, job.settings)
    wanted = contestant.environment(job.task)
    observation = str(wanted.get("observation", "dict"))
    env, lanes = make_environment(job.task, wanted)
    meter = Meter(lanes, job.task.steps)
    began = time.perf_counter()
    agent = contestant.build(env, job.seed, job.task)
    before = _calls(lanes)
    policy = _learn(agent, lanes, job.task)
    seconds = time.perf_counter() - began
    learned = _calls(lanes)
    meter.close()
    measured = _measure(job, policy, lanes, meter, seconds, observation)
    outside = {} if learned is None else {"calls_outside": (before or 0) + _calls(lanes) - learned}
    return {
        "metrics": {**measured.metrics, **outside},
        "curve": measured.curve or meter.curve(),
        "samples": measured.samples,
        "history": measured.history,
        "seconds": seconds,
        "steps": meter.steps,
        "machine": machine(),
        "commit": commit(),
        "date": now(),
    }


def make_environment(task: BenchTask, wanted: Mapping[str, Any]) -> tuple[Any, Lanes]:
    """The environment that an agent wants for a task, and its engine."""
    from seqgen_envs.adapters.sb3 import make_sb3_vec_env

    given = {**task.env_kwargs, **wanted}
    given.setdefault("observation", "dict")
    if task.calls is not None:
        given["task"] = _with_budget(task, given.get("task"))
    num_envs = given.pop("num_envs", None)
    if num_envs is None:
        env = gym.make(task.env_id, **given)
        lanes: Lanes = env.unwrapped.lanes  # type: ignore[attr-defined]
        return env, lanes
    vector = make_sb3_vec_env(task.env_id, num_envs=num_envs, **given)
    return vector, vector.lanes


def _with_budget(task: BenchTask, given: Any) -> dict[str, Any]:
    own = given or gym.spec(task.env_id).kwargs["task"]
    return {**({"name": own} if isinstance(own, str) else own), "budget": task.calls}


def _calls(lanes: Lanes) -> Any:
    """Sequences that the oracle has scored; None where the task keeps no accounts."""
    scorer = getattr(lanes.task, "scorer", None)
    return None if scorer is None or scorer.budget is None else scorer.calls


def _learn(agent: Any, lanes: Lanes, task: BenchTask) -> Any:
    """Let it learn until the budget is spent; returns what acts, None for a generator.

    Raises:
        TypeError: it is neither an agent nor a generator.
    """
    if hasattr(agent, "learn") and hasattr(agent, "predict"):
        with suppress(BudgetSpent):
            agent.learn(task.steps)
        return agent
    if isinstance(agent, Iterator):
        with suppress(BudgetSpent):
            _run_generator(agent, lanes)
        return None
    raise TypeError(
        f"make(env, seed) returned a {type(agent).__name__}; expected an object with learn and "
        "predict, or a generator of sequences"
    )


def _run_generator(agent: Iterator[str], lanes: Lanes) -> None:
    """Play what it yields in lane 0, and send it each sequence's task return (NaN: no sequence)."""
    send = getattr(agent, "send", None)
    text = next(agent, None)
    while text is not None:
        score = play_text(lanes, text)
        try:
            text = next(agent, None) if send is None else send(score)
        except StopIteration:
            return


def play_text(lanes: Lanes, text: str) -> float:
    """The task return of a sequence, played token by token in a single lane.

    NaN where the text has no place in the environment: unknown tokens, or more than its length.
    """
    try:
        ids = lanes.domain.to_ids(text)
    except ValueError:
        return float("nan")
    end = lanes.domain.vocabulary.end_id
    if end is not None and (not len(ids) or ids[-1] != end) and len(ids) < lanes.horizon:
        ids = np.append(ids, end)
    if len(ids) > lanes.horizon or (end is None and len(ids) < lanes.horizon):
        return float("nan")
    lanes.reset()
    total = 0.0
    for token in ids:
        step = lanes.step(np.full(lanes.n, token))
        total += float(step.task_reward[0])
        if step.ended[0]:
            break
    return total


def _measure(
    job: Job, policy: Any, lanes: Lanes, meter: Meter, seconds: float, observation: str
) -> Measured:
    if job.measure == "calls":
        return measure_calls(lanes, job.task, meter.steps)
    if job.measure == "speed":
        return measure_speed(lanes, job.task, meter.steps, seconds)
    if policy is None:
        raise TypeError(
            f"a generator of sequences has no policy to measure: suites of {job.measure!r} need an "
            "agent with predict"
        )
    judged = judge_of(policy, observation)
    fresh = Lanes(LANES, replace(lanes.settings, task=lanes.task.for_evaluation()))
    return measure_objective(
        judged, fresh, job.task, job.seed + EVALUATION_SEED, observation, job.measure == "optimum"
    )


def judge_of(agent: Any, observation: str) -> Any:
    """The policy to evaluate: one that shows its distribution, where it can be had."""
    if not getattr(agent, "shows_distribution", True):
        return agent
    for candidate in (agent, getattr(agent, "policy", None)):
        if shows_distribution(candidate):
            return candidate
    models = [model for model in (agent, getattr(agent, "policy", None)) if is_model(model)]
    return StablePolicy(models[0], observation) if models else agent


def commit() -> str:
    """The commit of the checkout that this package is run from; "" outside one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> None:
    """The command above."""
    import torch

    torch.set_num_threads(1)  # a process is a row, and there may be one a core
    job_file, result_file = map(Path, sys.argv[1:])
    job = Job.from_json(job_file.read_text(encoding="utf-8"))
    with trusting(job.trust):
        write_json(result_file, perform(job))
    sys.stdout.flush()
    os._exit(0)  # an agent's threads and workers do not keep the row waiting


if __name__ == "__main__":
    main()
