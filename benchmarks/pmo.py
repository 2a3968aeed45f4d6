"""Few oracle calls: agents on the 23 oracles of PMO, beside the published figures.

    python benchmarks/pmo.py [--store FOLDER] [--agents reinvent-pmo,tb,psi] [--seeds 1]
        [--jobs 2] [--quick] [--report-only] [--out FOLDER]

Runs ``seqgen bench run --suite pmo-v1``, where the same command goes on after a stop: 10,000
distinct molecules an oracle, each agent with one setting for all 23. ``reinvent-pmo`` is the
published baseline as published; how near it comes to its own figures tests oracles, accounts and
prior. ``published/pmo.csv`` has those, of Gao et al. (2022), means of five seeds. ``--quick`` is
one oracle. Three of the oracles want ``seqgen data oracles`` first.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from common import RESULTS, seqgen, write_results

from seqgen_envs.benchmark.store import FINISHED, Row, Store
from seqgen_envs.benchmark.suites import load_suite

SUITE = "pmo-v1"
AGENTS = "reinvent-pmo,tb,psi"
PUBLISHED = Path(__file__).parent / "published" / "pmo.csv"
#: Their score of isomers was rewritten after the figures were published.
REWRITTEN = (
    "isomers_c7h8n2o2", "isomers_c9h10n2o2pf2cl", "sitagliptin_mpo", "zaleplon_mpo",
)  # fmt: skip
#: What stands below the areas, as means over all oracles.
BESIDE = {
    "calls": "calls used",
    "top10": "the ten best at the end",
    "scaffolds_of_best": "scaffolds of the best 100",
    "diversity_of_best": "internal diversity of the best 100",
}
#: Shown without decimals.
WHOLE = ("calls", "scaffolds_of_best", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("pmo"), help="folder of the rows")
    parser.add_argument("--agents", default=AGENTS, help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--quick", action="store_true", help="one oracle, two agents")
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of pmo.json and pmo.md")
    options = parser.parse_args()
    agents, tasks = options.agents.split(","), sorted(load_suite(SUITE).tasks)
    if options.quick:
        agents, tasks = ["prior", "best-of-n"], ["qed"]
    if not options.report_only:
        named = [word for agent in agents for word in ("--agent", agent)]
        chosen = [word for task in tasks for word in ("--task", task)] if options.quick else []
        sizes = ["--seeds", str(options.seeds), "--jobs", str(options.jobs)]
        where = ["--suite", SUITE, "--out", str(options.store)]
        seqgen("bench", "run", *where, *named, *chosen, *sizes, fails=True)
    rows = [row for row in Store(options.store).rows(SUITE) if row.status == FINISHED]
    report = measured(rows, agents, tasks)
    write_results(options.out, "pmo", report, to_markdown(report))


def measured(rows: list[Row], agents: list[str], tasks: list[str]) -> dict[str, Any]:
    """Means over seeds, by agent and task, and where they come from."""
    found: dict[str, dict[str, list[Row]]] = {agent: defaultdict(list) for agent in agents}
    for row in rows:
        if row.agent in found and row.task in tasks:
            found[row.agent][row.task].append(row)
    used = [row for by_task in found.values() for some in by_task.values() for row in some]
    if not used:
        raise SystemExit("the store has no finished row of these agents and oracles")
    return {
        "date": max(row.date for row in used)[:10],
        "machine": used[0].machine,
        "commits": sorted({row.commit_id for row in used}),
        "tasks": tasks,
        "agents": {
            agent: {task: _means(some) for task, some in by_task.items()}
            for agent, by_task in found.items()
            if by_task
        },
    }


def _means(rows: list[Row]) -> dict[str, float]:
    names = ("auc_top10", *BESIDE)
    known = {
        name: [v for row in rows if (v := row.metrics.get(name)) is not None] for name in names
    }
    means = {name: mean(values) for name, values in known.items() if values}
    return means | {"seeds": len(rows), "seconds": mean(row.seconds for row in rows)}


def to_markdown(report: dict[str, Any]) -> str:
    """A row an oracle, the published baseline first; sums over the oracles that all have."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        published = {line["task"]: float(line["reinvent"]) for line in csv.DictReader(file)}
    agents = report["agents"]
    common = [task for task in report["tasks"] if all(task in found for found in agents.values())]
    seeds = sorted({found["seeds"] for by_task in agents.values() for found in by_task.values()})
    lines = [
        f"Area under the ten best against 10,000 oracle calls, {report['date']}; seeds an oracle: "
        f"{', '.join(map(str, seeds))}.",
        "",
        f"| oracle | REINVENT, published | {' | '.join(agents)} |",
        "| --- | ---: |" + " ---: |" * len(agents),
    ]
    for task in report["tasks"]:
        cells = [_cell(found.get(task), "auc_top10") for found in agents.values()]
        mark = "*" if task in REWRITTEN else ""
        lines.append(f"| {task}{mark} | {published[task]:.3f} | {' | '.join(cells)} |")
    sums = [sum(found[task]["auc_top10"] for task in common) for found in agents.values()]
    total = f"{sum(published[task] for task in common):.3f}"
    shown = " | ".join(f"**{value:.3f}**" for value in sums)
    lines.append(f"| **sum of {len(common)}** | **{total}** | {shown} |")
    for name, head in {**BESIDE, "seconds": "seconds"}.items():
        cells = [_mean_cell([found[task] for task in common], name) for found in agents.values()]
        lines.append(f"| {head}, mean | | {' | '.join(cells)} |")
    lines += [
        "",
        "\\* The score of isomers that these use was rewritten after the publication.",
        "",
    ]
    return "\n".join(lines)


def _cell(found: dict[str, float] | None, name: str) -> str:
    return f"{found[name]:.3f}" if found and name in found else "-"


def _mean_cell(found: list[dict[str, float]], name: str) -> str:
    values = [one[name] for one in found if name in one]
    if not values:
        return "-"
    return (
        f"{mean(values):,.0f}"
        if name in ("calls", "seconds", "scaffolds_of_best")
        else f"{mean(values):.3f}"
    )


if __name__ == "__main__":
    main()
