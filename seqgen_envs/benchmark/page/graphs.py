"""The charts of a suite: how runs are spread, J against KL, and curves of the trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seqgen_envs.benchmark.page.blocks import Chart, Charts, Table, number, text
from seqgen_envs.benchmark.page.charts import Series, lines, points
from seqgen_envs.benchmark.page.data import Agent, Results
from seqgen_envs.benchmark.page.metrics import readable
from seqgen_envs.benchmark.statistics import performance_profile
from seqgen_envs.benchmark.store import Row
from seqgen_envs.reporting.tables import format_number

#: Thresholds of a profile, and points of a curve.
_LOOKS = 50


def graphs(results: Results) -> Iterator[Charts]:
    """Those that the suite's measure has numbers for."""
    legend = {number: agent.label for number, agent in enumerate(results.agents)}
    for title, note, charts in (
        ("J against KL", _FRONTIER, list(_frontiers(results))),
        ("Curves of the trainings", _CURVES, list(_curves(results))),
        ("Performance profiles", _PROFILES, list(_profiles(results))),
    ):
        if charts:
            yield Charts(title, note, legend, charts)


_FRONTIER = (
    "One point a run: how much of the task's return it earns against how far it has gone from the "
    "prior. No agent can lie above the line, log Z; where it is only known from below, by "
    "importance weights, it may rise with a better agent."
)
_CURVES = "The median over seeds; the band is from the lowest to the highest seed."
_PROFILES = (
    "Share of all runs with a score at least as good as the one below it; a band is the 95 % "
    "interval of the stratified bootstrap. Of two agents the upper one is the better."
)


def _frontiers(results: Results) -> Iterator[Chart]:
    for task in results.tasks:
        series = []
        for index, agent in enumerate(results.agents):
            found = [
                (row.metrics["kl_to_prior"], row.metrics["objective"])
                for row in _rows(agent, task)
                if None not in (row.metrics.get("kl_to_prior"), row.metrics.get("objective"))
            ]
            if found:
                x, y = np.array(found, dtype=np.float64).T.tolist()
                series.append(Series(agent.label, index, x, y))
        if series:
            yield points(
                task,
                "J, the objective, of each run over its KL to the prior, both in nats.",
                "KL(q || p), nats",
                "J, nats",
                series,
                _pairs(task, series),
                _bound(results, task),
            )


def _bound(results: Results, task: str) -> tuple[str, float] | None:
    """The largest lower bound that any run has shown, or the exact value."""
    known = [v for agent in results.agents for v in agent.values("log_z").get(task, [])]
    if not known:
        return None
    sign = "=" if results.suite.measure == "optimum" else "≥"
    return f"log Z {sign} {format_number(max(known))}", max(known)


def _pairs(task: str, series: Sequence[Series]) -> Table:
    rows = [
        [text(one.name), number(x), number(y)]
        for one in series
        for x, y in zip(one.x, one.y, strict=True)
    ]
    return Table(f"J against KL: {task}", ["agent", "KL to prior", "J"], rows)


def _rows(agent: Agent, task: str) -> list[Row]:
    return [row for row in agent.finished if row.task == task]


def _curves(results: Results) -> Iterator[Chart]:
    x, y = ("calls", "top10") if results.suite.measure == "calls" else ("steps", "task_return")
    names = {"calls": "oracle calls", "steps": "environment steps"}
    for task in results.tasks:
        series = []
        for index, agent in enumerate(results.agents):
            runs = [row.curve for row in _rows(agent, task)]
            runs = [[p for p in run if x in p and y in p] for run in runs]
            if any(runs):
                series.append(_median(agent.label, index, [r for r in runs if r], x, y))
        if series:
            about = f"{readable(y)} over {names[x]}."
            yield lines(task, about, names[x], readable(y), series, looked_at(task, series))


def _median(
    name: str, index: int, runs: Sequence[Sequence[dict[str, float]]], x: str, y: str
) -> Series:
    """Runs of one agent in one line. One that stopped keeps its last value."""
    last = max(run[-1][x] for run in runs)
    at = np.linspace(min(run[0][x] for run in runs), last, _LOOKS)
    if len(runs) == 1:
        at = np.array([p[x] for p in runs[0]])
    found = np.stack([np.interp(at, [p[x] for p in r], [p[y] for p in r]) for r in runs])
    middle: list[float] = np.median(found, axis=0).tolist()
    if len(runs) == 1:
        return Series(name, index, at.tolist(), middle)
    return Series(
        name, index, at.tolist(), middle, found.min(axis=0).tolist(), found.max(axis=0).tolist()
    )


def looked_at(title: str, series: Sequence[Series]) -> Table:
    """Each line's value at its quarters."""
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    rows = []
    for one in series:
        at = [one.x[round(q * (len(one.x) - 1))] for q in quarters]
        values = np.interp(at, one.x, one.y)
        cells = [
            number(float(v), f"at {format_number(float(a))}")
            for a, v in zip(at, values, strict=True)
        ]
        rows.append([text(one.name), *cells])
    columns = ["agent", "start", "a quarter", "half", "three quarters", "end"]
    return Table(f"{title}: values along each line", columns, rows)


def _profiles(results: Results) -> Iterator[Chart]:
    scored = [(i, agent, results.scores(agent)) for i, agent in enumerate(results.agents)]
    scored = [one for one in scored if sum(map(len, one[2].values())) > 1]
    if not scored:
        return
    every = [v for _, _, scores in scored for values in scores.values() for v in values]
    at = np.linspace(min(every), max(every), _LOOKS)
    series = []
    for index, agent, scores in scored:
        found = performance_profile(
            scores, at, higher_is_better=results.higher_is_better, resamples=500
        )
        series.append(Series(agent.label, index, *(values.tolist() for values in found)))
    name = results.score_name
    sign = "at least" if results.higher_is_better else "at most"
    about = f"Share of the runs whose {name} is {sign} the value below."
    yield lines(
        "All tasks", about, name, "share of runs", series, looked_at("share of runs", series)
    )
