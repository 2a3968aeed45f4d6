"""G-learning (Fox et al. 2016): KL-control with the prior outside the value."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import GBackup
from kl_agents.losses import SoftValueLoss
from kl_agents.settings import SoftValueSettings


class GLearning(SequenceAlgorithm):
    """G-learning: the same optimum as :class:`~kl_agents.PsiLearning`, G* = Psi* - log p.

    The paper's G network started at the prior's own logits, which counts the prior twice; here G
    starts at exactly 0.
    """

    settings_class = SoftValueSettings
    loss_class = SoftValueLoss
    backup = GBackup()
    estimates_objective = True
