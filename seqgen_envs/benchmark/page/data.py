"""Rows of a store, suite by suite and agent by agent, with what is known of each in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seqgen_envs.benchmark.page.metrics import readable
from seqgen_envs.benchmark.statistics import Estimate, estimate
from seqgen_envs.benchmark.store import FINISHED, Row
from seqgen_envs.benchmark.suites import Suite

#: Name of the agent that all others are set beside.
PRIOR = "prior"


@dataclass(frozen=True)
class Agent:
    """One agent's rows in one suite.

    Args:
        label: its name; with its fingerprint where another one bears the same name.
        rows: all of them, failed ones too.
    """

    label: str
    rows: Sequence[Row]

    @property
    def reference(self) -> str:
        """What finds it again."""
        return self.rows[0].reference

    @property
    def finished(self) -> list[Row]:
        """Those with metrics."""
        return [row for row in self.rows if row.status == FINISHED]

    def values(self, metric: str) -> dict[str, list[float]]:
        """What is known of a metric, by task; tasks of which nothing is known are left out."""
        found: dict[str, list[float]] = {}
        for row in self.finished:
            value = row.metrics.get(metric)
            if value is not None and math.isfinite(value):
                found.setdefault(row.task, []).append(float(value))
        return found

    def overall(self, metric: str, task: str | None = None) -> float | None:
        """The interquartile mean of a metric over all runs, or those on one task.

        None: it is of none known.
        """
        known = self.values(metric)
        values = {t: v for t, v in known.items() if task in (None, t)}
        return estimate(values, resamples=1).value if values else None


@dataclass(frozen=True)
class Results:
    """All rows of one suite as it is defined now.

    Args:
        suite: what they are of.
        agents: the best one first; those that lack runs of others come after all that do not.
        tasks: that any of them has been on, in the suite's order.
    """

    suite: Suite
    agents: Sequence[Agent]
    tasks: Sequence[str]

    @classmethod
    def of(cls, suite: Suite, rows: Sequence[Row]) -> Results:
        """The rows, sorted by agents."""
        tasks = [task for task in suite.tasks if any(row.task == task for row in rows)]
        found = cls(suite, _agents(rows), tasks)
        return cls(suite, sorted(found.agents, key=found.rank), tasks)

    @cached_property
    def rows(self) -> list[Row]:
        """All of them."""
        return [row for agent in self.agents for row in agent.rows]

    @cached_property
    def wanted(self) -> set[tuple[str, int]]:
        """(task, seed) that any agent has a row of."""
        return {(row.task, row.seed) for row in self.rows}

    @property
    def is_scaled(self) -> bool:
        """Whether scores are where between the prior (0) and the best known (1) an agent is."""
        return all(self.suite.tasks[task].low is not None for task in self.tasks)

    @property
    def score_name(self) -> str:
        """What the scores are called."""
        name = readable(self.suite.headline)
        return f"{name}, scaled" if self.is_scaled else name

    @property
    def one_unit(self) -> bool:
        """Whether a metric means the same on all tasks, so that it may be averaged over them."""
        return len(self.tasks) == 1 or not self.is_scaled

    @property
    def higher_is_better(self) -> bool:
        """Of the scores."""
        return self.is_scaled or self.suite.higher_is_better

    def scores(self, agent: Agent) -> dict[str, list[float]]:
        """The headline on the common scale, by task."""
        known = agent.values(self.suite.headline)
        return {
            task: [self.suite.tasks[task].score(v) for v in known[task]]
            for task in self.tasks
            if task in known
        }

    def estimate(self, agent: Agent, task: str | None = None) -> Estimate | None:
        """Its score with an interval, over all tasks or on one; None where nothing is known."""
        scores = self.scores(agent)
        chosen = scores if task is None else {t: v for t, v in scores.items() if t == task}
        return estimate(chosen) if chosen else None

    def missing(self, agent: Agent) -> int:
        """Runs without a known headline, of those that any agent has."""
        return len(self.wanted) - sum(map(len, self.scores(agent).values()))

    def rank(self, agent: Agent) -> tuple[bool, bool, float, str]:
        """Sorts: complete ones by their scores, then those with gaps, then what is not known."""
        found = self.estimate(agent)
        value = 0.0 if found is None else found.value
        best_first = -value if self.higher_is_better else value
        return found is None, self.missing(agent) > 0, best_first, agent.label

    @property
    def prior(self) -> Agent | None:
        """The prior alone, where it was benchmarked."""
        return next((agent for agent in self.agents if agent.reference == PRIOR), None)


def _agents(rows: Sequence[Row]) -> list[Agent]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.agent, row.agent_fingerprint), []).append(row)
    names = [name for name, _ in found]
    return [
        Agent(name if names.count(name) == 1 else f"{name} ({print_[:6]})", rows_of)
        for (name, print_), rows_of in found.items()
    ]


def read_results(rows: Sequence[Row], suites: Mapping[str, Suite]) -> tuple[list[Results], str]:
    """The rows by suites, and one sentence about those that are left out, or "".

    Args:
        rows: of a store.
        suites: by name, as they are defined now. Rows of another definition are not comparable.
    """
    results, left_out = [], []
    for name in sorted({row.suite for row in rows}):
        of_suite = [row for row in rows if row.suite == name]
        suite = suites.get(name)
        current = [r for r in of_suite if suite and r.suite_fingerprint == suite.fingerprint]
        if suite and current:
            results.append(Results.of(suite, _without_mended(current)))
        if len(current) < len(of_suite):
            left_out.append(f"{len(of_suite) - len(current)} of {name}")
    why = "they were made by another definition of the suite than the one here"
    return results, f"{' and '.join(left_out)} left out: {why}" if left_out else ""


def _without_mended(rows: Sequence[Row]) -> list[Row]:
    """The rows, but for failed ones of an agent whose file has since run as another version."""
    latest: dict[tuple[Any, ...], str] = {}
    for row in rows:
        one = (row.agent, row.reference, row.task, row.seed)
        latest[one] = max(latest.get(one, ""), row.date)
    return [
        row
        for row in rows
        if row.status == FINISHED
        or row.date == latest[row.agent, row.reference, row.task, row.seed]
    ]


def places(rows: Sequence[Row]) -> list[str]:
    """Where rows were made, each place once."""
    return list(dict.fromkeys(described(row.machine) for row in rows if row.machine))


def described(machine: Mapping[str, Any]) -> str:
    """Processor, system and versions in one line."""
    names = ("seqgen", "python", "torch", "numpy")
    versions = [f"{name} {machine[name]}" for name in names if name in machine]
    where = [str(machine[name]) for name in ("cpu", "system") if name in machine]
    if "cores" in machine:
        where.append(f"{machine['cores']} cores")
    return ", ".join([*where, *versions])
