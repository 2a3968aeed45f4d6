"""Agents on disk: a zip of JSON and safetensors; nothing is ever unpickled.

Members: ``config.json`` (class, arguments, counters, generator states, the prior's name and
fingerprint, the SHA-256 of the other members), ``policy.safetensors``, ``optimizer.safetensors``
and, where asked for, ``replay.npz``. The frozen prior stays out: it is loaded from where the
environment has it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from kl_agents.replay import LARGEST_LOG_PRIOR
from seqgen_envs.bounded import PathOrFile, member, open_zip, read_arrays
from seqgen_envs.documents import parse_json
from seqgen_envs.recurrent import RecurrentConfig, check_finite
from seqgen_envs.reporting.files import replacing

FORMAT = 1
CONFIG, POLICY, OPTIMIZER, REPLAY = (
    "config.json",
    "policy.safetensors",
    "optimizer.safetensors",
    "replay.npz",
)
_DIGESTS = "sha256"
#: Of the names of the network's weights, in the state of a policy.
_TRUNK = "network.trunk."
#: Largest vocabulary or horizon of an agent that is loaded: ours have a hundred, a few hundred.
MAX_SIZE = 1_000_000


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
    members = {POLICY: save_tensors(agent.policy), OPTIMIZER: save_tensors(agent.optimizer)}
    if agent.replay is not None:
        packed = io.BytesIO()
        np.savez_compressed(packed, **agent.replay)  # type: ignore[arg-type]
        members[REPLAY] = packed.getvalue()
    config = {"format": FORMAT, **agent.config, _DIGESTS: _digests(members)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONFIG, json.dumps(config, indent=1))
        for name, content in members.items():
            archive.writestr(name, content)
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
        ValueError: it is not such a file, has changed since it was written, or its numbers are not
            finite; what is in it is not executed.
    """
    source = path
    if isinstance(path, (str, os.PathLike)) and not Path(path).is_file():
        source = with_suffix(path)
        if not Path(source).is_file():  # type: ignore[arg-type]
            raise FileNotFoundError(f"no agent at {path}: expected a .zip written by save()")
    try:
        # stored as they are, so that the members are never larger than the file
        with open_zip(source, "it", limit=sys.maxsize, ratio=1) as archive:
            config = parse_json(member(archive, CONFIG))
            written = config.get("format") if isinstance(config, dict) else None
            if written == FORMAT:
                return _read_members(archive, config)
    except (ValueError, TypeError, SafetensorError) as error:
        raise ValueError(
            f"{path} is not an agent saved by kl_agents ({error}); Stable-Baselines3's own zips "
            "hold pickles and are refused"
        ) from error
    raise ValueError(f"{path} has format {written}, this version reads {FORMAT}")


def _read_members(archive: zipfile.ZipFile, config: dict[str, Any]) -> SavedAgent:
    names = [name for name in (POLICY, OPTIMIZER, REPLAY) if name in archive.namelist()]
    members = {name: member(archive, name) for name in names}
    if config.pop(_DIGESTS, None) != _digests(members):
        raise ValueError("its members are not those it was written with")
    _check_config(config)
    if not {POLICY, OPTIMIZER} <= members.keys():
        raise ValueError(f"it lacks {POLICY} or {OPTIMIZER}")
    policy, optimizer = load_tensors(members[POLICY]), load_tensors(members[OPTIMIZER])
    for name, tensor in (*policy.items(), *optimizer.items()):
        check_finite(name, tensor)
    if "kind" not in config["network"]:  # one that is a change of its prior has the prior's sizes
        _check_network(config, policy)
    replay = None
    if REPLAY in members:
        limit = _replay_bytes(config)
        replay = read_arrays(io.BytesIO(members[REPLAY]), REPLAY, limit, ratio=limit)
    return SavedAgent(config, policy, optimizer, replay)


def _check_network(config: Mapping[str, Any], policy: Mapping[str, Tensor]) -> None:
    """Raise a ValueError unless the sizes are those of the weights and of the vocabulary."""
    trunk = {k.removeprefix(_TRUNK): v for k, v in policy.items() if k.startswith(_TRUNK)}
    given = {name: value for name, value in config["network"].items() if name != DUELING}
    sizes = RecurrentConfig(**given)
    sizes.check_weights(trunk)
    if sizes.vocabulary_size != config["spaces"]["vocabulary_size"]:
        raise ValueError("its network is of another vocabulary than its spaces")


def _digests(members: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}


#: In a network's description: whether it has a head of its own for V(s).
DUELING = "dueling"
#: What ``config.json`` must have, and of which kinds.
_ENTRIES: dict[str, tuple[type, ...]] = {
    "algorithm": (str,),
    "policy": (str,),
    "settings": (dict,),
    "policy_kwargs": (dict,),
    "seed": (int, NoneType),
    "environment": (dict, NoneType),
    "network": (dict,),
    "spaces": (dict,),
    "prior": (dict, NoneType),
    "c_now": (int, float),
    "counters": (dict,),
    "generators": (dict,),
}


def _check_config(config: Mapping[str, Any]) -> None:
    for name, kinds in _ENTRIES.items():
        if not isinstance(config.get(name, ...), kinds):
            raise ValueError(f"its {CONFIG} lacks {name!r}, or has something else there")
    spaces, trained_in = config["spaces"], config["environment"]
    for name in ("vocabulary_size", "horizon"):
        size = spaces.get(name)
        if not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
            raise ValueError(f"its {name} must be in 1..{MAX_SIZE:,}, got {size!r}")
    if trained_in is not None and not (
        isinstance(trained_in.get("id"), str) and isinstance(trained_in.get("kwargs"), dict)
    ):
        raise ValueError("its environment must have an 'id' and 'kwargs'")


def _replay_bytes(config: Mapping[str, Any]) -> int:
    """At most so many does the replay of an agent have, its arrays' headers included."""
    size, horizon = int(config["spaces"]["vocabulary_size"]), int(config["spaces"]["horizon"])
    capacity = config["settings"].get("replay_capacity")
    if not isinstance(capacity, int) or capacity < 1:
        raise ValueError("its settings say of no replay how large it is")
    of_all_tokens = min(4 * capacity * horizon * size, LARGEST_LOG_PRIOR)
    return capacity * (horizon * 20 + 8) + of_all_tokens + 4096


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


def load_arrays(path: Any) -> dict[str, NDArray[Any]]:
    """What :func:`write_arrays` wrote.

    Raises:
        ValueError: it is no such file.
    """
    return read_arrays(_npz(path), str(path), sys.maxsize, ratio=sys.maxsize)


def _npz(path: Any) -> str:
    text = str(path)
    return text if text.endswith(".npz") else text + ".npz"
