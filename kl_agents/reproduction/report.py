"""The report of a reproduction, made from nothing but the run folders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kl_agents.reproduction import plots
from kl_agents.reproduction.plan import FRONTIER, Block, Job, Plan
from kl_agents.reproduction.work import folder_of, stored_evaluation
from seqgen_envs.reporting.files import write_csv, write_text
from seqgen_envs.reporting.tables import (
    format_number,
    markdown_cell,
    measured_title,
    published_title,
)

REPORT = "report.md"
#: Rows above the domain's own: name in an evaluation, name in the report.
ROWS = {
    "task_return": "mean task return",
    "log_prior": "mean log p(a|s)",
    "kl_to_prior": "KL to the prior, nats a sequence",
    "objective": "J = E[R]/c - KL, nats",
    "gap": "V(s0) - J (both discounted as trained), nats",
    "distinct": "distinct of the first 10,000",
}
#: What the training is plotted by: column of progress.csv, label, file name.
CURVES = (
    ("eval/log_prior", "mean log p(a|s) under the prior, nats", "log-prior"),
    ("eval/task_return", "mean task return", "task-return"),
)


@dataclass(frozen=True)
class Result:
    """A finished run: what it was, the metrics of its evaluation and a few of its sequences."""

    job: Job
    metrics: Mapping[str, float]
    samples: Sequence[str] = ()


def write_report(
    out: Path, plan: Plan, blocks: Sequence[Block], jobs: Sequence[Job], facts: Mapping[str, Any]
) -> Path:
    """Write ``report.md``, its tables as CSV and its plots as PNG; returns the first.

    Args:
        out: the reproduction's folder.
        plan: where names come from.
        blocks: in the report's order.
        jobs: all runs asked for; those not finished are named.
        facts: of the making: date, command, machine.
    """
    results = load_results(out, jobs)
    write_csv(out / "runs.csv", [_run_row(result) for result in results])
    lines = [f"# Reproduction on {plan.env_id}", "", *_facts(jobs, results, facts)]
    for block in blocks:
        mine = [result for result in results if result.job.block == block.name]
        lines += [f"## {block.title}", "", block.about, ""]
        if not mine:
            lines += ["No run of this block has finished.", ""]
        elif block.kind == FRONTIER:
            lines += _frontier(out, plan, block, mine)
        else:
            lines += _table_block(out, plan, block, mine)
    path = out / REPORT
    write_text(path, "\n".join(lines))
    return path


def load_results(out: Path, jobs: Sequence[Job]) -> list[Result]:
    """The runs that have an evaluation."""
    stored = ((job, stored_evaluation(out, job)) for job in jobs)
    return [
        Result(job, _metrics(content), content.get("samples", ()))
        for job, content in stored
        if content is not None
    ]


def _metrics(stored: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of an evaluation under one roof; those missing are nan."""
    flat = {k: v for k, v in stored.items() if not isinstance(v, (dict, str, list))}
    flat |= stored["summary"] | {f"term_{name}": v for name, v in stored["terms"].items()}
    numbers = {name: math.nan if v is None else float(v) for name, v in flat.items()}
    return numbers | {"gap": numbers["start_value"] - numbers["objective_discounted"]}


def summary_rows(results: Sequence[Result]) -> dict[str, str]:
    """The rows of a block's table: metrics' names and what they are called."""
    first = results[0].metrics
    known = {*ROWS, "episodes", "seed", "c", "task_return_std", "log_prior_total", "entropy",
             "objective_error", "objective_discounted", "discount", "start_value", "distinct_of",
             "seconds", "run_seed"}  # fmt: skip
    domain = [name for name in first if name not in known and not name.startswith("term_")]
    return {name: name.replace("_", " ") for name in domain} | ROWS


def by_agent(results: Sequence[Result], name: str) -> dict[str, list[float]]:
    """A metric of every seed, by agent."""
    values: dict[str, list[float]] = {}
    for result in results:
        values.setdefault(result.job.agent, []).append(result.metrics[name])
    return values


def _table_block(out: Path, plan: Plan, block: Block, results: Sequence[Result]) -> list[str]:
    rows = _table(plan, block, results)
    write_csv(out / f"{block.name}-table.csv", rows)
    columns = [name for name in rows[0] if not name.endswith(" sd")]
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for row in rows:
        cells = [row["metric"].replace("|", "\\|"), *(_cell(row, name) for name in columns[1:])]
        lines.append(f"| {' | '.join(cells)} |")
    write_text(out / f"{block.name}-table.md", "\n".join(lines) + "\n")
    count = {plan.label(a): len(v) for a, v in by_agent(results, "objective").items()}
    seeds = ", ".join(f"{agent} {n}" for agent, n in count.items())
    lines += ["", f"Mean over seeds, ± their standard deviation (seeds: {seeds}).", ""]
    for column, label, name in CURVES:
        curves = training_curves(out, plan, results, column)
        picture = f"{block.name}-{name}.png"
        write_csv(out / f"{block.name}-{name}.csv", _curve_rows(curves))
        plots.draw_curves(out / picture, curves, label, block.title)
        lines += [f"![{label} over training]({picture})", ""]
    return lines + _samples(plan, results)


def _samples(plan: Plan, results: Sequence[Result]) -> list[str]:
    """The first sequences of each agent's first seed, side by side."""
    shown: dict[str, Sequence[str]] = {}
    for result in results:
        if result.samples:
            shown.setdefault(plan.label(result.job.agent), result.samples)
    if not shown:
        return []
    lines = [f"| {' | '.join(shown)} |", "| --- |" + " --- |" * (len(shown) - 1)]
    for texts in zip(*shown.values(), strict=True):
        cells = ("<br>".join(map(markdown_cell, text.splitlines())) for text in texts)
        lines.append(f"| {' | '.join(cells)} |")
    return ["### Samples", "", "The first of each agent's first seed.", "", *lines, ""]


