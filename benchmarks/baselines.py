"""The baselines: our agents and other libraries' on the suites, and the page they stand on.

    python benchmarks/baselines.py [--store FOLDER] [--jobs 2] [--seeds 3] [--suite NAME] [--quick]

Runs ``seqgen bench run`` for each suite, where the same command goes on after a stop, and writes
``benchmarks/results/baselines/``: the page (index.html), report.md, report.csv, and for the
documentation each suite's leaderboard and overview.md, one table of all. ``--report-only`` trains
nothing.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean

from common import RESULTS, seqgen

SUITES = ("toy-v1", "melody-v1", "molecule-v1", "pmo-mini-v1")
OURS = ("prior", "psi", "g", "q", "rl-only", "tb", "rloo", "grpo", "reinvent", "best-of-n")
THEIRS = (
    "sb3:PPO", "sb3:A2C", "sb3:DQN",
    "contrib:MaskablePPO", "contrib:RecurrentPPO", "contrib:QRDQN",
)  # fmt: skip
#: Agents of one suite alone.
FURTHER = {"pmo-mini-v1": ("reinvent-pmo",)}
SETTINGS = Path(__file__).with_name("baselines.yml")
QUICK = ("toy-v1",), ("prior", "best-of-n"), 1


def main() -> None:
    """Run, report, and cut the leaderboards out of the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("baselines"), help="folder of the rows")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--suite", action="append", help="this one alone; again for another")
    parser.add_argument("--quick", action="store_true", help="one suite, two agents, one seed")
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of baselines/")
    options = parser.parse_args()
    suites, agents, seeds = options.suite or SUITES, (*OURS, *THEIRS), options.seeds
    if options.quick:
        suites, agents, seeds = QUICK
    for suite in () if options.report_only else suites:
        run(options.store, suite, (*agents, *FURTHER.get(suite, ())), seeds, options.jobs)
    folder = options.out / "baselines"
    seqgen("bench", "report", str(options.store), "--out", str(folder))
    report = (folder / "report.md").read_text(encoding="utf-8")
    boards = dict(leaderboards(report))
    for suite, table in {**boards, "overview": overview(boards)}.items():
        (folder / f"{suite}.md").write_text(table, encoding="utf-8")
        print(f"## {suite}\n\n{table}")


def run(store: Path, suite: str, agents: tuple[str, ...], seeds: int, jobs: int) -> None:
    """What is missing of one suite; a row that fails stands in the report as failed."""
    named = [word for agent in agents for word in ("--agent", agent)]
    given = ["--settings", str(SETTINGS)] if set(THEIRS) <= set(agents) else []
    sizes = ["--seeds", str(seeds), "--jobs", str(jobs), "--timeout", "3600", "--out", str(store)]
    seqgen(
        "bench", "run", "--suite", suite, *named, *given, *sizes, "--out", str(store), fails=True
    )


def leaderboards(report: str) -> Iterator[tuple[str, str]]:
    """The suites of a report, and of each its leaderboard with where it comes from."""
    for part in re.split(r"^## (?=\S+-v\d+$)", report, flags=re.M)[1:]:
        suite = part.split("\n", 1)[0]
        board = _section(part, f"Leaderboard of {suite}")
        origin = _section(part, "Where this comes from")
        yield suite, f"{board}\n\n{origin}\n"


def overview(boards: Mapping[str, str]) -> str:
    """One table: a row an agent, a column a suite; ordered by the mean place."""
    cells: dict[str, dict[str, str]] = {}
    places: dict[str, list[int]] = {}
    heads = {}
    for suite, board in boards.items():
        rows = [_cells(line) for line in board.splitlines() if line.startswith("|")]
        heads[suite] = f"{suite}: {rows[0][2]}"
        runs = rows[0].index("runs")
        for row in rows[2:]:
            name, place, value = row[:3]
            done, _, wanted = row[runs].partition(" of ")
            if done != wanted:  # of other tasks or seeds than the others: no comparison
                continue
            agent = name.rpartition(" ")[2]
            cells.setdefault(agent, {})[suite] = value.replace(" one run a task", "")
            places.setdefault(agent, []).append(int(place))
    order = sorted(cells, key=lambda agent: mean(places[agent]))
    lines = [f"| agent | {' | '.join(heads.values())} |", "| --- |" + " ---: |" * len(heads)]
    for agent in order:
        values = " | ".join(cells[agent].get(suite, "-") for suite in boards)
        lines.append(f"| {agent} | {values} |")
    return "\n".join(lines) + "\n"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def _section(part: str, title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}\n\n(.*?)(?=\n#|\Z)", part, flags=re.M | re.S)
    if found is None:
        raise ValueError(f"the report has no section {title!r}")
    return found[1].strip()


if __name__ == "__main__":
    main()
