"""Whole episodes of the behaviour policy, from any environment a learner accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from kl_agents.policy import SequencePolicy
from kl_agents.replay import EpisodeBatch
from seqgen_envs.adapters.sb3 import SB3VecEnv
from seqgen_envs.lanes import MIN_LOG_PROB, Lanes
from seqgen_envs.recurrent import State
from seqgen_envs.rollout import Ledger, sample_rows
from seqgen_envs.vector_env import SequenceVectorEnv

EXPLORERS = ("policy", "prior", "uniform")


def as_vec_env(env: Any, n_envs: int) -> VecEnv | gym.Env[Any, Any]:
    """What Stable-Baselines3 accepts, from an id or a native vector environment too.

    Args:
        env: an id (``n_envs`` native lanes are made), a native vector environment (which is from
            then on in SAME_STEP autoreset mode), an SB3 ``VecEnv``, or a single environment (SB3
            wraps it).
        n_envs: lanes made for an id.

    Raises:
        TypeError: a vector environment of another kind.
        gymnasium.error.Error: there is no environment of that id.
    """
    if isinstance(env, str):
        env = gym.make_vec(env, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP.value)
    if isinstance(env, gym.vector.VectorEnv):
        unwrapped = env.unwrapped
        if not isinstance(unwrapped, SequenceVectorEnv):
            raise TypeError(
                f"{type(unwrapped).__name__} is not a sequence environment: pass an SB3 VecEnv, "
                "or gym.make_vec(id, num_envs=N)"
            )
        # the engine is the same in every mode: the collection loop resets the lanes itself
        unwrapped.autoreset_mode = AutoresetMode.SAME_STEP
        unwrapped.metadata = {**unwrapped.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        return SB3VecEnv(unwrapped)
    return env


class Source(Protocol):
    """N lanes; those that finish restart in the same step."""

    n: int
    horizon: int
    #: the rules' shares of the last step's task rewards, [N, K]; None where they are not known.
    terms: NDArray[np.float64] | None

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Prefixes, int64 [N, T]."""
        ...

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """log p of the next token, [N, V]."""
        ...

    def reset(self) -> None:
        """Start all lanes anew."""
        ...

    def step(
        self, actions: NDArray[np.int64], idle: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Append a token to each lane; returns task rewards [N] and who finished [N].

        Nobody looks at lanes marked in ``idle``: they need not be stepped.
        """
        ...


class NativeSource:
    """A native vector environment, through its engine."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.n, self.horizon = lanes.n, lanes.horizon
        self.terms: NDArray[np.float64] | None = None

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Prefixes, int64 [N, T]."""
        return self.lanes.tokens

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """log p of the next token, [N, V]."""
        return self.lanes.log_prior

    def reset(self) -> None:
        """See :class:`Source`."""
        self.lanes.reset()

    def step(
        self, actions: NDArray[np.int64], idle: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See :class:`Source`."""
        step = self.lanes.step(actions, idle=idle)
        self.terms = step.terms
        if step.finished.any():
            self.lanes.reset(step.finished)
        return step.task_reward, step.finished


class VecEnvSource:
    """Any Stable-Baselines3 ``VecEnv`` of sequence environments (Dummy, Subproc ...)."""

    terms: NDArray[np.float64] | None = None

    def __init__(self, env: VecEnv) -> None:
        self.env = env
        self.n = env.num_envs
        self.horizon = len(env.observation_space["tokens"].nvec)  # type: ignore[index]

    def reset(self) -> None:
        """See :class:`Source`."""
        self._seen: Any = self.env.reset()

    def step(
        self, actions: NDArray[np.int64], idle: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See :class:`Source`."""
        self._seen, _, finished, infos = self.env.step(actions)
        return np.array([info["task_reward"] for info in infos]), finished

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Prefixes, int64 [N, T]."""
        return self._seen["tokens"].astype(np.int64)

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """log p of the next token, [N, V]."""
        return self._seen["log_prior"]


def make_source(env: VecEnv) -> Source:
    """The fastest source for ``env``."""
    if isinstance(env, SB3VecEnv):
        return NativeSource(env.env.lanes)
    return VecEnvSource(env)


@dataclass
class Collected:
    """A round of episodes and what was seen while they were made.

    Attributes:
        episodes: B of them.
        kl_to_prior, entropy: means over the episodes.
        environment_steps: of all lanes.
        terms: each rule's sum over an episode, float64 [B, K]; None where it is not known.
    """

    episodes: EpisodeBatch
    kl_to_prior: float
    entropy: float
    environment_steps: int
    terms: NDArray[np.float64] | None = None


class Collector:
    """Runs the behaviour policy (1 - epsilon) pi + epsilon e for exactly so many episodes.

    Args:
        source: the lanes.
        explore: e: ``"policy"`` (no exploration), ``"prior"`` or ``"uniform"``.

    Raises:
        ValueError: an unknown ``explore``.
    """

    def __init__(self, source: Source, explore: str) -> None:
        if explore not in EXPLORERS:
            raise ValueError(f"explore must be one of {list(EXPLORERS)}, got {explore!r}")
        self.source, self.explore = source, explore

    def collect(
        self,
        policy: SequencePolicy,
        episodes: int,
        epsilon: float,
        rng: np.random.Generator,
        on_step: Callable[[NDArray[np.bool_]], bool],
    ) -> Collected | None:
        """One round; None where ``on_step`` (told which lanes finished, [N]) asked to stop.

        Every lane starts anew, so nothing but the generators carries over between rounds.
        """
        source, ledger = self.source, Ledger(self.source.n, episodes)
        source.reset()
        primer = int((source.tokens[0] < policy.vocabulary_size).sum())
        record = _Record(episodes, source.horizon, primer, policy.vocabulary_size)
        g, start_state = policy.read_prefixes(source.tokens)
        start_g, state = g, start_state
        steps = 0
        while ledger.open:
            log_prior = source.log_prior
            log_policy = policy.log_policy(log_prior, g)
            behaviour = self._behaviour(log_policy, log_prior, epsilon)
            actions = sample_rows(behaviour, rng)
            live = ledger.live
            record.before(ledger.running[live], live, actions, behaviour, log_policy, log_prior)
            task_reward, finished = source.step(actions, ledger.running < 0)
            terms = None if source.terms is None else source.terms[live]
            record.after(ledger.running[live], task_reward[live], terms)
            steps += source.n
            if not on_step(finished):
                return None
            ledger.close(finished)
            if ledger.open:
                g, state = policy.step(actions, state)
                g, state = _restart(g, state, start_g, start_state, finished)
        kl, entropy = record.kl / episodes, record.entropy / episodes
        return Collected(record.batch(), kl, entropy, steps, record.terms)

    def _behaviour(
        self, log_policy: NDArray[Any], log_prior: NDArray[Any], epsilon: float
    ) -> NDArray[Any]:
        """log of the mixture, [N, V]."""
        if self.explore == "policy" or epsilon == 0.0:
            return log_policy
        if self.explore == "prior":
            other = log_prior
        else:
            allowed = log_prior > MIN_LOG_PROB
            other = np.where(allowed, -np.log(allowed.sum(axis=1, keepdims=True)), -np.inf)
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log1p(-epsilon) + log_policy, np.log(epsilon) + other)


@torch.inference_mode()
def _restart(
    g: torch.Tensor,
    state: State,
    start_g: torch.Tensor,
    start_state: State,
    finished: NDArray[np.bool_],
) -> tuple[torch.Tensor, State]:
    """Put the lanes that finished back to the state after the primer."""
    if not finished.any():
        return g, state
    mask = torch.from_numpy(finished).to(g.device)[:, None]
    pairs = zip(state, start_state, strict=True)
    return torch.where(mask, start_g, g), tuple(torch.where(mask, b, a) for a, b in pairs)


class _Record:
    """Arrays of the episodes of one round, filled step by step."""

    def __init__(self, episodes: int, horizon: int, primer: int, vocabulary_size: int) -> None:
        shape = (episodes, horizon - primer)
        self.tokens = np.full(shape, vocabulary_size, dtype=np.int64)
        self.lengths = np.zeros(episodes, dtype=np.int64)
        self.log_prior = np.zeros((*shape, vocabulary_size), dtype=np.float32)
        self.task_reward = np.zeros(shape, dtype=np.float32)
        self.log_behaviour = np.zeros(shape, dtype=np.float32)
        self.terms: NDArray[np.float64] | None = None
        self.kl = self.entropy = 0.0

    def before(
        self,
        rows: NDArray[np.int64],
        live: NDArray[np.intp],
        actions: NDArray[np.int64],
        behaviour: NDArray[Any],
        log_policy: NDArray[Any],
        log_prior: NDArray[Any],
    ) -> None:
        """Note the actions of the live lanes, and the policy's exact KL and entropy there."""
        at = self.lengths[rows]
        self.tokens[rows, at] = actions[live]
        self.log_prior[rows, at] = log_prior[live]
        self.log_behaviour[rows, at] = behaviour[live, actions[live]]
        probability = np.exp(log_policy[live], dtype=np.float64)
        entropy = -(probability * log_policy[live]).sum()
        self.entropy += entropy
        self.kl += -entropy - (probability * log_prior[live]).sum()

    def after(
        self,
        rows: NDArray[np.int64],
        task_reward: NDArray[Any],
        terms: NDArray[np.float64] | None,
    ) -> None:
        """Note the rewards of the same lanes, and that a step is over."""
        if terms is not None:
            if self.terms is None:
                self.terms = np.zeros((len(self.tokens), terms.shape[1]))
            self.terms[rows] += terms
        self.task_reward[rows, self.lengths[rows]] = task_reward
        self.lengths[rows] += 1

    def batch(self) -> EpisodeBatch:
        """The finished episodes."""
        return EpisodeBatch(
            self.tokens, self.lengths, self.log_prior, self.task_reward, self.log_behaviour
        )
