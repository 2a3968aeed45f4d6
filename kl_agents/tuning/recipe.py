"""What a search is, complete: two searches of equal recipes may share a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kl_agents.hyperparameters import final_c, load_hyperparams, merged
from kl_agents.registry import absolute
from kl_agents.runs import RunSpec, single_lane
from kl_agents.runs.trust import check_code
from kl_agents.tuning.space import Range, check_judged, for_learner, settings_of
from kl_agents.tuning.trial import Work
from seqgen_envs.registration import check_id

#: The first seed of those that the finalists are judged with: none that a trial has had.
FRESH = 1000


@dataclass(frozen=True)
class Recipe:
    """What is tuned, on what, and how a trial is judged.

    Args:
        algorithm: a name of the registry, or a reference.
        env_ids: environments; a trial is worth the mean over them.
        fixed: settings that every trial has, over the shipped ones (``--set``).
        source: a file of hyper-parameters in place of the bundled ones.
        steps: of a training; None is the file's.
        seeds: of a trial.
        looks, episodes: see :class:`~kl_agents.tuning.trial.Work`.
    """

    algorithm: str
    env_ids: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None
    steps: int | None = None
    seeds: int = 1
    looks: int = 5
    episodes: int = 1000

    def check(self, space: Mapping[str, Range]) -> dict[str, Range]:
        """What is searched of ``space``: what this learner has and nothing fixes.

        Raises:
            ValueError: a setting, an id or a value is wrong, nothing is left to search, or the
                space has what trials are judged by.
        """
        budgets = set()
        for env_id in self.env_ids:
            check_id(env_id)
            spec = self.spec(env_id, {}, 0)
            if self.source is not None:
                check_code(self.source, spec.algorithm, env_id, spec.env_kwargs)
            budgets.add(single_lane(spec).task.budget is not None)
        if len(budgets) > 1:
            raise ValueError(
                "some of the environments have a budget of calls and are judged by area, the "
                "others by J: their mean has no meaning; tune on one kind"
            )
        if not budgets.pop():
            check_judged(space)
        first = self.env_ids[0]
        left = for_learner(space, self.algorithm, first, tuple(self.fixed), self.source)
        ends = {name: entry.values[0] for name, entry in left.items()}
        for env_id in self.env_ids:  # that the names within a setting are right is said now
            self.spec(env_id, left, 0, ends)
        return left

    def spec(
        self,
        env_id: str,
        space: Mapping[str, Range],
        seed: int,
        drawn: Mapping[str, Any] | None = None,
    ) -> RunSpec:
        """The run on one environment with one seed; ``drawn`` None: as shipped."""
        shipped = load_hyperparams(self.algorithm, env_id, [self.fixed], self.source)
        whole = shipped
        if drawn is not None:
            c = final_c(shipped.arguments.get("c"))
            if c is None:
                c = single_lane(RunSpec.of(shipped, env_id, seed)).c
            over = settings_of(space, drawn, c)
            whole = load_hyperparams(self.algorithm, env_id, [self.fixed, over], self.source)
        if self.steps is not None and shipped.n_timesteps:
            whole.n_timesteps = self.steps
        return RunSpec.of(whole, env_id, seed)

    def work(
        self, space: Mapping[str, Range], drawn: Mapping[str, Any] | None, fresh: int | None = None
    ) -> Work:
        """A trial; ``fresh``: the number of a further seed, of a training that is not looked at."""
        seeds = range(self.seeds) if fresh is None else [FRESH + fresh]
        specs = tuple(
            self.spec(env_id, space, seed, drawn).to_dict()
            for seed in seeds
            for env_id in self.env_ids
        )
        return Work(specs, self.looks if fresh is None else 1, self.episodes)

    def block(self, space: Mapping[str, Range], drawn: Mapping[str, Any] | None) -> dict[str, Any]:
        """What a file of hyper-parameters says of these settings, over those it extends."""
        given = dict(self.fixed)
        if self.steps is not None:
            given["n_timesteps"] = self.steps
        if drawn is None:
            return given
        spec = self.spec(self.env_ids[0], space, 0, drawn)
        c = final_c(spec.arguments.get("c"))
        return merged(given, settings_of(space, drawn, c))

    def to_dict(self, space: Mapping[str, Range]) -> dict[str, Any]:
        """As JSON has it, what is searched included."""
        content = asdict(replace(self, algorithm=absolute(self.algorithm), source=None))
        content["source"] = None if self.source is None else str(self.source.resolve())
        content["space"] = {name: asdict(entry) for name, entry in space.items()}
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain
