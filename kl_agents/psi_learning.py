"""Psi-learning (Rawlik et al. 2012): KL-control with the prior inside the value."""

from __future__ import annotations

import torch
from torch import Tensor

from kl_agents.backups import psi_state_value, without_impossible
from kl_agents.value_learning import SoftValueLearning


class PsiBackup:
    """Psi(s, a) <- log p(a|s) + r/c + gamma log sum exp Psi(s', .) (Jaques et al. 2017, eq. 9)."""

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """Psi = log p + g / c."""
        return without_impossible(log_prior) + g / c

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """log sum_a exp Psi(s, a)."""
        return psi_state_value(values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """softmax(Psi)."""
        return torch.log_softmax(values, dim=-1)

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """log p + r/c."""
        return log_prior + task_reward / c


class PsiLearning(SoftValueLearning):
    """Psi-learning: at discount 1 its optimum is q*(tau) = p(tau) exp(R(tau)/c) / Z.

    In reward units (Psi = log p + g/c) it is the same learner as
    :class:`~kl_agents.GLearning` in other words: Psi = log p + G at every moment, not only at the
    fixed point. The two differ in rounding, and so, after a while, in the episodes they draw.

    Args: see :class:`~kl_agents.algorithm.SoftValueLearning`.
    """

    backup = PsiBackup()
