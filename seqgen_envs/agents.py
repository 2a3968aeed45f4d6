"""Agents for ``seqgen sample --agent``, brought by other packages.

A package that trains agents names a loader under the entry point group ``seqgen.agents``; a loader
is a module or an object with the functions of :class:`AgentLoader`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from seqgen_envs.rollout import Policy
from seqgen_envs.vector_env import SequenceVectorEnv

AGENTS_GROUP = "seqgen.agents"


class AgentLoader(Protocol):
    """Recognises and loads the files of one kind of agent.

    A loader may have a text ``READS``, which says what files those are.
    """

    def can_load(self, path: Path) -> bool:
        """Whether ``path`` (a file or a folder that exists) is of this kind; cheap."""
        ...

    def environment(self, path: Path) -> dict[str, Any]:
        """Keyword arguments of the environment the agent was trained in, ``domain`` among them.

        ``num_envs`` may be there too; what is not known is left out.

        Raises:
            ValueError: the files of the agent cannot be read.
        """
        ...

    def load(self, path: Path, env: SequenceVectorEnv, seed: int) -> Policy:
        """The agent, ready to act in ``env`` at its c, its random numbers seeded.

        An agent made for another observation than ``"dict"`` names the kind in an attribute
        ``observation``.

        Raises:
            ValueError: the agent cannot be read or does not fit ``env``.
        """
        ...


def find_loader(path: Path) -> AgentLoader:
    """The first loader that recognises what is stored at ``path``.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: no loader is installed, or none recognises it.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no agent at {path}: no such file or folder")
    broken, expected = [], []
    entries = sorted(entry_points(group=AGENTS_GROUP), key=lambda entry: entry.name)
    for entry in entries:
        try:
            loader: AgentLoader = entry.load()
        except ImportError as error:
            broken.append(f"{entry.name} ({error})")
            continue
        if loader.can_load(path):
            return loader
        expected.append(getattr(loader, "READS", f"what {entry.name!r} reads"))
    if not entries:
        raise ValueError(f"no installed package loads agents (entry point group {AGENTS_GROUP!r})")
    what = f"the folder {path} holds" if path.is_dir() else f"{path} is"
    message = f"{what} no agent; expected {', or '.join(expected) or 'nothing'}"
    raise ValueError(
        f"{message}; could not be imported: {'; '.join(broken)}" if broken else message
    )
