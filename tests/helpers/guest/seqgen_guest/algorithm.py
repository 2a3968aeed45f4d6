"""An algorithm: the cross-entropy method, log-likelihood of the best episodes of each batch."""

from dataclasses import dataclass
from typing import Annotated

from kl_agents import SequenceAlgorithm
from kl_agents.backups import PsiBackup, chosen
from kl_agents.checking import Within
from kl_agents.losses import Loss
from kl_agents.settings import SequenceSettings


@dataclass(frozen=True, kw_only=True)
class EliteSettings(SequenceSettings):
    """Of the cross-entropy method.

    Args:
        elite_share: this share of a batch, the best by task return, is learned from.
    """

    elite_share: Annotated[float, Within(0, 1)] = 0.25


class EliteLoss(Loss):
    """-log q of the elite."""

    def __call__(self, batch, networks):
        """See :class:`Loss`."""
        count = max(int(self.settings.elite_share * len(batch.tokens)), 1)
        best = batch.task_reward.sum(1).topk(count).indices
        values = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        log_q = chosen(self.backup.log_policy(batch.log_prior, values), batch.actions)
        return -(log_q * batch.mask).sum(1)[best].mean(), {"elite": float(count)}


class Elite(SequenceAlgorithm):
    """The cross-entropy method (Rubinstein 1999), kept at no distance from the prior."""

    settings_class = EliteSettings
    loss_class = EliteLoss
    backup = PsiBackup()
