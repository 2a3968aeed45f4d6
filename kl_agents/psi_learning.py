"""Psi-learning (Rawlik et al. 2012): KL-control with the prior inside the value."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import PsiBackup
from kl_agents.losses import SoftValueLoss
from kl_agents.settings import SoftValueSettings


class PsiLearning(SequenceAlgorithm):
    """Psi-learning: at discount 1 its optimum is q*(tau) = p(tau) exp(R(tau)/c) / Z.

    In reward units (Psi = log p + g/c) it is the same learner as
    :class:`~kl_agents.GLearning` in other words: Psi = log p + G at every moment, not only at the
    fixed point. The two differ in rounding, and so, after a while, in the episodes they draw.
    """

    settings_class = SoftValueSettings
    loss_class = SoftValueLoss
    backup = PsiBackup()
    estimates_objective = True
