"""The files of a run's folder.

- ``config.json``: what the run is, complete (:class:`~kl_agents.runs.spec.RunSpec`), fingerprints
  of the files it needs, the command, versions and machine;
- ``checkpoint.zip``: the whole state after some round, the last one in the end;
- ``agent.zip``: the finished agent;
- ``progress.csv`` and ``tb/`` (TensorBoard): the numbers of the rounds;
- a table of the sequences that a task has scored at their ends, named by the domain's plural
  (``molecules.csv``), and ``failures.txt`` with the first one that could not be scored.

The two .zip files are those that ``save`` writes, with one member more, ``run.json``: the run they
are of, so that they cannot be taken for another's.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import deque
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.runs.spec import RunSpec, sha256
from kl_agents.runs.trust import check_code
from kl_agents.saving import differences
from seqgen_envs.bounded import member, open_zip, read_bytes
from seqgen_envs.documents import MAX_JSON, parse_json
from seqgen_envs.loading import from_file
from seqgen_envs.reporting.files import replacing, write_json
from seqgen_envs.reporting.machine import machine, now

FORMAT = 2
CONFIG, CHECKPOINT, AGENT = "config.json", "checkpoint.zip", "agent.zip"
PROGRESS, TB, EVALUATION, FAILURES = "progress.csv", "tb", "evaluation.json", "failures.txt"
_RUN = "run.json"


def write_config(folder: Path, spec: RunSpec, prior: str, command: str) -> None:
    """Write down a run that is about to begin.

    Args:
        folder: of the run.
        spec: what it is.
        prior: its prior's fingerprint.
        command: that began it.
    """
    config = {
        "format": FORMAT,
        "run": spec.to_dict(),
        "fingerprints": {"prior": prior, "files": spec.fingerprints()},
        "command": command,
        "date": now(),
        "machine": machine(),
    }
    write_json(folder / CONFIG, config)


def lengthen_config(folder: Path, steps: int) -> None:
    """Note that the run is to go on to ``steps``."""
    config = read_config(folder)
    before = {"from": config["run"]["total_timesteps"], "to": steps, "date": now()}
    config["run"]["total_timesteps"] = steps
    config["lengthened"] = [*config.get("lengthened", []), before]
    write_json(folder / CONFIG, config)


def read_spec(folder: Path) -> RunSpec:
    """What ``folder`` is the run of.

    Raises:
        FileNotFoundError: it holds no run.
        UntrustedCodeError: it names code to run: see :func:`~seqgen_envs.loading.trusting`.
        ValueError: its ``config.json`` is not one, or of another version's format.
    """
    return _spec_from(read_config(folder), folder / CONFIG)


def read_spec_without_task(folder: Path) -> RunSpec:
    """The same with the domain's own task, for who asks no task anything: code that only the run's
    task and learner name is nobody's to trust then.

    Raises:
        FileNotFoundError, UntrustedCodeError, ValueError: see :func:`read_spec`.
    """
    config = read_config(folder)
    said = config.get("run")
    if isinstance(said, dict) and isinstance(said.get("env_kwargs"), dict):
        others = {name: value for name, value in said["env_kwargs"].items() if name != "task"}
        config["run"] = {**said, "algorithm": "prior", "arguments": {}, "env_kwargs": others}
    return _spec_from(config, folder / CONFIG)


def check_files(folder: Path) -> None:
    """Raise a ValueError if a file that decides the run's result is another than it was."""
    config = read_config(folder)
    for name, recorded in config.get("fingerprints", {}).get("files", {}).items():
        path = Path(name)
        if not path.is_file() or sha256(path) != recorded:
            what = "has changed" if path.is_file() else "is gone"
            raise ValueError(
                f"{path} {what} since the run in {folder} began: put it back as it was, or begin "
                "another run"
            )


