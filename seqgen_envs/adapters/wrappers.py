"""Observation wrappers for libraries that want masks or flat numbers in the observation."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from seqgen_envs.env import SequenceEnv
from seqgen_envs.lanes import MIN_LOG_PROB


class ActionMaskObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """``{key: observation, "action_mask": int8 [V]}``, 1 for each token that may follow.

    Tianshou, TorchRL and PettingZoo's conventions call the rest ``"observation"``; RLlib calls it
    ``"observations"``.

    Args:
        env: a sequence environment, wrapped or not.
        key: what the observation itself is called.
    """

    def __init__(self, env: gym.Env[Any, Any], key: str = "observation") -> None:
        RecordConstructorArgs.__init__(self, key=key)
        gym.ObservationWrapper.__init__(self, env)
        self.key = key
        assert isinstance(env.action_space, spaces.Discrete)
        mask = spaces.Box(0, 1, (int(env.action_space.n),), np.int8)
        self.observation_space = spaces.Dict({key: env.observation_space, "action_mask": mask})

    def observation(self, observation: Any) -> dict[str, Any]:
        """``observation`` beside the mask of the next action."""
        return {self.key: observation, "action_mask": self.get_wrapper_attr("action_masks")()}


class FlattenTokens(gym.ObservationWrapper[NDArray[np.float32], Any, Any], RecordConstructorArgs):
    """One float32 vector for multilayer perceptrons, such as CleanRL's.

    Each token as one-hot of V (padding and start: zeros), [T * V] (V for ``"last_token"``); where
    the observation is a ``"dict"``, log p of the next token follows, [V], divided by 100 so that
    all lies in [-1, 1].

    Args:
        env: a sequence environment that no other wrapper's observations have changed.

    Raises:
        ValueError: the observations are not those of a sequence environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        inner = env.unwrapped
        if not isinstance(inner, SequenceEnv) or env.observation_space != inner.observation_space:
            raise ValueError(
                "FlattenTokens needs the observations of a SequenceEnv as they are: "
                "put it inside other observation wrappers"
            )
        size = inner.domain.vocabulary.size
        self._one_hot = np.eye(size + 1, size, dtype=np.float32)  # row V: zeros
        tokens = 1 if inner.kind == "last_token" else inner.lanes.horizon
        low = np.zeros(tokens * size, dtype=np.float32)
        high = np.ones_like(low)
        if inner.kind == "dict":
            low = np.append(low, np.full(size, -1.0, dtype=np.float32))
            high = np.append(high, np.zeros(size, dtype=np.float32))
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: Any) -> NDArray[np.float32]:
        """See the class."""
        if not isinstance(observation, dict):
            return self._one_hot[np.atleast_1d(observation)].reshape(-1)  # a copy
        tokens = self._one_hot[observation["tokens"]].reshape(-1)
        return np.concatenate([tokens, observation["log_prior"] / -MIN_LOG_PROB], dtype=np.float32)
