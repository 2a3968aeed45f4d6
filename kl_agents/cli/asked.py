"""What the command line of ``seqgen train`` says of a run, and the run it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen_envs.reporting.console import warn

if TYPE_CHECKING:
    from kl_agents.runs import RunSpec


@dataclass(frozen=True)
class Asked:
    """The options as they were given; None and empty where nothing was."""

    algorithm: str | None = None
    env_id: str | None = None
    settings: Sequence[str] = ()
    steps: int | None = None
    c: float | None = None
    seed: int | None = None
    hyperparams: Path | None = None
    initial: Path | None = None
    seeds: Path | None = None
    collectors: Mapping[str, int] | None = None

    def new(self) -> RunSpec:
        """A run that is to begin.

        Raises:
            ValueError: algorithm or environment is missing or unknown, so is a setting, or ``c``
                is not above 0.
        """
        from kl_agents.hyperparameters import (
            file_of,
            load_hyperparams,
            parse_settings,
            with_final_c,
        )
        from kl_agents.runs import RunSpec
        from kl_agents.runs.trust import check_code
        from seqgen_envs.registration import check_id

        if self.algorithm is None or self.env_id is None:
            raise ValueError(
                "a training that begins needs an algorithm and an environment, as in "
                "`seqgen train psi MelodyGen-v0 --out runs/psi`"
            )
        check_id(self.env_id)
        overrides = [parse_settings(self.settings)]
        merged = load_hyperparams(self.algorithm, self.env_id, overrides, self.hyperparams)
        if self.hyperparams is not None:
            check_code(self.hyperparams, "", self.env_id, merged.env_kwargs)
        if self.hyperparams is None and not file_of(self.env_id).is_file():
            warn(f"there are no hyper-parameters for {self.env_id}: the defaults are used")
        if self.steps is not None:
            merged.n_timesteps = self.steps
        if self.c is not None:
            merged.arguments["c"] = with_final_c(merged.arguments.get("c"), self.c)
        spec = RunSpec.of(merged, self.env_id, self.seed or 0)
        return replace(
            spec, initial=self._initial(), seeds=self._seeds(), collectors=self.collectors
        )

    def of_run(self, recorded: RunSpec) -> RunSpec:
        """A run that goes on: ``recorded`` but for what is asked otherwise, to be compared with it.

        Its steps are those recorded: ``steps`` lengthens a run.

        Raises:
            ValueError: see :meth:`new`.
        """
        if self.env_id is None and self.hyperparams is None:
            return self._changed(recorded)
        whole = replace(
            self,
            algorithm=self.algorithm or recorded.algorithm,
            env_id=self.env_id or recorded.env_id,
            seed=recorded.seed if self.seed is None else self.seed,
        ).new()
        initial = recorded.initial if self.initial is None else whole.initial
        seeds = recorded.seeds if self.seeds is None else whole.seeds
        return replace(
            whole,
            total_timesteps=recorded.total_timesteps,
            initial=initial,
            seeds=seeds,
            collectors=self._collectors(recorded),
        )

    def _changed(self, recorded: RunSpec) -> RunSpec:
        from kl_agents.hyperparameters import merged, parse_settings, with_final_c

        nested = parse_settings(self.settings)
        if "n_timesteps" in nested:
            raise ValueError("--set n_timesteps does not lengthen a run: give --steps")
        outer: dict[str, Any] = {
            name: nested.pop(name) for name in ("n_envs", "env_kwargs") if name in nested
        }
        arguments = merged(recorded.arguments, nested)
        if self.c is not None:
            arguments["c"] = with_final_c(arguments.get("c"), self.c)
        given = {
            "algorithm": self.algorithm,
            "seed": self.seed,
            "initial": self._initial(),
            "seeds": self._seeds(),
            "collectors": self._collectors(recorded),
        }
        run = merged({"env_kwargs": recorded.env_kwargs}, outer)
        run |= {name: value for name, value in given.items() if value is not None}
        return replace(recorded, **run, arguments=arguments)

    def _collectors(self, recorded: RunSpec) -> Mapping[str, int] | None:
        """Those of the run, with what is given of their settings."""
        if self.collectors is None:
            return recorded.collectors
        return {**(recorded.collectors or {}), **self.collectors}

    def _initial(self) -> dict[str, str] | None:
        from kl_agents.runs import initial_from

        return None if self.initial is None else initial_from(self.initial)

    def _seeds(self) -> dict[str, str] | None:
        from kl_agents.runs import seeds_from

        return None if self.seeds is None else seeds_from(self.seeds)


def collectors_of(
    count: int | None, staleness: int | None, broadcast_every: int | None
) -> dict[str, int] | None:
    """What is given of a run's collectors by ``--collectors`` and its like; None: nothing.

    Raises:
        ValueError: there are none, and something is given of them.
    """
    given = {"staleness": staleness, "broadcast_every": broadcast_every}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not count:
        if chosen:
            raise ValueError("--staleness and --broadcast-every are for --collectors: give it too")
        return None
    return {"count": count, **chosen}
