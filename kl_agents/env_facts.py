"""What a learner asks its environment for, beside episodes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from kl_agents.augmentation import Augmenter
from kl_agents.shown import Shown
from seqgen_envs.domain import ActionMask, Domain


class EnvFacts:
    """Of one SB3 ``VecEnv`` of sequence environments, all alike."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env

    def _attribute(self, name: str) -> Any:
        return self.env.get_attr(name)[0]

    @property
    def prior(self) -> Any:
        """The frozen prior."""
        return self._attribute("prior")

    @property
    def domain(self) -> Domain:
        """Its domain."""
        found: Domain = self._attribute("domain")
        return found

    @property
    def mask(self) -> ActionMask | None:
        """Its action mask, if it has one."""
        found: ActionMask | None = self._attribute("mask")
        return found

    @property
    def c(self) -> float:
        """Temperature of the task reward."""
        return float(self._attribute("c"))

    @property
    def tasks(self) -> list[Any]:
        """Its tasks: one that all lanes share, or one a single environment."""
        return list({id(task): task for task in self.env.get_attr("task")}.values())

    @cached_property
    def primer(self) -> NDArray[np.int64]:
        """What every episode starts with, int64 [P]."""
        first = np.asarray(self.env.reset()["tokens"][0], dtype=np.int64)  # type: ignore[call-overload]
        return first[first < self.env.action_space.n]  # type: ignore[attr-defined]

    @property
    def horizon(self) -> int:
        """Steps of an episode at most: the primer is not part of it."""
        return len(self.env.observation_space["tokens"].nvec) - len(self.primer)  # type: ignore[index]

    @cached_property
    def shown(self) -> Shown:
        """What the environment shows of its prior."""
        return Shown(self.prior, self.primer, self.mask)

    def augmenter(self) -> Augmenter:
        """See :class:`~kl_agents.augmentation.Augmenter`.

        Raises:
            ValueError: the domain has one spelling of everything.
        """
        task = self._attribute("task")
        return Augmenter(self.domain, self.prior, task, self.primer, self.horizon, self.mask)
