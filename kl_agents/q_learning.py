"""Q-learning on log p + r/c: the paper's DQN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kl_agents.algorithm import in_range
from kl_agents.backups import (
    greedy_log_policy,
    n_step_targets,
    q_state_value,
    without_impossible,
)
from kl_agents.schedules import Schedule, ScheduleSpec
from kl_agents.value_learning import EpisodicValueLearning, LossInputs

#: A greedy policy repeats itself, so it needs exploring: fully at first, little from half-way on.
FALLING_EPSILON = Schedule(1.0, 0.05, fraction=0.5)


@dataclass(frozen=True)
class QBackup:
    """Q(s, a) <- w log p(a|s) + r/c + gamma max Q(s', .) (Jaques et al. 2017, eq. 6).

    Args:
        prior_weight: w; 0 takes the prior out of the reward (the paper's RL-only).
    """

    prior_weight: float = 1.0

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """Q = w log p + g / c."""
        reachable = without_impossible(log_prior)
        if self.prior_weight == 1.0:
            return reachable + g / c
        return (reachable - log_prior) + self.prior_weight * log_prior + g / c

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """max_a Q(s, a)."""
        return q_state_value(values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """The greedy policy."""
        return greedy_log_policy(values)

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """w log p + r/c."""
        return self.prior_weight * log_prior + task_reward / c


class QLearning(EpisodicValueLearning):
    """DQN whose reward is log p(a|s) + r_T/c.

    This is the paper's method and not KL-control: the reward lacks the entropy term -log q, so the
    optimum is a single sequence (the one with the largest log p + R/c) and the policy collapses
    onto it. Kept as it is, for comparison.

    Not deterministic, :meth:`predict` draws the first token from the prior and then acts greedily:
    as in the paper, where melodies are primed with a first note; otherwise all would be the same.

    Args:
        n_step: steps of the target; above 1 it is biased off policy (there is no identity that
            corrects a max).
        double: the online network picks the action that the target network values.
        explore, epsilon: see :class:`~kl_agents.algorithm.SequenceAlgorithm`. By default episodes
            are the prior's at first and, from half of the training on, greedy but for one token
            in 20: the greedy policy alone would collect one sequence over and over.
        others: see :class:`~kl_agents.value_learning.EpisodicValueLearning`.
    """

    backup = QBackup()
    prime_tokens = 1
    saved_arguments: ClassVar[tuple[str, ...]] = (
        *EpisodicValueLearning.saved_arguments, "n_step", "double",
    )  # fmt: skip

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 2e-3,
        *,
        n_step: int = 1,
        double: bool = False,
        explore: str = "prior",
        epsilon: ScheduleSpec = FALLING_EPSILON,
        **others: Any,
    ) -> None:
        self.n_step = int(in_range("n_step", n_step, 1))
        self.double = double
        super().__init__(policy, env, learning_rate, explore=explore, epsilon=epsilon, **others)

    def _targets(self, inputs: LossInputs) -> Tensor:
        target_values = self.backup.values(inputs.log_prior, inputs.g_target, inputs.c)
        if self.double:
            online = self.backup.values(inputs.log_prior, inputs.g.detach(), inputs.c)
            best = online.argmax(dim=-1, keepdim=True)
            values = target_values.gather(-1, best).squeeze(-1)
        else:
            values = self.backup.state_value(inputs.log_prior, target_values)
        return n_step_targets(inputs.rewards, values, inputs.lengths, self.discount, self.n_step)
