"""A suite's results as a section of the page: tables and what surrounds them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from seqgen_envs.benchmark.page.blocks import (
    Bars,
    Block,
    Cell,
    Facts,
    Failures,
    Section,
    Table,
    bars,
    number,
    text,
)
from seqgen_envs.benchmark.page.data import Agent, Results, places
from seqgen_envs.benchmark.page.graphs import graphs
from seqgen_envs.benchmark.page.metrics import MEANINGS, readable
from seqgen_envs.benchmark.page.sequences import Budget, samples
from seqgen_envs.benchmark.statistics import Estimate, probability_of_improvement
from seqgen_envs.benchmark.store import FAILED, Row
from seqgen_envs.reporting.tables import format_number

#: Most agents that are compared in pairs, and most runs that are listed one by one.
PAIRS_OF, RUNS_OF = 12, 400


def section(results: Results, budget: Budget) -> Section:
    """All there is to say of a suite."""
    blocks: list[Block] = [leaderboard(results)]
    if len(results.tasks) > 1:
        blocks.append(by_task(results))
    if not results.one_unit:
        blocks += [metrics_of(results, task) for task in results.tasks]
    blocks += failures(results)
    blocks += graphs(results)
    blocks += improvement(results)
    blocks += rules(results)
    blocks += samples(results, budget)
    blocks += runs(results)
    blocks += [meanings(results), origin(results)]
    return Section(results.suite.name, " ".join(results.suite.about.split()), blocks)


def leaderboard(results: Results) -> Table:
    """A row an agent: the headline with its interval, then every metric of the suite.

    Metrics that have another unit on each task are left to :func:`metrics_of`.
    """
    suite = results.suite
    others = [name for name in suite.metrics if name != suite.headline or results.is_scaled]
    others = others if results.one_unit else []
    rows = []
    for place, agent in enumerate(results.agents, start=1):
        rows.append(
            [
                text(agent.label, "" if agent.reference == agent.label else agent.reference),
                number(float(place)),
                _estimated(results.estimate(agent)),
                *[number(agent.overall(name)) for name in others],
                _runs_of(results, agent),
                number(_median([row.seconds for row in agent.finished])),
            ]
        )
    columns = ["agent", "place", results.score_name, *map(readable, others), "runs", "seconds"]
    direction = "higher" if results.higher_is_better else "lower"
    scale = " 0 is the prior alone, 1 the best known." if results.is_scaled else ""
    note = (
        f"{results.score_name}: {direction} is better.{scale} Interquartile means over all runs, "
        "in brackets the 95 % interval of the stratified bootstrap; seconds are the median of a "
        "training. Agents that lack runs stand below those that do not."
    )
    return Table(f"Leaderboard of {suite.name}", columns, rows, note, (1, False))


def _estimated(found: Estimate | None) -> Cell:
    if found is None:
        return number(None)
    return number(found.value, _interval(found))


def _interval(found: Estimate) -> str:
    if found.low is None:
        return "one run a task"
    return f"[{format_number(found.low)}, {format_number(found.high)}]"


def _runs_of(results: Results, agent: Agent) -> Cell:
    done, failed = len(agent.finished), sum(row.status == FAILED for row in agent.rows)
    return Cell(
        f"{done} of {len(results.wanted)}", float(done), f"{failed} failed" if failed else ""
    )


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def by_task(results: Results) -> Table:
    """A row an agent, a column a task."""
    rows = [
        [text(agent.label), *[_estimated(results.estimate(agent, task)) for task in results.tasks]]
        for agent in results.agents
    ]
    note = "Interquartile means over seeds (of fewer than four: the median), with intervals."
    return Table(f"{results.score_name} by task", ["agent", *results.tasks], rows, note)


def metrics_of(results: Results, task: str) -> Table:
    """A row an agent: every metric of the suite on one task."""
    names = results.suite.metrics
    rows = [
        [text(agent.label), *[number(agent.overall(name, task)) for name in names]]
        for agent in results.agents
    ]
    note = "As they are, not scaled; interquartile means over seeds (of fewer than four: medians)."
    return Table(f"Metrics on {task}", ["agent", *map(readable, names)], rows, note, folded=True)


def failures(results: Results) -> Iterator[Failures]:
    """The rows that failed, with their tracebacks."""
    failed = [row for row in results.rows if row.status == FAILED]
    if failed:
        note = "They count in no number above; the same command tries them again."
        shown = [(f"{_name(row)}: {_last_line(row)}", row.error) for row in failed]
        yield Failures(f"{len(failed)} failed runs", note, shown)


def _name(row: Row) -> str:
    return f"{row.agent} on {row.task}, seed {row.seed}"


def _last_line(row: Row) -> str:
    return (row.error.strip().splitlines() or ["no reason is known"])[-1]


def improvement(results: Results) -> Iterator[Table]:
    """Every agent against every other."""
    agents = [agent for agent in results.agents if results.scores(agent)][:PAIRS_OF]
    if len(agents) < 2:
        return
    rows = []
    for agent in agents:
        cells = [_chance(results, agent, other) for other in agents]
        rows.append([text(agent.label), *cells])
    note = (
        "Chance that a run of the agent in the row beats one of the agent in the column "
        "(Mann-Whitney's U, averaged over tasks; a tie is half), with its interval."
    )
    names = [agent.label for agent in agents]
    yield Table("Probability of improvement", ["agent", *names], rows, note, folded=True)


def _chance(results: Results, agent: Agent, other: Agent) -> Cell:
    if agent is other:
        return Cell("", None)
    found = probability_of_improvement(
        results.scores(agent), results.scores(other), higher_is_better=results.higher_is_better
    )
    return _estimated(found)


def rules(results: Results) -> Iterator[Bars]:
    """Each rule's part of the return on each task, the prior first."""
    prior = results.prior
    agents = [*([prior] if prior else []), *[a for a in results.agents if a is not prior]]
    for task in results.tasks:
        found = {agent.label: _terms(agent, task) for agent in agents}
        found = {label: terms for label, terms in found.items() if terms}
        names = list(dict.fromkeys(name for terms in found.values() for name in terms))
        if names:
            note = (
                "What each rule adds to the return of a sequence, on the mean (of several seeds "
                "the median), all on one scale."
            )
            rows = {readable(n): [terms.get(n) for terms in found.values()] for n in names}
            yield bars(f"Share of each rule: {task}", note, ["rule", *found], rows)


