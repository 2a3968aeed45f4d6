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

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, get_type_hints

from kl_agents.checking import Within, checked
from kl_agents.remote_collection import RemoteCollectors
from seqgen_envs.lanes import Lanes

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm


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
