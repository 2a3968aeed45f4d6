"""Hyper-parameters by environment, in rl-zoo3's form: one YAML file an environment id or family.

A file's blocks are ``default`` and the algorithms' names; a block holds constructor arguments and

- ``n_timesteps``: environment steps of a training;
- ``n_envs``: lanes;
- ``env_kwargs``: arguments of the environment;
- ``policy_kwargs``: arguments of the policy.

A file that says ``extends: OTHER.yml``, one beside it or a bundled one, has that one's blocks too,
under its own. What counts is ``default``, then the algorithm's block, then the command line's
``key=value``. Entries of ``default`` that an algorithm does not take are left out for it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kl_agents.policy import SequencePolicy
from kl_agents.registry import ALGORITHMS, get_algorithm
from seqgen_envs.vector_env import SequenceVectorEnv

FOLDER = Path(__file__).parent
DEFAULT, EXTENDS = "default", "extends"
DEFAULT_TIMESTEPS, DEFAULT_ENVS = 1_000_000, 128

_NESTED = ("env_kwargs", "policy_kwargs")
_NOT_ARGUMENTS = {"self", "policy", "env", "seed", "device", "verbose", "tensorboard_log",
                  "others", "stats_window_size", "_init_setup_model"}  # fmt: skip
_NOT_ENV = {"self", "domain", "num_envs", "observation", "render_mode", "autoreset_mode"}
_POLICY = ("init", "scale", "start_value", "architecture", "adam")


@dataclass
class Hyperparams:
    """The settings of one training, merged.

    Attributes:
        algorithm: a name of :data:`~kl_agents.registry.ALGORITHMS`.
        n_timesteps: environment steps.
        n_envs: lanes.
        env_kwargs: arguments of the environment.
        arguments: constructor arguments, ``policy_kwargs`` among them.
    """

    algorithm: str
    n_timesteps: int = DEFAULT_TIMESTEPS
    n_envs: int = DEFAULT_ENVS
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


def valid_keys(algorithm: str) -> dict[str, tuple[str, ...]]:
    """What may be set for an algorithm: names at the top, and within the nested ones."""
    names: dict[str, None] = {"n_timesteps": None, "n_envs": None}
    for kind in get_algorithm(algorithm).__mro__:
        if "__init__" in vars(kind) and kind.__module__.startswith("kl_agents"):
            names |= dict.fromkeys(inspect.signature(vars(kind)["__init__"]).parameters)
    environment = inspect.signature(SequenceVectorEnv.__init__).parameters
    policy = inspect.signature(SequencePolicy.__init__).parameters
    return {
        "": (*(n for n in names if n not in _NOT_ARGUMENTS | set(_NESTED)), *_NESTED),
        "env_kwargs": tuple(n for n in environment if n not in _NOT_ENV),
        "policy_kwargs": tuple(n for n in policy if n in _POLICY),
    }


def file_of(env_id: str) -> Path:
    """Where an environment's hyper-parameters are; the file need not exist.

    Those of ``PMO-QED-v0`` are in ``PMO-QED-v0.yml`` or, without one, in ``PMO.yml``.
    """
    name = env_id.rpartition(":")[2]
    family = FOLDER / f"{name.partition('-')[0]}.yml"
    own = FOLDER / f"{name}.yml"
    return family if family.is_file() and not own.is_file() else own


def load_hyperparams(
    algorithm: str,
    env_id: str,
    overrides: Iterable[Mapping[str, Any]] = (),
    source: Path | None = None,
    shared: Mapping[str, Any] | None = None,
) -> Hyperparams:
    """The settings of ``algorithm`` on ``env_id``: the file's, then each of ``overrides``.

    Args:
        algorithm: a name of :data:`~kl_agents.registry.ALGORITHMS`.
        env_id: an environment without a file has the constructors' own defaults.
        overrides: nested mappings as a block of the file is.
        source: a file of your own in place of the bundled one.
        shared: settings of several algorithms, over the file's; what this one does not take is
            left out.

    Raises:
        ValueError: an unknown algorithm, block or key; the message lists those there are.
        FileNotFoundError: there is no file ``source``.
    """
    keys = valid_keys(algorithm)
    path = source or file_of(env_id)
    blocks = read_blocks(path) if source or path.is_file() else {}
    mine = _taken(blocks.get(DEFAULT, {}), keys, f"{path.name}, block {DEFAULT!r}")
    own = _flat(blocks.get(algorithm, {}))
    _check(own, algorithm, keys, f"{path.name}, block {algorithm!r}")
    mine |= copy.deepcopy(own) | _taken(shared or {}, keys, "the settings shared")
    for layer in overrides:
        flat = _flat(layer)
        _check(flat, algorithm, keys, "the settings given")
        mine |= copy.deepcopy(flat)
    return _assemble(algorithm, mine)


def read_blocks(path: Path) -> dict[str, dict[str, Any]]:
    """The blocks of a file, and under them those of the file it extends.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML of that form, or extends a file that extends it.
    """
    return _read_blocks(path.resolve(), ())


def _read_blocks(path: Path, inner: tuple[Path, ...]) -> dict[str, dict[str, Any]]:
    if path in inner:
        raise ValueError(f"{path} extends itself by way of {inner[-1].name}")
    blocks = _read_file(path)
    extended = blocks.pop(EXTENDS, None)
    for name, block in blocks.items():
        if not isinstance(block or {}, Mapping):
            raise ValueError(f"{path}, block {name!r}: settings are 'name: value', got {block!r}")
    own = {name: _flat(block or {}) for name, block in blocks.items()}
    if extended is None:
        return own
    base = _read_blocks(_extended_file(path, extended), (*inner, path))
    return {name: base.get(name, {}) | own.get(name, {}) for name in {**base, **own}}


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of hyper-parameters {path}")
    try:
        blocks = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    known = {EXTENDS, DEFAULT, *ALGORITHMS}
    unknown = set(blocks) - known if isinstance(blocks, dict) else None
    if unknown is None or unknown:
        raise ValueError(
            f"{path} must hold blocks named {DEFAULT} or as the algorithms {sorted(ALGORITHMS)}, "
            f"and at most {EXTENDS}: FILE; unknown: {sorted(map(str, unknown or ['(no blocks)']))}"
        )
    return blocks


def _extended_file(path: Path, name: Any) -> Path:
    """A file beside ``path``, other than itself, or a bundled one."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{path}: {EXTENDS} takes the name of one file, got {name!r}")
    places = [(folder / name).resolve() for folder in (path.parent, FOLDER)]
    for place in places:
        if place.is_file() and place != path:
            return place
    raise FileNotFoundError(f"{path} extends {name}, which is neither {places[0]} nor bundled")


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``["c=0.5", "policy_kwargs.scale=5"]`` as a nested mapping; values are YAML (or JSON).

    Raises:
        ValueError: one is not of the form ``key=value``, or its value is not YAML.
    """
    nested: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"--set takes key=value, such as c=0.5; got {setting!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {key}: {text!r} is not YAML or JSON") from error
        value = _number_if_any(value)
        outer, dot, inner = key.partition(".")
        if dot:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[outer] = value
    return nested


def final_c(c: Any) -> float | None:
    """The temperature at the end of a training whose ``c`` is a number or a schedule."""
    return float(c["end"]) if isinstance(c, Mapping) else None if c is None else float(c)


def with_final_c(c: Any, end: float) -> Any:
    """``c``, ending at ``end``: a schedule keeps its shape, and starts at least as high.

    Raises:
        ValueError: ``end`` is not above 0.
    """
    if not end > 0:
        raise ValueError(f"c must be above 0, got {end}")
    if not isinstance(c, Mapping):
        return float(end)
    return {**c, "start": max(float(c["start"]), float(end)), "end": float(end)}


def _number_if_any(value: Any) -> Any:
    """YAML 1.1 takes ``1e-3`` for a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _flat(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block with ``env_kwargs.prior`` for ``{"env_kwargs": {"prior": ...}}``."""
    flat: dict[str, Any] = {}
    for name, value in block.items():
        if name in _NESTED and isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            flat[name] = value
    return flat


def _is_valid(name: str, keys: Mapping[str, tuple[str, ...]]) -> bool:
    outer, dot, inner = name.partition(".")
    return inner in keys.get(outer, ()) if dot else name in keys[""] and name not in _NESTED


def _check(
    settings: Mapping[str, Any], algorithm: str, keys: Mapping[str, tuple[str, ...]], where: str
) -> None:
    for name in settings:
        if not _is_valid(name, keys):
            outer = name.partition(".")[0]
            within = keys.get(outer) if outer in _NESTED else None
            known = [f"{outer}.{k}" for k in within] if within else sorted(keys[""])
            raise ValueError(
                f"{where}: {algorithm!r} has no setting {name!r}; there are {', '.join(known)}"
            )


def _taken(
    block: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]], where: str
) -> dict[str, Any]:
    """What an algorithm takes of settings that each must be some algorithm's."""
    settings = _flat(block)
    everywhere = [valid_keys(name) for name in ALGORITHMS]
    for name in settings:
        if not any(_is_valid(name, some) for some in everywhere):
            raise ValueError(f"{where}: no algorithm has a setting {name!r}")
    return {name: copy.deepcopy(v) for name, v in settings.items() if _is_valid(name, keys)}


def _assemble(algorithm: str, flat: Mapping[str, Any]) -> Hyperparams:
    nested: dict[str, dict[str, Any]] = {name: {} for name in _NESTED}
    arguments: dict[str, Any] = {}
    for name, value in flat.items():
        outer, dot, inner = name.partition(".")
        if dot:
            nested[outer][inner] = value
        else:
            arguments[name] = value
    steps = _whole("n_timesteps", arguments.pop("n_timesteps", DEFAULT_TIMESTEPS), 0)
    envs = _whole("n_envs", arguments.pop("n_envs", DEFAULT_ENVS), 1)
    if nested["policy_kwargs"]:
        arguments["policy_kwargs"] = nested["policy_kwargs"]
    return Hyperparams(algorithm, steps, envs, nested["env_kwargs"], arguments)


def _whole(name: str, value: Any, least: int) -> int:
    if not isinstance(value, (int, float)) or value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
