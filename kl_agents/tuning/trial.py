"""A trial: one setting trained on each environment with each seed, and what it is worth.

It is worth the mean of J (in nats, at the last temperature), or where the task has a budget of
oracle calls the mean area under the ten best against calls. Between, it tells what it is worth so
far, and is told whether to go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.callbacks import StopWhenSpent
from kl_agents.runs import RunSpec, evaluate_agent
from kl_agents.runs.training import new_model
from seqgen_envs.benchmark.scores import auc_top
from seqgen_envs.loading import trusting

#: Of what a trial is judged by: another stream than the one it learns with.
JUDGING_SEED = 20_000

#: Told of the look's number and of the worth so far; answers whether to go on.
GoOn = Callable[[int, float], bool]


class Pruned(Exception):
    """It was told not to go on."""


@dataclass(frozen=True)
class Work:
    """What a worker is told, JSON-able.

    Args:
        specs: :meth:`~kl_agents.runs.RunSpec.to_dict` of each training.
        looks: times that a training tells what it is worth, its end included.
        episodes: sequences that J is the mean of.
    """

    specs: tuple[Mapping[str, Any], ...]
    looks: int
    episodes: int


def perform(work: Work, go_on: GoOn) -> float:
    """Train and judge.

    Raises:
        Pruned: ``go_on`` said no.
        ValueError: the worth is not known, or no number (the training diverged).
    """
    worths: list[float] = []
    for i, content in enumerate(work.specs):
        spec = RunSpec(**content)

        def told(look: int, worth: float, first: int = i * work.looks) -> None:
            mean = (sum(worths) + worth) / (len(worths) + 1)
            if not go_on(first + look, mean):
                raise Pruned

        with trusting(False, given=content):  # whoever asked for the trial has checked it
            worths.append(_train(spec, work, told))
        mean = sum(worths) / len(worths)
        if i + 1 < len(work.specs) and not go_on((i + 1) * work.looks, mean):
            raise Pruned
    return mean


def _train(spec: RunSpec, work: Work, told: Callable[[int, float], None]) -> float:
    model = new_model(spec, "cpu")
    assert model.facts is not None
    try:
        if spec.total_timesteps:
            looks = _Looks(spec, work, told)
            model.learn(spec.total_timesteps, callback=[StopWhenSpent(), looks], log_interval=0)
        return worth_of(model, spec, work.episodes)
    finally:
        for task in model.facts.tasks:
            task.close()


def worth_of(model: SequenceAlgorithm, spec: RunSpec, episodes: int) -> float:
    """See the module.

    Raises:
        ValueError: it is not known, or no number.
    """
    assert model.facts is not None
    scorer = getattr(model.facts.tasks[0], "scorer", None)
    if scorer is not None and scorer.budget is not None:
        return auc_top([values[0] for _, values in scorer.history], budget=scorer.budget)
    found = evaluate_agent(model, spec, episodes, JUDGING_SEED)
    if found.objective is None:
        raise ValueError(f"J of {spec.algorithm} is not known, so it cannot be tuned: {found.why}")
    if not math.isfinite(found.objective):
        raise ValueError(f"J is {found.objective}: the training diverged")
    return found.objective


class _Looks(BaseCallback):
    """Tells what the agent is worth, at equal distances, but for the end."""

    def __init__(self, spec: RunSpec, work: Work, told: Callable[[int, float], None]) -> None:
        super().__init__()
        self.spec, self.work, self.told = spec, work, told
        self._seen = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        done = model.num_timesteps * self.work.looks // self.spec.total_timesteps
        if self._seen < done < self.work.looks:
            self._seen = done
            self.told(done, worth_of(model, self.spec, self.work.episodes))
