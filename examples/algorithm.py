"""A learner of your own: the cross-entropy method, which imitates the best episodes of a batch.

seqgen train examples/algorithm.py:Imitation MelodyGen-v0 --set best=0.5 --out runs/imitation
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from kl_agents import SequenceAlgorithm
from kl_agents.backups import PsiBackup, chosen
from kl_agents.checking import Within
from kl_agents.losses import Loss
from kl_agents.settings import SequenceSettings


@dataclass(frozen=True, kw_only=True)
class ImitationSettings(SequenceSettings):
    """What the learner has beside what all have.

    Args:
        best: share of the batch that is imitated.
    """

    best: Annotated[float, Within(0, 1)] = 0.25


class ImitationLoss(Loss):
    """Minus the log-likelihood of the best episodes of the batch."""

    def __call__(self, batch, networks):
        """The loss, and numbers to be logged beside it."""
        values = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        taken = chosen(self.backup.log_policy(batch.log_prior, values), batch.actions)
        best = torch.topk(batch.task_reward.sum(1), round(self.settings.best * len(taken))).indices
        return -(taken * batch.mask).sum(1)[best].mean(), {}


class Imitation(SequenceAlgorithm):
    """Imitates the best episodes."""

    settings_class, loss_class, backup = ImitationSettings, ImitationLoss, PsiBackup()
