"""Which runs a reproduction has: one for each block, agent, temperature and seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kl_agents.hyperparameters import (
    FOLDER,
    final_c,
    load_hyperparams,
    with_final_c,
)
from kl_agents.registry import get_algorithm
from kl_agents.runs import RunSpec
from kl_agents.runs.trust import check_code
from seqgen_envs.documents import read_yaml
from seqgen_envs.loading import from_file
from seqgen_envs.shards import Shard

TABLE, FRONTIER = "table", "frontier"
#: Sizes of --quick: enough to go through every line of code, not to learn.
QUICK: dict[str, Any] = {"n_envs": 16, "replay_capacity": 64, "batch_episodes": 8}
QUICK_STEPS, QUICK_EPISODES, QUICK_CS = 2048, 64, 2


@dataclass(frozen=True)
class Block:
    """One part of the report.

    Args:
        name: short, as in ``--blocks``.
        title, about: for the report.
        kind: ``"table"`` or ``"frontier"``.
        settings: of all its agents, over the environment's own file; each takes what it knows.
        agents: settings of each algorithm, over those.
        c: temperatures at the end of training; empty: as the settings have it.
        seeds: how many, or None for ``--seeds``.
        evaluate: sequences of an evaluation, or None for ``-n``.
        act_c: temperature the agents act at when evaluated; None: that of the training's end.
    """

    name: str
    title: str
    about: str
    kind: str
    agents: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    c: Sequence[float] = ()
    seeds: int | None = None
    evaluate: int | None = None
    act_c: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in (TABLE, FRONTIER):
            raise ValueError(f"block {self.name!r}: kind must be table or frontier")
        for agent in self.agents:
            get_algorithm(agent)


@dataclass(frozen=True)
class Plan:
    """A reproduction: an environment, its blocks, and what the agents are called in the report.

    ``source`` is the file it was read from.
    """

    env_id: str
    blocks: Mapping[str, Block]
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Path = FOLDER

    def label(self, agent: str) -> str:
        """An agent's name in the report; a published column's, where it is that model."""
        return self.labels.get(agent, agent)


@dataclass(frozen=True)
class Job:
    """One run and its evaluation."""

    block: str
    agent: str
    c: float
    seed: int
    spec: RunSpec
    episodes: int
    act_c: float | None = None

    @property
    def name(self) -> str:
        """Its folder under ``runs/``."""
        agent = re.sub(r"[^\w.-]+", "-", self.agent)  # module:Class, FILE.py:Class
        return f"{self.block}/{agent}-c{self.c:g}-seed{self.seed}"


@dataclass(frozen=True)
class Scale:
    """How much of it: see ``seqgen reproduce``. ``steps`` None is what the files say."""

    steps: int | None = None
    seeds: int = 3
    episodes: int = 100_000
    quick: bool = False


def available() -> list[str]:
    """Domains there is a plan for."""
    prefix = "reproduce-"
    return sorted(path.stem.removeprefix(prefix) for path in FOLDER.glob(f"{prefix}*.yml"))


def load_plan(domain: str, source: Path | None = None) -> Plan:
    """The bundled plan of a domain, or one from a file of your own.

    Raises:
        UntrustedCodeError: it names code and is not trusted.
        ValueError: there is none, or it has a field too many or too few.
    """
    path = source or FOLDER / f"reproduce-{domain}.yml"
    if not path.is_file():
        raise ValueError(f"nothing to reproduce for {domain!r}; there is {', '.join(available())}")
    content = read_yaml(path)
    try:
        with from_file(path):
            blocks = {name: Block(name=name, **block) for name, block in content["blocks"].items()}
        return Plan(content["env_id"], blocks, content.get("labels", {}), path)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a plan of env_id, blocks and labels: {error}") from error


def choose_blocks(plan: Plan, names: Sequence[str]) -> list[Block]:
    """The blocks of these names.

    Raises:
        ValueError: an unknown name.
    """
    unknown = [name for name in names if name not in plan.blocks]
    if unknown:
        raise ValueError(f"unknown blocks {unknown}; there are {', '.join(plan.blocks)}")
    return [plan.blocks[name] for name in names]


def make_jobs(
    plan: Plan, blocks: Sequence[Block], scale: Scale, shard: Shard | None = None
) -> list[Job]:
    """Every run of the blocks, or a part; seed by seed: the first seeds are complete early."""
    jobs = []
    for block in blocks:
        seeds = scale.seeds if block.seeds is None else min(block.seeds, scale.seeds)
        cs: Sequence[float | None] = list(block.c) or [None]
        if scale.quick:
            cs = cs[:QUICK_CS]
        for seed in range(seeds):
            jobs += [_job(plan, block, agent, c, seed, scale) for c in cs for agent in block.agents]
    return jobs if shard is None else shard.of(jobs, lambda job: (job.agent, job.name))


def _job(plan: Plan, block: Block, agent: str, c: float | None, seed: int, scale: Scale) -> Job:
    quick = [QUICK] if scale.quick else []
    layers = [block.agents[agent], *quick]
    settings = load_hyperparams(agent, plan.env_id, layers, shared=block.settings)
    if c is not None:
        settings.arguments["c"] = with_final_c(settings.arguments.get("c", c), c)
    steps = QUICK_STEPS if scale.quick else scale.steps
    if steps is not None and settings.n_timesteps > 0:  # 0: an agent that learns nothing
        settings.n_timesteps = steps
    check_code(plan.source, agent, plan.env_id, settings.env_kwargs)
    spec = RunSpec.of(settings, plan.env_id, seed)
    episodes = block.evaluate or scale.episodes
    if scale.quick:
        episodes = min(episodes, QUICK_EPISODES)
    end = final_c(settings.arguments.get("c"))
    return Job(block.name, agent, end or float("nan"), seed, spec, episodes, block.act_c)
