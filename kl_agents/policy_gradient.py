"""Policy gradients of KL-control's objective, as language models are trained with."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import PsiBackup
from kl_agents.settings import GRPOSettings, PolicyGradientSettings
from kl_agents.trajectory_losses import PolicyGradientLoss


class PolicyGradient(SequenceAlgorithm):
    """RLOO, by default: the gradient of J(q) = E_q[R/c - log q/p] (Ahmadian et al. 2024, eq. 8).

    Maximises E[(G_i - mean of the others' G) log q(tau_i)], G = R/c - log q/p ("k1" in the reward)
    over the B episodes of a round. One update a round, by default; with ``replay_ratio`` 2 there
    are two, with ratios clipped as in PPO.

    Bias: none on policy, one update a round. Its optimum is q*, its variance vanishes there (G is
    then log Z for every sequence). Off policy it has none of this: clipped ratios forget what the
    policy does and the replay does not. The other settings are in use elsewhere and biased (Tang
    and Munos 2025): of a KL in the *loss*, what is followed is not the gradient of its value. The
    gradient of k1 there is 0 in the mean, of k2 of whole sequences KL(q || p)'s, of k3 that of
    KL(p || q), whose optimum is another policy than q*.
    """

    settings_class = PolicyGradientSettings
    loss_class = PolicyGradientLoss
    backup = PsiBackup()


class GRPO(SequenceAlgorithm):
    """:class:`PolicyGradient` as GRPO sets it (Shao et al. 2024, eqs. 3-4), a round being a group.

    Maximises the mean over an episode's tokens of min(r A, clip(r) A) - beta k3, A = (R - mean) /
    standard deviation.

    Bias: its end is not q*. (1) Dividing by the standard deviation takes c out: what is optimised
    is E[R] / std(R) - beta KL, a temperature of beta std(R), whatever c. (2) The gradient of k3 in
    the loss is that of KL(p || q). (3) The mean over tokens makes a sequence count by 1 / length.
    (4) The KL of a token knows nothing of the tokens after it. Set ``beta`` to compare at one
    temperature.
    """

    settings_class = GRPOSettings
    loss_class = PolicyGradientLoss
    backup = PsiBackup()
