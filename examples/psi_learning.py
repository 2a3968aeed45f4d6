"""Psi-learning (Jaques et al. 2017) in one file: Gymnasium and PyTorch, nothing of ``kl_agents``.

    python examples/psi_learning.py [--steps 32000] [--c 0.5] [--seed 0]

A network learns Psi(s, a), the log of an unnormalised policy. It starts as the prior's
log p(a | s), its target is the environment's reward plus the soft value of the next state,

    Psi(s, a) <- log p(a | s) + r_T(s, a) / c + log sum_a' exp Psi(s', a')

and it acts by softmax(Psi). At its fixed point a sequence tau is drawn with probability
q*(tau) = p(tau) exp(R(tau) / c) / Z. On ``ToyGen-v0`` every sequence can be enumerated, so the
program prints the distance to that optimum, KL(q || q*) in nats. About ten seconds on one core.
"""

from __future__ import annotations

import argparse
import copy
import random

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Categorical

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.exact import PrefixTree

LANES, DRAWN, LEARNING_RATE, POLYAK = 16, 16, 2e-2, 0.1


class Psi(nn.Module):
    """Psi(s, .) [N, V] of a batch of observations: log p plus what a small network adds."""

    def __init__(self, length: int, actions: int) -> None:
        super().__init__()
        self.actions = actions
        self.body = nn.Sequential(nn.Linear(length * (actions + 1), 128), nn.Tanh())
        self.head = nn.Linear(128, actions)
        nn.init.zeros_(self.head.weight)  # at first Psi is log p: the policy is the prior
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: torch.Tensor, log_prior: torch.Tensor) -> torch.Tensor:
        """``tokens`` int64 [N, T], padded with V; ``log_prior`` float32 [N, V]."""
        one_hot = nn.functional.one_hot(tokens, self.actions + 1).float().flatten(1)
        return log_prior + self.head(self.body(one_hot))


Batch = dict[str, torch.Tensor]


def sample(replay: list[Batch]) -> Batch:
    """The transitions of :data:`DRAWN` steps of all lanes, drawn with replacement."""
    steps = random.choices(replay, k=DRAWN)
    return {name: torch.cat([step[name] for step in steps]) for name in steps[0]}


def loss(psi: Psi, target: Psi, batch: Batch) -> torch.Tensor:
    """Mean squared error to the one-step target; no value past the end of a sequence."""
    with torch.no_grad():
        following = target(batch["next_tokens"], batch["next_log_prior"]).logsumexp(1)
        wanted = batch["reward"].float() + following * ~batch["terminated"]
    values = psi(batch["tokens"], batch["log_prior"])
    return (values.gather(1, batch["action"][:, None])[:, 0] - wanted).square().mean()


def as_tensors(arrays: dict[str, np.ndarray]) -> Batch:
    """A batch of observations for the network."""
    return {name: torch.as_tensor(value) for name, value in arrays.items()}


def train(env_id: str, steps: int, c: float, seed: int) -> tuple[Psi, gym.vector.VectorEnv]:
    """The network after ``steps`` steps of the environment, and the environment."""
    torch.manual_seed(seed)
    random.seed(seed)
    # An ended lane restarts in the same step, so every step is a transition.
    mode = AutoresetMode.SAME_STEP
    envs = gym.make_vec(env_id, num_envs=LANES, c=c, autoreset_mode=mode)
    psi = Psi(envs.observation_space["tokens"].shape[1], int(envs.single_action_space.n))
    target, updates = copy.deepcopy(psi), steps // LANES
    replay: list[Batch] = []
    optimizer = torch.optim.Adam(psi.parameters(), LEARNING_RATE)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, max(updates, 1))
    now = as_tensors(envs.reset(seed=seed)[0])
    for _ in range(updates):
        with torch.no_grad():
            action = Categorical(logits=psi(**now)).sample()
        observation, reward, terminated, _, _ = envs.step(action.numpy())
        after = as_tensors(observation)
        outcome = {"reward": reward, "terminated": terminated}
        following = {f"next_{name}": value for name, value in after.items()}
        replay.append({**now, "action": action, **as_tensors(outcome), **following})
        now = after
        optimizer.zero_grad()
        loss(psi, target, sample(replay)).backward()
        optimizer.step()
        decay.step()
        for old, new in zip(target.parameters(), psi.parameters(), strict=True):
            old.data.lerp_(new.data, POLYAK)
    return psi, envs


def distance(psi: Psi, envs: gym.vector.VectorEnv, c: float) -> float:
    """KL(q || q*) of the policy, in nats, over every sequence of an enumerable environment."""
    tree = PrefixTree.build(envs.unwrapped.lanes.settings)

    def log_policy(observation: dict[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return psi(**as_tensors(observation)).log_softmax(1).numpy()

    return tree.kl(tree.policy_of(log_policy), c)


def main() -> None:
    """Train, and say how far from the optimum before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=32_000)
    parser.add_argument("--c", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for steps in (0, options.steps):
        psi, envs = train("ToyGen-v0", steps, options.c, options.seed)
        print(f"KL(q || q*) after {steps} steps: {distance(psi, envs, options.c):.4f} nats")


if __name__ == "__main__":
    main()
