"""Agents to be benchmarked, whoever made them.

An agent is named by

- a name that a package declares under the entry-point group ``seqgen.bench`` (ours: ``psi``, ``g``,
  ``tb``, ``rloo``, ``grpo``, ``q``, ``rl-only``, ``reinvent``, ``reinvent-pmo``, ``best-of-n``,
  ``prior``);
- ``"module:make"`` or ``"FILE.py:make"``, a factory of your own;
- ``"sb3:PPO"`` or ``"contrib:MaskablePPO"``: an algorithm of Stable-Baselines3 or sb3-contrib;
- the path of a saved agent: a run's folder or a file that a loader of the group ``seqgen.agents``
  recognises, or a file that Stable-Baselines3 saved. It is judged as it is, not trained.

A factory is called as ``make(env, seed)``, with ``settings`` (a dict, of ``--settings``) and
``task`` (the suite's :class:`~seqgen_envs.benchmark.suites.BenchTask`) where it takes those. It
returns an object with Stable-Baselines3's ``learn(total_timesteps)`` and ``predict``, or is a
generator of sequences: it yields texts, and is sent each one's task return.

Attributes of the factory say what it wants for ``env``; without any it gets what ``gym.make``
returns:

- ``environment``: a dict, or a function ``(task, settings)`` that returns one, with ``num_envs``
  (then ``env`` is a Stable-Baselines3 ``VecEnv`` of so many lanes) and ``observation`` (``"dict"``,
  ``"tokens"``, ``"last_token"`` or ``"flat"``), and other keywords of the environment.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.loading import is_reference, load_object

GROUP = "seqgen.bench"
Make = Callable[..., Any]


@dataclass(frozen=True)
class Contestant:
    """One agent of a benchmark.

    Args:
        name: in tables.
        reference: what finds it again in another process.
        make: the factory.
        settings: its ``settings``.
        fingerprint: of its source, as far as that can be read, and of its settings.
    """

    name: str
    reference: str
    make: Make
    settings: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    def environment(self, task: BenchTask) -> dict[str, Any]:
        """What it wants of its environment."""
        wanted = getattr(self.make, "environment", {})
        return dict(wanted(task, self.settings) if callable(wanted) else wanted)

    def build(self, env: Any, seed: int, task: BenchTask) -> Any:
        """The agent, or a generator of sequences."""
        offered = {"settings": dict(self.settings), "task": task}
        takes = inspect.signature(self.make).parameters
        return self.make(env, seed, **{k: v for k, v in offered.items() if k in takes})


def installed() -> list[str]:
    """Names that packages declare."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def find_agent(reference: str, settings: Mapping[str, Any] | None = None) -> Contestant:
    """The agent of that name, reference or path.

    Raises:
        ValueError: there is none, or settings are given to one that takes none.
    """
    settings = dict(settings or {})
    make, name = _make(reference)
    if settings and "settings" not in inspect.signature(make).parameters:
        raise ValueError(f"agent {reference!r} takes no settings: its factory has no such argument")
    return Contestant(name, reference, make, settings, _fingerprint(reference, make, settings))


def _make(reference: str) -> tuple[Make, str]:
    from seqgen_envs.benchmark import saved, stable

    entries = [entry for entry in entry_points(group=GROUP) if entry.name == reference]
    if entries:
        return _callable(
            load_object(entries[0].value, f"agent {reference!r}"), reference
        ), reference
    library, _, algorithm = reference.partition(":")
    if library in stable.LIBRARIES:
        return stable.factory(library, algorithm), algorithm
    if Path(reference).exists():
        return saved.factory(Path(reference)), Path(reference).stem
    if is_reference(reference):
        where, _, attribute = reference.rpartition(":")
        stem = Path(where).stem if where.endswith(".py") else where
        name = stem if attribute == "make" else f"{stem}:{attribute}"
        return _callable(load_object(reference, "agent"), reference), name
    raise ValueError(
        f"there is no agent {reference!r}: give one of {', '.join(installed())}, module:make, "
        "FILE.py:make, sb3:PPO, contrib:MaskablePPO, or the path of a saved agent"
    )


def _callable(found: Any, reference: str) -> Make:
    if not callable(found):
        raise ValueError(
            f"agent {reference!r} is of type {type(found).__name__}; expected a function "
            "make(env, seed)"
        )
    make: Make = found
    return make


def _fingerprint(reference: str, make: Make, settings: Mapping[str, Any]) -> str:
    where = reference.rpartition(":")[0]
    path = Path(where if where.endswith(".py") else reference)
    files = sorted(path.rglob("*.zip")) if path.is_dir() else [path] if path.is_file() else []
    parts = [file.read_bytes() for file in files] or [reference.encode()]
    parts.append(json.dumps(dict(settings), sort_keys=True, default=repr).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
