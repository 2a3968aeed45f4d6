"""The base of all agents: the only collection loop, and Stable-Baselines3's interface.

Training goes in rounds: collect ``episodes_per_round`` whole episodes, then update on replayed
episodes until ``replay_ratio`` transitions have been trained on for each one collected. A round
begins with all lanes reset, so a checkpoint between rounds is all there is to resume from.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import FloatSchedule, check_for_correct_spaces, safe_mean
from torch import Tensor

from kl_agents.augmentation import Augmenter
from kl_agents.backups import Backup
from kl_agents.collection import Collected, Collector, as_vec_env, make_source
from kl_agents.policy import SequencePolicy, StateArrays, check_spaces
from kl_agents.replay import EpisodeBatch, EpisodeReplay
from kl_agents.saving import SavingMixin
from kl_agents.schedules import ScheduleSpec, make_schedule

SelfAlgorithm = TypeVar("SelfAlgorithm", bound="SequenceAlgorithm")


class SequenceAlgorithm(SavingMixin, BaseAlgorithm):  # type: ignore[misc]
    """Collects episodes and hands replayed ones to :meth:`_loss`, which subclasses define.

    Args:
        policy: ``"SequencePolicy"`` or a subclass of it.
        env: an id, a native vector environment, an SB3 ``VecEnv`` or a single environment, with
            ``observation="dict"``.
        learning_rate: a number or a schedule (:mod:`kl_agents.schedules`).
        c: temperature of the task reward, a number or a schedule; None is the environment's,
            throughout. Where returns are hundreds of nats, start high (the melody settings fall
            from 10): at a small c a run soon locks onto the first good sequence it finds.
        discount: gamma, in [0, 1].
        batch_episodes: episodes an update.
        replay_ratio: transitions trained on for each one collected.
        episodes_per_round: episodes collected between trainings; None: one a lane.
        replay_capacity: episodes kept.
        replay_sampling: ``"uniform"`` or ``"rank"`` (by task return).
        replay_unique: keep equal sequences once.
        augment: share of the replayed episodes that an update reads in another spelling, in
            domains that have several (:mod:`kl_agents.augmentation`).
        explore, epsilon: behaviour is (1 - epsilon) pi + epsilon e, e being ``"policy"`` (nothing
            but pi), ``"prior"`` or ``"uniform"``; epsilon a number or a schedule.
        max_grad_norm: gradients are scaled down to this norm.
        n_envs: lanes, where ``env`` is an id.
        compile: run the network through ``torch.compile``.
        policy_kwargs: see :class:`~kl_agents.policy.SequencePolicy` (``init``, ``scale``,
            ``architecture``, ``adam``).
        stats_window_size, tensorboard_log, verbose, seed, device: as in Stable-Baselines3.

    Raises:
        ValueError: an argument is out of its range, or the environment's spaces do not fit.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"SequencePolicy": SequencePolicy}
    policy: SequencePolicy
    #: how values become targets and a policy; each learner has its own.
    backup: Backup
    #: first tokens of an episode that ``predict`` draws from the prior, when not deterministic.
    prime_tokens = 0
    _primer_tokens: Tensor | None = None
    _iteration = 0  # rounds so far
    #: constructor arguments that ``save`` keeps, besides policy, seed and policy_kwargs.
    saved_arguments: ClassVar[tuple[str, ...]] = (
        "learning_rate", "c", "discount", "batch_episodes", "replay_ratio", "episodes_per_round",
        "replay_capacity", "replay_sampling", "replay_unique", "augment", "explore", "epsilon",
        "max_grad_norm",
    )  # fmt: skip

    def __init__(
        self,
        policy: str | type[SequencePolicy] = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec = 2e-3,
        *,
        c: ScheduleSpec | None = None,
        discount: float = 1.0,
        batch_episodes: int = 32,
        replay_ratio: float = 4.0,
        episodes_per_round: int | None = None,
        replay_capacity: int = 10_000,
        replay_sampling: str = "uniform",
        replay_unique: bool = True,
        augment: float = 0.0,
        explore: str = "policy",
        epsilon: ScheduleSpec = 0.0,
        max_grad_norm: float = 10.0,
        n_envs: int = 128,
        compile: bool = False,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            None if env is None else as_vec_env(env, n_envs),
            learning_rate=learning_rate,  # type: ignore[arg-type]
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            supported_action_spaces=(spaces.Discrete,),
        )
        self.policy_name = policy if isinstance(policy, str) else policy.__qualname__
        if env is not None:
            check_spaces(self.observation_space, self.action_space)
        self.c = self._environment_c() if c is None and env is not None else c
        self.discount = in_range("discount", discount, 0.0, 1.0)
        self.batch_episodes = int(in_range("batch_episodes", batch_episodes, 1))
        self.replay_ratio = in_range("replay_ratio", replay_ratio, 0.0)
        self.episodes_per_round = episodes_per_round
        if episodes_per_round is not None:
            self.episodes_per_round = int(in_range("episodes_per_round", episodes_per_round, 1))
        self.replay_capacity = int(in_range("replay_capacity", replay_capacity, 1))
        self.replay_sampling, self.replay_unique = replay_sampling, replay_unique
        self.augment = in_range("augment", augment, 0.0, 1.0)
        self.explore, self.epsilon = explore, epsilon
        self.max_grad_norm = in_range("max_grad_norm", max_grad_norm, 0.0)
        self.compile = compile
        self._training_debt = 0.0
        self.saved_config: dict[str, Any] | None = None
        if _init_setup_model:
            self._setup_model()

    # ------------------------------------------------------------------ set-up

    def _setup_model(self) -> None:
        """Schedules, policy and replay. Stable-Baselines3 calls this too."""
        saved = self.saved_config
        # before the seed is set: reading it for the first time draws weights that are then replaced
        prior = None if saved else self._prior()
        super().set_random_seed(self.seed)
        self.lr_schedule = FloatSchedule(make_schedule(self.learning_rate, "learning_rate"))  # type: ignore[arg-type]
        self.epsilon_schedule = make_schedule(self.epsilon, "epsilon")
        if max(self.epsilon_schedule.start, self.epsilon_schedule.end) > 1:
            raise ValueError(f"epsilon must be in [0, 1], got {self.epsilon!r}")
        self.c_schedule = make_schedule(1.0 if self.c is None else self.c, "c")
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            backup=self.backup,
            prior=prior,
            network_config=saved["network"] if saved else None,
            prime_tokens=self.prime_tokens,
            **self.policy_kwargs,
        ).to(self.device)
        self._seed_generators(self.seed)
        self.policy.c = self.c_schedule(1.0)
        network = self.policy.network
        self._network = torch.compile(network) if self.compile else network
        self.replay = None if self.env is None else self._make_replay()
        self.collector = None if self.env is None else self._make_collector()
        self.augmenter = None if self.env is None else self._make_augmenter()

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed PyTorch, NumPy and the environment as Stable-Baselines3 does, and the agent's draws.

        The weights stay as they are: they are drawn when the agent is made.
        """
        super().set_random_seed(seed)
        self._seed_generators(seed)

    def _seed_generators(self, seed: int | None) -> None:
        self.rng = np.random.default_rng(seed)
        self.policy.rng = np.random.default_rng(None if seed is None else [seed, 1])

    def _make_replay(self) -> EpisodeReplay:
        return EpisodeReplay(
            self.replay_capacity,
            self._episode_horizon(),
            self.policy.vocabulary_size,
            sampling=self.replay_sampling,
            unique=self.replay_unique,
        )

    def _episode_horizon(self) -> int:
        """Steps of an episode at most: the primer is not part of it."""
        return len(self.observation_space["tokens"].nvec) - len(self._primer())  # type: ignore[index]

    def _make_collector(self) -> Collector:
        assert self.env is not None
        return Collector(make_source(self.env), self.explore)

    def _make_augmenter(self) -> Augmenter | None:
        if not self.augment:
            return None
        domain, prior, task, mask = map(self._of_env, ("domain", "prior", "task", "mask"))
        primer = self._primer().cpu().numpy()
        return Augmenter(domain, prior, task, primer, self._episode_horizon(), mask)

    def _of_env(self, attribute: str) -> Any:
        assert self.env is not None
        return self.env.get_attr(attribute)[0]

    def _prior(self) -> Any:
        if self.env is None:
            raise ValueError("give an environment: the network starts from its prior")
        return self._of_env("prior")

    def _environment_c(self) -> float:
        return float(self._of_env("c"))

    def _primer(self) -> Tensor:
        """What every episode starts with, int64 [P]."""
        if self._primer_tokens is None:
            assert self.env is not None
            first = np.asarray(self.env.reset()["tokens"][0], dtype=np.int64)
            primer = first[first < self.policy.vocabulary_size]
            self._primer_tokens = torch.from_numpy(primer).to(self.device)
        return self._primer_tokens

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train on ``env`` from now on; it may have another number of lanes.

        Raises:
            ValueError: its spaces or its prior are not those the agent was made with.
        """
        wrapped = self._wrap_env(as_vec_env(env, self.n_envs), self.verbose)
        check_spaces(wrapped.observation_space, wrapped.action_space)
        check_for_correct_spaces(wrapped, self.observation_space, self.action_space)
        self._check_prior(self._config()["prior"], wrapped.get_attr("prior")[0])
        before = None if self.env is None else len(self._primer())
        self.n_envs = wrapped.num_envs
        super().set_env(wrapped, force_reset)
        self._primer_tokens = None
        if before != len(self._primer()):  # episodes of another length
            self.replay = self._make_replay()
        self.collector = self._make_collector()
        self.augmenter = self._make_augmenter()

    # ------------------------------------------------------------------ learning

    def learn(
        self: SelfAlgorithm,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfAlgorithm:
        """Train for at least this many environment steps; ``log_interval`` counts rounds.

        ``callback.on_rollout_end`` comes after a round's updates, so that what it saves or
        evaluates is the agent between two rounds. The other arguments are Stable-Baselines3's.

        Raises:
            ValueError: the agent was loaded without an environment.
        """
        if self.env is None:
            raise ValueError("there is no environment to train on: give one with set_env(env)")
        total_timesteps, callback = self._setup_learn(
            total_timesteps,
            callback,
            reset_num_timesteps,
            tb_log_name or type(self).__name__,
            progress_bar,
        )
        self._update_current_progress_remaining(self.num_timesteps, max(total_timesteps, 1))
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total_timesteps:
            collected = self.collect(callback)
            if collected is None:
                break
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            self._training_debt += self.replay_ratio * int(collected.episodes.lengths.sum())
            losses = self.train()
            self._iteration += 1
            if log_interval and self._iteration % log_interval == 0:
                self._log(collected, losses)
            callback.update_locals({"collected": collected})
            callback.on_rollout_end()
        callback.on_training_end()
        return self

    def collect(self, callback: BaseCallback) -> Collected | None:
        """One round of episodes into the replay; None where a callback stops the training."""
        assert self.collector is not None
        callback.on_rollout_start()
        remaining = self._current_progress_remaining
        self.policy.c = self.c_schedule(remaining)

        def on_step(finished: np.ndarray) -> bool:
            self.num_timesteps += len(finished)
            callback.update_locals({"self": self, "dones": finished, "infos": []})
            return bool(callback.on_step())

        collected = self.collector.collect(
            self.policy,
            self.episodes_per_round or self.n_envs,
            self.epsilon_schedule(remaining),
            self.rng,
            on_step,
        )
        if collected is not None:
            self._keep(collected.episodes)
        return collected

    def _keep(self, episodes: EpisodeBatch) -> None:
        """Store a round; tell Stable-Baselines3's windows of it."""
        assert self.replay is not None
        assert self.ep_info_buffer is not None
        self.replay.add(episodes)
        total = self._environment_return(episodes)
        elapsed = round((time.time_ns() - self.start_time) / 1e9, 3)
        self.ep_info_buffer.extend(
            {"r": float(r), "l": int(n), "t": elapsed}
            for r, n in zip(total, episodes.lengths, strict=True)
        )
        self._episode_num += len(episodes)

    def _environment_return(self, episodes: EpisodeBatch) -> np.ndarray:
        """log p(tau) + R/c of each episode, [B]."""
        return self._log_prior_of(episodes).sum(1) + episodes.task_return / self.policy.c

    @staticmethod
    def _log_prior_of(episodes: EpisodeBatch) -> np.ndarray:
        """log p of each action, [B, T], 0 past the end."""
        steps = np.arange(episodes.tokens.shape[1]) < episodes.lengths[:, None]
        actions = np.where(steps, episodes.tokens, 0)
        picked = np.take_along_axis(episodes.log_prior, actions[..., None], axis=2)[..., 0]
        return np.where(steps, picked, 0.0)

    def train(self) -> dict[str, float]:
        """Updates until the debt of transitions is paid; returns the means of their metrics."""
        assert self.replay is not None
        self.policy.network.train()
        self._update_learning_rate(self.policy.optimizer)
        metrics: dict[str, list[float]] = {}
        while self._training_debt > 0:
            batch, drawn = self._sample()
            self._training_debt -= int(batch.lengths.sum())
            loss, extra = self._loss(batch)
            extra |= drawn
            self.policy.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(
                self.policy.network.parameters(), self.max_grad_norm
            )
            self.policy.optimizer.step()
            self._after_update()
            self._n_updates += 1
            for name, value in {"loss": loss.item(), "grad_norm": norm.item(), **extra}.items():
                metrics.setdefault(name, []).append(value)
        self.policy.weights_changed()
        return {name: float(np.mean(values)) for name, values in metrics.items()}

    def _sample(self) -> tuple[EpisodeBatch, dict[str, float]]:
        """What the next update reads, and metrics to log of it."""
        assert self.replay is not None
        batch = self.replay.sample(self.batch_episodes, self.rng)
        if self.augmenter is None:
            return batch.cropped(), {}
        batch, respelled = self.augmenter.respell(batch, self.augment, self.rng)
        return batch.cropped(), {"augmented": respelled / len(batch)}

    def _loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch of episodes, and metrics to log."""
        raise NotImplementedError

    def _after_update(self) -> None:
        """Hook: target networks."""

    def _log(self, collected: Collected, losses: dict[str, float]) -> None:
        """The diagnostics of a round, under Stable-Baselines3's names.

        ``kl_to_prior`` and ``entropy`` are exact, of the policy, in the states of the episodes;
        while epsilon > 0 those are the behaviour's, and ``objective`` is not quite the policy's.
        """
        episodes = collected.episodes
        c = self.policy.c
        log_prior = self._log_prior_of(episodes)
        assert self.ep_info_buffer is not None
        seconds = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        metrics = {
            "rollout/ep_rew_mean": safe_mean([info["r"] for info in self.ep_info_buffer]),
            "rollout/ep_len_mean": float(episodes.lengths.mean()),
            "rollout/task_reward": float(episodes.task_return.mean()),
            "rollout/log_prior": float(log_prior.sum() / episodes.lengths.sum()),
            "rollout/kl_to_prior": collected.kl_to_prior,
            "rollout/entropy": collected.entropy,
            "rollout/objective": float(episodes.task_return.mean() / c - collected.kl_to_prior),
            "rollout/unique": len({row.tobytes() for row in episodes.tokens}) / len(episodes),
            "train/c": c,
            "train/epsilon": self.epsilon_schedule(self._current_progress_remaining),
            "train/n_updates": float(self._n_updates),
            **{f"train/{name}": value for name, value in losses.items()},
            "time/fps": (self.num_timesteps - self._num_timesteps_at_start) / seconds,
            "time/time_elapsed": seconds,
            "time/total_timesteps": float(self.num_timesteps),
        }
        for name, value in metrics.items():
            self.logger.record(name, value)
        self.logger.dump(step=self.num_timesteps)

    # ------------------------------------------------------------------ acting

    def predict(
        self,
        observation: Any,
        state: StateArrays | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, StateArrays]:
        """See :meth:`kl_agents.policy.SequencePolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks)

    def distribution(
        self,
        observation: Any,
        state: StateArrays | None = None,
        episode_start: np.ndarray | None = None,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, StateArrays]:
        """See :meth:`kl_agents.policy.SequencePolicy.distribution`."""
        return self.policy.distribution(observation, state, episode_start, action_masks)


def in_range(name: str, value: float, low: float, high: float = float("inf")) -> float:
    """``value``, or a ValueError that says what ``name`` must be."""
    if not low <= value <= high:
        bound = f"at least {low}" if high == float("inf") else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {bound}, got {value}")
    return value
