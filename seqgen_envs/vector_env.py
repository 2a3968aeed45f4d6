"""The vector environment: N lanes, one batched call of the prior a step."""

from __future__ import annotations

import inspect
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
from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.observations import LanesView, check_kind, observe, row_of, single_space
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task
from seqgen_envs.settings import LaneSettings


class SequenceVectorEnv(LanesView, VectorEnv[Any, Any, NDArray[Any]]):
    """N :class:`~seqgen_envs.env.SequenceEnv` in one, with the same trajectories.

    Spaces, infos and their ``_key`` masks are those of ``gymnasium.vector.SyncVectorEnv`` over
    single environments; what is batched is the work.

    Args:
        num_envs: N.
        autoreset_mode: ``NextStep`` (Gymnasium's default), ``SameStep`` or ``Disabled`` (reset
            ended lanes with ``options={"reset_mask": mask}``).
        max_episode_steps: lanes are truncated after so many steps, as by Gymnasium's ``TimeLimit``
            over single environments; None: never.
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
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        settings = LaneSettings(domain, prior, task, c, prior_weight, length, primer, mask)
        self.lanes = Lanes(num_envs, settings, max_episode_steps=max_episode_steps)
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

        Args:
            seed: of what primers are drawn with: lane i's is ``seed + i``, or its own of N.
            options: ``"primer"``, one for all or a list of N; ``"reset_mask"``.

        Raises:
            ValueError: the mask has another shape or type, or marks nothing; the seeds are not N;
                a primer is no beginning of a sequence.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = options or {}
        mask, given = options.get("reset_mask"), options.get("primer")
        rows = np.ones(self.num_envs, dtype=bool) if mask is None else self._checked_mask(mask)
        if seed is not None:
            self.lanes.seed(self._checked_seeds(seed, rows))
        self.lanes.reset(rows, None if given is None else self.lanes.read_primers(given))
        infos = self._infos(self.lanes.no_step())
        return observe(self.kind, self.lanes), infos if mask is None else _only(infos, rows)

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Append one token to every lane; see the class for what happens to those that ended.

        Raises:
            ValueError: an action is outside the space.
            ResetNeeded: a lane was never reset, or (``Disabled``) its episode is over.
        """
        lanes, restart = self.lanes, None
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and lanes.started:
            restart = lanes.ended
        step = lanes.step(lanes.as_actions(actions), restart)
        infos = self._infos(step)
        if self.autoreset_mode == AutoresetMode.SAME_STEP and (ended := step.ended).any():
            infos = self._restart(infos, step, ended)
        return observe(self.kind, lanes), step.reward, step.finished, step.truncated, infos

    def render(self) -> Any:
        """A tuple with each lane's picture or text; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(render_lane(self.lanes, i, self.render_mode) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End what runs beside this process for the task; see :meth:`~.rules.Task.close`."""
        self.task.close()

    def action_masks(self) -> NDArray[np.int8]:
        """1 for each token that may follow, int8 [N, V]."""
        return self.lanes.action_mask.copy()

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What a method or an attribute gives for each lane, as ``SyncVectorEnv.call``.

        Raises:
            ValueError: ``reset`` and ``step`` are not for single lanes.
        """
        if name in ("reset", "step"):
            raise ValueError(f"lanes share one {name}: call {name}() of the vector environment")
        single = f"single_{name}"
        value = getattr(self, single if hasattr(self, single) else name)
        if not inspect.ismethod(value):
            return (value,) * self.num_envs
        result = value(*args, **kwargs)
        by_lane = isinstance(result, (np.ndarray, tuple)) and len(result) == self.num_envs
        return tuple(result) if by_lane else (result,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute, once for each lane."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute: to one value, or to a list of N equal ones.

        Raises:
            ValueError: the list has another length, or its values differ.
        """
        if isinstance(values, (list, tuple)):
            if len(values) != self.num_envs:
                raise ValueError(
                    f"give one value or {self.num_envs} for {name!r}, not {len(values)}"
                )
            if any(value != values[0] for value in values[1:]):
                raise ValueError(
                    f"the lanes share {name!r}: give one value for all, got {values!r}"
                )
            values = values[0]
        setattr(self, name, values)

    def _checked_mask(self, mask: Any) -> NDArray[np.bool_]:
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be a bool array of shape ({self.num_envs},) with at "
                f"least one True, got {mask.dtype} of shape {mask.shape}"
            )
        found: NDArray[np.bool_] = mask
        return found

    def _checked_seeds(
        self, seed: int | list[int | None], rows: NDArray[np.bool_]
    ) -> list[int | None]:
        """A seed for each lane marked in ``rows``, None for the others."""
        seeds: list[int | None]
        if isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + lane for lane in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"a list of seeds must have {self.num_envs}, got {len(seeds)}")
        return [one if marked else None for one, marked in zip(seeds, rows, strict=True)]

    def _infos(self, step: Step) -> dict[str, Any]:
        """What every lane says of its last step, in arrays."""
        columns = np.ascontiguousarray(step.terms.T)
        sequences = np.full(self.num_envs, "", dtype=object)
        if step.finished.any():
            ended = self.lanes.tokens[step.finished]
            sequences[step.finished] = [self.domain.to_text(ids) for ids in ended]
        return self._masked(
            {
                "prior_log_prob": step.prior_log_prob,
                "task_reward": step.task_reward,
                "reward_terms": self._masked(dict(zip(self.task.names, columns, strict=True))),
                "action_mask": self.lanes.action_mask.copy(),
                "sequence": sequences,
            }
        )

    def _masked(
        self, values: dict[str, Any], rows: NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """``values`` with Gymnasium's ``_key`` masks: True where a lane has that value."""
        has = np.ones(self.num_envs, dtype=bool) if rows is None else rows
        infos: dict[str, Any] = {}
        for key, value in values.items():
            infos[key], infos[f"_{key}"] = value, has.copy()
        return infos

    def _restart(
        self, infos: dict[str, Any], step: Step, ended: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """SAME_STEP: move what ended into ``final_obs`` and ``final_info``, and start anew."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        batch = observe(self.kind, self.lanes)
        for lane in np.flatnonzero(ended).tolist():
            final_obs[lane] = row_of(batch, lane)
        final = {"final_obs": final_obs, "final_info": _only(infos, ended)}
        self.lanes.reset(ended)
        return self._infos(step.without(ended)) | self._masked(final, ended)


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
