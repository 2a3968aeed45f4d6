"""The vector environment: N lanes, one batched call of the prior a step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from seqgen_envs.domain import Domain
from seqgen_envs.env import RENDER_MODES, check_render_mode, render_lane
from seqgen_envs.lanes import Lanes, LaneSettings, LanesView, Step
from seqgen_envs.observations import check_kind, observe, single_space
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task


class SequenceVectorEnv(LanesView, VectorEnv[Any, Any, NDArray[Any]]):
    """N :class:`~seqgen_envs.env.SequenceEnv` in one, with the same trajectories.

    Spaces, infos and their ``_key`` masks are those of ``gymnasium.vector.SyncVectorEnv`` over
    single environments; what is batched is the work.

    Args:
        num_envs: N.
        autoreset_mode: ``NextStep`` (Gymnasium's default), ``SameStep`` or ``Disabled`` (reset
            finished lanes with ``options={"reset_mask": mask}``).
        domain, prior, task, c, prior_weight, length, primer, mask, observation, render_mode: as
            for :class:`~seqgen_envs.env.SequenceEnv`.

    Raises:
        ValueError: an argument is out of its range.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 8}

    def __init__(
        self,
        domain: str | Domain,
        num_envs: int = 1,
        *,
        prior: str | Path | Prior | None = None,
        task: str | Mapping[str, Any] | Task | None = None,
        c: float = 0.5,
        prior_weight: float = 1.0,
        length: int | None = None,
        primer: Any = None,
        mask: str | None = None,
        observation: str = "dict",
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        settings = LaneSettings(domain, prior, task, c, prior_weight, length, primer, mask)
        self.lanes = Lanes(num_envs, settings)
        self.kind = check_kind(observation)
        self.render_mode = check_render_mode(render_mode)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs = num_envs
        size = self.lanes.domain.vocabulary.size
        self.single_action_space = spaces.Discrete(size)
        self.single_observation_space = single_space(observation, size, self.lanes.horizon)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start all lanes, or those marked in ``options["reset_mask"]`` (bool [N]), anew.

        Raises:
            ValueError: the mask has another shape or type, or marks nothing.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        mask = (options or {}).get("reset_mask")
        rows = np.ones(self.num_envs, dtype=bool) if mask is None else self._checked_mask(mask)
        self.lanes.reset(rows)
        info = self._masked({"action_mask": self.lanes.action_mask * rows[:, None]}, rows)
        return observe(self.kind, self.lanes), info

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Append one token to every lane; see the class for what happens to finished ones.

        Raises:
            ValueError: an action is outside the space, or its lane was never reset or
                (``Disabled``) has finished.
        """
        restart = None
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and self.lanes.started:
            restart = self.lanes.finished.copy()
        step = self.lanes.step(self._checked_actions(actions), restart)
        stepped = np.ones(self.num_envs, dtype=bool) if restart is None else ~restart
        infos = self._step_infos(step, stepped)
        if self.autoreset_mode == AutoresetMode.SAME_STEP and step.finished.any():
            infos = self._restart_finished(infos, step.finished)
        else:
            infos |= self._masked({"action_mask": self.lanes.action_mask.copy()}, None)
        truncated = np.zeros(self.num_envs, dtype=bool)
        return observe(self.kind, self.lanes), step.reward, step.finished, truncated, infos

    def render(self) -> Any:
        """A tuple with each lane's picture or text; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(render_lane(self.lanes, i, self.render_mode) for i in range(self.num_envs))

    def action_masks(self) -> NDArray[np.int8]:
        """1 for each token that may follow, int8 [N, V]."""
        return self.lanes.action_mask.copy()

    def _checked_mask(self, mask: Any) -> NDArray[np.bool_]:
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be a bool array of shape ({self.num_envs},) with at "
                f"least one True, got {mask.dtype} of shape {mask.shape}"
            )
        return mask

    def _checked_actions(self, actions: Any) -> NDArray[np.int64]:
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"actions must be whole numbers of shape ({self.num_envs},), "
                f"got {array.dtype} of shape {array.shape}"
            )
        return array.astype(np.int64, copy=False)

    def _masked(self, values: dict[str, Any], rows: NDArray[np.bool_] | None) -> dict[str, Any]:
        """``values`` with Gymnasium's ``_key`` masks: True where a lane has that value."""
        has = np.ones(self.num_envs, dtype=bool) if rows is None else rows
        infos: dict[str, Any] = {}
        for key, value in values.items():
            infos[key], infos[f"_{key}"] = value, has.copy()
        return infos

    def _step_infos(self, step: Step, stepped: NDArray[np.bool_]) -> dict[str, Any]:
        if not stepped.any():
            return {}
        columns = np.ascontiguousarray(step.terms.T)
        terms = self._masked(dict(zip(self.task.names, columns, strict=True)), stepped)
        parts = {
            "log_prior": step.log_prior,
            "task_reward": step.task_reward,
            "reward_terms": terms,
        }
        infos = self._masked(parts, stepped)
        if step.finished.any():
            sequences = np.full(self.num_envs, None, dtype=object)
            for lane in np.flatnonzero(step.finished):
                sequences[lane] = self.domain.to_text(self.lanes.tokens[lane])
            infos |= self._masked({"sequence": sequences}, step.finished)
        return infos

    def _restart_finished(
        self, infos: dict[str, Any], finished: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """SAME_STEP: move what ended into ``final_obs`` and ``final_info``, and start anew."""
        infos |= self._masked({"action_mask": self.lanes.action_mask.copy()}, None)
        final_obs = np.full(self.num_envs, None, dtype=object)
        batch = observe(self.kind, self.lanes)
        for lane in np.flatnonzero(finished):
            final_obs[lane] = (
                {key: value[lane] for key, value in batch.items()}
                if isinstance(batch, dict)
                else batch[lane]
            )
        final_info = _only(infos, finished)
        remaining = {} if finished.all() else _only(infos, ~finished)
        self.lanes.reset(finished)
        remaining |= self._masked({"action_mask": self.lanes.action_mask.copy()}, None)
        remaining.pop("sequence", None)
        remaining.pop("_sequence", None)
        return remaining | self._masked(
            {"final_obs": final_obs, "final_info": final_info}, finished
        )


def _only(infos: dict[str, Any], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """``infos`` as if only the lanes marked in ``rows`` had sent any: zeros and False elsewhere."""
    kept: dict[str, Any] = {}
    for key, value in infos.items():
        if isinstance(value, dict):
            kept[key] = _only(value, rows)
        elif value.dtype == object:
            kept[key] = np.where(rows, value, None)
        else:
            kept[key] = np.where(rows.reshape(-1, *[1] * (value.ndim - 1)), value, 0).astype(
                value.dtype
            )
    return kept
