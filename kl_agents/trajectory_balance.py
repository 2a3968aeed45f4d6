"""Trajectory balance (Malkin et al. 2022): KL-control as regression of whole trajectories."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import PsiBackup
from kl_agents.settings import TrajectoryBalanceSettings
from kl_agents.trajectory_losses import TrajectoryBalanceLoss


class TrajectoryBalance(SequenceAlgorithm):
    """Trajectory balance: its optimum is q*(tau) = p(tau) exp(R(tau)/c) / Z, off policy too.

    Minimises (log Z + log q(tau) - log p(tau) - R(tau)/c)^2 (Malkin et al. 2022, eq. 14, with the
    prior's p for the backward policy: a prefix has one parent; Tiapkin et al. 2024). It is path
    consistency over the whole episode: :class:`~kl_agents.PsiLearning` at lambda 1, with one value
    in place of one a state. log Z is learned as the network's V(s_0), or is the batch mean of
    log p + R/c - log q, which makes the loss VarGrad (Richter et al. 2020).

    Bias: none, whoever collected the episodes, as long as each sequence may be among them; at
    discount 1 alone (``discount`` plays no part). With finite networks and batches the replay
    decides which residuals are small. Its variance grows with the length: no value in the middle
    stands in for what came after.
    """

    settings_class = TrajectoryBalanceSettings
    loss_class = TrajectoryBalanceLoss
    backup = PsiBackup()

    settings: TrajectoryBalanceSettings

    def _setup_model(self) -> None:
        super()._setup_model()
        self.estimates_objective = self.settings.log_z == "learned"
