"""An algorithm of a third party: its setting, its loss, its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from kl_agents import SequenceAlgorithm
from kl_agents.backups import PsiBackup, chosen
from kl_agents.checking import Within
from kl_agents.losses import Loss
from kl_agents.settings import SequenceSettings


@dataclass(frozen=True, kw_only=True)
class ImitationSettings(SequenceSettings):
    """What imitation needs besides.

    Args:
        best: share of the batch that is imitated.
        weight: of the likelihood.
    """

    best: Annotated[float, Within(0, 1, above=True)] = 0.25
    weight: float = 1.0
    by: Literal["return", "length"] = "return"


class ImitationLoss(Loss):
    """Likelihood of the best episodes of the batch."""

    settings: ImitationSettings

    def __call__(self, batch, networks):
        values = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        taken = chosen(self.backup.log_policy(batch.log_prior, values), batch.actions)
        log_q = (taken * batch.mask).sum(1)
        by_return = self.settings.by == "return"
        score = batch.task_reward.sum(1) if by_return else batch.lengths
        best = torch.topk(score, max(1, round(self.settings.best * len(score)))).indices
        return -self.settings.weight * log_q[best].mean(), {"log_q": float(log_q.detach().mean())}


class Imitation(SequenceAlgorithm):
    """Imitates the best episodes (the cross-entropy method)."""

    settings_class = ImitationSettings
    loss_class = ImitationLoss
    backup = PsiBackup()
