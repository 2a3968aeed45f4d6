"""Hyper-parameters by environment, in rl-zoo3's form: one YAML file an environment id or family.

A file's blocks are ``default`` and the algorithms' names; a block holds an algorithm's settings
(:mod:`kl_agents.settings`) and

- ``n_timesteps``: environment steps of a training;
- ``n_envs``: lanes;
- ``env_kwargs``: arguments of the environment (none of the bundled files has any: one id is one
  environment);
- ``policy_kwargs``: arguments of the policy.

A file that says ``extends: OTHER.yml``, one beside it or a bundled one, has that one's blocks too,
under its own. What counts is ``default``, then the algorithm's block, then the command line's
``key=value``; mappings within ``env_kwargs`` and ``policy_kwargs`` are merged entry by entry. Other
algorithms' settings in ``default`` are left out.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym

from kl_agents.checking import Within, checked, did_you_mean
from kl_agents.policy import SequencePolicy
from kl_agents.registry import ALGORITHMS, absolute, get_algorithm
from kl_agents.settings import make_settings
from seqgen_envs.documents import parse_yaml, read_yaml
from seqgen_envs.loading import is_reference
from seqgen_envs.vector_env import SequenceVectorEnv

FOLDER = Path(__file__).parent / "hyperparams"
DEFAULT, EXTENDS = "default", "extends"
DEFAULT_TIMESTEPS, DEFAULT_ENVS = 1_000_000, 128

_NESTED = ("env_kwargs", "policy_kwargs")
_OTHERS = ("n_timesteps", "n_envs", "compile")
_NOT_ENV = {"self", "domain", "num_envs", "observation", "render_mode", "autoreset_mode"}
_NOT_POLICY = {"self", "observation_space", "action_space", "lr_schedule", "backup", "prior",
               "network_config", "prime_tokens", "dueling"}  # fmt: skip


@dataclass
class Hyperparams:
    """The settings of one training, merged.

    Attributes:
        algorithm: a name of :data:`~kl_agents.registry.ALGORITHMS`, or a reference.
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
    settings = tuple(f.name for f in fields(get_algorithm(algorithm).settings_class))
    environment = inspect.signature(SequenceVectorEnv.__init__).parameters
    policy = inspect.signature(SequencePolicy.__init__).parameters
    return {
        "": (*settings, *_OTHERS, *_NESTED),
        "env_kwargs": tuple(n for n in environment if n not in _NOT_ENV),
        "policy_kwargs": tuple(n for n in policy if n not in _NOT_POLICY),
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
        source: another file in place of the environment's: your own, or a bundled one's name.
        shared: settings of several algorithms, over the file's; what this one does not take is
            left out.

    Raises:
        ValueError: an unknown algorithm, block or key; the message lists those there are.
        FileNotFoundError: there is no file ``source``.
    """
    keys = valid_keys(algorithm)
    path = source or file_of(env_id)
    blocks = read_blocks(path) if source or path.is_file() else {}
    own = next((b for name, b in blocks.items() if absolute(name) == absolute(algorithm)), {})
    _check(own, algorithm, keys, f"{path.name}, block {algorithm!r}")
    default = blocks.get(DEFAULT) or {}
    layers: list[Mapping[str, Any]] = [
        _taken(default, keys, f"{path.name}, block {DEFAULT!r}"),
        own,
        _taken(shared or {}, keys, "the settings shared"),
    ]
    for layer in overrides:
        _check(layer, algorithm, keys, "the settings given")
        layers.append(layer)
    return _assemble(algorithm, env_id, reduce(merged, layers, {}))


def read_blocks(path: Path) -> dict[str, dict[str, Any]]:
    """The blocks of a file, and under them those of the file it extends.

    Args:
        path: a file, or where there is none the name of a bundled one, such as ``PMO.yml``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML of that form, or extends a file that extends it.
    """
    bundled = FOLDER / path
    if not path.is_file() and path.name == str(path) and bundled.is_file():
        path = bundled
    return _read_blocks(path.resolve(), ())


def _read_blocks(path: Path, inner: tuple[Path, ...]) -> dict[str, dict[str, Any]]:
    if path in inner:
        raise ValueError(f"{path} extends itself by way of {inner[-1].name}")
    blocks = _read_file(path)
    extended = blocks.pop(EXTENDS, None)
    for name, block in blocks.items():
        if not isinstance(block or {}, Mapping):
            raise ValueError(f"{path}, block {name!r}: settings are 'name: value', got {block!r}")
    own = {name: block or {} for name, block in blocks.items()}
    if extended is None:
        return own
    base = _read_blocks(_extended_file(path, extended), (*inner, path))
    return {name: merged(base.get(name, {}), own.get(name, {})) for name in {**base, **own}}


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        bundled = ", ".join(sorted(one.name for one in FOLDER.glob("[A-Z]*.yml")))
        raise FileNotFoundError(
            f"there is no file of hyper-parameters {path}; bundled ones are {bundled}"
        )
    blocks = read_yaml(path) or {}
    names = [str(name) for name in blocks] if isinstance(blocks, dict) else ["(no blocks)"]
    known = {EXTENDS, DEFAULT, *ALGORITHMS}
    unknown = [name for name in names if name not in known and not is_reference(name)]
    if unknown:
        raise ValueError(
            f"{path} must hold blocks named {DEFAULT} or as the algorithms {list(ALGORITHMS)} "
            f"(or module:Class), and at most {EXTENDS}: FILE; unknown: {unknown}"
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
    """``["c=0.5", "env_kwargs.task.weights.key=2"]`` as a nested mapping; values are YAML.

    Raises:
        ValueError: one is not of the form ``key=value``, or its value is not YAML.
    """
    nested: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            raise ValueError(f"--set takes key=value, such as c=0.5; got {setting!r}")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ValueError(f"--set {key}: {text!r} is not YAML or JSON") from error
        for name in reversed(names[1:]):
            value = {name: value}
        nested = merged(nested, {names[0]: value})
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


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the entries of ``over``; what is nested is merged entry by entry."""
    whole = {**base, **over}
    for name in _NESTED:
        if isinstance(base.get(name), Mapping) and isinstance(over.get(name), Mapping):
            whole[name] = _merged_within(base[name], over[name])
    return copy.deepcopy(whole)


def _merged_within(base: Any, over: Any) -> Any:
    """A mapping over another; one that names another thing (a task, say) replaces it."""
    if isinstance(base, str) and isinstance(over, Mapping) and "name" not in over:
        base = {"name": base}
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    if "name" in base and over.get("name", base["name"]) != base["name"]:
        return over
    return {**base, **{k: _merged_within(base[k], v) if k in base else v for k, v in over.items()}}


def _unknown(settings: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Names of settings that are not among ``keys``, those within a nested one with a dot."""
    unknown = [str(name) for name in settings if name not in keys[""]]
    for outer in _NESTED:
        inner = settings.get(outer) or {}
        if not isinstance(inner, Mapping):
            raise ValueError(f"{outer} takes settings of its own ({outer}.NAME), got {inner!r}")
        unknown += [f"{outer}.{name}" for name in inner if name not in keys[outer]]
    return unknown


def _check(
    settings: Mapping[str, Any], algorithm: str, keys: Mapping[str, tuple[str, ...]], where: str
) -> None:
    for name in _unknown(settings, keys):
        outer, dot, _ = name.partition(".")
        if outer not in _NESTED:  # a name with a dot of its own
            outer = dot = ""
        known = [f"{outer}{dot}{key}" for key in sorted(keys[outer])]
        raise ValueError(
            f"{where}: {algorithm!r} has no setting {name!r}{did_you_mean(name, known)}; "
            f"there are {', '.join(known)}"
        )


def _taken(
    block: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]], where: str
) -> dict[str, Any]:
    """What an algorithm takes of settings that each must be some algorithm's."""
    foreign = _unknown(block, keys)
    everywhere = [valid_keys(name) for name in ALGORITHMS.working()] if foreign else []
    nowhere = set(foreign).intersection(*(_unknown(block, other) for other in everywhere))
    for name in foreign:
        if name in nowhere:
            raise ValueError(f"{where}: no algorithm has a setting {name!r}")
    return {name: value for name, value in block.items() if name not in foreign}


def _assemble(algorithm: str, env_id: str, arguments: dict[str, Any]) -> Hyperparams:
    """Settings, checked before anything is built."""
    steps, envs = (
        checked(name, arguments.pop(name, default), Annotated[int, Within(least)])
        for name, default, least in (
            ("n_timesteps", DEFAULT_TIMESTEPS, 0), ("n_envs", DEFAULT_ENVS, 1),
        )
    )  # fmt: skip
    env_kwargs = arguments.pop("env_kwargs", None) or {}
    checked("compile", arguments.get("compile", False), bool)
    kind = get_algorithm(algorithm).settings_class
    known = {f.name for f in fields(kind)}
    make_settings(kind, {k: v for k, v in arguments.items() if k in known}, algorithm)
    env_kwargs = _with_the_ids_task(env_id, env_kwargs)
    return Hyperparams(absolute(algorithm), steps, envs, env_kwargs, arguments)


def _with_the_ids_task(env_id: str, env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a task without its name are for the task that the id has."""
    task = env_kwargs.get("task")
    if not isinstance(task, Mapping) or "name" in task:
        return env_kwargs
    try:
        own = gym.spec(env_id).kwargs.get("task")
    except gym.error.Error:  # making the environment says so better
        own = None
    return env_kwargs if own is None else {**env_kwargs, "task": _merged_within(own, task)}