def read_config(folder: Path) -> dict[str, Any]:
    """The whole ``config.json``.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the file is not one, or of another version's format.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {path}")
    try:
        config = parse_json(read_bytes(path, MAX_JSON))
        written = config.get("format") if isinstance(config, dict) else None
        if written != FORMAT:
            raise ValueError(f"format {written}, this version reads {FORMAT}")
    except ValueError as error:  # JSON's and Unicode's are ValueErrors
        raise ValueError(f"{path} is not a run's: {error}") from error
    return dict(config)


def _spec_from(config: dict[str, Any], path: Path) -> RunSpec:
    run, names = config.get("run"), {f.name for f in fields(RunSpec)}
    try:
        if not isinstance(run, dict) or set(run) != names:
            raise ValueError(f"its run must have {', '.join(sorted(names))}")
        with from_file(path):
            spec = RunSpec(**run)
        check_code(path, spec.algorithm, spec.env_id, spec.env_kwargs)
        return spec
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a run's: {error}") from error


def agent_file(folder: Path) -> Path:
    """``agent.zip``, or ``checkpoint.zip`` of a run that has not finished.

    Raises:
        FileNotFoundError: there is neither.
    """
    for name in (AGENT, CHECKPOINT):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} holds no agent yet: neither {AGENT} nor {CHECKPOINT}")


def save(model: SequenceAlgorithm, path: Path, spec: RunSpec, whole: bool = False) -> None:
    """Write an agent with its run, whole or not at all.

    Args:
        model: the agent.
        path: the file.
        spec: its run.
        whole: all that an exact resume needs, not only the agent.
    """
    buffer = io.BytesIO()
    model.save(buffer, include=["replay_buffer"] if whole else None)
    content = {"run": spec.to_dict()}
    if whole:
        content["state"] = _state_of(model)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_RUN, json.dumps(content))
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_saved_run(path: Path) -> tuple[RunSpec, dict[str, Any]] | None:
    """The run that a file is of, and its state beside the agent's; None: of no run.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with open_zip(path, "it") as archive:
            if _RUN not in archive.namelist():
                return None
            content = parse_json(member(archive, _RUN))
        if not isinstance(content, dict) or not isinstance(content.get("state", {}), dict):
            raise ValueError(f"its {_RUN} is no mapping")
    except ValueError as error:
        raise ValueError(f"{path} is not an agent saved by kl_agents ({error})") from error
    return _spec_from(content, path), content.get("state", {})


def check_is_of(path: Path, spec: RunSpec) -> None:
    """Raise a ValueError that names what differs, if a file is not of the run ``spec``."""
    saved = read_saved_run(path)
    if saved is None:
        raise ValueError(f"{path} was not written by this run: it does not say of which it is")
    of = replace(saved[0], total_timesteps=spec.total_timesteps)  # a run may have been lengthened
    different = differences(of.to_dict(), spec.to_dict())
    if different:
        clauses = "; ".join(different).replace("asked for", "in config.json")
        raise ValueError(f"{path} is of another run ({clauses}): put this run's own file there")


def _state_of(model: SequenceAlgorithm) -> dict[str, Any]:
    """What a resume needs beside the agent: the window of returns and the failures so far."""
    window = model.ep_info_buffer or deque()
    assert model.facts is not None
    failures = [task.failures.state_dict() for task in model.facts.tasks]
    return {"window": window.maxlen, "episodes": list(window), "failures": failures}


def restore_state(model: SequenceAlgorithm, path: Path) -> None:
    """Put back what :func:`save` wrote beside the agent."""
    saved = read_saved_run(path)
    assert saved is not None
    assert model.facts is not None
    state = saved[1]
    if state["window"] is not None:  # None: it had not begun
        model.ep_info_buffer = deque(state["episodes"], maxlen=state["window"])
        model.ep_success_buffer = deque(maxlen=state["window"])
    for task, failures in zip(model.facts.tasks, state["failures"], strict=True):
        task.failures.load_state_dict(failures)
