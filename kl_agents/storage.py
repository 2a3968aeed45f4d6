"""Agents on disk: a zip of JSON and safetensors; nothing is ever unpickled.

Members: ``config.json`` (class, arguments, counters, generator states, the prior's name and
fingerprint), ``policy.safetensors``, ``optimizer.safetensors`` and, where asked for,
``replay.npz``. The frozen prior stays out: it is loaded from where the environment has it.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from seqgen_envs.reporting.files import replacing

FORMAT = 1
CONFIG, POLICY, OPTIMIZER, REPLAY = (
    "config.json",
    "policy.safetensors",
    "optimizer.safetensors",
    "replay.npz",
)
PathOrFile = str | os.PathLike[str] | IO[bytes]


@dataclass
class SavedAgent:
    """What one file holds."""

    config: dict[str, Any]
    policy: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    replay: dict[str, NDArray[Any]] | None = None


def with_suffix(path: PathOrFile) -> PathOrFile:
    """``path``, ending in ``.zip`` as Stable-Baselines3 has it."""
    if isinstance(path, (str, os.PathLike)):
        path = Path(path)
        return path if path.suffix == ".zip" else path.with_name(path.name + ".zip")
    return path


def write_agent(path: PathOrFile, agent: SavedAgent) -> None:
    """Write the file, whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONFIG, json.dumps({"format": FORMAT, **agent.config}, indent=1))
        archive.writestr(POLICY, save_tensors(agent.policy))
        archive.writestr(OPTIMIZER, save_tensors(agent.optimizer))
        if agent.replay is not None:
            with archive.open(REPLAY, "w", force_zip64=True) as member:
                np.savez_compressed(member, **agent.replay)  # type: ignore[arg-type]
    target = with_suffix(path)
    if isinstance(target, Path):
        with replacing(target) as temporary:
            temporary.write_bytes(buffer.getbuffer())
    else:
        target.write(buffer.getbuffer())  # type: ignore[union-attr]


def read_agent(path: PathOrFile) -> SavedAgent:
    """Read what :func:`write_agent` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file; what is in it is not executed.
    """
    source = path
    if isinstance(path, (str, os.PathLike)) and not Path(path).is_file():
        source = with_suffix(path)
        if not Path(source).is_file():  # type: ignore[arg-type]
            raise FileNotFoundError(f"no agent at {path}: expected a .zip written by save()")
    try:
        with zipfile.ZipFile(source) as archive:
            config = json.loads(archive.read(CONFIG))
            policy = load_tensors(archive.read(POLICY))
            optimizer = load_tensors(archive.read(OPTIMIZER))
            replay = _read_replay(archive)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"{path} is not an agent saved by kl_agents ({error}); Stable-Baselines3's own zips "
            "hold pickles and are refused"
        ) from error
    written = config.get("format") if isinstance(config, dict) else None
    if written != FORMAT:
        raise ValueError(f"{path} has format {written}, this version reads {FORMAT}")
    return SavedAgent(config, policy, optimizer, replay)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser of one group, flat: ``"index.name"`` to tensor."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in state.items()
        for name, value in entries.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of :func:`optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, as safetensors takes them."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def write_arrays(path: Any, arrays: dict[str, NDArray[Any]]) -> None:
    """Arrays as a ``.npz`` file; the suffix is added."""
    with open(_npz(path), "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Any) -> dict[str, NDArray[Any]]:
    """What :func:`write_arrays` wrote."""
    with np.load(_npz(path), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _npz(path: Any) -> str:
    text = str(path)
    return text if text.endswith(".npz") else text + ".npz"


def _read_replay(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]] | None:
    if REPLAY not in archive.namelist():
        return None
    with np.load(io.BytesIO(archive.read(REPLAY)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