def _terms(agent: Agent, task: str) -> dict[str, float]:
    rows = [row.metrics for row in agent.finished if row.task == task]
    names = dict.fromkeys(n for metrics in rows for n in metrics if n.startswith("term_"))
    found = {}
    for name in names:
        known = [value for metrics in rows if (value := metrics.get(name)) is not None]
        if known:
            found[name.removeprefix("term_")] = float(np.median(known))
    return found


def runs(results: Results) -> Iterator[Table]:
    """Every row there is, unless there are too many for a page: the CSV beside it has them."""
    if len(results.rows) > RUNS_OF:
        return
    metrics = results.suite.metrics
    rows = [
        [
            text(agent.label),
            text(row.task),
            number(float(row.seed)),
            text(row.status),
            *[number(row.metrics.get(name)) for name in metrics],
            number(float(row.steps)),
            number(row.seconds),
            text(row.date),
            text(row.commit_id),
        ]
        for agent in results.agents
        for row in agent.rows
    ]
    columns = ["agent", "task", "seed", "status", *map(readable, metrics)]
    columns += ["environment steps", "seconds", "date", "commit"]
    yield Table("Every run", columns, rows, folded=True)


def meanings(results: Results) -> Facts:
    """What the columns mean."""
    named = {readable(n): MEANINGS[n] for n in results.suite.metrics if n in MEANINGS}
    return Facts("What the columns mean", named, folded=True)


def origin(results: Results) -> Facts:
    """How the rows came about."""
    rows = results.rows
    references = [part for a in results.agents for part in ("--agent", a.reference)]
    seeds = str(1 + max(row.seed for row in rows))
    command = ["seqgen", "bench", "run", "--suite", results.suite.name, *references]
    command += ["--seeds", seeds, "--out", "results"]
    dates, commits = sorted(r.date for r in rows if r.date), {r.commit_id for r in rows}
    facts = {
        "to make these rows": shlex.join(command),
        "suite": f"{results.suite.name}, fingerprint {results.suite.fingerprint}",
        "made": f"{dates[0]} to {dates[-1]}" if dates else "",
        "commits": ", ".join(sorted(c for c in commits if c)),
        "machine and versions": "; and ".join(places(rows)),
    }
    settings = {a.label: a.rows[0].settings for a in results.agents if a.rows[0].settings}
    facts |= {f"settings of {label}": str(value) for label, value in settings.items()}
    return Facts("Where this comes from", {k: v for k, v in facts.items() if v}, folded=True)
