"""What a run is, complete: nothing that decides its result is left to defaults or folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import gymnasium as gym

from kl_agents.checking import Within, checked
from kl_agents.collectors import CollectorSettings
from kl_agents.hyperparameters import Hyperparams, final_c
from kl_agents.registry import absolute
from kl_agents.saving import differences
from seqgen_envs.domain import Domain
from seqgen_envs.named_files import files_in, with_absolute_files
from seqgen_envs.registration import check_id, get_domain
from seqgen_envs.settings import LaneSettings


@dataclass(frozen=True)
class RunSpec:
    """Two runs of equal specs end with equal parameters, unless they have collectors.

    The arguments of the environment are completed by those its id is registered with and by its
    domain's defaults, and files and folders in them become absolute paths.

    Args:
        algorithm: a name of :data:`~kl_agents.registry.ALGORITHMS`.
        env_id: a Gymnasium id with a native vector environment.
        total_timesteps: environment steps; a round is always finished.
        seed: of everything.
        n_envs: lanes.
        env_kwargs: arguments of the environment.
        arguments: constructor arguments of the algorithm.
        initial: the ``path`` of the agent whose network it starts from, and the file's ``sha256``;
            None: from its own.
        seeds: the ``path`` of a file of sequences that are put into the replay before the training
            begins (:mod:`kl_agents.seeding`), and its ``sha256``; None: the replay is empty then.
        collectors: entries of :class:`~kl_agents.collectors.CollectorSettings`; None: the learner
            collects itself. Which round comes first is then a matter of time, so that no two such
            runs are the same to the bit.

    Raises:
        ValueError: a value is of the wrong kind or out of its range.
    """

    algorithm: str
    env_id: str
    total_timesteps: Annotated[int, Within(0)]
    seed: Annotated[int, Within(0)] = 0
    n_envs: Annotated[int, Within(1)] = 128
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, str] | None = None
    seeds: Mapping[str, str] | None = None
    collectors: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            checked(name, getattr(self, name), kind)
        if self.collectors is not None:
            whole = asdict(CollectorSettings.of(self.collectors))
            object.__setattr__(self, "collectors", whole)
        object.__setattr__(self, "algorithm", absolute(self.algorithm))
        registered = registered_arguments(self.env_id)
        if "domain" in registered:
            domain = get_domain(registered.pop("domain"))
            defaults = {
                "prior": domain.default_prior,
                "task": domain.default_task,
                "c": LaneSettings.c,
            }
            given = {**defaults, **registered, **self.env_kwargs}
            if "length" not in given:
                defaults["length"] = domain.for_prior(given["prior"]).horizon
            complete = with_absolute_paths({**defaults, **registered, **self.env_kwargs}, domain)
            object.__setattr__(self, "env_kwargs", complete)

    @classmethod
    def of(cls, hyperparams: Hyperparams, env_id: str, seed: int) -> RunSpec:
        """The run of merged hyper-parameters."""
        return cls(
            hyperparams.algorithm,
            env_id,
            hyperparams.n_timesteps,
            seed,
            hyperparams.n_envs,
            hyperparams.env_kwargs,
            hyperparams.arguments,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it.

        Raises:
            ValueError: an argument is an object that JSON cannot hold.
        """
        try:
            plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        except TypeError as error:
            raise ValueError(
                f"a run's settings are written down, so they must be what JSON can hold: {error}"
            ) from error
        return plain

    @property
    def environment(self) -> dict[str, Any]:
        """Keyword arguments of the environment the run's agent is for.

        ``domain`` and ``num_envs`` are among them; c is that of the end of its training.
        """
        registered = registered_arguments(self.env_id)
        arguments = {**registered, **self.env_kwargs, "num_envs": self.n_envs}
        c = final_c(self.arguments.get("c"))
        return arguments if c is None else {**arguments, "c": c}

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each file named in the arguments of the environment or as the algorithm, by
        its path.
        """
        files = {*files_in(self.env_kwargs), *files_in(self.algorithm)}
        return {str(path): sha256(path) for path in sorted(files)}


def registered_arguments(env_id: str) -> dict[str, Any]:
    """What an id is registered with; nothing where it is not registered."""
    try:
        check_id(env_id)
    except (ValueError, ImportError):
        return {}  # whoever makes the environment says so
    return dict(gym.spec(env_id.rpartition(":")[2]).kwargs)


def with_absolute_paths(env_kwargs: Mapping[str, Any], domain: Domain) -> dict[str, Any]:
    """Arguments of an environment, a prior's folder and the files in them as absolute paths."""
    kept: dict[str, Any] = with_absolute_files(env_kwargs)
    prior = kept.get("prior")
    if isinstance(prior, (str, Path)) and str(prior) not in domain.priors:
        folder = Path(prior).expanduser()
        kept["prior"] = str(folder.resolve()) if folder.is_dir() else str(prior)
    return kept


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_same(recorded: RunSpec, asked: RunSpec, folder: Path) -> None:
    """Raise a ValueError that names what differs between a run and what was asked for."""
    different = differences(recorded.to_dict(), asked.to_dict())
    if different:
        raise ValueError(
            f"{folder} holds another run ({'; '.join(different)}): give the same settings to go "
            "on with it, or another folder"
        )
