"""Lanes as a Stable-Baselines3 ``VecEnv``.

It behaves as SB3's ``DummyVecEnv`` over single environments in a ``Monitor`` does, infos included,
with one batched call of the prior a step. ``MaskablePPO`` (sb3-contrib) finds ``action_masks``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from seqgen_envs.env import check_render_mode, render_lane
from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.observations import LanesView, check_kind, observe, row_of, single_space
from seqgen_envs.vector_env import SequenceVectorEnv

Infos = list[dict[str, Any]]


class SB3VecEnv(LanesView, VecEnv):
    """:class:`~seqgen_envs.lanes.Lanes` in Stable-Baselines3's words.

    A lane's info holds what the single environment's does, ``TimeLimit.truncated`` and, at an
    episode's end, ``terminal_observation`` and ``episode`` (``r``, ``l``, ``t``, which SB3 logs as
    ``rollout/ep_rew_mean``). ``set_options({"primer": ...})`` gives the next reset's primers.

    Args:
        lanes: an environment's (``env.unwrapped.lanes``), or new ones;
            :func:`make_sb3_vec_env` makes them of an id.
        observation, render_mode: as for :class:`~seqgen_envs.env.SequenceEnv`.

    Raises:
        TypeError: ``lanes`` are something else.
    """

    def __init__(
        self, lanes: Lanes, observation: str = "dict", render_mode: str | None = None
    ) -> None:
        if not isinstance(lanes, Lanes):
            raise TypeError(
                f"SB3VecEnv takes Lanes, got {type(lanes).__name__}: give env.unwrapped.lanes, or "
                "make both with make_sb3_vec_env(id, num_envs)"
            )
        self.lanes = lanes
        self.kind, self.render_mode = check_kind(observation), check_render_mode(render_mode)
        self._actions: NDArray[Any] | None = None
        self._returns = np.zeros(lanes.n)
        self._started = time.time()
        size = lanes.domain.vocabulary.size
        space = single_space(observation, size, lanes.horizon)
        super().__init__(lanes.n, space, spaces.Discrete(size))

    def reset(self) -> Any:
        """Start all lanes anew; returns their observations."""
        self.lanes.seed(self._seeds)
        self.lanes.reset(primers=self._primers())
        self._returns[:] = 0.0
        self.reset_infos = self._infos(self.lanes.no_step())
        self._reset_seeds()
        self._reset_options()
        return observe(self.kind, self.lanes)

    def _primers(self) -> Sequence[tuple[int, ...]] | None:
        """Those that ``set_options`` gave, one for all or one a lane; None if it gave none."""
        given = [options.get("primer") for options in self._options]
        if all(primer is None for primer in given):
            return None
        return self.lanes.read_primers(given[0] if self.num_envs == 1 else given)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep ``actions`` (int [N]) for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all lanes; those that end restart at once."""
        assert self._actions is not None, "call step_async() first"
        step = self.lanes.step(self.lanes.as_actions(self._actions))
        self._actions = None
        self._returns += step.reward
        infos, ended = self._infos(step), step.ended
        for info, finished, truncated in zip(infos, step.finished, step.truncated, strict=True):
            info["TimeLimit.truncated"] = bool(truncated and not finished)
        if ended.any():
            self._end_episodes(infos, ended)
        return observe(self.kind, self.lanes), step.reward.astype(np.float32), ended, infos

    def _infos(self, step: Step, rows: NDArray[np.intp] | None = None) -> Infos:
        """What the single environment says, for every lane or for those in ``rows``."""
        names, rows = self.task.names, self.lanes.lane_ids if rows is None else rows
        finished = step.finished[rows]
        columns = step.prior_log_prob, step.task_reward, step.terms, self.lanes.action_mask
        infos: Infos = [
            {
                "prior_log_prob": log_prob,
                "task_reward": task_reward,
                "reward_terms": dict(zip(names, terms, strict=True)),
                "action_mask": mask,
                "sequence": "",
            }
            for log_prob, task_reward, terms, mask in zip(*(c[rows] for c in columns), strict=True)
        ]
        for at in np.flatnonzero(finished):
            infos[at]["sequence"] = self.domain.to_text(self.lanes.tokens[rows[at]])
        return infos

    def _end_episodes(self, infos: Infos, ended: NDArray[np.bool_]) -> None:
        """Add what only the lanes in ``ended`` have to say, and begin their next episode."""
        elapsed = round(time.time() - self._started, 6)
        observations = observe(self.kind, self.lanes)
        lengths = self.lanes.lengths - self.lanes.primer_lengths
        self.lanes.reset(ended)
        rows = np.flatnonzero(ended)
        fresh = self._infos(self.lanes.no_step(), rows)
        for lane, reset_info in zip(rows.tolist(), fresh, strict=True):
            infos[lane]["terminal_observation"] = row_of(observations, lane)
            infos[lane]["episode"] = {
                "r": round(float(self._returns[lane]), 6),
                "l": int(lengths[lane]),
                "t": elapsed,
            }
            self.reset_infos[lane] = reset_info
        self._returns[ended] = 0.0

    def action_masks(self) -> NDArray[np.bool_]:
        """True for each token that may follow, bool [N, V]."""
        return self.lanes.action_mask.astype(bool)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of the batch, once for each lane; spaces are those of one lane."""
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch.

        Raises:
            ValueError: ``indices`` leaves lanes out; they share their attributes.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise ValueError(f"the lanes share {attr_name!r}: set it for all of them")
        setattr(self, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the batch once; one row of what it returns for each lane."""
        method = self._pictures if method_name == "render" else getattr(self, method_name)
        result = method(*method_args, **method_kwargs)
        by_lane = isinstance(result, (np.ndarray, list)) and len(result) == self.num_envs
        return [result[i] if by_lane else result for i in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """True for SB3's ``Monitor``, whose work is done here; False for any other wrapper."""
        return [issubclass(Monitor, wrapper_class) for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[Any] | None]:
        """Each lane's picture, where the environment was made with ``"rgb_array"``."""
        return self._pictures() if self.render_mode == "rgb_array" else [None] * self.num_envs

    def _pictures(self) -> list[Any]:
        """Each lane's picture or text."""
        if self.render_mode is None:
            return [None] * self.num_envs
        return [render_lane(self.lanes, lane, self.render_mode) for lane in range(self.num_envs)]

    def close(self) -> None:
        """End what runs beside this process for the task; see :meth:`~.rules.Task.close`."""
        self.task.close()


def make_sb3_vec_env(env_id: str, num_envs: int = 1, **kwargs: Any) -> SB3VecEnv:
    """A registered environment, batched, for Stable-Baselines3.

    Args:
        env_id: such as ``"MelodyGen-v0"``.
        num_envs: N.
        kwargs: arguments of the environment.
    """
    env = gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **kwargs
    ).unwrapped
    assert isinstance(env, SequenceVectorEnv)
    return SB3VecEnv(env.lanes, observation=env.kind, render_mode=env.render_mode)
