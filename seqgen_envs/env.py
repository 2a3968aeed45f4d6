"""The single environment: one lane in Gymnasium's words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from seqgen_envs.domain import Domain
from seqgen_envs.domain_groups import informed
from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.observations import LanesView, check_kind, observe, row_of, single_space
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task
from seqgen_envs.settings import LaneSettings

RENDER_MODES = ("ansi", "rgb_array")


class SequenceEnv(LanesView, gym.Env[Any, Any]):
    """A token sequence, written one token a step and judged by a frozen prior and a task.

    ## Action space
    ``Discrete(V)``: the next token. ``info["action_mask"]`` and :meth:`action_masks` say which may
    follow; without a mask, all may.

    ## Observation space
    See :mod:`seqgen_envs.observations`: by default the whole prefix, and log p(.|s) of the next
    token, so an agent needs no copy of the prior.

    ## Reward
    ``prior_weight * log p(a|s) + r_T(s, a) / c``, natural logarithm (Jaques et al. 2017, eq. 5).

    ## Info
    The same keys at the reset, at every step and at the end: ``prior_log_prob`` (of the action),
    ``task_reward`` and ``reward_terms`` (one weighted value a rule, summing to ``task_reward``),
    each a NumPy float64 that is 0 at the reset; ``action_mask`` int8 [V]; ``sequence``, the decoded
    text once the episode has terminated, "" before.

    ## Starting state
    The primer, or nothing. Of several primers ``np_random`` draws one an episode;
    ``reset(options={"primer": ...})`` gives one, as text or ids.

    ## Episode end
    Terminates at the vocabulary's end token or at the horizon, which is part of the task and
    visible in ``tokens``; never truncates.

    ## Arguments
    See :class:`seqgen_envs.settings.LaneSettings`; further:

    - ``observation``: ``"dict"``, ``"tokens"``, ``"last_token"`` or ``"flat"``.
    - ``render_mode``: None, ``"ansi"`` or ``"rgb_array"``.

    ## Version history
    v0: first version.

    Raises:
        ValueError: an argument is out of its range.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 8}

    def __init__(
        self,
        domain: str | Domain,
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
    ) -> None:
        settings = LaneSettings(domain, prior, task, c, prior_weight, length, primer, mask)
        self.lanes = Lanes(1, settings)
        self.kind = check_kind(observation)
        self.render_mode = check_render_mode(render_mode)
        size = self.lanes.domain.vocabulary.size
        self.action_space = spaces.Discrete(size)
        self.observation_space = single_space(observation, size, self.lanes.horizon)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a new sequence; ``options["primer"]`` is what it starts with.

        Raises:
            ValueError: the primer is no beginning of a sequence, or the mask forbids it.
        """
        super().reset(seed=seed)
        given = (options or {}).get("primer")
        self.lanes.rngs[0] = self.np_random
        self.lanes.reset(primers=None if given is None else self.lanes.read_primers(given))
        return self._observation(), self._info(self.lanes.no_step())

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Append a token.

        Raises:
            ResetNeeded: the sequence has ended, or was never started.
            ValueError: the action is outside the space.
        """
        if self.lanes.finished[0]:
            raise ResetNeeded("the sequence has ended (or never started): call reset() first")
        step = self.lanes.step(np.array([check_action(action, self.lanes)]))
        terminated = step.finished.item(0)
        return self._observation(), step.reward.item(0), terminated, False, self._info(step)

    def action_masks(self) -> NDArray[np.int8]:
        """1 for each token that may follow, int8 [V] (the name sb3-contrib looks for)."""
        found: NDArray[np.int8] = self.lanes.action_mask[0].copy()
        return found

    def render(self) -> Any:
        """The sequence so far: text, or uint8 [H, W, 3]; None without a render mode."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='ansi' or 'rgb_array' given to make()")
            return None
        return render_lane(self.lanes, 0, self.render_mode)

    def close(self) -> None:
        """End what runs beside this process for the task; see :meth:`~.rules.Task.close`."""
        self.task.close()

    def _observation(self) -> Any:
        return row_of(observe(self.kind, self.lanes), 0)

    def _info(self, step: Step) -> dict[str, Any]:
        lanes, finished = self.lanes, step.finished[0]
        return {
            "prior_log_prob": step.prior_log_prob[0],
            "task_reward": step.task_reward[0],
            "reward_terms": dict(zip(lanes.task.names, step.terms[0], strict=True)),
            "action_mask": lanes.action_mask[0].copy(),
            "sequence": lanes.domain.to_text(lanes.tokens[0]) if finished else "",
        }


def check_render_mode(render_mode: str | None) -> str | None:
    """``render_mode``, if it is one.

    Raises:
        ValueError: it is not.
    """
    known = [None, *RENDER_MODES]
    if render_mode not in known:
        raise ValueError(f"render_mode must be one of {known}, got {render_mode!r}")
    return render_mode


def render_lane(lanes: Lanes, lane: int, render_mode: str) -> Any:
    """One lane as text or as uint8 [H, W, 3]; a grid of tokens where the domain has no picture."""
    prefix = lanes.tokens[lane, : lanes.lengths[lane]]
    if render_mode == "ansi":
        view = informed(lanes.domain.view, lanes.task.facts)
        return view.text(prefix) if view.text else lanes.domain.to_text(prefix)
    return draw_sequence(lanes, prefix)


def draw_sequence(lanes: Lanes, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A picture of a prefix, uint8 [H, W, 3]: the domain's, otherwise a grid of tokens."""
    view = informed(lanes.domain.view, lanes.task.facts)
    draw = view.image or partial(_token_grid, size=lanes.domain.vocabulary.size)
    return draw(ids, lanes.horizon)


def _token_grid(ids: NDArray[np.int64], horizon: int, size: int) -> NDArray[np.uint8]:
    """Black cells on white, a row a token and a column a step, uint8 [8 size, 8 horizon, 3]."""
    cells = np.full((size, horizon), 255, dtype=np.uint8)
    cells[ids, np.arange(len(ids))] = 0
    return np.repeat(np.kron(cells, np.ones((8, 8), dtype=np.uint8))[..., None], 3, axis=2)


def check_action(action: Any, lanes: Lanes) -> int:
    """``action`` as an int.

    Raises:
        ValueError: it is not one whole number; the message names the valid range.
    """
    if type(action) is int or isinstance(action, np.integer):
        return int(action)
    array = np.asarray(action)
    if array.size != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"action must be one whole number in 0..{lanes.domain.vocabulary.size - 1}, "
            f"got {action!r}"
        )
    return int(array.reshape(()))
