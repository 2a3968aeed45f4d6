"""The agents of runs: to act, to train on, to start another run from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kl_agents import saving
from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.registry import load as load_file
from kl_agents.runs import folder as files
from kl_agents.runs.environment import make_env
from kl_agents.runs.spec import RunSpec, sha256
from kl_agents.seeding import seed_replay
from seqgen_envs.loading import trusting
from seqgen_envs.reporting.console import say, warn

#: Sequences that are left out and named one by one.
NAMED = 5


def load_run(
    folder: Path, device: str = "cpu", trust: bool = False
) -> tuple[SequenceAlgorithm, RunSpec]:
    """The agent of a run, finished or as last checkpointed, to act (not to train), and its spec.

    Args:
        folder: of the run.
        device: of PyTorch.
        trust: run the code that its files name (see :func:`~seqgen_envs.loading.trusting`).

    Raises:
        FileNotFoundError: there is no run, or none that has got so far.
        UntrustedCodeError: its files name code and are not trusted.
        ValueError: its files are damaged, or of another run.
    """
    with trusting(trust):
        spec = files.read_spec(folder)
        path = files.agent_file(folder)
        files.check_is_of(path, spec)
        return load_file(path, algorithm=spec.algorithm, device=device), spec


def load(path: Any, env: Any = None, *, trust: bool = False, **kwargs: Any) -> SequenceAlgorithm:
    """An agent from a run's folder, or from a file written by ``save``.

    Args:
        path: of a folder: the agent comes with the environment it was trained in, and acts at the
            temperature of the end of its training. Of a file: as ``save`` left it.
        env: another environment, to train in; its prior must be the agent's.
        trust: run the code that a folder's files name (see :func:`~seqgen_envs.loading.trusting`).
        kwargs: see :meth:`~kl_agents.algorithm.SequenceAlgorithm.load`.

    Raises:
        FileNotFoundError: there is no agent.
        UntrustedCodeError: its files name code and are not trusted.
        ValueError: its files are damaged, or the environment is not one it fits.
    """
    if not isinstance(path, (str, Path)) or not Path(path).is_dir():
        return load_file(path, env=env, **kwargs)
    with trusting(trust):
        spec = files.read_spec(Path(path))
        agent = files.agent_file(Path(path))
        files.check_is_of(agent, spec)
        model = load_file(agent, make_env(spec) if env is None else env, spec.algorithm, **kwargs)
    model.policy.c = float(model.c_schedule(0.0))
    return model


def initial_from(path: Path) -> dict[str, str]:
    """``RunSpec.initial``: a run's folder, or a file of an agent, to start another run from.

    Raises:
        FileNotFoundError: there is no agent.
    """
    file = files.agent_file(path) if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no agent at {path} to start from")
    return {"path": str(file.resolve()), "sha256": sha256(file)}


def seeds_from(path: Path) -> dict[str, str]:
    """``RunSpec.seeds``: a file of sequences to put into the replay.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give a file of sequences to seed the replay")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} of sequences to seed the replay with")
    return {"path": str(path.resolve()), "sha256": sha256(path)}


def take_seeds(model: SequenceAlgorithm, path: Path, fingerprint: str) -> None:
    """Put the sequences of a file into the replay of an agent; warns of those that do not fit.

    Raises:
        FileNotFoundError, ValueError: see :func:`~kl_agents.seeding.seed_replay`; or the file is
            not the one it was.
    """
    if not path.is_file() or sha256(path) != fingerprint:
        raise ValueError(f"{path}, which the replay was to be seeded from, is gone or has changed")
    seeded = seed_replay(model, path)
    model.seeds = seeded.collected
    say(f"{len(seeded.collected.episodes):,} sequences of {path} are in the replay")
    if seeded.skipped:
        named = "; ".join(seeded.skipped[:NAMED])
        more = len(seeded.skipped) - NAMED
        tail = f"; and {more:,} more" if more > 0 else ""
        warn(f"{len(seeded.skipped):,} sequences are left out: {named}{tail}")


def take_weights(model: SequenceAlgorithm, path: Path, fingerprint: str) -> None:
    """The networks of another run's agent in place of the model's own.

    Raises:
        ValueError: the file is not the one it was, or its agent is not of the model's kind.
    """
    if not path.is_file() or sha256(path) != fingerprint:
        raise ValueError(f"{path}, which the run was to start from, is gone or has changed")
    other = type(model).load(path)
    saving.put_weights(model.policy, other.policy.state_dict())
