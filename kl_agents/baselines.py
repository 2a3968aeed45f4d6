"""What KL-control is compared with, behind the same interface."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import PsiBackup
from kl_agents.losses import AugmentedLikelihoodLoss
from kl_agents.settings import PriorSettings, ReinventSettings


class PriorAgent(SequenceAlgorithm):
    """The frozen prior itself (the paper's Note RNN): g stays 0, :meth:`learn` only collects."""

    settings_class = PriorSettings
    backup = PsiBackup()
    policy_defaults = {"init": "random"}  # never consulted: works with any prior


class Reinvent(SequenceAlgorithm):
    """REINVENT's augmented likelihood, with experience replay (Olivecrona et al. 2017).

    Minimises (log p(tau) + sigma R(tau) - log q(tau))^2 over replayed sequences, sigma = 1/c: its
    zero is KL-control's optimum up to log Z, which this loss has no term for. What that leaves out
    cancels on average over the policy's own episodes and not over older ones, so by default the
    replay is short and keeps repeated sequences as often as they were drawn.
    """

    settings_class = ReinventSettings
    loss_class = AugmentedLikelihoodLoss
    backup = PsiBackup()
