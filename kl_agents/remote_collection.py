"""Rounds of Ray actors for one learner: asked for, waited for, asked for again.

Where tasks have a memory, the learner judges what the actors have finished.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kl_agents.collection import Collected, Collector
from kl_agents.collector_actor import CollectorActor, Delivered, Recipe, Request, Weights
from seqgen_envs.cluster import connect
from seqgen_envs.interrupts import Interrupted, interruptible
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import TOGETHER
from seqgen_envs.rules import Task

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm
    from kl_agents.collectors import CollectorSettings
    from kl_agents.policy import SequencePolicy

logger = logging.getLogger(__name__)

#: So often in a row may a collector die before it delivers anything.
DEATHS = 3


@dataclass
class _Slot:
    """One collector and the round it is asked for.

    Attributes:
        actor: of Ray.
        node: the id of the node it was sent to.
        request: None: the collector is idle.
        answer: Ray's reference to what it will deliver.
        deaths: so often has it died since it last delivered.
    """

    actor: Any
    node: str
    request: Request | None = None
    answer: Any = None
    deaths: int = 0


class RemoteCollectors(Collector):
    """Behaves as a :class:`~kl_agents.collection.Collector` whose rounds come from Ray actors.

    Args:
        agent: checked by :func:`~kl_agents.collectors.check_fits`.
        settings: how many, and how stale.
        address: of the cluster.

    Attributes:
        replaced: collectors that died and were replaced.
    """

    source: Lanes

    def __init__(
        self, agent: SequenceAlgorithm, settings: CollectorSettings, address: str | None = None
    ) -> None:
        assert agent.collector is not None
        super().__init__(agent.collector.source, agent.collector.explore, agent.collector.whole)
        self.agent, self.settings = agent, settings
        self.replaced = 0
        task = self.source.task
        self._judges = bool(task.state_dict())
        self._ray = connect(address)
        recipe = Recipe.of(agent, self.source, without_ends(task) if self._judges else task)
        self._recipe = [self._ray.put(recipe)]
        self._weights: Any = None
        self._version = 0
        self._steps: int | None = None  # that a round takes
        self._slots: list[_Slot] = []
        for _ in range(settings.count):
            self._slots.append(_Slot(*self._placed()))

    def collect(
        self,
        policy: SequencePolicy,
        episodes: int,
        epsilon: float,
        rng: np.random.Generator,
        on_step: Callable[[NDArray[np.bool_]], bool],
        temperature: float = 1.0,
    ) -> Collected | None:
        """A round that a collector has made, and the next one asked of it.

        ``on_step`` is told of all its steps, but not of what finished in which.

        Raises:
            ChildProcessError: a collector dies again and again.
            Interrupted: a stop was asked for while a round was waited for.
        """

        def ask() -> None:
            self._ask(policy, episodes, epsilon, rng, temperature)

        ask()
        began = time.perf_counter()
        version, delivered = self._next()
        waited = time.perf_counter() - began
        collected = delivered.collected
        self._steps = collected.environment_steps
        self.source.task.failures.add_all(delivered.failures)
        if self._judges:
            judge_ends(self.source, collected)
        if not self._tell(on_step, collected.environment_steps):
            return None
        ask()
        collected.logged = {
            "collectors/staleness": float(self.agent._iteration - version),
            "collectors/waited": waited,
            "collectors/seconds": delivered.seconds,
            "collectors/replaced": float(self.replaced),
        }
        return collected

    def _tell(self, on_step: Callable[[NDArray[np.bool_]], bool], steps: int) -> bool:
        """Whether the training goes on after a round's steps: all of them count, as they are made.

        They are told in the portions of lanes that step together.
        """
        nothing, go_on = np.zeros(self.source.n, dtype=bool), True
        for _ in range(steps // self.source.n):
            go_on = on_step(nothing) and go_on
        return go_on

    def close(self) -> None:
        """End the collectors; rounds under way are given up."""
        for slot in self._slots:
            with suppress(self._ray.exceptions.RayError):  # it is dead already
                self._ray.kill(slot.actor)
        self._slots = []

    # ------------------------------------------------------------------ asking

    def _ask(
        self,
        policy: SequencePolicy,
        episodes: int,
        epsilon: float,
        rng: np.random.Generator,
        temperature: float,
    ) -> None:
        """Ask idle collectors for a round, unless those under way are as many as will be needed."""
        for slot in self._slots:
            if slot.request is not None:
                continue
            under_way = sum(other.request is not None for other in self._slots)
            left = self.agent._total_timesteps - self.agent.num_timesteps
            if under_way and self._steps is not None and under_way * self._steps >= left:
                break
            weights, seed = self._broadcast(policy), int(rng.integers(2**63))
            slot.request = Request(self._version, episodes, epsilon, temperature, policy.c, seed)
            slot.answer = slot.actor.collect.remote(slot.request, weights)

    def _broadcast(self, policy: SequencePolicy) -> Any:
        """A reference to the weights, put into the object store where they are due."""
        now = self.agent._iteration
        if self._weights is None or now - self._version >= self.settings.broadcast_every:
            self._weights, self._version = self._ray.put(weights_as_arrays(policy)), now
        return self._weights

    def _placed(self) -> tuple[Any, str]:
        """A new collector, and its node: the one with the fewest for its CPUs.

        It reserves no CPU, so that any number fits. (Ray's own way to spread actors often sends
        all of a few to one node.)
        """
        cpus = {n["NodeID"]: n["Resources"].get("CPU", 0) for n in self._ray.nodes() if n["Alive"]}
        there = Counter(slot.node for slot in self._slots)
        node = min(cpus, key=lambda one: (there[one] + 1) / max(cpus[one], 0.01))
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        remote = self._ray.remote(CollectorActor).options(
            num_cpus=0, scheduling_strategy=affinity(node, soft=False)
        )
        return remote.remote(self._recipe, [folder for folder in sys.path if folder]), node

    # ------------------------------------------------------------------ taking

    def _next(self) -> tuple[int, Delivered]:
        """The version of the weights that a round was collected with, and the round."""
        errors = self._ray.exceptions
        assert self.settings.staleness is not None
        while True:
            busy = [slot for slot in self._slots if slot.request is not None]
            versions = [slot.request.version for slot in busy if slot.request is not None]
            may = takeable(versions, self.agent._iteration, self.settings.staleness)
            by_answer = {busy[i].answer: busy[i] for i in may}
            slot = by_answer[self._first(list(by_answer))]
            assert slot.request is not None
            try:
                delivered: Delivered = self._ray.get(slot.answer)
            except errors.RayTaskError as error:  # of the program, or of a rule: no collector's
                raise self._explained(error) from error
            except errors.RayError as error:
                self._replace(slot, error)
                continue
            version = slot.request.version
            slot.request, slot.answer, slot.deaths = None, None, 0
            return version, delivered

    def _first(self, answers: list[Any]) -> Any:
        """The oldest of the answers that are there, as soon as one is.

        Raises:
            Interrupted: a stop was asked for. (Ray forgets which exception a handler of signals
                has raised, and raises a KeyboardInterrupt.)
        """
        with interruptible():
            try:
                ready, _ = self._ray.wait(answers, num_returns=1)
            except KeyboardInterrupt as error:
                raise Interrupted from error
        return ready[0]

    def _explained(self, error: Any) -> Exception:
        """What a collector raised."""
        cause: Exception = error.cause or error
        if isinstance(cause, self._ray.exceptions.RaySystemError):
            return ImportError(
                f"a collector cannot be made on its node ({str(cause).splitlines()[0]}): what the "
                "environment and its task are made of must be there, this package among it"
            )
        return cause

    def _replace(self, slot: _Slot, error: Exception) -> None:
        """Ask a new collector for what a dead one did not deliver."""
        slot.deaths += 1
        reason = str(error).partition("\n")[0]
        if slot.deaths > DEATHS:
            raise ChildProcessError(
                f"a collector has died {slot.deaths} times without delivering a round: look at "
                f"the memory of its node ({reason})"
            ) from error
        self.replaced += 1
        logger.warning("a collector has died and is replaced (%s)", reason)
        assert slot.request is not None
        slot.actor, slot.node = self._placed()
        slot.request = replace(slot.request, version=self._version)  # of the weights there are now
        slot.answer = slot.actor.collect.remote(slot.request, self._weights)


def takeable(versions: Sequence[int], now: int, bound: int) -> list[int]:
    """Which rounds under way may be taken next, oldest first, so that none will be too old.

    Rounds are taken one at a time, each as many rounds old as have been taken since its version:
    the k-th oldest must be taken before it is older than ``bound``. Where one is due in its turn,
    those that are younger have to wait.

    Args:
        versions: of their weights.
        now: rounds taken so far.
        bound: how old a round may be when it is taken.
    """
    by_age = sorted(range(len(versions)), key=versions.__getitem__)
    for turn, i in enumerate(by_age):
        if versions[i] + bound <= now + turn:
            return by_age[: turn + 1]
    return by_age


def weights_as_arrays(policy: SequencePolicy) -> Weights:
    """What a policy acts by, on the CPU."""
    state = policy.network.state_dict()
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


def without_ends(task: Task) -> Task:
    """The task with nothing for finished sequences: terms at ``"end"`` are 0."""
    terms = [replace(t, rule=_nothing) if t.at == "end" else t for t in task.terms]
    return Task(task.name, terms, facts=task.facts)


def _nothing(tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.zeros(len(tokens))


def judge_ends(lanes: Lanes, collected: Collected) -> None:
    """Add what a round's finished sequences earn by the lanes' own task, which remembers them."""
    task, episodes = lanes.task, collected.episodes
    primer = np.asarray(lanes.settings.primers[0], dtype=np.int64)
    size, first = lanes.domain.vocabulary.size, len(primer)
    tokens = np.full((len(episodes), lanes.horizon), size, dtype=np.int64)
    tokens[:, :first] = primer
    tokens[:, first:] = episodes.tokens
    lengths = episodes.lengths + first
    last = tokens[np.arange(len(tokens)), lengths - 1]
    finished = (lengths == lanes.horizon) | (last == lanes.domain.vocabulary.end_id)
    earned = _ends(task, tokens, lengths, finished)
    # what came through the object store cannot be written on
    reward, collected.terms = episodes.task_reward.copy(), collected.terms + earned
    reward[np.arange(len(reward)), episodes.lengths - 1] += earned.sum(axis=1)
    object.__setattr__(episodes, "task_reward", reward)


def _ends(
    task: Task, tokens: NDArray[np.int64], lengths: NDArray[np.int64], finished: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weighted values of the terms at the end, [B, terms], others 0."""
    earned, at_end = np.zeros((len(tokens), len(task.terms))), [t.at == "end" for t in task.terms]
    rows = np.flatnonzero(finished)
    for part in (rows[i : i + TOGETHER] for i in range(0, len(rows), TOGETHER)):
        ended = np.ones(len(part), dtype=bool)
        values, _ = task.score(tokens[part], lengths[part], ended, ())
        earned[part] = np.where(at_end, values, 0.0)
    return earned
