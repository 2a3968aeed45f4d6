"""Algorithms of Stable-Baselines3 and sb3-contrib by name, and their policies as they are judged.

Settings are a file in rl-zoo3's form: keyword arguments of the algorithm, with ``policy``,
``n_envs`` and ``observation`` beside them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.extras import require

#: What a name begins with, and the module that has the algorithms.
LIBRARIES = {"sb3": "stable_baselines3", "contrib": "sb3_contrib"}
#: log of the probability of what a deterministic policy never does.
NEVER = -1e9

_VALUES: dict[str, Any] = {
    "n_envs": 16,
    "learning_starts": 1000,
    "train_freq": 4,
    "gradient_steps": 4,
    "buffer_size": 50_000,
}
#: Of many short episodes in many lanes; each library's own defaults are for one environment. A
#: million one-hot observations would fill the memory; the LSTM is as wide as the libraries' MLPs.
DEFAULTS: dict[str, dict[str, Any]] = {
    "PPO": {"n_envs": 64, "n_steps": 64, "batch_size": 512},
    "A2C": {"n_envs": 64},
    "DQN": _VALUES,
    "MaskablePPO": {"n_envs": 64, "n_steps": 64, "batch_size": 512},
    "RecurrentPPO": {
        "n_envs": 64,
        "n_steps": 64,
        "batch_size": 512,
        "observation": "last_token",
        "policy_kwargs": {"lstm_hidden_size": 64},
    },
    "QRDQN": _VALUES,
    "TRPO": {"n_envs": 64, "n_steps": 64, "batch_size": 512},
    "ARS": {"n_envs": 16},
}
POLICIES = {"RecurrentPPO": "MlpLstmPolicy"}
_BESIDE = ("n_envs", "observation", "policy")


def factory(library: str, algorithm: str) -> Any:
    """A factory of that algorithm.

    Raises:
        ImportError: the library is not installed.
        ValueError: it has no such algorithm.
    """
    module = require(LIBRARIES[library], "clients")
    kind = getattr(module, algorithm, None)
    if not (isinstance(kind, type) and hasattr(kind, "learn")):
        raise ValueError(f"{LIBRARIES[library]} has no algorithm {algorithm!r}")

    def make(env: Any, seed: int, *, settings: Mapping[str, Any]) -> Any:
        chosen = {**DEFAULTS.get(algorithm, {}), **settings}
        policy = chosen.get("policy", POLICIES.get(algorithm, "MlpPolicy"))
        given = {name: value for name, value in chosen.items() if name not in _BESIDE}
        return kind(policy, env, seed=seed, device="cpu", **given)

    def environment(task: BenchTask, settings: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {**DEFAULTS.get(algorithm, {}), **settings}
        return {
            "num_envs": chosen.get("n_envs", 1),
            "observation": chosen.get("observation", "flat"),
        }

    make.environment = environment  # type: ignore[attr-defined]
    return make


def is_model(agent: Any) -> bool:
    """Whether it is a model of Stable-Baselines3."""
    from stable_baselines3.common.base_class import BaseAlgorithm

    return isinstance(agent, BaseAlgorithm)


class StablePolicy:
    """A Stable-Baselines3 model as a policy that shows its distribution.

    Actor-critics show theirs; value networks (DQN, QRDQN) act greedily, which is a distribution of
    one action. Masks are passed where the model takes them, and left to the environment where not.

    Args:
        model: with a ``policy``.
        observation: the kind it was made for.
    """

    def __init__(self, model: Any, observation: str) -> None:
        self.model, self.observation = model, observation
        self.predict = model.predict

    def distribution(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], Any]:
        """See :class:`~seqgen_envs.evaluation.Distribution`."""
        import torch

        policy = self.model.policy
        policy.set_training_mode(False)
        with torch.no_grad():
            if hasattr(policy, "lstm_actor"):
                return self._recurrent(observation, state, episode_start)
            if not hasattr(policy, "get_distribution"):
                actions, _ = self.model.predict(observation, deterministic=True)
                return _one_hot(actions, self.model.action_space.n), None
            tensors, _ = policy.obs_to_tensor(observation)
            takes = inspect.signature(policy.get_distribution).parameters
            more = {"action_masks": action_masks} if "action_masks" in takes else {}
            found = policy.get_distribution(tensors, **more)
        return found.distribution.logits.cpu().numpy(), None

    def _recurrent(
        self, observation: Any, state: Any, episode_start: Any
    ) -> tuple[NDArray[Any], Any]:
        import torch

        policy = self.model.policy
        tensors, _ = policy.obs_to_tensor(observation)
        lanes = len(episode_start)
        if state is None:
            shape = (policy.lstm_hidden_state_shape[0], lanes, policy.lstm_hidden_state_shape[2])
            state = (torch.zeros(shape), torch.zeros(shape))
        first = torch.as_tensor(np.asarray(episode_start), dtype=torch.float32)
        found, after = policy.get_distribution(tensors, state, first)
        return found.distribution.logits.cpu().numpy(), after


def _one_hot(actions: NDArray[Any], size: int) -> NDArray[np.float64]:
    log_policy = np.full((len(actions), size), NEVER)
    log_policy[np.arange(len(actions)), actions] = 0.0
    return log_policy
