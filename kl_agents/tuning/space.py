"""What is searched: settings by name, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kl_agents.hyperparameters import load_hyperparams, valid_keys
from kl_agents.registry import get_algorithm
from seqgen_envs.documents import read_yaml

BUNDLED = Path(__file__).with_name("space.yml")
#: The temperature that J is judged at: what a trial changes of c is the way there.
C = "c"
KINDS = ("float", "log", "int", "choice")
#: What on-policy learners, which train on the last round alone, have no use for.
OFF_POLICY = ("replay_ratio", "replay_capacity")


@dataclass(frozen=True)
class Range:
    """What one setting may be.

    Args:
        kind: of :data:`KINDS`.
        values: the lowest and the highest number, or the choices.
        times: another entry, or :data:`C`, that the number is a share of.
    """

    kind: str
    values: tuple[Any, ...]
    times: str | None = None

    def draw(self, trial: Any, name: str) -> Any:
        """Have an Optuna trial choose."""
        if self.kind == "choice":
            return trial.suggest_categorical(name, list(self.values))
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(name, low, high)
        return trial.suggest_float(name, low, high, log=self.kind == "log")


Space = Mapping[str, Range]


def read_space(path: Path | None = None) -> dict[str, Range]:
    """The entries of a file, or the bundled ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an entry is not of the form that :data:`BUNDLED` explains.
    """
    source = path or BUNDLED
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source} of what to search")
    content = read_yaml(source)
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{source} must hold settings and what each may be, got {content!r}")
    space = {str(name): _range(f"{source}, {name}", entry) for name, entry in content.items()}
    for name, entry in space.items():
        if entry.times not in (None, C) and not _is_number(space.get(str(entry.times))):
            raise ValueError(f"{source}, {name}: times: {entry.times} is no number of the file's")
    return space


def _range(where: str, entry: Any) -> Range:
    if isinstance(entry, Mapping):
        kinds = [name for name in entry if name in KINDS]
        if len(kinds) == 1 and set(entry) <= {kinds[0], "times"}:
            values = entry[kinds[0]]
            if isinstance(values, list) and _fits(kinds[0], values):
                return Range(kinds[0], tuple(values), entry.get("times"))
    raise ValueError(
        f"{where} must be {{float: [low, high]}}, {{log: [low, high]}} above 0, "
        f"{{int: [low, high]}} or {{choice: [a, b]}}, got {entry!r}"
    )


def _fits(kind: str, values: list[Any]) -> bool:
    if kind == "choice":
        return bool(values) and all(isinstance(v, (str, int, float)) for v in values)
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) != 2 or len(values) != 2 or not all(map(math.isfinite, numbers)):
        return False
    whole = kind != "int" or all(isinstance(v, int) for v in numbers)
    return whole and numbers[0] < numbers[1] and (kind != "log" or numbers[0] > 0)


def _short(value: Any) -> Any:
    """A number as people would write it: what is trained is what the file will say."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _is_number(entry: Range | None) -> bool:
    return entry is not None and entry.kind != "choice"


def for_learner(
    space: Space, algorithm: str, env_id: str, fixed: Collection[str], source: Path | None
) -> dict[str, Range]:
    """The entries that an algorithm has, without those that ``fixed`` names.

    Raises:
        ValueError: none is left.
    """
    keys = valid_keys(algorithm)
    arguments = load_hyperparams(algorithm, env_id, source=source).arguments
    default = get_algorithm(algorithm).settings_class.replay_sampling
    on_policy = arguments.get("replay_sampling", default) == "latest"
    left: dict[str, Range] = {}
    for name, entry in space.items():
        outer, _, inner = name.partition(".")
        known = inner in keys[outer] if outer in keys else outer in keys[""]
        skipped = (on_policy and outer in OFF_POLICY) or outer in fixed or name in fixed
        if known and not skipped and entry.times in (None, C, *left):
            left[name] = entry
    if not left:
        raise ValueError(f"{algorithm} has none of the settings to search: {', '.join(space)}")
    return left


def check_judged(space: Space) -> None:
    """Refuse to search what the trials are judged by.

    Raises:
        ValueError: the space has the last temperature, which J depends on.
    """
    for name in (C, f"{C}.end"):
        if name in space:
            raise ValueError(
                f"{name} cannot be searched: J is judged at it, so each value is another "
                "objective; search c.start, and give the end by --set c=..."
            )


def settings_of(space: Space, drawn: Mapping[str, Any], c: float | None) -> dict[str, Any]:
    """What was drawn, nested as a block of hyper-parameters.

    Args:
        space: its entries.
        drawn: a value for each.
        c: the temperature that is judged at.
    """
    values: dict[str, Any] = {C: c} if c is not None else {}
    nested: dict[str, Any] = {}
    for name, entry in space.items():
        values[name] = _short(drawn[name] * values[entry.times] if entry.times else drawn[name])
        outer, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(outer, {})[inner] = values[name]
        else:
            nested[name] = values[name]
    if isinstance(nested.get(C), dict):
        rest = {"end": c, "shape": "exponential"}
        nested[C] |= {name: value for name, value in rest.items() if name not in nested[C]}
    return nested
