"""The native vector environment as a Stable-Baselines3 ``VecEnv``.

It behaves as SB3's ``DummyVecEnv`` over single environments in a ``Monitor`` does, infos included,
with one batched call of the prior a step. ``MaskablePPO`` (sb3-contrib) finds ``action_masks``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from seqgen_envs.vector_env import SequenceVectorEnv

Infos = list[dict[str, Any]]


class SB3VecEnv(VecEnv):
    """A :class:`~seqgen_envs.vector_env.SequenceVectorEnv` in Stable-Baselines3's words.

    A lane's info holds what the single environment's does (``log_prior``, ``task_reward``,
    ``reward_terms``, ``action_mask``), ``TimeLimit.truncated`` (always False) and, at an episode's
    end, ``sequence``, ``terminal_observation`` and ``episode`` (``r``, ``l``, ``t``, which SB3 logs
    as ``rollout/ep_rew_mean``).

    Args:
        env: made with ``autoreset_mode="SameStep"``, the way SB3 resets; see
            :func:`make_sb3_vec_env`.

    Raises:
        TypeError: ``env`` is something else.
        ValueError: it resets another way.
    """

    def __init__(self, env: SequenceVectorEnv) -> None:
        if not isinstance(env, SequenceVectorEnv):
            raise TypeError(
                f"SB3VecEnv takes a SequenceVectorEnv, got {type(env).__name__}; "
                "make_sb3_vec_env(id, num_envs) makes both (single environments need no adapter)"
            )
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                "Stable-Baselines3 resets in the step that ends an episode: make the environment "
                f"with autoreset_mode='SameStep', not {env.autoreset_mode.value!r}"
            )
        self.env = env
        self._actions: NDArray[Any] | None = None
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)
        self._started = time.time()
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Start all lanes anew; returns their observations."""
        observations, infos = self.env.reset(seed=self._seeds[0])
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self.reset_infos = [{"action_mask": mask} for mask in infos["action_mask"]]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep ``actions`` (int [N]) for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all lanes; those that end restart at once."""
        assert self._actions is not None, "call step_async() first"
        observations, rewards, finished, _, batch = self.env.step(self._actions)
        self._actions = None
        self._returns += rewards
        self._lengths += 1
        ended = np.flatnonzero(finished)
        infos = self._step_infos(batch, finished)
        if len(ended):
            self._end_episodes(infos, batch, ended)
        return observations, rewards.astype(np.float32), finished, infos

    def _step_infos(self, batch: dict[str, Any], finished: NDArray[np.bool_]) -> Infos:
        """What every lane's info holds, from the arrays of the batch."""
        parts = _rejoin(batch, finished)
        names = self.env.task.names
        terms = np.stack([parts["reward_terms"][name] for name in names], axis=1)
        return [
            {
                "log_prior": log_prior,
                "task_reward": task_reward,
                "reward_terms": dict(zip(names, values, strict=True)),
                "action_mask": mask,
                "TimeLimit.truncated": False,
            }
            for log_prior, task_reward, values, mask in zip(
                parts["log_prior"].tolist(),
                parts["task_reward"].tolist(),
                terms.tolist(),
                parts["action_mask"],
                strict=True,
            )
        ]

    def _end_episodes(self, infos: Infos, batch: dict[str, Any], ended: NDArray[np.intp]) -> None:
        """Add what only the lanes in ``ended`` have to say, and begin their next episode."""
        elapsed = round(time.time() - self._started, 6)
        for lane in ended.tolist():
            infos[lane]["sequence"] = batch["final_info"]["sequence"][lane]
            infos[lane]["terminal_observation"] = batch["final_obs"][lane]
            infos[lane]["episode"] = {
                "r": round(float(self._returns[lane]), 6),
                "l": int(self._lengths[lane]),
                "t": elapsed,
            }
            self.reset_infos[lane] = {"action_mask": batch["action_mask"][lane]}
        self._returns[ended] = 0.0
        self._lengths[ended] = 0

    def action_masks(self) -> NDArray[np.bool_]:
        """True for each token that may follow, bool [N, V]."""
        return self.env.action_masks().astype(bool)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of the batch, once for each lane; spaces are those of one lane."""
        single = f"single_{attr_name}"
        value = getattr(self.env, single if hasattr(self.env, single) else attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch.

        Raises:
            ValueError: ``indices`` leaves lanes out; they share their attributes.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise ValueError(f"the lanes share {attr_name!r}: set it for all of them")
        setattr(self.env, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the batch once; one row of what it returns for each lane."""
        owner = self if method_name == "action_masks" else self.env
        result = getattr(owner, method_name)(*method_args, **method_kwargs)
        by_lane = isinstance(result, (np.ndarray, tuple)) and len(result) == self.num_envs
        return [result[i] if by_lane else result for i in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """True for SB3's ``Monitor``, whose work is done here; False for any other wrapper."""
        return [issubclass(Monitor, wrapper_class) for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[Any] | None]:
        """Each lane's picture, where the environment was made with ``"rgb_array"``."""
        if self.render_mode != "rgb_array":
            return [None] * self.num_envs
        return list(self.env.render())

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _rejoin(batch: dict[str, Any], finished: NDArray[np.bool_]) -> dict[str, Any]:
    """The step's arrays for all lanes, of which SAME_STEP puts the finished ones apart."""
    if not finished.any():
        return batch
    final = batch["final_info"]
    if finished.all():
        return dict(final)
    parts = {"reward_terms": _choose(final["reward_terms"], batch["reward_terms"], finished)}
    names = ("log_prior", "task_reward", "action_mask")
    return parts | _choose(
        {name: final[name] for name in names}, {name: batch[name] for name in names}, finished
    )


def _choose(
    ended: dict[str, Any], going: dict[str, Any], finished: NDArray[np.bool_]
) -> dict[str, Any]:
    """Rows of ``ended`` where ``finished``, of ``going`` elsewhere, key by key."""
    return {
        key: np.where(finished.reshape(-1, *[1] * (value.ndim - 1)), value, going[key])
        for key, value in ended.items()
    }


def make_sb3_vec_env(env_id: str, num_envs: int = 1, **kwargs: Any) -> SB3VecEnv:
    """A registered environment, batched, for Stable-Baselines3.

    Args:
        env_id: such as ``"MelodyGen-v0"``.
        num_envs: N.
        kwargs: arguments of the environment.
    """
    env = gym.make_vec(
        env_id,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP.value,
        **kwargs,
    )
    assert isinstance(env, SequenceVectorEnv)
    return SB3VecEnv(env)
