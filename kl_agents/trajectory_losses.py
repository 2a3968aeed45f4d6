"""What the learners of whole trajectories minimise: log q(tau) against log p(tau) + R(tau)/c.

log q(tau) sums log pi(a_t|s_t) over an episode, log p(tau) likewise, R is the task return. At
KL-control's optimum log q - log p - R/c is the same number, -log Z, for every sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from kl_agents.backups import chosen
from kl_agents.losses import Batch, Loss, Networks
from kl_agents.replay import EpisodeBatch
from kl_agents.settings import (
    PolicyGradientSettings,
    ReinventPMOSettings,
    ReinventSettings,
    TrajectoryBalanceSettings,
)

#: log q is taken to be at most this where it is divided by: no sequence is quite certain.
LARGEST_LOG_Q = -1e-3
#: Added to the standard deviation that advantages are divided by (Shao et al. 2024).
SMALL = 1e-4


class Likelihoods(NamedTuple):
    """Of B episodes of at most T steps, in nats.

    Attributes:
        log_pi: log pi(a_t|s_t) [B, T], 0 past the end.
        log_p: log p(a_t|s_t) [B, T], likewise.
        start: V(s_0) by the network, [B].
    """

    log_pi: Tensor
    log_p: Tensor
    start: Tensor


class TrajectoryLoss(Loss):
    """The base of losses of log q(tau)."""

    def likelihoods(self, batch: Batch, networks: Networks) -> Likelihoods:
        """log pi by the network in training, with its gradient."""
        values = self.backup.values(batch.log_prior, networks.online(batch.tokens), batch.c)
        log_pi = chosen(self.backup.log_policy(batch.log_prior, values), batch.actions)
        start = self.backup.state_value(batch.log_prior[:, 0], values[:, 0])
        return Likelihoods(log_pi * batch.mask, batch.log_prior_taken * batch.mask, start)


class TrajectoryBalanceLoss(TrajectoryLoss):
    """(log Z + log q - log p - R/c)^2, in reward units (times c^2), linear beyond ``huber_delta``.

    log Z is the network's V(s_0), a number that the policy does not depend on, or the batch mean of
    log p + R/c - log q (VarGrad: the loss is then their variance).
    """

    off_policy = True
    settings: TrajectoryBalanceSettings

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """See :class:`~kl_agents.losses.Loss`."""
        log_pi, log_p, start = self.likelihoods(batch, networks)
        remains = (log_p - log_pi).sum(1) + batch.task_reward.sum(1) / batch.c
        learned = self.settings.log_z == "learned"
        log_z = start if learned else remains.mean().detach().expand_as(remains)
        error, delta = batch.c * (log_z - remains), self.settings.huber_delta
        loss = huber_loss(error, torch.zeros_like(error), delta=delta) / delta
        return loss, {
            "start_value": float(log_z.detach().mean()),
            "residual": float((log_z - remains).detach().abs().mean()),
        }

    def initial_value(self, episodes: EpisodeBatch) -> float:
        """The mean task return: c times the J of the prior, which is below c log Z."""
        return float(episodes.task_return.mean())


class AugmentedLikelihoodLoss(TrajectoryLoss):
    """REINVENT: (log p(tau) + sigma R(tau) - log q(tau))^2, linear beyond ``delta``."""

    settings: ReinventSettings

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """See :class:`~kl_agents.losses.Loss`."""
        log_pi, log_p, _ = self.likelihoods(batch, networks)
        given, delta = self.settings.sigma, self.settings.delta
        sigma = 1.0 / batch.c if given is None else given
        log_q, augmented = log_pi.sum(1), log_p.sum(1) + sigma * batch.task_reward.sum(1)
        loss = huber_loss(log_q, augmented, delta=delta) / delta
        return loss, {"residual": float((log_q - augmented).detach().abs().mean())}


class PublishedReinventLoss(TrajectoryLoss):
    """(log p + sigma R - log q)^2 - w / log q, means over the batch: see ``ReinventPMO``."""

    settings: ReinventPMOSettings

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """See :class:`~kl_agents.losses.Loss`."""
        log_pi, log_p, _ = self.likelihoods(batch, networks)
        log_q = log_pi.sum(1)
        residual = log_p.sum(1) + self.settings.sigma * batch.task_reward.sum(1) - log_q
        certainty = -(1.0 / log_q.clamp(max=LARGEST_LOG_Q)).mean()
        loss = residual.square().mean() + self.settings.likelihood_penalty * certainty
        return loss, {"residual": float(residual.detach().abs().mean())}


class PolicyGradientLoss(TrajectoryLoss):
    """-E[ratio * advantage], and beta times the KL to the prior, in the reward or beside it.

    The ratio is pi to the behaviour, of the sequence or of each token, clipped as in PPO: 1 at the
    first update on a round.
    """

    settings: PolicyGradientSettings

    def __call__(self, batch: Batch, networks: Networks) -> tuple[Tensor, dict[str, float]]:
        """See :class:`~kl_agents.losses.Loss`."""
        settings = self.settings
        log_pi, log_p, _ = self.likelihoods(batch, networks)
        ratios, difference = log_pi - batch.log_behaviour * batch.mask, log_p - log_pi
        if settings.level == "sequence":
            ratios, difference = ratios.sum(1, keepdim=True), difference.sum(1, keepdim=True)
        divergence = kl_estimate(settings.estimator, difference)
        gain = batch.task_reward.sum(1) / batch.c
        if settings.kl == "reward":
            gain = gain - settings.beta * divergence.detach().sum(1)
        advantage = advantages(settings.advantage, gain)[:, None]
        ratio = ratios.exp()
        clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        surrogate = torch.minimum(ratio * advantage, clipped * advantage)
        if settings.kl == "loss":
            surrogate = surrogate - settings.beta * divergence
        if settings.level == "token":
            surrogate = surrogate * batch.mask / batch.lengths[:, None]
        return -surrogate.sum(1).mean(), self._metrics((log_p - log_pi).detach().sum(1), gain)

    def _metrics(self, difference: Tensor, gain: Tensor) -> dict[str, float]:
        """The estimators side by side, of whole sequences: all of the same KL, on policy."""
        names = ("k1", "k2", "k3")
        found = {f"kl_{name}": float(kl_estimate(name, difference).mean()) for name in names}
        return {**found, "gain_std": float(gain.std(correction=0))}


def kl_estimate(name: str, difference: Tensor) -> Tensor:
    """Estimators of KL(q || p) off samples of q (Schulman 2020), of d = log p - log q.

    k1 = -d is unbiased; k2 = d^2 / 2 is biased and never negative; k3 = exp(d) - 1 - d is both
    unbiased and never negative. What they are worth as losses is another matter: see
    :class:`~kl_agents.policy_gradient.PolicyGradient`.
    """
    if name == "k1":
        return -difference
    return difference.square() / 2 if name == "k2" else difference.exp() - 1 - difference


def advantages(name: str, gain: Tensor) -> Tensor:
    """Of B episodes of one start, [B] to [B]."""
    centred, count = gain - gain.mean(), len(gain)
    if name == "leave-one-out":
        return centred * (count / max(count - 1, 1))
    found: Tensor = centred / (gain.std(correction=0) + SMALL)
    return found
