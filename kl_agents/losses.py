"""What the learners of values minimise; the base of all losses, and what they are called with.

A loss is one small object a method. Those over whole trajectories are in
:mod:`kl_agents.trajectory_losses`.

A loss is made of the learner's settings and its backup (:mod:`kl_agents.backups`), and called with
a batch and the networks. Targets are pure functions of :mod:`kl_agents.backups`. The lagging target
network is the loss's affair: one that looks at it moves it in :meth:`Loss.after_update`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from kl_agents.backups import (
    Backup,
    SoftBackup,
    chosen,
    cut_traces,
    n_step_targets,
    soft_lambda_targets,
    step_mask,
)
from kl_agents.networks import polyak
from kl_agents.replay import EpisodeBatch
from kl_agents.settings import QSettings, SoftValueSettings, ValueSettings
from kl_agents.shown import Shown, few_at_a_time


@dataclass(frozen=True)
class Batch:
    """B episodes of at most T steps, as tensors.

    Attributes:
        tokens: int64 [B, T], padded with V; the primer is not part of them.
        actions: the same with the padding replaced by an index that exists, to gather with.
        lengths: int64 [B].
        mask: bool [B, T], True at the steps of each episode.
        log_prior_taken: float32 [B, T], log p(a_t|s_t).
        task_reward: float32 [B, T], r_T(s_t, a_t), not divided by c.
        log_behaviour: float32 [B, T], log probability with which a_t was chosen.
        c: temperature of the task reward.
        vocabulary_size: V.
        stored: float32 [B, T, V], log p(.|s_t), or None where the replay does not keep it.
        shown: what gives it then.
    """

    tokens: Tensor
    actions: Tensor
    lengths: Tensor
    mask: Tensor
    log_prior_taken: Tensor
    task_reward: Tensor
    log_behaviour: Tensor
    c: float
    vocabulary_size: int
    stored: Tensor | None
    shown: Shown

    @classmethod
    def of(
        cls, episodes: EpisodeBatch, c: float, shown: Shown, device: torch.device | str = "cpu"
    ) -> Batch:
        """The tensors of replayed episodes."""
        given = {n: torch.from_numpy(a).to(device) for n, a in episodes.arrays().items()}
        stored, size = given.pop("log_prior", None), shown.prior.vocabulary.size
        actions = given["tokens"].clamp(max=size - 1)
        mask = step_mask(given["lengths"], given["tokens"].shape[1])
        return cls(
            actions=actions, mask=mask, c=c, vocabulary_size=size, stored=stored, shown=shown,
            **given,
        )  # fmt: skip

    @cached_property
    def log_prior(self) -> Tensor:
        """log p(.|s_t), float32 [B, T, V].

        With a large vocabulary it is asked of the prior here: read it of :meth:`parts` then.
        """
        if self.stored is not None:
            return self.stored
        asked = self.shown(self.tokens.cpu().numpy(), self.lengths.cpu().numpy())
        return torch.from_numpy(asked).to(self.tokens.device)

    def rows(self, rows: slice) -> Batch:
        """Some of the episodes."""
        tensors = {n: x for n, x in vars(self).items() if isinstance(x, Tensor)}
        tensors.pop("log_prior", None)  # kept by the cached property
        cut: dict[str, Any] = {name: tensor[rows] for name, tensor in tensors.items()}
        return replace(self, **cut)

    def parts(self) -> Iterator[Batch]:
        """The batch in parts whose [B, T, V] are not large; a small one is its only part."""
        slices = list(few_at_a_time(self.tokens.shape, self.vocabulary_size))
        return iter([self]) if len(slices) == 1 else (self.rows(part) for part in slices)


@dataclass(frozen=True)
class Networks:
    """The network in training and its lag, in reward units.

    Attributes:
        online: g [B, T, V] of tokens int64 [B, T].
        taken: g [B, T] of tokens and actions, both int64 [B, T]; with a large vocabulary it is
            much smaller and quicker than ``online``.
        parts: as ``online``, and v(s) [B, T] of a dueling network, which is part of g.
        target: as ``online``, of the lagging network.
    """

    online: Callable[[Tensor], Tensor]
    taken: Callable[[Tensor, Tensor], Tensor]
    parts: Callable[[Tensor], tuple[Tensor, Tensor]]
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
        values = self.taken(batch, networks)
        with torch.no_grad():
            targets, state_values = self.targets(batch, networks)
            start = float(state_values[:, 0].mean())
        error = batch.c * (values - targets) * batch.mask
        delta, count = self.settings.huber_delta, batch.mask.sum()
        loss = huber_loss(error, torch.zeros_like(error), reduction="sum", delta=delta)
        td_error = float(error.detach().abs().sum() / count)
        return loss / (count * delta), {"start_value": start, "td_error": td_error}

    def taken(self, batch: Batch, networks: Networks) -> Tensor:
        """Values of the actions taken, in nats, [B, T], to be moved to their targets."""
        g = networks.taken(batch.tokens, batch.actions)
        return self.backup.values(batch.log_prior_taken, g, batch.c)

    def targets(self, batch: Batch, networks: Networks) -> tuple[Tensor, Tensor]:
        """What the values of the actions taken should be, and V(s_t) of the target network.

        Both in nats, [B, T], and without a gradient.
        """
        raise NotImplementedError

    def lagging(self, batch: Batch, networks: Networks) -> Tensor:
        """The target network's values of every action, in nats, [B, T, V]."""
        return self.backup.values(batch.log_prior, networks.target(batch.tokens), batch.c)

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
    backup: SoftBackup

    def taken(self, batch: Batch, networks: Networks) -> Tensor:
        """The values of :class:`ValueLoss`; dueling ones move V(s) and log pi(a|s), each alone.

        A value is V(s) + log pi(a|s), but for what no network decides. To move it as one number
        moves the action taken against all others even where the error is V's: all that is likely
        becomes less so while V falls. Apart, the gradient of log pi sums to 0 over what pi draws.
        """
        if not self.settings.dueling:
            return super().taken(batch, networks)
        g, v = networks.parts(batch.tokens)
        values = self.backup.values(batch.log_prior, g, batch.c)
        state = self.backup.state_value(batch.log_prior, values)
        taken = chosen(values, batch.actions)
        log_pi = self.backup.log_taken(batch.log_prior_taken, taken, state)
        moving = log_pi + v / batch.c
        return taken.detach() + (moving - moving.detach())

    def targets(self, batch: Batch, networks: Networks) -> tuple[Tensor, Tensor]:
        """See :class:`ValueLoss`."""
        values, log_pi = _columns(self._judged(part, networks) for part in batch.parts())
        targets = soft_lambda_targets(
            self.rewards(batch),
            values,
            batch.task_reward / batch.c + batch.log_prior_taken - log_pi,
            batch.lengths,
            self.settings.discount,
            cut_traces(self.settings.lambda_, log_pi, batch.log_behaviour),
        )
        return targets, values

    def _judged(self, batch: Batch, networks: Networks) -> tuple[Tensor, Tensor]:
        """V(s_t) and log pi(a_t|s_t) of the target network, [B, T] each."""
        lagging = self.lagging(batch, networks)
        values = self.backup.state_value(batch.log_prior, lagging)
        taken = chosen(lagging, batch.actions)
        return values, self.backup.log_taken(batch.log_prior_taken, taken, values)


class QLoss(ValueLoss):
    """Q: ``n_step`` rewards and a max; with ``double`` the online network picks its action."""

    settings: QSettings

    def targets(self, batch: Batch, networks: Networks) -> tuple[Tensor, Tensor]:
        """See :class:`ValueLoss`."""
        (values,) = _columns((self._best(part, networks),) for part in batch.parts())
        targets = n_step_targets(
            self.rewards(batch), values, batch.lengths, self.settings.discount, self.settings.n_step
        )
        return targets, values

    def _best(self, batch: Batch, networks: Networks) -> Tensor:
        """V(s_t), [B, T]."""
        lagging = self.lagging(batch, networks)
        if not self.settings.double:
            return self.backup.state_value(batch.log_prior, lagging)
        online = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        return chosen(lagging, online.argmax(dim=-1))


def _columns(parts: Iterator[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """The tensors of all parts of a batch, one after the other."""
    found = list(parts)
    return found[0] if len(found) == 1 else tuple(map(torch.cat, zip(*found, strict=True)))