def _table(plan: Plan, block: Block, results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row a metric: what is measured of each agent, its standard deviation, and what is
    published of it.
    """
    published = _published(results[0].job)
    rows = []
    for name, title in summary_rows(results).items():
        row: dict[str, Any] = {"metric": title}
        for agent, values in by_agent(results, name).items():
            label = plan.label(agent)
            ours = measured_title(label)
            row[ours] = float(np.mean(values))
            row[f"{ours} sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            if label in published:
                row[published_title(label)] = published[label].get(name, math.nan)
        rows.append(row)
    return rows


def _published(job: Job) -> Mapping[str, Mapping[str, float]]:
    from kl_agents.runs import single_lane

    return single_lane(job.spec).domain.metrics.published


def _cell(row: Mapping[str, Any], name: str) -> str:
    spread = row.get(f"{name} sd", math.nan)
    return format_number(row[name]) + ("" if math.isnan(spread) else f" ± {format_number(spread)}")


def training_curves(
    out: Path, plan: Plan, results: Sequence[Result], column: str
) -> dict[str, plots.Curve]:
    """A column of ``progress.csv`` over the steps: mean and spread over seeds, by agent."""
    from kl_agents.runs import PROGRESS
    from kl_agents.writers import STEP, read_progress

    seeds: dict[str, list[dict[float, float]]] = {}
    for result in results:
        rows = read_progress(folder_of(out, result.job) / PROGRESS)
        points = {row[STEP]: row[column] for row in rows if column in row}
        if points:
            seeds.setdefault(plan.label(result.job.agent), []).append(points)
    return {agent: _curve(all_points) for agent, all_points in seeds.items()}


def _curve(seeds: Sequence[Mapping[float, float]]) -> plots.Curve:
    """Where all seeds have a point."""
    steps = sorted(set.intersection(*(set(points) for points in seeds)))
    values = np.array([[points[step] for step in steps] for points in seeds])
    return plots.Curve(np.array(steps), values.mean(0), values.min(0), values.max(0))


def _curve_rows(curves: Mapping[str, plots.Curve]) -> list[dict[str, Any]]:
    return [
        {"agent": agent, "steps": step, "mean": mean, "lowest": low, "highest": high}
        for agent, curve in curves.items()
        for step, mean, low, high in zip(*curve, strict=True)
    ]


def _frontier(out: Path, plan: Plan, block: Block, results: Sequence[Result]) -> list[str]:
    names = ("task_return", "objective", "distinct", "kl_to_prior", "gap")
    rows: list[dict[str, Any]] = [
        {"agent": plan.label(r.job.agent), "c": r.job.c} | {n: r.metrics[n] for n in names}
        for r in results
    ]
    order = [plan.label(agent) for agent in block.agents]
    rows.sort(key=lambda row: (order.index(row["agent"]), row["c"]))
    write_csv(out / f"{block.name}.csv", rows)
    picture = f"{block.name}.png"
    plots.draw_frontier(out / picture, rows)
    lines = [f"![task return, J and distinct sequences against the KL]({picture})", ""]
    for name, title in (
        ("objective", "J by agent and c"),
        ("gap", "V(s0) - J (both discounted as trained): how converged"),
        ("task_return", "Mean task return"),
        ("kl_to_prior", "KL to the prior, nats a sequence"),
        ("distinct", "Distinct of the first 10,000"),
    ):
        lines += [f"### {title}", "", *_grid(rows, name), ""]
    return lines


def _grid(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Markdown: a row an agent, a column a temperature."""
    cs = sorted({row["c"] for row in rows})
    values: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        values.setdefault(row["agent"], {}).setdefault(row["c"], []).append(row[name])
    lines = [f"| | {' | '.join(f'c = {c:g}' for c in cs)} |", "| --- |" + " ---: |" * len(cs)]
    for agent, by_c in values.items():
        cells = (format_number(float(np.mean(by_c[c]))) if c in by_c else "-" for c in cs)
        lines.append(f"| {agent} | {' | '.join(cells)} |")
    return lines


def _facts(jobs: Sequence[Job], results: Sequence[Result], facts: Mapping[str, Any]) -> list[str]:
    done = {result.job.name for result in results}
    missing = [job.name for job in jobs if job.name not in done]
    seeds = sorted({job.seed for job in jobs})
    steps = sorted({job.spec.total_timesteps for job in jobs if job.spec.total_timesteps})
    numbers = sorted({job.episodes for job in jobs})
    machine = ", ".join(f"{name} {value}" for name, value in facts["machine"].items())
    lines = [
        f"- made on {facts['date']} by `{facts['command']}`",
        f"- machine: {machine}",
        f"- environment steps of a training: {_listed(steps)}; seeds: {_listed(seeds)}; sequences "
        f"of an evaluation: {_listed(numbers)}",
        f"- {len(done)} of {len(jobs)} runs have finished",
    ]
    if missing:
        lines.append(f"- not finished: {', '.join(missing)}")
    return [*lines, ""]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(f"{value:,}" for value in values)


def _run_row(result: Result) -> dict[str, Any]:
    job = result.job
    head = {"block": job.block, "agent": job.agent, "c": job.c, "seed": job.seed}
    head["steps"] = job.spec.total_timesteps
    return head | {name: v for name, v in result.metrics.items() if name not in head}
