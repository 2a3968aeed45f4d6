"""Suites: what a benchmark measures, frozen under a name with a version, each one YAML file.

A suite names its tasks (an environment's id, arguments and budget each), what is measured of an
agent, the headline number, and how many seeds count. A published suite is never changed: what
measures otherwise gets the next version. Results carry the suite's fingerprint, so that those of a
changed file are not mixed with others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from seqgen_envs.documents import read_yaml
from seqgen_envs.loading import from_file
from seqgen_envs.registration import check_environment

FOLDER = Path(__file__).parent / "suites"
#: What may be measured; see :mod:`~seqgen_envs.benchmark.measures`.
MEASURES = ("optimum", "objective", "calls", "speed")


@dataclass(frozen=True)
class BenchTask:
    """One environment with its budget.

    Args:
        name: within the suite.
        env_id: as ``gym.make`` knows it.
        env_kwargs: arguments of the environment.
        steps: environment steps that training may take, of all lanes together.
        calls: sequences that the task's oracle may score, where its budget is in calls.
        episodes: sequences drawn of the trained agent.
        low, high: the headline of the prior alone, and the best there is or is known: a score is
            where between the two (0 and 1) an agent is. Both None: the headline is a score as it
            is, which suits a suite of one task, and one whose headlines share a scale.
    """

    name: str
    env_id: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 100_000
    calls: int | None = None
    episodes: int = 1000
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "episodes", "calls"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ValueError(
                    f"task {self.name!r}: {name} must be a whole number >= 1, got {value!r}"
                )
        if (self.low is None) != (self.high is None):
            raise ValueError(f"task {self.name!r} needs both low and high, or neither")

    def score(self, headline: float) -> float:
        """The headline on the suite's common scale."""
        if self.low is None or self.high is None:
            return headline
        return (headline - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Suite:
    """A named set of tasks.

    Args:
        name: with its version, such as ``"toy-v1"``.
        about: one sentence or two.
        measure: one of :data:`MEASURES`.
        headline: the metric that the leaderboard sorts by.
        tasks: by name.
        higher_is_better: of the headline.
        seeds: how many count: 0, 1, ...
        metrics: the columns shown, the headline among them.
    """

    name: str
    about: str
    measure: str
    headline: str
    tasks: Mapping[str, BenchTask]
    higher_is_better: bool = True
    seeds: int = 3
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(
                f"suite {self.name!r}: measure must be one of {list(MEASURES)}, "
                f"got {self.measure!r}"
            )
        if self.headline not in self.metrics:
            raise ValueError(f"suite {self.name!r}: headline {self.headline!r} is no metric of it")

    @property
    def fingerprint(self) -> str:
        """Of all that decides a row; how rows are read (scales, columns, text) plays no part."""
        tasks = {
            name: {key: value for key, value in asdict(task).items() if key not in ("low", "high")}
            for name, task in self.tasks.items()
        }
        content = {"name": self.name, "measure": self.measure, "tasks": tasks}
        text = json.dumps(content, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def bundled() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def load_suite(name: str) -> Suite:
    """A bundled suite, or one of your own in a YAML file.

    Raises:
        ValueError: there is none of that name, or the file describes none.
        UntrustedCodeError: the file names code to run; see :func:`~seqgen_envs.loading.trusting`.
    """
    path = Path(name) if name.endswith((".yml", ".yaml")) else FOLDER / f"{name}.yml"
    if not path.is_file():
        raise ValueError(
            f"there is no suite {name!r}: give one of {', '.join(bundled())}, or a .yml file"
        )
    try:
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise ValueError("it holds no mapping")
        suite = _suite(path.stem, content)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a suite: {error}") from error
    with from_file(path):
        for task in suite.tasks.values():
            check_environment(task.env_id, task.env_kwargs)
    return suite


def _suite(name: str, content: dict[str, Any]) -> Suite:
    default = content.pop("default", {})
    tasks = {
        task: _task(task, {**default, **(given or {})})
        for task, given in content.pop("tasks").items()
    }
    _check_keys(content, {field.name for field in fields(Suite)} - {"name", "tasks"})
    content["metrics"] = tuple(content.get("metrics", (content["headline"],)))
    return Suite(name=name, tasks=tasks, **content)


def _task(name: str, given: dict[str, Any]) -> BenchTask:
    _check_keys(given, {field.name for field in fields(BenchTask)} - {"name"})
    return BenchTask(name=name, **given)


def _check_keys(given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(map(str, given)) - known):
        raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
