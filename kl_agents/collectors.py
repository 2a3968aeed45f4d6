"""Collectors beside the learner: Ray actors that collect while it trains.

The layout of asynchronous trajectory balance (Bartoldson et al. 2025): several collectors, each
with lanes of its own, and one learner. The learner puts its weights into Ray's object store and
asks every collector for a round; it trains on rounds as they come, and a collector whose round is
taken gets the weights as they are then. A round is therefore some rounds old when it is trained on
(its *staleness*), which losses that hold off policy allow for, and others do not.

What stays with the learner: the replay, evaluations, checkpoints, and tasks with a memory (a
budget, a diversity filter), of which there must be one for all.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from kl_agents.checking import Within, checked
from kl_agents.collection import Collected, Collector
from kl_agents.remote_collection import (
    CollectorActor,
    Delivered,
    Recipe,
    Request,
    Weights,
    without_ends,
)
from seqgen_envs.cluster import connect
from seqgen_envs.interrupts import Interrupted, interruptible
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import TOGETHER
from seqgen_envs.rules import Task

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm
    from kl_agents.policy import SequencePolicy

logger = logging.getLogger(__name__)

#: So often in a row may a collector die before it delivers anything.
DEATHS = 3


@dataclass(frozen=True)
class CollectorSettings:
    """How a training collects beside its learner.

    Args:
        count: collectors.
        staleness: rounds that may have been trained on between the weights that a round is
            collected with and the update that reads it first; None: twice ``count``, and what
            ``broadcast_every`` adds. At the bound the learner waits for the oldest round.
        broadcast_every: rounds of training between two broadcasts of the weights.

    Raises:
        ValueError: a value is out of its range, or ``staleness`` less than so many collectors need.
    """

    count: Annotated[int, Within(1)]
    staleness: Annotated[int | None, Within(1)] = None
    broadcast_every: Annotated[int, Within(1)] = 1

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            checked("collectors" if name == "count" else name, getattr(self, name), kind)
        least = self.count + self.broadcast_every - 1
        if self.staleness is None:
            object.__setattr__(self, "staleness", self.count + least)
        elif self.staleness < least:
            raise ValueError(
                f"staleness must be at least {least}, got {self.staleness}: with {self.count} "
                f"collectors and a broadcast every {self.broadcast_every} rounds a round is as old "
                "as that; give fewer collectors, or a higher staleness"
            )

    @classmethod
    def of(cls, entries: Mapping[str, int]) -> CollectorSettings:
        """Of a mapping with ``count``, and the others where they are not the defaults.

        Raises:
            ValueError: it has other entries, or as for the class.
        """
        try:
            return cls(**entries)
        except TypeError as error:
            names = ", ".join(f.name for f in fields(cls))
            raise ValueError(f"collectors has {names}; got {dict(entries)}") from error


def check_fits(agent: SequenceAlgorithm) -> None:
    """Raise a ValueError unless the agent can learn from collectors."""
    if agent.loss is None or not agent.loss.off_policy:
        raise ValueError(
            f"{type(agent).__name__} learns from its policy's own episodes only, and collectors' "
            "are some rounds old: use psi, g, q or tb, or leave the collectors out"
        )
    source = None if agent.collector is None else agent.collector.source
    if not isinstance(source, Lanes):
        raise ValueError(
            "collectors make lanes of their own like the learner's: give the agent an id or "
            "gym.make_vec(id, num_envs=N) as its environment, not another library's"
        )
    if source.on_step is not None or source.on_judge is not None:
        raise ValueError(
            "this environment keeps account of every step taken in it, and collectors step others: "
            "leave the collectors out"
        )
    if source.task.state_dict() and source.task.initial_state():
        raise ValueError(
            f"task {source.task.name!r} remembers sequences and has rules that scan them: "
            "collectors could not share its memory; leave the collectors out"
        )


@contextmanager
def collecting(
    agent: SequenceAlgorithm, settings: CollectorSettings | None, address: str | None = None
) -> Iterator[None]:
    """Rounds that ``agent`` trains on meanwhile come from collectors.

        with collecting(agent, CollectorSettings(8)):
            agent.learn(1_000_000)

    Args:
        agent: one whose loss holds off policy.
        settings: None: nothing changes.
        address: of the Ray cluster; see :func:`~seqgen_envs.cluster.connect`.

    Raises:
        ImportError: the extra ``cluster`` is not installed.
        ConnectionError: no cluster answers at ``address``.
        ValueError: the agent cannot learn from collectors; the message says why.
    """
    if settings is None:
        yield
        return
    check_fits(agent)
    own, remote = agent.collector, RemoteCollectors(agent, settings, address)
    agent.collector = remote
    try:
        yield
    finally:
        agent.collector = own
        remote.close()


@dataclass
class _Slot:
    """One collector and the round it is asked for.

    Attributes:
        actor: of Ray.
        request: None: the collector is idle.
        answer: Ray's reference to what it will deliver.
        deaths: so often has it died since it last delivered.
    """

    actor: Any
    request: Request | None = None
    answer: Any = None
    deaths: int = 0


class RemoteCollectors(Collector):
    """Behaves as a :class:`~kl_agents.collection.Collector` whose rounds come from Ray actors.

    Args:
        agent: checked by :func:`check_fits`.
        settings: how many, and how stale.
        address: of the cluster.

    Attributes:
        replaced: collectors that died and were replaced.
        delivered: the last round as it came.
    """

    source: Lanes

    def __init__(
        self, agent: SequenceAlgorithm, settings: CollectorSettings, address: str | None = None
    ) -> None:
        assert agent.collector is not None
        super().__init__(agent.collector.source, agent.collector.explore, agent.collector.whole)
        self.agent, self.settings = agent, settings
        self.replaced = 0
        self.delivered: Delivered | None = None
        task = self.source.task
        self._judges = bool(task.state_dict())
        self._ray = connect(address)
        recipe = Recipe.of(agent, self.source, without_ends(task) if self._judges else task)
        self._recipe = [self._ray.put(recipe)]
        self._weights: Any = None
        self._version = 0
        self._steps: int | None = None  # that a round takes
        self._slots = [_Slot(self._actor()) for _ in range(settings.count)]

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
        self.delivered, self._steps = delivered, collected.environment_steps
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

    def _actor(self) -> Any:
        """A new collector. It reserves no CPU, so that any number fits; nodes take turns."""
        remote = self._ray.remote(CollectorActor)
        return remote.options(scheduling_strategy="SPREAD").remote(
            self._recipe, [folder for folder in sys.path if folder]
        )

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
        slot.actor = self._actor()
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
