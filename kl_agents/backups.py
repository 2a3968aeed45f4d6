"""Values and targets of Q, Psi and G learning: pure functions of tensors.

Notation as in rlax: ``s_t, a_t, r_t``; p is the prior, pi the policy, ``r_t`` the task reward, c
its temperature, gamma the discount. All quantities are natural logarithms ("nats"). Arrays over an
episode have the shape [B, T]: entry t belongs to state s_t and the action taken there; ``values``
over states are [B, T] too and the value after the last action of an episode is 0, because an
episode ends there (``lengths`` [B]; what lies beyond is padding and comes out as 0).

====== ========================================== ========================================
learner value of a state                          target for the action taken
====== ========================================== ========================================
Q      max_a Q(s, a)                              log p(a|s) + r/c + gamma V(s')
Psi    log sum_a exp Psi(s, a)                    log p(a|s) + r/c + gamma V(s')
G      log sum_a p(a|s) exp G(s, a)               r/c + gamma V(s')
====== ========================================== ========================================

Sources: Jaques et al. 2017 (eqs. 6-10); Rawlik et al. 2012 (Psi); Fox et al. 2016 (G); Nachum et
al. 2017 (path consistency); Munos et al. 2016 (cut traces).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import threshold

from seqgen_envs.starts import MIN_LOG_PROB

#: log-probability of what cannot happen: finite, so that 0 * IMPOSSIBLE is 0 and not NaN.
IMPOSSIBLE = -1e9
#: exp of less than this is below 1e-34. PyTorch's exp takes up to a hundred times as long where its
#: result is no normal number, and next to the largest term, which is 1, such terms are nothing.
_LOWEST_EXPONENT = -80.0


def logsumexp(values: Tensor) -> Tensor:
    """log sum exp over the last dimension, [..., V] to [...]; the values are finite.

    As ``torch.logsumexp`` to the last bit or two, and up to 20 times as fast where some values lie
    far below the largest, as those of unlikely and impossible tokens do.
    """
    largest = values.detach().amax(dim=-1, keepdim=True)
    terms = (values - largest).clamp_(min=_LOWEST_EXPONENT).exp()
    return terms.sum(dim=-1).log() + largest.squeeze(-1)


def q_state_value(q: Tensor) -> Tensor:
    """max_a Q(s, a): [..., V] to [...]."""
    return q.amax(dim=-1)


def psi_state_value(psi: Tensor) -> Tensor:
    """log sum_a exp Psi(s, a): [..., V] to [...]."""
    return logsumexp(psi)


def g_state_value(log_prior: Tensor, g: Tensor) -> Tensor:
    """log sum_a p(a|s) exp G(s, a): two [..., V] to [...]."""
    return logsumexp(log_prior + g)


def chosen(values: Tensor, actions: Tensor) -> Tensor:
    """Entries of the actions taken: [B, T, V] and int64 [B, T] to [B, T]."""
    return values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def step_mask(lengths: Tensor, horizon: int) -> Tensor:
    """True at the steps of each episode: bool [B, T] from int64 [B]."""
    return torch.arange(horizon, device=lengths.device)[None] < lengths[:, None]


def next_values(values: Tensor, lengths: Tensor) -> Tensor:
    """V(s_{t+1}) for every t, 0 after the end: [B, T] to [B, T].

    Raises:
        ValueError: the shapes do not fit.
    """
    if values.ndim != 2 or lengths.shape != values.shape[:1]:
        raise ValueError(
            f"values must be [B, T] and lengths [B], got {tuple(values.shape)} "
            f"and {tuple(lengths.shape)}"
        )
    shifted = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    return shifted.masked_fill(~step_mask(lengths - 1, values.shape[1]), 0.0)


def one_step_targets(rewards: Tensor, values: Tensor, lengths: Tensor, discount: float) -> Tensor:
    """r_t + gamma V(s_{t+1}): the paper's target for all three learners, [B, T].

    ``rewards`` is what the learner is paid: log p + r/c for Q and Psi, r/c for G.
    """
    targets = rewards + discount * next_values(values, lengths)
    return targets.masked_fill(~step_mask(lengths, rewards.shape[1]), 0.0)


def n_step_targets(
    rewards: Tensor, values: Tensor, lengths: Tensor, discount: float, n: int
) -> Tensor:
    """Sum of n discounted rewards and the discounted value after them, for Q, [B, T].

    Q's max has no identity that makes several steps of another policy exact: with n > 1 the target
    is biased towards what the behaviour did next. n = 1 is :func:`one_step_targets`.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    targets = one_step_targets(rewards, values, lengths, discount)
    for _ in range(n - 1):
        targets = one_step_targets(rewards, targets, lengths, discount)
    return targets


def soft_lambda_targets(
    rewards: Tensor,
    values: Tensor,
    log_ratio: Tensor,
    lengths: Tensor,
    discount: float,
    traces: Tensor,
) -> Tensor:
    """Lambda-returns by path consistency, for Psi and G, [B, T].

    Under KL-control V(s_t) = r_t/c + log p(a_t|s_t) - log pi(a_t|s_t) + gamma V(s_{t+1}) holds at
    the optimum for *every* action, whoever chose it, so longer returns need no importance weights:

        U_t = (1 - l_t) V(s_t) + l_t (r_t/c + log p_t - log pi_t + gamma U_{t+1})

    and the target of step t is ``rewards_t + gamma U_{t+1}``. Traces of 0 are the one-step target.
    No gradient runs through the carried values: targets are constants.

    Args:
        rewards: what the learner is paid, [B, T]; see :func:`one_step_targets`.
        values: V(s_t) of the target network, [B, T].
        log_ratio: r_t/c + log p(a_t|s_t) - log pi(a_t|s_t), pi of the target network, [B, T].
        lengths: [B].
        discount: gamma.
        traces: l_t in [0, 1], [B, T]; see :func:`cut_traces`.
    """
    mask = step_mask(lengths, rewards.shape[1])
    # U_t = a_t + b_t U_{t+1}, and 0 past the end
    own = torch.lerp(values, log_ratio, traces).masked_fill(~mask, 0.0)
    share = (discount * traces).masked_fill(~mask, 0.0)
    carried = _carried_back(own, share)
    return (rewards + discount * carried).masked_fill(~mask, 0.0)


