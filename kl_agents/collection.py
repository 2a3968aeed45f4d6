"""Whole episodes of the behaviour policy, from any environment a learner accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from kl_agents.policy import SequencePolicy
from kl_agents.replay import EpisodeBatch
from seqgen_envs.adapters.sb3 import SB3VecEnv, make_sb3_vec_env
from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.observations import LanesView
from seqgen_envs.recurrent import State
from seqgen_envs.rollout import Moment, play, sample_rows
from seqgen_envs.starts import MIN_LOG_PROB
from seqgen_envs.stepping import step_rows
from seqgen_envs.vector_env import SequenceVectorEnv

#: A step of the temperature that episodes are drawn at, and where it ends.
WARMER, WARMEST = 1.1, 2.0
EXPLORERS = ("policy", "prior", "uniform", "genetic")


def as_vec_env(env: Any, n_envs: int) -> VecEnv | gym.Env[Any, Any]:
    """What Stable-Baselines3 accepts, from an id or a native vector environment too.

    Args:
        env: an id (``n_envs`` native lanes are made), a native vector environment (whose lanes are
            stepped from then on; it keeps its own way to reset), an SB3 ``VecEnv``, or a single
            environment (SB3 wraps it).
        n_envs: lanes made for an id.

    Raises:
        TypeError: a vector environment of another kind.
        ValueError: its episodes start with several primers.
        gymnasium.error.Error: there is no environment of that id.
    """
    if isinstance(env, str):
        env = make_sb3_vec_env(env, n_envs)
    elif isinstance(env, gym.vector.VectorEnv):
        inner = env.unwrapped
        if not isinstance(inner, SequenceVectorEnv):
            raise TypeError(
                f"{type(inner).__name__} is not a sequence environment: pass an SB3 VecEnv, "
                "or gym.make_vec(id, num_envs=N)"
            )
        env = SB3VecEnv(inner.lanes, observation=inner.kind, render_mode=inner.render_mode)
    single = env.unwrapped if isinstance(env, gym.Env) else env
    if isinstance(single, LanesView):
        single.lanes.settings.only_primer("an agent that learns")
    found: VecEnv | gym.Env[Any, Any] = env
    return found


class VecEnvLanes:
    """Any Stable-Baselines3 ``VecEnv`` of sequence environments, stepped as lanes are.

    Lanes that end restart in the same step, and idle ones are stepped too: nobody looks at them.
    """

    def __init__(self, env: VecEnv) -> None:
        self.env, self.n = env, env.num_envs
        self.horizon = len(env.observation_space["tokens"].nvec)  # type: ignore[index]
        self._seen: Any = None

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Prefixes, int64 [N, T]."""
        found: NDArray[np.int64] = self._seen["tokens"].astype(np.int64)
        return found

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """log p of the next token, [N, V]."""
        found: NDArray[np.float32] = self._seen["log_prior"]
        return found

    @property
    def resting(self) -> NDArray[np.bool_]:
        """Lanes that nobody looks at, [N]: none that it knows of."""
        return np.zeros(self.n, dtype=bool)

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start all lanes anew; those in ``rows`` have restarted by themselves."""
        if rows is None:
            self._seen = self.env.reset()

    def judge(self) -> NDArray[np.float64]:
        """Nothing waits here: the environments have judged every step."""
        return np.zeros((0, 0))

    def step(
        self,
        actions: NDArray[np.int64],
        *,
        idle: NDArray[np.bool_] | None = None,
        later: bool = False,
    ) -> Step:
        """Append a token to each lane."""
        self._seen, reward, ended, infos = self.env.step(actions)
        terms = np.array([list(info["reward_terms"].values()) for info in infos])
        parts = {
            name: np.array([info[name] for info in infos])
            for name in ("prior_log_prob", "task_reward")
        }
        truncated = np.array([info["TimeLimit.truncated"] for info in infos])
        marks = {"finished": ended & ~truncated, "waiting": np.zeros(self.n, dtype=bool)}
        return Step(reward, **parts, terms=terms, truncated=truncated, **marks)


def make_source(env: VecEnv) -> Lanes | VecEnvLanes:
    """What to step of ``env``: its lanes, where it is made of some."""
    return env.lanes if isinstance(env, SB3VecEnv) else VecEnvLanes(env)


@dataclass
class Collected:
    """A round of episodes and what was seen while they were made.

    Attributes:
        episodes: B of them.
        kl_to_prior, entropy: means over the episodes.
        environment_steps: of all lanes.
        terms: each rule's sum over an episode, float64 [B, K].
        bred: episodes beside these that were bred (:mod:`kl_agents.breeding`), if any were.
        logged: what else is logged of the round, by name.
    """

    episodes: EpisodeBatch
    kl_to_prior: float
    entropy: float
    environment_steps: int
    terms: NDArray[np.float64]
    bred: Collected | None = None
    logged: dict[str, float] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Collected]) -> Collected:
        """The episodes of several rounds that no policy made: without its figures."""
        episodes = EpisodeBatch.joined([part.episodes for part in parts])
        return cls(episodes, 0.0, 0.0, 0, np.concatenate([part.terms for part in parts]))


class Collector:
    """Runs the behaviour policy (1 - epsilon) pi + epsilon e for exactly so many episodes.

    Args:
        source: the lanes, of :func:`make_source`.
        explore: e: ``"prior"`` or ``"uniform"``; ``"policy"`` and ``"genetic"`` mix nothing in.
        whole: whether the episodes hold log p of all tokens, or of the actions alone.

    Raises:
        ValueError: an unknown ``explore``.
    """

    def __init__(self, source: Lanes | VecEnvLanes, explore: str, whole: bool = True) -> None:
        if explore not in EXPLORERS:
            raise ValueError(f"explore must be one of {list(EXPLORERS)}, got {explore!r}")
        self.source, self.explore, self.whole = source, explore, whole
        #: A round that :meth:`collect` was asked to stop after its last step; None: there is none.
        self.stopped: Collected | None = None

    def collect(
        self,
        policy: SequencePolicy,
        episodes: int,
        epsilon: float,
        rng: np.random.Generator,
        on_step: Callable[[NDArray[np.bool_]], bool],
        temperature: float = 1.0,
    ) -> Collected | None:
        """One round; None where ``on_step`` (told which lanes finished, [N]) asked to stop.

        pi is drawn from at ``temperature``.

        Every lane starts anew, so nothing but the generators carries over between rounds.

        Raises:
            ValueError: the lanes start with different primers.
        """
        source = self.source
        act = _Behaviour(source, policy, self.explore, epsilon, temperature, rng)
        record: Recorder | None = None
        steps = judged = 0
        for moment in play(source, act, episodes):
            if record is None:
                horizon = source.horizon - act.primer_length
                terms = moment.step.terms.shape[1]
                size = policy.vocabulary_size
                record = Recorder(episodes, horizon, size, terms, self.whole)
            record.note(moment, act.log_behaviour)
            steps += source.n
            judged += len(moment.judged)
            if not on_step(moment.step.ended):
                if judged == episodes:
                    self.stopped = Collected(record.batch(), 0.0, 0.0, steps, record.terms)
                return None
        assert record is not None
        kl, entropy = record.kl / episodes, record.entropy / episodes
        return Collected(record.batch(), kl, entropy, steps, record.terms)


def adapted(temperature: float, fresh: float, wanted: float) -> float:
    """The temperature of the next round, given the share that was new and the one wanted."""
    return min(max(temperature * (WARMER if fresh < wanted else 1 / WARMER), 1.0), WARMEST)


class _Behaviour:
    """Acts for :func:`~seqgen_envs.rollout.play`: (1 - epsilon) pi + epsilon e.

    Attributes:
        primer_length: tokens that the lanes started with.
        log_behaviour: log of what the last actions were drawn from, [N, V].
    """

    def __init__(
        self,
        source: Lanes | VecEnvLanes,
        policy: SequencePolicy,
        explore: str,
        epsilon: float,
        temperature: float,
        rng: np.random.Generator,
    ) -> None:
        self.source, self.policy, self.rng = source, policy, rng
        self.explore, self.epsilon, self.temperature = explore, epsilon, temperature
        self.primer_length = 0
        self.log_behaviour: NDArray[Any] = np.zeros(0)
        self._actions: NDArray[np.int64] | None = None

    def __call__(self, first: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        g, log_prior = self._advance(first), self.source.log_prior
        log_policy = self.policy.log_policy(log_prior, g)
        self.log_behaviour = self._mixture(self._tempered(log_policy), log_prior)
        self._actions = sample_rows(self.log_behaviour, self.rng)
        return self._actions, log_policy

    def _advance(self, first: NDArray[np.bool_]) -> torch.Tensor:
        """g of the states the lanes are in, [N, V]."""
        if self._actions is None:
            tokens = self.source.tokens
            if (tokens != tokens[0]).any():
                raise ValueError("an agent that learns needs one primer, the same in all lanes")
            self.primer_length = int((tokens[0] < self.policy.vocabulary_size).sum())
            self._start = self.policy.read_prefixes(tokens)
            g, self._state = self._start
        else:
            g, self._state = self._step(first)
        return g

    def _tempered(self, log_policy: NDArray[Any]) -> NDArray[Any]:
        """log of pi at the temperature, [N, V]."""
        if self.temperature == 1.0:
            return log_policy
        scaled = log_policy / self.temperature
        found: NDArray[Any] = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        return found

    @torch.inference_mode()
    def _step(self, first: NDArray[np.bool_]) -> tuple[torch.Tensor, State]:
        """One step of the lanes that go on; those that start an episode are after the primer."""
        assert self._actions is not None
        start_g, start_state = self._start
        going = ~(self.source.resting | first)
        if not going.any():
            return self._start
        g, state = step_rows(self.policy.step_tensors, self._actions, self._state, going)
        if going.all():
            return g, state
        on, new = (torch.from_numpy(np.flatnonzero(x)).to(g.device) for x in (going, first))
        pairs = zip(state, start_state, strict=True)
        # the state is the step's own; of a language model a copy of it would cost as much as a step
        mended = tuple(s.index_copy_(0, new, start[new]) for s, start in pairs)
        return start_g.index_copy(0, on, g), mended

    def _mixture(self, log_policy: NDArray[Any], log_prior: NDArray[Any]) -> NDArray[Any]:
        """log of the mixture, [N, V]."""
        if self.explore in ("policy", "genetic") or self.epsilon == 0.0:
            return log_policy
        if self.explore == "prior":
            other = log_prior
        else:
            allowed = log_prior > MIN_LOG_PROB
            other = np.where(allowed, -np.log(allowed.sum(axis=1, keepdims=True)), -np.inf)
        with np.errstate(divide="ignore"):
            mine, others = np.log1p(-self.epsilon), np.log(self.epsilon)
            mixture: NDArray[Any] = np.logaddexp(mine + log_policy, others + other)
            return mixture


class Recorder:
    """Arrays of the episodes of one round, filled step by step."""

    def __init__(
        self, episodes: int, horizon: int, vocabulary_size: int, terms: int, whole: bool
    ) -> None:
        self.episodes = EpisodeBatch.empty(episodes, horizon, vocabulary_size, whole)
        self.terms = np.zeros((episodes, terms))
        self.kl = self.entropy = 0.0

    def note(self, moment: Moment, log_behaviour: NDArray[Any]) -> None:
        """Keep a step, and add the policy's exact KL and entropy in the states before it."""
        assert moment.log_policy is not None
        made, lengths = self.episodes, self.episodes.lengths
        rows, live, actions = moment.episodes, moment.live, moment.actions[moment.live]
        whole = len(live) == len(moment.actions)
        log_policy, log_prior = (
            array if whole else array[live] for array in (moment.log_policy, moment.log_prior)
        )
        at, one = lengths[rows], np.arange(len(live))
        made.tokens[rows, at] = actions
        if made.log_prior is not None:
            made.log_prior[rows, at] = log_prior
        made.log_prior_taken[rows, at] = log_prior[one, actions]
        made.task_reward[rows, at] = moment.step.task_reward[live]
        made.log_behaviour[rows, at] = log_behaviour[live, actions]
        self.terms[rows] += moment.step.terms[live]
        lengths[rows] += 1
        judged = moment.judged
        if len(judged):
            made.task_reward[judged, lengths[judged] - 1] = moment.terms.sum(axis=1)
            self.terms[judged] += moment.terms
        entropy, cross = _entropy(log_policy, log_prior)
        self.entropy += entropy
        self.kl += cross - entropy

    def batch(self) -> EpisodeBatch:
        """The finished episodes."""
        return self.episodes


def _entropy(log_policy: NDArray[Any], log_prior: NDArray[np.float32]) -> tuple[float, float]:
    """-sum pi log pi and -sum pi log p, over all rows [N, V]."""
    probability = np.exp(log_policy)
    entropy, cross = (
        -float((probability * log_probs).sum(dtype=np.float64))
        for log_probs in (log_policy, log_prior)
    )
    return entropy, cross
