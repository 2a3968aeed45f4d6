"""save, load and their relatives, without pickle: a mixin of the algorithms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch

from kl_agents.schedules import Schedule
from kl_agents.storage import (
    PathOrFile,
    SavedAgent,
    load_optimizer_tensors,
    optimizer_tensors,
    read_agent,
    write_agent,
)
from seqgen_envs._version import __version__
from seqgen_envs.observations import single_space

_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "_training_debt",
             "_iteration", "_current_progress_remaining")  # fmt: skip


class SavingMixin:
    """Methods of :class:`~kl_agents.algorithm.SequenceAlgorithm` that touch files."""

    saved_arguments: ClassVar[tuple[str, ...]]
    policy: Any
    replay: Any
    env: Any
    rng: Any

    def save(self, path: PathOrFile, exclude: Any = None, include: Any = None) -> None:
        """Write the agent; with ``include=["replay_buffer"]`` all a resumed run needs.

        Args:
            path: a file, ``.zip`` is added; or an open binary file.
            exclude: accepted for Stable-Baselines3's sake and ignored.
            include: ``["replay_buffer"]`` adds the replay.
        """
        replay, config = None, self._config()
        if include and "replay_buffer" in include and self.replay is not None:
            replay = self.replay.state_dict()
            config["tasks"] = [task.state_dict() for task in self._tasks()]
        state = self.policy.state_dict()
        write_agent(path, SavedAgent(config, state, self._optimizer_state(), replay))

    def _tasks(self) -> list[Any]:
        """The environment's tasks: one that all lanes share, or one a single environment."""
        return list({id(task): task for task in self.env.get_attr("task")}.values())

    def _optimizer_state(self) -> dict[str, torch.Tensor]:
        return optimizer_tensors(self.policy.optimizer)

    def _config(self) -> dict[str, Any]:
        """Everything but arrays, JSON-able."""
        me: Any = self
        prior = None
        if self.env is not None:
            loaded = me._prior()
            source = getattr(loaded, "source", None)
            prior = {"fingerprint": loaded.fingerprint, "name": source.name if source else None}
        elif me.saved_config:
            prior = me.saved_config["prior"]
        return {
            "algorithm": type(self).__name__,
            "package_version": __version__,
            "policy": me.policy_name,
            "arguments": {name: _plain(getattr(self, name)) for name in self.saved_arguments},
            "policy_kwargs": me.policy_kwargs,
            "seed": me.seed,
            "network": self.policy.network.trunk.config.to_dict(),
            "spaces": {
                "vocabulary_size": self.policy.vocabulary_size,
                "horizon": len(me.observation_space["tokens"].nvec),
            },
            "prior": prior,
            "c_now": self.policy.c,
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "generators": {
                "collection": self.rng.bit_generator.state,
                "policy": self.policy.rng.bit_generator.state,
            },
        }

    @classmethod
    def load(  # type: ignore[no-untyped-def]
        cls,
        path: PathOrFile,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ):
        """The agent in a file written by :meth:`save`.

        Args:
            path: the file.
            env: to go on training, or None to predict only.
            device: where the network goes.
            custom_objects: ``{"policy_class": cls}`` for an agent with a policy class of your own.
            print_system_info, force_reset: accepted for Stable-Baselines3's sake.
            kwargs: constructor arguments to replace; with ``c`` it acts at the new one at once.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not such a file, holds another algorithm or needs a policy class, or
                the environment's prior is not the one the agent was trained against.
        """
        saved = read_agent(path)
        config = saved.config
        if config["algorithm"] != cls.__name__:
            raise ValueError(f"{path} holds a {config['algorithm']}, not a {cls.__name__}")
        policy = (custom_objects or {}).get("policy_class", config["policy"])
        known = cls.policy_aliases  # type: ignore[attr-defined]
        if isinstance(policy, str) and policy not in known:
            raise ValueError(
                f"{path} was made with the policy class {policy!r}: pass "
                "custom_objects={'policy_class': ...}"
            )
        kept = {k: v for k, v in config["arguments"].items() if k in cls.saved_arguments}
        arguments = {
            **kept, "policy_kwargs": config["policy_kwargs"],
            "seed": config["seed"], "device": device, **kwargs,
        }  # fmt: skip
        model: Any = cls(policy, env, **arguments, _init_setup_model=False)  # type: ignore[call-arg]
        model._restore(saved)
        if "c" in kwargs:
            model.policy.c = model.c_schedule(model._current_progress_remaining)
        return model

    def _restore(self, saved: SavedAgent) -> None:
        me: Any = self
        config = saved.config
        me.saved_config = config
        if self.env is None:
            size, horizon = config["spaces"]["vocabulary_size"], config["spaces"]["horizon"]
            me.observation_space = single_space("dict", size, horizon)
            me.action_space = _action_space(size)
            me.n_envs = 1
        else:
            self._check_prior(config["prior"], me._prior())
        me._setup_model()
        self.policy.load_state_dict(saved.policy)
        load_optimizer_tensors(self.policy.optimizer, saved.optimizer)
        for name, value in config["counters"].items():
            setattr(self, name, value)
        self.rng.bit_generator.state = config["generators"]["collection"]
        self.policy.rng.bit_generator.state = config["generators"]["policy"]
        self.policy.c = config["c_now"]
        self.policy.weights_changed()
        if saved.replay is not None and self.replay is not None:
            self.replay.load_state_dict(saved.replay)
            # as many as there are, where the number of environments is another
            for task, state in zip(self._tasks(), config.get("tasks", []), strict=False):
                task.load_state_dict(state)

    def check_fits(self, env: Any) -> None:
        """Raise a ValueError unless the agent is of ``env``'s vocabulary and prior."""
        size = env.domain.vocabulary.size
        if size != self.policy.vocabulary_size:
            raise ValueError(
                f"the agent knows {self.policy.vocabulary_size} tokens, domain "
                f"{env.domain.name!r} has {size}: it was trained on another domain"
            )
        self._check_prior(self._config()["prior"], env.prior)

    @staticmethod
    def _check_prior(recorded: dict[str, Any] | None, prior: Any) -> None:
        actual = prior.fingerprint
        if recorded is not None and recorded["fingerprint"] != actual:
            raise ValueError(
                f"the agent was trained against prior {recorded['name']!r} "
                f"({recorded['fingerprint']}), the environment has another one ({actual}): make "
                "it with the same prior"
            )

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

        They go where the agent is; ``device`` is accepted for Stable-Baselines3's sake.

        Raises:
            ValueError: a name is missing or unknown (with ``exact_match``).
        """
        if isinstance(load_path_or_dict, dict):
            parameters = dict(load_path_or_dict)
            unknown = set(parameters) - {"policy", "policy.optimizer"}
            if unknown or (exact_match and len(parameters) < 2):
                raise ValueError(
                    f"expected parameters of policy and policy.optimizer, got {sorted(parameters)}"
                )
            if "policy.optimizer" in parameters:
                self.policy.optimizer.load_state_dict(parameters["policy.optimizer"])
            if "policy" in parameters:
                self.policy.load_state_dict(parameters["policy"], strict=exact_match)
        else:
            saved = read_agent(load_path_or_dict)
            self.policy.load_state_dict(saved.policy, strict=exact_match)
            load_optimizer_tensors(self.policy.optimizer, saved.optimizer)
        self.policy.weights_changed()

    @property
    def replay_buffer(self) -> Any:
        """The replay, under the name Stable-Baselines3's callbacks look for."""
        return self.replay

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay to a ``.npz`` file."""
        with open(_npz(path), "wb") as file:
            np.savez_compressed(file, **self.replay.state_dict())

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> None:
        """Read a replay written by :meth:`save_replay_buffer`.

        Raises:
            ValueError: it does not fit this agent's.
        """
        with np.load(_npz(path), allow_pickle=False) as arrays:
            self.replay.load_state_dict({name: arrays[name] for name in arrays.files})


def _plain(argument: Any) -> Any:
    return asdict(argument) if isinstance(argument, Schedule) else argument


def _npz(path: Any) -> str:
    text = str(path)
    return text if text.endswith(".npz") else text + ".npz"


def _action_space(size: int) -> Any:
    from gymnasium import spaces

    return spaces.Discrete(size)