def _carried_back(own: Tensor, share: Tensor) -> Tensor:
    """U_{t+1} of U_t = own_t + share_t U_{t+1}, 0 after the end: [B, T] to [B, T].

    The loop over time runs in NumPy, whose calls cost a tenth of PyTorch's at this size.
    """
    a, b = (np.ascontiguousarray(x.detach().cpu().numpy().T) for x in (own, share))
    carried = np.zeros_like(a)
    for t in range(len(a) - 1, 0, -1):
        row = carried[t - 1]
        np.multiply(b[t], carried[t], out=row)
        row += a[t]
    return torch.from_numpy(np.ascontiguousarray(carried.T)).to(own.device)


def cut_traces(lambda_: float, log_pi: Tensor, log_behaviour: Tensor) -> Tensor:
    """lambda * min(1, pi(a|s) / behaviour(a|s)): Retrace's cut, [B, T]."""
    return lambda_ * torch.exp(torch.clamp(log_pi - log_behaviour, max=0.0))


class Backup(Protocol):
    """What tells Q, Psi and G learning apart; everything else is shared.

    ``g`` [..., V] is the value network's output in reward units, ``log_prior`` [..., V] is
    log p(.|s) with impossible tokens at or below the environment's floor, ``c`` the temperature.
    """

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """Q, Psi or G of every action, in nats, [..., V]; or of some: element by element."""
        ...

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """V(s), [...]."""
        ...

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """log pi(.|s), [..., V]."""
        ...

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """What the learner is paid for the actions taken, [...]; ``log_prior`` is theirs."""
        ...


class SoftBackup(Backup, Protocol):
    """A backup whose policy is a softmax, so that log pi follows from V(s) without another one."""

    def log_taken(self, log_prior: Tensor, values: Tensor, state_value: Tensor) -> Tensor:
        """log pi(a|s), [...], of log p(a|s), the action's value and V(s), [...] each."""
        ...


class LogitsBackup:
    """The network's own softmax: no prior is added, and c plays no part.

    Of a learner whose network is a copy of the prior that is trained further. What the environment
    masks stays out of reach.
    """

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """g, where a token is possible."""
        return (without_impossible(log_prior) - log_prior) + g

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """The logits' log-sum: no value of a state."""
        return psi_state_value(values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """softmax(g)."""
        return torch.log_softmax(values, dim=-1)

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """log p + r/c."""
        return log_prior + task_reward / c


def greedy_log_policy(values: Tensor) -> Tensor:
    """log of a policy that takes the largest value: 0 there, :data:`IMPOSSIBLE` elsewhere."""
    best = values.argmax(dim=-1, keepdim=True)
    return torch.full_like(values, IMPOSSIBLE).scatter(-1, best, 0.0)


def without_impossible(log_prior: Tensor) -> Tensor:
    """``log_prior`` with tokens at the environment's floor (masked ones) moved out of reach.

    A learner adds up to hundreds of nats to log p; what must never be chosen has to lie lower.
    """
    return threshold(log_prior, MIN_LOG_PROB, IMPOSSIBLE)


class PsiBackup:
    """Psi(s, a) <- log p(a|s) + r/c + gamma log sum exp Psi(s', .) (Jaques et al. 2017, eq. 9)."""

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """Psi = log p + g / c."""
        return torch.add(without_impossible(log_prior), g, alpha=1.0 / c)

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """log sum_a exp Psi(s, a)."""
        return psi_state_value(values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """softmax(Psi)."""
        return torch.log_softmax(values, dim=-1)

    def log_taken(self, log_prior: Tensor, values: Tensor, state_value: Tensor) -> Tensor:
        """Psi - V."""
        return values - state_value

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """log p + r/c."""
        return log_prior + task_reward / c


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

    def log_taken(self, log_prior: Tensor, values: Tensor, state_value: Tensor) -> Tensor:
        """log p + G - V."""
        return without_impossible(log_prior) + values - state_value

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """r/c: the environment's reward without its log p."""
        return task_reward / c


@dataclass(frozen=True)
class QBackup:
    """Q(s, a) <- w log p(a|s) + r/c + gamma max Q(s', .) (Jaques et al. 2017, eq. 6).

    Args:
        prior_weight: w; 0 takes the prior out of the reward (the paper's RL-only).
    """

    prior_weight: float = 1.0

    def values(self, log_prior: Tensor, g: Tensor, c: float) -> Tensor:
        """Q = w log p + g / c."""
        reachable = without_impossible(log_prior)
        if self.prior_weight == 1.0:
            return torch.add(reachable, g, alpha=1.0 / c)
        return (reachable - log_prior) + self.prior_weight * log_prior + g / c

    def state_value(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """max_a Q(s, a)."""
        return q_state_value(values)

    def log_policy(self, log_prior: Tensor, values: Tensor) -> Tensor:
        """The greedy policy."""
        return greedy_log_policy(values)

    def rewards(self, log_prior: Tensor, task_reward: Tensor, c: float) -> Tensor:
        """w log p + r/c."""
        return self.prior_weight * log_prior + task_reward / c
