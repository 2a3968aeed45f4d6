"""What the learners of values minimise; the base of all losses, and what they are called with.

A loss is one small object a method. Those over whole trajectories are in
:mod:`kl_agents.trajectory_losses`.

A loss is made of the learner's settings and its backup (:mod:`kl_agents.backups`), and called with
a batch and the networks. Targets are pure functions of :mod:`kl_agents.backups`. The lagging target
network is the loss's affair: one that looks at it moves it in :meth:`Loss.after_update`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from kl_agents.backups import (
    Backup,
    chosen,
    cut_traces,
    n_step_targets,
    soft_lambda_targets,
    step_mask,
)
from kl_agents.networks import polyak
from kl_agents.replay import EpisodeBatch
from kl_agents.settings import QSettings, SoftValueSettings, ValueSettings


@dataclass(frozen=True)
class Batch:
    """B episodes of at most T steps, as tensors.

    Attributes:
        tokens: int64 [B, T], padded with V; the primer is not part of them.
        actions: the same with the padding replaced by an index that exists, to gather with.
        lengths: int64 [B].
        mask: bool [B, T], True at the steps of each episode.
        log_prior: float32 [B, T, V], log p(.|s_t).
        log_prior_taken: float32 [B, T], log p(a_t|s_t).
        task_reward: float32 [B, T], r_T(s_t, a_t), not divided by c.
        log_behaviour: float32 [B, T], log probability with which a_t was chosen.
        c: temperature of the task reward.
    """

    tokens: Tensor
    actions: Tensor
    lengths: Tensor
    mask: Tensor
    log_prior: Tensor
    log_prior_taken: Tensor
    task_reward: Tensor
    log_behaviour: Tensor
    c: float

    @classmethod
    def of(cls, episodes: EpisodeBatch, c: float, device: torch.device | str = "cpu") -> Batch:
        """The tensors of replayed episodes."""
        given = {name: torch.from_numpy(a).to(device) for name, a in vars(episodes).items()}
        tokens, log_prior = given["tokens"], given["log_prior"]
        actions = tokens.clamp(max=log_prior.shape[-1] - 1)
        mask = step_mask(given["lengths"], tokens.shape[1])
        taken = chosen(log_prior, actions)
        return cls(actions=actions, mask=mask, log_prior_taken=taken, c=c, **given)


@dataclass(frozen=True)
class Networks:
    """g [B, T, V] in reward units, of tokens int64 [B, T]: the network in training and its lag."""

    online: Callable[[Tensor], Tensor]
    target: Callable[[Tensor], Tensor]


class Loss:
    """The base of all losses.

    Args:
        settings: the learner's.
        backup: how g becomes values and a policy.

    Attributes:
        off_policy: whether what it tends to does not depend on who collected the episodes, so that
            the replay may be seeded with any.
    """

    off_policy: ClassVar[bool] = False

    def __init__(self, settings: Any, backup: Backup) -> None:
        self.settings, self.backup = settings, backup

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """A scalar to differentiate, and metrics to log under ``train/``."""
        raise NotImplementedError

    def after_update(self, network: nn.Module, target: nn.Module) -> None:
        """Move the target network; a loss that does not look at it leaves it."""

    def initial_value(self, episodes: EpisodeBatch) -> float:
        """g to start from, in reward units, given the first episodes; 0 where it plays no part."""
        return 0.0


class ValueLoss(Loss):
    """Regression of the values of the actions taken on targets of the lagging network.

    The error is measured in reward units (c times nats), where its size does not depend on c.
    """

    off_policy = True
    settings: ValueSettings

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """See :class:`Loss`."""
        values = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        with torch.no_grad():
            lagging = self.backup.values(batch.log_prior, networks.target(batch.tokens), batch.c)
            targets = self.targets(batch, values.detach(), lagging)
            start = self.backup.state_value(batch.log_prior[:, 0], values[:, 0]).mean()
        error = batch.c * (chosen(values, batch.actions) - targets) * batch.mask
        delta, count = self.settings.huber_delta, batch.mask.sum()
        loss = huber_loss(error, torch.zeros_like(error), reduction="sum", delta=delta)
        td_error = float(error.detach().abs().sum() / count)
        return loss / (count * delta), {"start_value": float(start), "td_error": td_error}

    def targets(self, batch: Batch, online: Tensor, lagging: Tensor) -> Tensor:
        """What the values of the actions taken should be, in nats, [B, T].

        ``online`` and ``lagging`` [B, T, V] are the values as the two networks have them.
        """
        raise NotImplementedError

    def initial_value(self, episodes: EpisodeBatch) -> float:
        """The mean, over their steps, of the discounted task return that is still to come: the best
        guess of one number for all states, where the policy is still the prior.
        """
        to_come = episodes.task_reward.astype(np.float64)
        for t in range(to_come.shape[1] - 2, -1, -1):
            to_come[:, t] += self.settings.discount * to_come[:, t + 1]
        steps = np.arange(to_come.shape[1]) < episodes.lengths[:, None]
        return float(to_come[steps].mean())

    def rewards(self, batch: Batch) -> Tensor:
        """What the learner is paid for the actions taken, [B, T]."""
        return self.backup.rewards(batch.log_prior_taken, batch.task_reward, batch.c)

    def after_update(self, network: nn.Module, target: nn.Module) -> None:
        """The target follows by ``tau``."""
        polyak(network, target, self.settings.tau)


class SoftValueLoss(ValueLoss):
    """Psi and G: lambda-returns by path consistency, with traces cut off policy."""

    settings: SoftValueSettings

    def targets(self, batch: Batch, online: Tensor, lagging: Tensor) -> Tensor:
        """See :class:`ValueLoss`."""
        log_pi = chosen(self.backup.log_policy(batch.log_prior, lagging), batch.actions)
        return soft_lambda_targets(
            self.rewards(batch),
            self.backup.state_value(batch.log_prior, lagging),
            batch.task_reward / batch.c + batch.log_prior_taken - log_pi,
            batch.lengths,
            self.settings.discount,
            cut_traces(self.settings.lambda_, log_pi, batch.log_behaviour),
        )


class QLoss(ValueLoss):
    """Q: ``n_step`` rewards and a max; with ``double`` the online network picks its action."""

    settings: QSettings

    def targets(self, batch: Batch, online: Tensor, lagging: Tensor) -> Tensor:
        """See :class:`ValueLoss`."""
        if self.settings.double:
            values = chosen(lagging, online.argmax(dim=-1))
        else:
            values = self.backup.state_value(batch.log_prior, lagging)
        return n_step_targets(
            self.rewards(batch), values, batch.lengths, self.settings.discount, self.settings.n_step
        )
