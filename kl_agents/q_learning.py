"""Q-learning on log p + r/c, the paper's DQN, and the same without the prior."""

from __future__ import annotations

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.backups import QBackup
from kl_agents.losses import QLoss
from kl_agents.settings import QSettings, RLOnlySettings


class QLearning(SequenceAlgorithm):
    """DQN whose reward is log p(a|s) + r_T/c.

    This is the paper's method and not KL-control: the reward lacks the entropy term -log q, so the
    optimum is a single sequence (the one with the largest log p + R/c) and the policy collapses
    onto it. Kept as it is, for comparison. By default episodes are the prior's at first and, from
    half of the training on, greedy but for one token in 20: the greedy policy alone would collect
    one sequence over and over.

    Not deterministic, :meth:`predict` draws the first token from the prior and then acts greedily:
    as in the paper, where melodies are primed with a first note; otherwise all would be the same.
    """

    settings_class = QSettings
    loss_class = QLoss
    backup = QBackup()
    prime_tokens = 1
    estimates_objective = True


class RLOnly(SequenceAlgorithm):
    """The same learner as :class:`QLearning` with no prior in the reward: the paper's RL-only.

    The network starts from the prior's weights, as in the paper, or from scratch with
    ``policy_kwargs={"init": "random"}``. Nothing holds it near the data, so it explores uniformly.
    """

    settings_class = RLOnlySettings
    loss_class = QLoss
    backup = QBackup(prior_weight=0.0)
    prime_tokens = 1
