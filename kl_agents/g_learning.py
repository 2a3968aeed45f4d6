"""G-learning (Fox et al. 2016): KL-control with the prior outside the value."""

from __future__ import annotations

import torch
from torch import Tensor

from kl_agents.backups import g_state_value, without_impossible
from kl_agents.value_learning import SoftValueLearning


class GBackup:
    """G(s, a) <- r/c + gamma log sum p(.|s') exp G(s', .) (Jaques et al. 2017, eq. 10)."""

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """G = g / c."""
        return g / c

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """log sum_a p(a|s) exp G(s, a)."""
        return g_state_value(without_impossible(log_prior), values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """softmax(log p + G)."""
        return torch.log_softmax(without_impossible(log_prior) + values, dim=-1)

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """r/c: the environment's reward without its log p."""
        return task_reward / c


class GLearning(SoftValueLearning):
    """G-learning: the same optimum as :class:`~kl_agents.PsiLearning`, G* = Psi* - log p.

    The paper's G network started at the prior's own logits, which counts the prior twice; here G
    starts at exactly 0.

    Args: see :class:`~kl_agents.algorithm.SoftValueLearning`.
    """

    backup = GBackup()
