"""Episodes that no policy made: children of the replay's sequences (``explore="genetic"``).

A policy looks near what it writes already. Children of good sequences are further off and often
good, and learners that hold off policy may learn from them as from anything else (Genetic GFN; Kim
et al. 2024). Parents are drawn as the replay samples: the best more often with
``replay_sampling="rank"`` alone. A child is made by the domain
(:attr:`~seqgen_envs.domain_groups.Corpora.cross`) and played token by token as seeds are
(:mod:`kl_agents.seeding`): the task scores it, and it costs a call of its budget.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kl_agents.collection import Collected, Collector
from kl_agents.env_facts import EnvFacts
from kl_agents.losses import Loss
from kl_agents.replay import EpisodeReplay
from kl_agents.seeding import Fitting, Ids, played
from kl_agents.settings import SequenceSettings

#: Pairs of parents that are tried for each child that is wanted.
TRIES = 4


class Breeder:
    """Makes children of what a replay holds.

    Args:
        facts: of the environment.
        collector: through whose lanes children are played.

    Raises:
        ValueError: the domain crosses no sequences.
    """

    def __init__(self, facts: EnvFacts, collector: Collector) -> None:
        if facts.domain.corpora.cross is None:
            raise ValueError(
                f"explore must not be 'genetic' in domain {facts.domain.name!r}: its sequences "
                "have no children (Domain.corpora.cross)"
            )
        self.collector, self.primer = collector, facts.primer
        self.vocabulary = facts.domain.vocabulary
        self._cross = facts.domain.corpora.cross
        self._fits = Fitting(facts.domain, facts.mask, facts.primer, facts.horizon)

    def breed(
        self,
        replay: EpisodeReplay,
        wanted: int,
        rng: np.random.Generator,
        on_step: Callable[[NDArray[np.bool_]], bool],
    ) -> Collected | None:
        """At most so many children as episodes; None where there are none.

        None too where ``on_step`` (told which lanes finished, [N]) asked to stop meanwhile.
        """
        made = self.children(replay, wanted, rng)
        return played(self.collector, made, self._fits.horizon, on_step) if made else None

    def children(self, replay: EpisodeReplay, wanted: int, rng: np.random.Generator) -> list[Ids]:
        """The actions of at most so many sequences that the replay does not hold."""
        found: dict[bytes, Ids] = {}
        for _ in range(TRIES * wanted if len(replay) > 1 else 0):
            if len(found) == wanted:
                break
            actions = self._child(replay.sample(2, rng).tokens, rng)
            if actions is not None and not replay.holds(self._padded(actions)).any():
                found[actions.tobytes()] = actions
        return list(found.values())

    def _child(self, parents: Ids, rng: np.random.Generator) -> Ids | None:
        """The actions of one child of two episodes [2, T], if it can be an episode."""
        size = self.vocabulary.size
        one, other = (np.concatenate([self.primer, row[row < size]]) for row in parents)
        child = self._cross(one, other, rng)
        if child is None:
            return None
        try:
            return self._fits.actions(child)
        except ValueError:  # too long, another beginning than the primer, or forbidden by the mask
            return None

    def _padded(self, actions: Ids) -> Ids:
        return self.vocabulary.padded([actions.tolist()], self._fits.horizon)


def make_breeder(
    settings: SequenceSettings, loss: Loss | None, facts: EnvFacts, collector: Collector
) -> Breeder | None:
    """A learner's, where its settings ask for one.

    Raises:
        ValueError: the domain crosses no sequences, or the learner cannot learn from children.
    """
    if settings.explore != "genetic":
        return None
    if loss is None or not loss.off_policy:
        raise ValueError(
            "explore must not be 'genetic' where an agent learns from its own episodes only: use "
            "psi, g, tb or q"
        )
    if not settings.replay_unique:
        raise ValueError("explore='genetic' needs replay_unique: only new children are played")
    return Breeder(facts, collector)
