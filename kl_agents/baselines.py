"""What KL-control is compared with, behind the same interface."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import LogitsBackup, PsiBackup
from kl_agents.best_replay import BestReplay
from kl_agents.settings import PriorSettings, ReinventPMOSettings, ReinventSettings
from kl_agents.trajectory_losses import AugmentedLikelihoodLoss, PublishedReinventLoss


class PriorAgent(SequenceAlgorithm):
    """The frozen prior itself (the paper's Note RNN): g stays 0, :meth:`learn` only collects."""

    settings_class = PriorSettings
    backup = PsiBackup()
    policy_defaults = {"init": "random"}  # never consulted: works with any prior


class Reinvent(SequenceAlgorithm):
    """REINVENT's augmented likelihood, with experience replay (Olivecrona et al. 2017).

    Minimises (log p(tau) + sigma R(tau) - log q(tau))^2 over replayed sequences, sigma = 1/c.

    Bias: its zero is KL-control's optimum up to log Z, which this loss has no term for. What that
    leaves out cancels on average over the policy's own episodes and not over older ones, so by
    default the replay is short and keeps repeated sequences as often as they were drawn.
    """

    settings_class = ReinventSettings
    loss_class = AugmentedLikelihoodLoss
    backup = PsiBackup()


class ReinventPMO(SequenceAlgorithm):
    """REINVENT as the PMO benchmark ran it (Gao et al. 2022; Olivecrona et al. 2017).

    Minimises the mean of (log p + sigma R - log q)^2 - 5000 / log q, sigma 500, over the distinct
    sequences of a round of 64 and 24 of the best 100 before it (probability by score); Adam 5e-4,
    one update a round, gradients as they are. The policy is the network's own softmax, a copy of
    the prior at first; c plays no part in it. For task returns in 0..1. After mol_opt's
    main/reinvent (run.py, data_structs.py, hparams_default.yaml); its stopping after five rounds
    without a new best 100 is left out, the budget is spent.

    Bias: that of :class:`Reinvent` at c = 1/sigma, and of a replay of the best.
    """

    settings_class = ReinventPMOSettings
    loss_class = PublishedReinventLoss
    backup = LogitsBackup()
    policy_defaults = {"init": "whole", "scale": 1.0}
    settings: ReinventPMOSettings

    def _make_replay(self) -> BestReplay:
        assert self.facts is not None
        return BestReplay(
            self.settings.replay_capacity,
            self.facts.horizon,
            self.policy.vocabulary_size,
            memory=self.settings.memory,
            replayed=self.settings.replayed,
        )
