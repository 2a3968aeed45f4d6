"""Best of n: draw n sequences from the prior and keep one. Nothing is trained."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import PsiBackup
from kl_agents.collection import VecEnvLanes
from kl_agents.policy import SequencePolicy, StateArrays
from kl_agents.settings import BestOfNSettings
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import sample_rows

#: Sequences that are drawn at a time.
TOGETHER = 16_384


class BestOfNPolicy(SequencePolicy):
    """Plays, token by token, the best of n sequences that it has drawn from the prior.

    How likely that makes a sequence is not known, so it shows no distribution; what is known is
    that KL(q || p) is at most ``kl_at_most``.
    """

    shows_distribution = False
    candidates, soft = 16, False
    _lanes: Lanes | None = None

    @property
    def kl_at_most(self) -> float:
        """log n - (n - 1)/n for the best of n (Beirami et al. 2024), log n for a soft choice."""
        n = self.candidates
        return math.log(n) - (0.0 if self.soft else (n - 1) / n)

    def plan_in(self, lanes: Lanes) -> None:
        """Draw and score sequences as these lanes would: the same prior, and the task itself."""
        self._lanes = lanes

    def predict(
        self,
        observation: Any,
        state: StateArrays | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.int64], StateArrays]:
        """See :class:`~kl_agents.policy.SequencePolicy`; ``state`` holds the sequences chosen.

        Without it n sequences are drawn at every call, to go on from the prefix.

        Raises:
            ValueError: there is no environment to draw them in.
        """
        tokens, _ = self._arrays(observation)
        plans = np.zeros_like(tokens) if state is None else state[0].astype(np.int64)
        first = np.broadcast_to(
            True if state is None else False if episode_start is None else episode_start,
            len(tokens),
        )
        lengths = (tokens < self.vocabulary_size).sum(axis=1)
        # lanes that rest after their last episode are marked too: nothing follows what they show
        begin = first & (lengths < tokens.shape[1])
        if begin.any():
            plans[begin] = self._chosen(tokens[begin])
        at = np.minimum(lengths, tokens.shape[1] - 1)
        actions = np.minimum(plans[np.arange(len(plans)), at], self.vocabulary_size - 1)
        kept: StateArrays = (plans.astype(np.float32),)
        return (actions[0] if np.ndim(observation["tokens"]) == 1 else actions), kept

    def _chosen(self, prefixes: NDArray[np.int64]) -> NDArray[np.int64]:
        """A whole sequence for each prefix, both int64 [N, T]."""
        if self._lanes is None:
            raise ValueError(
                "best-of-n draws sequences and scores them while it acts: give it its environment, "
                "with load(path, env=...) or policy.plan_in(lanes)"
            )
        size = max(1, TOGETHER // self.candidates)
        parts = [prefixes[i : i + size] for i in range(0, len(prefixes), size)]
        return np.concatenate([self._best(part, self._lanes) for part in parts])

    def _best(self, prefixes: NDArray[np.int64], around: Lanes) -> NDArray[np.int64]:
        n = self.candidates
        settings = replace(around.settings, task=around.task, prior=around.prior)
        lanes = Lanes(len(prefixes) * n, settings)
        begun = [tuple(row[row < self.vocabulary_size].tolist()) for row in prefixes]
        returns = _played(lanes, [primer for primer in begun for _ in range(n)], self.rng)
        scores = returns.reshape(len(prefixes), n)
        kept = sample_rows(scores / self.c, self.rng) if self.soft else scores.argmax(axis=1)
        rows = np.arange(len(prefixes)) * n + kept
        chosen: NDArray[np.int64] = lanes.tokens[rows]
        return chosen


def _played(
    lanes: Lanes, primers: list[tuple[int, ...]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Task returns [N] of sequences of the prior that go on from ``primers``, played in lanes."""
    returns, waiting = np.zeros(lanes.n), []
    lanes.reset(primers=primers)
    while not lanes.finished.all():
        actions = sample_rows(lanes.log_prior, rng)
        step = lanes.step(actions, idle=lanes.finished.copy(), later=True)
        returns += step.task_reward
        waiting += np.flatnonzero(step.waiting).tolist()
    returns[waiting] += lanes.judge().sum(axis=1)
    return returns


class BestOfN(SequenceAlgorithm):
    """The best of n sequences of the prior (Beirami et al. 2024), the bar that training must clear.

    Keeps argmax R of n draws, or one with probability by exp(R/c) (``soft``). :meth:`learn` only
    collects: it costs what it would cost to draw as many.

    Bias: tilts p by the rank of R, not by exp(R/c), so its end is not q* at any n; its KL(q || p)
    is at most log n - (n - 1)/n, so far from the prior it cannot get. The soft choice tends to q*
    as n grows. c plays no part in the hard one.
    """

    settings_class = BestOfNSettings
    backup = PsiBackup()
    policy_defaults = {"init": "random"}  # never consulted
    policy_aliases: dict[str, type[BasePolicy]] = {"SequencePolicy": BestOfNPolicy}  # type: ignore[misc]
    shows_distribution = False
    settings: BestOfNSettings
    policy: BestOfNPolicy

    @property
    def kl_at_most(self) -> float:
        """See :class:`BestOfNPolicy`."""
        return self.policy.kl_at_most

    def plan_in(self, lanes: Lanes) -> None:
        """See :class:`BestOfNPolicy`."""
        self.policy.plan_in(lanes)

    def _setup_model(self) -> None:
        super()._setup_model()
        self.policy.candidates, self.policy.soft = self.settings.candidates, self.settings.soft

    def _enter(self) -> None:
        super()._enter()
        assert self.collector is not None
        source = self.collector.source
        self.plan_in(source.env.get_attr("lanes")[0] if isinstance(source, VecEnvLanes) else source)
