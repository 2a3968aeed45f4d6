"""What KL-control is compared with, behind the same interface."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from kl_agents.algorithm import SequenceAlgorithm, in_range
from kl_agents.backups import chosen, step_mask
from kl_agents.psi_learning import PsiBackup
from kl_agents.q_learning import QBackup, QLearning
from kl_agents.replay import EpisodeBatch
from kl_agents.schedules import ScheduleSpec


class PriorAgent(SequenceAlgorithm):
    """The frozen prior itself (the paper's Note RNN): g stays 0, :meth:`learn` only collects."""

    backup = PsiBackup()

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 0.0,
        *,
        replay_ratio: float = 0.0,
        **others: Any,
    ) -> None:
        kwargs = dict(others.pop("policy_kwargs", None) or {})
        kwargs.setdefault("init", "random")  # never consulted: works with any prior
        super().__init__(
            policy, env, learning_rate, replay_ratio=replay_ratio, policy_kwargs=kwargs, **others
        )

    def train(self) -> dict[str, float]:
        """Nothing is learned."""
        self._training_debt = 0.0
        return {}


class RLOnly(QLearning):
    """The same learner with no prior in the reward: the paper's RL-only.

    The network starts from the prior's weights, as in the paper, or from scratch with
    ``policy_kwargs={"init": "random"}``. Nothing holds it near the data, so it explores uniformly.

    Args: see :class:`~kl_agents.QLearning`.
    """

    backup = QBackup(prior_weight=0.0)

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 2e-3,
        *,
        explore: str = "uniform",
        **others: Any,
    ) -> None:
        super().__init__(policy, env, learning_rate, explore=explore, **others)


class Reinvent(SequenceAlgorithm):
    """REINVENT's augmented likelihood, with experience replay (Olivecrona et al. 2017).

    Minimises (log p(tau) + sigma R(tau) - log q(tau))^2 over replayed sequences, sigma = 1/c: its
    zero is KL-control's optimum up to log Z, which this loss has no term for. What that leaves out
    cancels on average over the policy's own episodes and not over older ones, so by default the
    replay is short and keeps repeated sequences as often as they were drawn.

    Args:
        sigma: weight of the task return; None is 1/c and follows it.
        delta: residuals beyond this many nats count linearly, which keeps returns of hundreds of
            nats from blowing the weights up.
        replay_capacity, replay_unique, others: see :class:`~kl_agents.algorithm.SequenceAlgorithm`.
    """

    backup = PsiBackup()
    saved_arguments: ClassVar[tuple[str, ...]] = (
        *SequenceAlgorithm.saved_arguments, "sigma", "delta",
    )  # fmt: skip

    def __init__(
        self,
        policy: Any = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 5e-4,
        *,
        sigma: float | None = None,
        delta: float = 20.0,
        replay_capacity: int = 256,
        replay_unique: bool = False,
        **others: Any,
    ) -> None:
        self.sigma = None if sigma is None else in_range("sigma", sigma, 0.0)
        self.delta = in_range("delta", delta, 1e-9)
        super().__init__(
            policy,
            env,
            learning_rate,
            replay_capacity=replay_capacity,
            replay_unique=replay_unique,
            **others,
        )

    def _loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, float]]:
        tokens, lengths, log_prior, task_reward = (
            torch.from_numpy(getattr(batch, name)).to(self.device)
            for name in ("tokens", "lengths", "log_prior", "task_reward")
        )
        actions = tokens.clamp(max=self.policy.vocabulary_size - 1)
        g = self._network(tokens, self._primer())
        values = self.backup.values(log_prior, g, self.policy.c)
        mask = step_mask(lengths, tokens.shape[1])
        log_q = (chosen(self.backup.log_policy(log_prior, values), actions) * mask).sum(1)
        log_p = (chosen(log_prior, actions) * mask).sum(1)
        sigma = 1.0 / self.policy.c if self.sigma is None else self.sigma
        augmented = log_p + sigma * task_reward.sum(1)
        loss = torch.nn.functional.huber_loss(log_q, augmented, delta=self.delta) / self.delta
        return loss, {"residual": float((log_q - augmented).detach().abs().mean())}
