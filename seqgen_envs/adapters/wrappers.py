"""Action masks inside the observation, under the names that libraries look for.

========================= ================= ===============
``preset``                the observation   the mask
========================= ================= ===============
(PettingZoo's, default)   ``observation``   ``action_mask``
``torchrl``               ``observation``   ``action_mask``
``tianshou``              ``obs``           ``mask``
``rllib``                 ``observations``  ``action_mask``
========================= ================= ===============
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

Keys = tuple[str, str]
SelfWrapper = TypeVar("SelfWrapper", bound="_Presets")


class _Presets:
    """The wrappers' ways to be made for one library."""

    def __init__(self, env: Any, keys: Keys = ("observation", "action_mask")) -> None:
        raise NotImplementedError

    @classmethod
    def torchrl(cls: type[SelfWrapper], env: Any) -> SelfWrapper:
        """For TorchRL's ``ActionMask`` transform."""
        return cls(env, ("observation", "action_mask"))

    @classmethod
    def tianshou(cls: type[SelfWrapper], env: Any) -> SelfWrapper:
        """For Tianshou's policies."""
        return cls(env, ("obs", "mask"))

    @classmethod
    def rllib(cls: type[SelfWrapper], env: Any) -> SelfWrapper:
        """For RLlib's ``ActionMaskingTorchRLModule``, which takes a flat observation."""
        return cls(env, ("observations", "action_mask"))


class ActionMaskObservation(_Presets, gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """``{"observation": observation, "action_mask": int8 [V]}``, 1 for tokens that may follow.

    Args:
        env: a sequence environment, wrapped or not.
        keys: what the observation and the mask are called.
    """

    def __init__(self, env: gym.Env[Any, Any], keys: Keys = ("observation", "action_mask")) -> None:
        RecordConstructorArgs.__init__(self, keys=keys)
        gym.ObservationWrapper.__init__(self, env)
        self.keys: Keys = (keys[0], keys[1])
        self.observation_space = _space(env.observation_space, env.action_space, self.keys)

    def observation(self, observation: Any) -> dict[str, Any]:
        """``observation`` beside the mask of the next action."""
        mask = self.get_wrapper_attr("action_masks")()
        return dict(zip(self.keys, (observation, mask), strict=True))


if TYPE_CHECKING:
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, NDArray[Any]]
else:
    _VectorWrapper = VectorWrapper  # of Gymnasium 1.2 (which RLlib pins) it takes no parameters


class ActionMaskVectorObservation(_Presets, _VectorWrapper):
    """:class:`ActionMaskObservation` of N lanes, native or in one of Gymnasium's vectors.

    Args:
        env: a vector environment of sequence environments, in any autoreset mode.
        keys: what the observations and the masks are called.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, NDArray[Any]],
        keys: Keys = ("observation", "action_mask"),
    ) -> None:
        VectorWrapper.__init__(self, env)
        self.keys: Keys = (keys[0], keys[1])
        self.single_observation_space = _space(
            env.single_observation_space, env.single_action_space, self.keys
        )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        return self._beside(observations, self._masks()), infos

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """As the environment's; the masks are beside ``final_obs`` too."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            final_obs = infos["final_obs"].copy()
            for lane in np.flatnonzero(infos["_final_obs"]):
                mask = infos["final_info"]["action_mask"][lane]
                final_obs[lane] = self._beside(final_obs[lane], mask)
            infos = infos | {"final_obs": final_obs}
        shown = self._beside(observations, self._masks())
        return shown, rewards, terminated, truncated, infos

    def _masks(self) -> NDArray[np.int8]:
        """int8 [N, V]."""
        inner: Any = self.env.unwrapped
        return np.stack(inner.call("action_masks"))

    def _beside(self, observation: Any, mask: NDArray[np.int8]) -> dict[str, Any]:
        return dict(zip(self.keys, (observation, mask), strict=True))


def _space(observation: spaces.Space[Any], action: spaces.Space[Any], keys: Keys) -> spaces.Dict:
    """The space of one lane's observation and mask."""
    assert isinstance(action, spaces.Discrete)
    mask = spaces.Box(0, 1, (int(action.n),), np.int8)
    return spaces.Dict(dict(zip(keys, (observation, mask), strict=True)))
