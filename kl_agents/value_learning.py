"""What Q, Psi and G learning share: a value network, a lagging target, regression on targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kl_agents.algorithm import SequenceAlgorithm, in_range
from kl_agents.backups import chosen, cut_traces, soft_lambda_targets, step_mask
from kl_agents.networks import polyak
from kl_agents.replay import EpisodeBatch
from kl_agents.schedules import ScheduleSpec


@dataclass(frozen=True)
class LossInputs:
    """A batch as tensors, and what the networks say of it; shapes as in ``backups``."""

    actions: Tensor
    lengths: Tensor
    log_prior: Tensor
    task_reward: Tensor
    log_behaviour: Tensor
    rewards: Tensor
    g: Tensor
    g_target: Tensor
    c: float


class EpisodicValueLearning(SequenceAlgorithm):
    """Regression of the values of the actions taken on targets of a lagging network.

    The error is measured in reward units (c times nats), where its size does not depend on c.

    Args:
        tau: the target network moves this share of the way after every update (Polyak; the paper
            has 0.01).
        huber_delta: errors beyond this, in reward units, count linearly.
        others: see :class:`~kl_agents.algorithm.SequenceAlgorithm`.
    """

    saved_arguments: ClassVar[tuple[str, ...]] = (
        *SequenceAlgorithm.saved_arguments, "tau", "huber_delta",
    )  # fmt: skip

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 2e-3,
        *,
        tau: float = 0.05,
        huber_delta: float = 10.0,
        **others: Any,
    ) -> None:
        self.tau = in_range("tau", tau, 0.0, 1.0)
        self.huber_delta = in_range("huber_delta", huber_delta, 1e-9)
        super().__init__(policy, env, learning_rate, **others)

    def _loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, float]]:
        inputs = self._inputs(batch)
        values = self.backup.values(inputs.log_prior, inputs.g, inputs.c)
        with torch.no_grad():
            targets = self._targets(inputs)
            start = self.backup.state_value(inputs.log_prior[:, 0], values[:, 0]).mean()
        mask = step_mask(inputs.lengths, targets.shape[1])
        error = inputs.c * (chosen(values, inputs.actions) - targets) * mask
        loss = torch.nn.functional.huber_loss(
            error, torch.zeros_like(error), reduction="sum", delta=self.huber_delta
        )
        count = mask.sum()
        metrics = {
            "value_start": float(start),
            "td_error": float(error.detach().abs().sum() / count),
        }
        return loss / (count * self.huber_delta), metrics

    def _inputs(self, batch: EpisodeBatch) -> LossInputs:
        tensors = {
            name: torch.from_numpy(values).to(self.device) for name, values in vars(batch).items()
        }
        c = self.policy.c
        tokens, primer = tensors["tokens"], self._primer()
        actions = tokens.clamp(max=self.policy.vocabulary_size - 1)
        log_prior_taken = chosen(tensors["log_prior"], actions)
        with torch.no_grad():
            g_target = self.policy.target(tokens, primer)
        return LossInputs(
            actions=actions,
            lengths=tensors["lengths"],
            log_prior=tensors["log_prior"],
            task_reward=tensors["task_reward"],
            log_behaviour=tensors["log_behaviour"],
            rewards=self.backup.rewards(log_prior_taken, tensors["task_reward"], c),
            g=self._network(tokens, primer),
            g_target=g_target,
            c=c,
        )

    def _targets(self, inputs: LossInputs) -> Tensor:
        """What the values of the actions taken should be, in nats, [B, T]."""
        raise NotImplementedError

    def _after_update(self) -> None:
        polyak(self.policy.network, self.policy.target, self.tau)


class SoftValueLearning(EpisodicValueLearning):
    """Psi and G: lambda-returns by path consistency, with traces cut off policy.

    Args:
        lambda_: 0 is the paper's one-step target, 1 whole trajectories.
        others: see :class:`EpisodicValueLearning`.
    """

    saved_arguments: ClassVar[tuple[str, ...]] = (
        *EpisodicValueLearning.saved_arguments, "lambda_",
    )  # fmt: skip

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 2e-3,
        *,
        lambda_: float = 0.9,
        **others: Any,
    ) -> None:
        self.lambda_ = in_range("lambda_", lambda_, 0.0, 1.0)
        super().__init__(policy, env, learning_rate, **others)

    def _targets(self, inputs: LossInputs) -> Tensor:
        values = self.backup.values(inputs.log_prior, inputs.g_target, inputs.c)
        log_pi = chosen(self.backup.log_policy(inputs.log_prior, values), inputs.actions)
        log_prior = chosen(inputs.log_prior, inputs.actions)
        return soft_lambda_targets(
            inputs.rewards,
            self.backup.state_value(inputs.log_prior, values),
            inputs.task_reward / inputs.c + log_prior - log_pi,
            inputs.lengths,
            self.discount,
            cut_traces(self.lambda_, log_pi, inputs.log_behaviour),
        )
