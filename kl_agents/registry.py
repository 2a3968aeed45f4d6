"""The algorithms by name: those of the entry points ``seqgen.algorithms``, ours among them.

An algorithm that is not installed is named by ``"module:Class"`` or ``"FILE.py:Class"``, wherever a
name is taken. Entry points are imported when they are asked for: one that fails is named, in one
sentence, and the others work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.storage import read_agent
from seqgen_envs.bounded import PathOrFile
from seqgen_envs.loading import from_installation, is_reference, load_object
from seqgen_envs.spelling import did_you_mean

GROUP = "seqgen.algorithms"


@cache
def _declared() -> dict[str, list[EntryPoint]]:
    """Entry points by name; the same one, found twice on the path, counts once."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        same = found.setdefault(entry.name, [])
        if entry.value not in [other.value for other in same]:
            same.append(entry)
    return dict(sorted(found.items()))


class Algorithms(Mapping[str, type[SequenceAlgorithm]]):
    """The installed algorithms, each imported when it is looked up.

    Looking up raises a KeyError where there is no such name, a ValueError where it cannot be had.
    """

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(_declared())

    def __len__(self) -> int:
        """How many there are."""
        return len(_declared())

    def __getitem__(self, name: str) -> type[SequenceAlgorithm]:
        """The class."""
        entries = _declared()[name]
        if len(entries) > 1:
            values = " and ".join(entry.value for entry in entries)
            raise ValueError(f"two packages declare algorithm {name!r}: name it by {values}")
        with from_installation():
            return _checked(entries[0].value, f"algorithm {name!r}")

    def working(self) -> dict[str, type[SequenceAlgorithm]]:
        """Those that can be imported."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except ValueError:  # said to whoever asks for it
                continue
        return found


ALGORITHMS = Algorithms()


def get_algorithm(name: str) -> type[SequenceAlgorithm]:
    """The class of that name, or that ``"module:Class"`` or ``"FILE.py:Class"`` names.

    Raises:
        ValueError: there is none (the message lists those there are), it cannot be imported, or
            is not an algorithm.
    """
    if is_reference(name):
        return _checked(name, "algorithm")
    if name not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {name!r}{did_you_mean(name, ALGORITHMS)}; there are "
            f"{', '.join(ALGORITHMS)}, or name one of your own as module:Class or FILE.py:Class"
        )
    return ALGORITHMS[name]


def absolute(name: str) -> str:
    """``name``, with the whole path where it is a ``FILE.py:Class``: good in any folder."""
    where, _, attribute = name.rpartition(":")
    if is_reference(name) and where.endswith(".py"):
        return f"{Path(where).expanduser().resolve()}:{attribute}"
    return name


def _checked(reference: str, what: str) -> type[SequenceAlgorithm]:
    found = load_object(reference, what)
    if not (isinstance(found, type) and issubclass(found, SequenceAlgorithm)):
        raise ValueError(f"{what}: {reference} is not a subclass of SequenceAlgorithm")
    return found


def load(
    path: PathOrFile, env: Any = None, algorithm: str | None = None, **kwargs: Any
) -> SequenceAlgorithm:
    """An agent of any installed class, from a file written by ``save``.

    Args:
        path: the file.
        env: to go on training, or None to predict only.
        algorithm: name or reference of its class, which an agent of one that is not installed
            needs: a file alone never makes Python import anything but installed algorithms.
        kwargs: as for :meth:`~kl_agents.SequenceAlgorithm.load`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, or of an algorithm that is not installed.
    """
    if algorithm is not None:
        return get_algorithm(algorithm).load(path, env=env, **kwargs)
    held = read_agent(path).config["algorithm"]
    for entries in _declared().values():
        for entry in entries:
            if entry.value == held:
                with from_installation():
                    kind = _checked(entry.value, f"algorithm {entry.name!r}")
                return kind.load(path, env=env, **kwargs)
    raise ValueError(
        f"{path} holds a {held}, which is not among the installed algorithms "
        f"({', '.join(ALGORITHMS)}): load it with its class, CLASS.load(path)"
    )
