"""Saved agents, to be judged as they are: what a loader recognises, or a Stable-Baselines3 file.

A Stable-Baselines3 file holds pickles: loading one runs whatever code it holds, so whoever asks for
it must trust it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqgen_envs.agents import find_loader
from seqgen_envs.benchmark.stable import LIBRARIES
from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.extras import require

#: Algorithms by the modules of their policies; actor-critics of one module differ in settings.
_BY_POLICY = {
    "stable_baselines3.dqn.policies": ("sb3", "DQN"),
    "sb3_contrib.common.maskable.policies": ("contrib", "MaskablePPO"),
    "sb3_contrib.common.recurrent.policies": ("contrib", "RecurrentPPO"),
    "sb3_contrib.qrdqn.policies": ("contrib", "QRDQN"),
}


def factory(path: Path) -> Any:
    """A factory of the saved agent: it has nothing to learn.

    Raises:
        ValueError: nothing recognises the file.
    """
    algorithm = None if path.is_dir() else stable_algorithm(path)
    if algorithm is None:
        return _loaded(path)
    library, name = algorithm
    module = require(LIBRARIES[library], "clients")
    kind = getattr(module, name)

    def make(env: Any, seed: int) -> Any:
        model = kind.load(path, device="cpu")
        model.set_random_seed(seed)
        return Saved(model)

    def environment(task: BenchTask, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"num_envs": 64, "observation": _observation(kind.load(path, device="cpu"))}

    make.environment = environment  # type: ignore[attr-defined]
    return make


def _loaded(path: Path) -> Any:
    loader = find_loader(path)

    def make(env: Any, seed: int) -> Any:
        return Saved(loader.load(path, env, seed))

    make.environment = {"num_envs": 64}  # type: ignore[attr-defined]
    return make


class Saved:
    """An agent that learns no more.

    Args:
        policy: what acts.
    """

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def learn(self, total_timesteps: int) -> Saved:
        """Nothing."""
        return self

    def predict(self, *arguments: Any, **keywords: Any) -> Any:
        """As the policy's."""
        return self.policy.predict(*arguments, **keywords)


def stable_algorithm(path: Path) -> tuple[str, str] | None:
    """(library, name) of the algorithm that saved a Stable-Baselines3 file; None if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if "data" not in archive.namelist():
                return None
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, OSError, ValueError):
        return None
    policy = data.get("policy_class", {})
    module = str(policy.get("__module__", "")) if isinstance(policy, dict) else ""
    if module in _BY_POLICY:
        return _BY_POLICY[module]
    return ("sb3", "PPO" if "clip_range" in data else "A2C")


def _observation(model: Any) -> str:
    """The kind of observation that a model's space is of."""
    from gymnasium import spaces

    kinds = {
        spaces.Dict: "dict",
        spaces.MultiDiscrete: "tokens",
        spaces.Discrete: "last_token",
        spaces.Box: "flat",
    }
    return kinds[type(model.observation_space)]
