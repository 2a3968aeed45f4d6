"""What one collector of several is made of and does: a Ray actor (:mod:`kl_agents.collectors`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from kl_agents.collection import Collected, Collector
from kl_agents.policy import SequencePolicy
from seqgen_envs.cluster import connect
from seqgen_envs.lanes import Lanes
from seqgen_envs.rules import RuleFailures, Task
from seqgen_envs.settings import LaneSettings

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """All that a collector is made of; it is pickled, once for all collectors.

    Attributes:
        n: its lanes.
        settings: their environment, with the learner's own prior and task.
        max_episode_steps: see :class:`~seqgen_envs.lanes.Lanes`.
        explore, whole: see :class:`~kl_agents.collection.Collector`.
        policy_class, policy_arguments: of the policy, but for its prior.
    """

    n: int
    settings: LaneSettings
    max_episode_steps: int | None
    explore: str
    whole: bool
    policy_class: type[SequencePolicy]
    policy_arguments: Mapping[str, Any]

    @classmethod
    def of(cls, agent: SequenceAlgorithm, lanes: Lanes, task: Task) -> Recipe:
        """Of an agent, its lanes and the task that its collectors score with."""
        assert agent.collector is not None
        arguments = {
            "observation_space": agent.observation_space,
            "action_space": agent.action_space,
            "lr_schedule": _no_rate,
            "backup": agent.backup,
            "network_config": agent.policy.network.description(),
            "prime_tokens": agent.prime_tokens,
            "unit": agent.c_schedule(0.0),
            **agent.policy_kwargs,
        }
        return cls(
            lanes.n,
            replace(lanes.settings, prior=lanes.prior, task=task),
            lanes.max_episode_steps,
            agent.collector.explore,
            agent.collector.whole,
            type(agent.policy),
            arguments,
        )


@dataclass(frozen=True)
class Request:
    """A round that is asked for.

    Attributes:
        version: of the weights: rounds that the learner had trained on.
        episodes, epsilon, temperature: see :meth:`~kl_agents.collection.Collector.collect`.
        c: temperature of the task reward that the policy acts at.
        seed: of the draws.
    """

    version: int
    episodes: int
    epsilon: float
    temperature: float
    c: float
    seed: int


@dataclass(frozen=True)
class Delivered:
    """A round that was asked for.

    Attributes:
        collected: the episodes.
        failures: of the collector's task meanwhile (:meth:`~seqgen_envs.rules.RuleFailures`).
        seconds: CPU time that it took.
    """

    collected: Collected
    failures: Mapping[str, Any]
    seconds: float


class CollectorActor:
    """Collects the rounds it is asked for, one after the other.

    Args:
        recipe: a reference to the :class:`Recipe`, in a list so that Ray hands it over unread: it
            is read at the first round, where what is wrong with it is an error like any other.
        path: where the learner's process finds modules; Ray's own finds fewer.
    """

    def __init__(self, recipe: list[Any], path: list[str]) -> None:
        self._recipe, self._path = recipe, path
        self._version: int | None = None
        self._policy: SequencePolicy | None = None

    def collect(self, request: Request, weights: Weights) -> Delivered:
        """The round, by a policy of these weights."""
        began = time.process_time()
        if self._policy is None:
            self._make()
        assert self._policy is not None
        if self._version != request.version:
            tensors = {name: torch.tensor(array) for name, array in weights.items()}
            self._policy.network.load_state_dict(tensors)
            self._policy.weights_changed()
            self._version = request.version
        self._policy.c = request.c
        collected = self._collector.collect(
            self._policy,
            request.episodes,
            request.epsilon,
            np.random.default_rng(request.seed),
            lambda finished: True,
            request.temperature,
        )
        assert collected is not None
        return Delivered(collected, self._taken_failures(), time.process_time() - began)

    def _make(self) -> None:
        torch.set_num_threads(1)
        sys.path += [folder for folder in self._path if folder not in sys.path]
        recipe: Recipe = connect().get(self._recipe[0])
        lanes = Lanes(recipe.n, recipe.settings, max_episode_steps=recipe.max_episode_steps)
        policy = recipe.policy_class(prior=lanes.prior, **recipe.policy_arguments)
        policy.optimizer = policy.target = None  # type: ignore[assignment]  # it only acts
        lanes.task.prepare()
        self._collector = Collector(lanes, recipe.explore, recipe.whole)
        self._task, self._policy = lanes.task, policy

    def _taken_failures(self) -> dict[str, Any]:
        """What the task has failed on since this was asked last."""
        failures = self._task.failures
        taken = failures.state_dict()
        failures.load_state_dict(RuleFailures(worked=failures.worked).state_dict())
        return taken


def _no_rate(remaining: float) -> float:
    return 0.0
