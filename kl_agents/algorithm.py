"""The base of all agents: the only collection loop, and Stable-Baselines3's interface.

Training goes in rounds: collect ``episodes_per_round`` whole episodes, then update on replayed
episodes until ``replay_ratio`` transitions have been trained on for each one collected. A round
begins with all lanes reset, so a checkpoint between rounds is all there is to resume from.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import FloatSchedule, check_for_correct_spaces

from kl_agents import saving
from kl_agents.augmentation import Augmenter
from kl_agents.backups import Backup
from kl_agents.breeding import Breeder, make_breeder
from kl_agents.collection import Collected, Collector, adapted, as_vec_env, make_source
from kl_agents.diagnostics import agent_metrics, episode_infos
from kl_agents.env_facts import EnvFacts
from kl_agents.losses import Batch, Loss, Networks
from kl_agents.networks import weights_of
from kl_agents.policy import SequencePolicy, StateArrays, check_spaces
from kl_agents.replay import EpisodeBatch, EpisodeReplay
from kl_agents.schedules import ScheduleSpec, make_schedule
from kl_agents.settings import SequenceSettings, documented, make_settings
from kl_agents.storage import SavedAgent, load_arrays, write_arrays
from seqgen_envs.bounded import PathOrFile

SelfAlgorithm = TypeVar("SelfAlgorithm", bound="SequenceAlgorithm")


class SequenceAlgorithm(BaseAlgorithm):
    """Collects episodes and hands replayed ones to its loss.

    A learner is a subclass that names its parts; its settings are its keyword arguments, and
    its docstring gets a line on each of them.
    """

    #: a frozen dataclass of the learner's settings.
    settings_class: ClassVar[type[SequenceSettings]] = SequenceSettings
    #: what an update minimises; None: nothing is learned.
    loss_class: ClassVar[type[Loss] | None] = None
    #: how values become a policy (and, in losses of values, targets).
    backup: ClassVar[Backup]
    #: first tokens of an episode that ``predict`` draws from the prior, when not deterministic.
    prime_tokens: ClassVar[int] = 0
    #: whether V(s_0) is an estimate of the objective, to be shown beside it.
    estimates_objective: bool = False
    policy_defaults: ClassVar[Mapping[str, Any]] = {}
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"SequencePolicy": SequencePolicy}

    policy: SequencePolicy
    #: id and keywords of the environment, where they are known: for the file of :meth:`save`.
    environment: dict[str, Any] | None = None
    #: what is asked of the environment, where there is one.
    facts: EnvFacts | None = None
    #: episodes that were put into the replay before the training began.
    seeds: Collected | None = None
    replay: EpisodeReplay | None
    collector: Collector | None
    augmenter: Augmenter | None
    breeder: Breeder | None
    _saved: dict[str, Any] | None = None  # config of the file the agent comes from
    _iteration = 0  # rounds so far
    _temperature = 1.0  # that episodes are drawn at

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Complete the docstring by the arguments."""
        super().__init_subclass__(**kwargs)
        cls.__doc__ = documented(cls.__doc__ or "", cls.settings_class)

    def __init__(
        self,
        policy: str | type[SequencePolicy] = "SequencePolicy",
        env: Any = None,
        learning_rate: ScheduleSpec | None = None,
        *,
        n_envs: int = 128,
        compile: bool = False,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        **settings: Any,
    ) -> None:
        if learning_rate is not None:
            settings["learning_rate"] = learning_rate
        others = inspect.signature(SequenceAlgorithm.__init__).parameters
        self.settings = make_settings(self.settings_class, settings, type(self).__name__, others)
        super().__init__(
            policy,
            None if env is None else as_vec_env(env, n_envs),
            learning_rate=self.settings.learning_rate,  # type: ignore[arg-type]
            policy_kwargs={**self.policy_defaults, **(policy_kwargs or {})},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            supported_action_spaces=(spaces.Discrete,),
        )
        self.policy_name = policy if isinstance(policy, str) else policy.__qualname__
        if self.env is not None:
            check_spaces(self.observation_space, self.action_space)
            if isinstance(env, str):
                self.environment = {"id": env, "kwargs": {}}
            self.facts = EnvFacts(self.env)
            if self.settings.c is None:
                self.settings = replace(self.settings, c=self.facts.c)
        self.loss = None if self.loss_class is None else self.loss_class(self.settings, self.backup)
        self.compile = compile
        self._training_debt = 0.0
        if _init_setup_model:
            self._setup_model()

    # ------------------------------------------------------------------ set-up

    def _setup_model(self) -> None:
        """Schedules, policy and replay. Stable-Baselines3 calls this too."""
        settings, saved = self.settings, self._saved
        if saved is None and self.facts is None:
            raise ValueError("give an environment: the network starts from its prior")
        # before the seed is set: reading it for the first time draws weights that are then replaced
        prior = self.facts.prior if self.facts else None
        super().set_random_seed(self.seed)
        self.lr_schedule = FloatSchedule(make_schedule(settings.learning_rate, "learning_rate"))
        self.epsilon_schedule = make_schedule(settings.epsilon, "epsilon")
        self.c_schedule = make_schedule(1.0 if settings.c is None else settings.c, "c")
        arguments = {"unit": self.c_schedule(0.0), **self.policy_kwargs}
        if getattr(settings, "dueling", False):
            arguments["dueling"] = True
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            backup=self.backup,
            prior=prior,
            network_config=saved["network"] if saved else None,
            prime_tokens=self.prime_tokens,
            **arguments,
        ).to(self.device)
        self._seed_generators(self.seed)
        self.policy.c = self.c_schedule(1.0)
        network = self.policy.network
        self._network = torch.compile(network) if self.compile else network
        self.replay = self.collector = self.augmenter = self.breeder = None
        if self.facts is not None:
            self._enter()

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed PyTorch, NumPy and the environment as Stable-Baselines3 does, and the agent's draws.

        The weights stay as they are: they are drawn when the agent is made.
        """
        super().set_random_seed(seed)
        self._seed_generators(seed)

    def _seed_generators(self, seed: int | None) -> None:
        self.rng = np.random.default_rng(seed)
        self.policy.rng = np.random.default_rng(None if seed is None else [seed, 1])

    def _enter(self) -> None:
        """Make what depends on the environment."""
        assert self.facts is not None
        self.replay = self._make_replay()
        self.collector = Collector(
            make_source(self.facts.env), self.settings.explore, self.replay.keeps_log_prior
        )
        self.augmenter = self.facts.augmenter() if self.settings.augment else None
        self.breeder = make_breeder(self.settings, self.loss, self.facts, self.collector)

    def _make_replay(self) -> EpisodeReplay:
        assert self.facts is not None
        return EpisodeReplay(
            self.settings.replay_capacity,
            self.facts.horizon,
            self.policy.vocabulary_size,
            sampling=self.settings.replay_sampling,
            unique=self.settings.replay_unique,
        )

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train on ``env`` from now on; it may have another number of lanes.

        Raises:
            ValueError: its spaces or its prior are not those the agent was made with.
        """
        wrapped = self._wrap_env(as_vec_env(env, self.n_envs), self.verbose)
        check_spaces(wrapped.observation_space, wrapped.action_space)
        check_for_correct_spaces(wrapped, self.observation_space, self.action_space)
        facts, before, replay = EnvFacts(wrapped), self.facts, self.replay
        saving.check_prior(self.prior_record(), facts.prior)
        self.n_envs = wrapped.num_envs
        super().set_env(wrapped, force_reset)
        self.facts = facts
        self._enter()
        if before is not None and before.horizon == facts.horizon:
            self.replay = replay

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
            if collected is None:  # what of it was scored is told all the same
                callback.update_locals({"stopped": getattr(self.collector, "stopped", None)})
                break
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            if self._iteration == 0:
                self._start_values(collected.episodes)
            losses = self.train()
            self._iteration += 1
            if log_interval and self._iteration % log_interval == 0:
                self._log(collected, losses)
            callback.update_locals({"collected": collected})
            callback.on_rollout_end()
        callback.on_training_end()
        return self

    def collect(self, callback: BaseCallback) -> Collected | None:
        """One round of episodes into the replay; None where a callback stops the training.

        Where something is raised meanwhile (Ctrl-C, an oracle's error), the agent and its tasks are
        as they were before the round.
        """
        assert self.collector is not None
        assert self.replay is not None
        callback.on_rollout_start()
        remaining = self._current_progress_remaining
        self.policy.c = self.c_schedule(remaining)

        def on_step(finished: np.ndarray) -> bool:
            self.num_timesteps += len(finished)
            callback.update_locals({"self": self, "dones": finished, "infos": []})
            return bool(callback.on_step())

        epsilon, bred = self.epsilon_schedule(remaining), None
        size = self.settings.episodes_per_round or self.n_envs
        wanted = min(int(epsilon * size), size - 1) if self.breeder else 0
        with saving.undone_on_error(self):
            collected = self.collector.collect(
                self.policy,
                size - wanted,
                epsilon,
                self.rng,
                on_step,
                self._temperature,
            )
            if collected is not None and self.breeder is not None:
                bred = self.breeder.breed(self.replay, wanted, self.rng, on_step)
        if collected is not None:
            if self.settings.novelty:
                fresh = self.replay.fresh(collected.episodes.tokens)
                self._temperature = adapted(self._temperature, fresh, self.settings.novelty)
            self._keep(collected.episodes)
            if bred is not None:
                collected.bred = bred
                self._keep(bred.episodes)
        return collected

    def _keep(self, episodes: EpisodeBatch) -> None:
        """Store a round; tell Stable-Baselines3's windows of it."""
        assert self.replay is not None
        assert self.ep_info_buffer is not None
        self.replay.add(episodes)
        self._training_debt += self.settings.replay_ratio * int(episodes.lengths.sum())
        self.ep_info_buffer.extend(episode_infos(self, episodes))
        self._episode_num += len(episodes)

    def _start_values(self, episodes: EpisodeBatch) -> None:
        """Estimate the values to start from, where they were not given and nothing is learned."""
        given = self.policy_kwargs.get("initial_value")
        if given is None and self.loss is not None and self.policy.network.untrained:
            value = self.loss.initial_value(episodes)
            for network in (self.policy.network, self.policy.target):
                network.start_at(value)
            self.policy.weights_changed()

    def train(self) -> dict[str, float]:
        """Updates until the debt of transitions is paid; returns the means of their metrics."""
        if self.loss is None:
            self._training_debt = 0.0
            return {}
        networks, weights = self._networks(), weights_of(self.policy.network)
        self.policy.network.train()
        self._update_learning_rate(self.policy.optimizer)
        metrics: dict[str, list[float]] = {}
        while self._training_debt > 0:
            batch, drawn = self._sample()
            self._training_debt -= int(batch.lengths.sum())
            loss, extra = self.loss(self._tensors(batch), networks)
            extra |= drawn
            self.policy.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(weights, self.settings.max_grad_norm)
            self.policy.optimizer.step()
            self.loss.after_update(self.policy.network, self.policy.target)
            self._n_updates += 1
            for name, value in {"loss": loss.item(), "grad_norm": norm.item(), **extra}.items():
                metrics.setdefault(name, []).append(value)
        self.policy.weights_changed()
        return {name: float(np.mean(values)) for name, values in metrics.items()}

    def _sample(self) -> tuple[EpisodeBatch, dict[str, float]]:
        """What the next update reads, and metrics to log of it."""
        assert self.replay is not None
        batch = self.replay.sample(self.settings.batch_episodes, self.rng)
        if self.augmenter is None:
            return batch.cropped(), {}
        batch, respelled = self.augmenter.respell(batch, self.settings.augment, self.rng)
        return batch.cropped(), {"augmented": respelled / len(batch)}

    def _tensors(self, episodes: EpisodeBatch) -> Batch:
        assert self.facts is not None
        return Batch.of(episodes, self.policy.c, self.facts.shown, self.device)

    def _networks(self) -> Networks:
        assert self.facts is not None
        primer = torch.from_numpy(self.facts.primer).to(self.device)
        return Networks(
            online=lambda tokens: self._network(tokens, primer),
            taken=lambda tokens, actions: self._network(tokens, primer, actions),
            parts=lambda tokens: self._network(tokens, primer, None, True),
            target=lambda tokens: self.policy.target(tokens, primer),
        )

    def _log(self, collected: Collected, losses: dict[str, float]) -> None:
        for name, value in agent_metrics(self, collected, losses).items():
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

    # ------------------------------------------------------------------ state and files

    def state(self, replay: bool = False) -> SavedAgent:
        """All that decides how the agent goes on, copied; ``replay`` adds what it has collected."""
        return saving.state_of(self, replay)

    def set_state(self, state: SavedAgent) -> None:
        """Go on as the agent that :meth:`state` was taken of.

        Raises:
            ValueError: its prior, its network's sizes or its replay are not this agent's.
        """
        saving.restore(self, state)

    def prior_record(self) -> dict[str, Any] | None:
        """Name and fingerprint of the prior the agent starts from; None where it has none yet."""
        if self.facts is not None:
            return saving.record_of(self.facts.prior)
        return self._saved["prior"] if self._saved else None

    def check_fits(self, env: Any, any_prior: bool = False) -> None:
        """Raise a ValueError unless the agent is of ``env``'s vocabulary and prior.

        ``any_prior``: the prior may be another than the one it was trained against.
        """
        size = env.domain.vocabulary.size
        if size != self.policy.vocabulary_size:
            raise ValueError(
                f"the agent knows {self.policy.vocabulary_size} tokens, domain "
                f"{env.domain.name!r} has {size}: it was trained on another domain"
            )
        if not any_prior:
            saving.check_prior(self.prior_record(), env.prior)

    def save(  # type: ignore[override]
        self, path: PathOrFile, exclude: Any = None, include: Any = None
    ) -> None:
        """Write the agent; with ``include=["replay_buffer"]`` all a resumed run needs.

        Args:
            path: a file, ``.zip`` is added; or an open binary file.
            exclude: accepted for Stable-Baselines3's sake and ignored.
            include: ``["replay_buffer"]`` adds the replay.
        """
        saving.save(self, path, replay="replay_buffer" in (include or ()))

    @classmethod
    def load(  # type: ignore[override]
        cls: type[SelfAlgorithm],
        path: PathOrFile,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> SelfAlgorithm:
        """The agent in a file written by :meth:`save`: see :func:`kl_agents.saving.load`.

        ``custom_objects={"policy_class": cls}`` is for an agent with a policy class of your own;
        ``print_system_info`` and ``force_reset`` are accepted for Stable-Baselines3's sake.
        """
        policy_class = (custom_objects or {}).get("policy_class")
        return saving.load(cls, path, env, policy_class, device=device, **kwargs)

    def get_parameters(self) -> dict[str, Any]:
        """State dictionaries of policy and optimiser, by name."""
        return {
            "policy": self.policy.state_dict(),
            "policy.optimizer": self.policy.optimizer.state_dict(),
        }

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto"
    ) -> None:
        """Take parameters from a file of :meth:`save` or a dictionary of :meth:`get_parameters`.

        ``device`` is accepted for Stable-Baselines3's sake.

        Raises:
            ValueError: a name is missing or unknown (with ``exact_match``).
        """
        saving.set_parameters(self.policy, load_path_or_dict, exact_match)

    @property
    def replay_buffer(self) -> EpisodeReplay | None:
        """The replay, under the name Stable-Baselines3's callbacks look for."""
        return self.replay

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay to a ``.npz`` file."""
        assert self.replay is not None
        write_arrays(path, self.replay.state_dict())

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> None:
        """Read a replay written by :meth:`save_replay_buffer`.

        Raises:
            ValueError: it does not fit this agent's.
        """
        assert self.replay is not None
        self.replay.load_state_dict(load_arrays(path))
