"""``seqgen bench``: how good an agent is, beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from seqgen_envs.cli.common import (
    COMMAND_KEY,
    AddressOption,
    Backend,
    BackendOption,
    ShardOption,
    TrustOption,
    check_backend,
    set_trust,
)
from seqgen_envs.reporting.console import fail, say, show, warn

if TYPE_CHECKING:
    from seqgen_envs.benchmark.agents import Contestant
    from seqgen_envs.benchmark.store import Row

app = typer.Typer(help="Benchmark agents, whoever made them.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option(help="Folder of the results.")]


@app.command("list")
def list_all() -> None:
    """The suites and the agents there are."""
    from seqgen_envs.benchmark.agents import installed
    from seqgen_envs.benchmark.suites import bundled, load_suite

    table = Table("suite", "tasks", "seeds", "headline", "what it measures", title="Suites")
    for name in bundled():
        suite = load_suite(name)
        table.add_row(
            name, str(len(suite.tasks)), str(suite.seeds), suite.headline, suite.about.strip()
        )
    show(table)
    say(f"Agents: {', '.join(installed())}; sb3:NAME, contrib:NAME, module:make, FILE.py:make, or")
    say("the path of a saved agent.")


@app.command("run")
def run(
    ctx: typer.Context,
    suite: Annotated[str, typer.Option(help="A suite's name, or a .yml file of your own.")],
    agent: Annotated[list[str], typer.Option(help="An agent; again for another one.")],
    out: OutOption,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds (default: the suite's).")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task of the suite; again for another one.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A YAML file: a block of settings for each agent's name.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Rows at a time, a process each (default: 1; of Ray, its cores)."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which a row counts as failed.")
    ] = None,
    backend: BackendOption = Backend.LOCAL,
    address: AddressOption = None,
    shard: ShardOption = None,
    trust: TrustOption = False,
) -> None:
    """Train and judge agents: one row for each (agent, task, seed).

    What has finished is kept and not done again, so a killed sweep goes on with the same command.
    A row that fails is kept as such and tried again by the next run; the exit code is then 1.
    Parts of a sweep (--shard) have a folder each; `seqgen bench merge` joins them.
    """
    from seqgen_envs.benchmark.runner import carry_out, carry_out_on_ray, missing, plans
    from seqgen_envs.benchmark.store import FAILED, Store
    from seqgen_envs.benchmark.suites import load_suite
    from seqgen_envs.shards import Shard

    set_trust(ctx, trust, agent)
    check_backend(backend, address)
    part = None if shard is None else Shard.parse(shard)
    chosen = load_suite(suite)
    agents = _agents(agent, _settings(settings), trust)
    wanted = plans(chosen, agents, seeds or chosen.seeds, task, trust, part)
    store = Store(out)
    left = missing(store, wanted)
    say(f"{len(wanted) - len(left)} of {len(wanted)} rows have finished; {len(left)} to make")
    failed: list[Row] = []

    def tell(row: Row) -> None:
        if row.status == FAILED:
            failed.append(row)
            warn(f"{_label(row)}: failed: {row.error.splitlines()[-1]}")
        else:
            value = row.metrics.get(chosen.headline)
            shown = "not known" if value is None else f"{value:.4g}"
            say(f"{_label(row)}: {chosen.headline} {shown}, {row.seconds:.0f} s")

    if backend is Backend.RAY:
        carry_out_on_ray(store, wanted, jobs=jobs, timeout=timeout, on_row=tell, address=address)
    else:
        carry_out(store, wanted, jobs=jobs or 1, timeout=timeout, on_row=tell)
    say(f"{store.path} has the results. To look at them:")
    say(f"  seqgen bench report {out} --out report")
    if failed:
        fail(f"{len(failed)} rows failed, as said above; the report has their tracebacks")
        raise typer.Exit(1)


@app.command("merge")
def merge_stores(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results.")], out: OutOption
) -> None:
    """Join results made in several places."""
    from seqgen_envs.benchmark.store import FILE, Store, merge

    for folder in folders:
        if not (folder / FILE).is_file():
            raise ValueError(f"{folder} holds no results: there is no {FILE} in it")
    store = Store(out)
    added = merge(store, [Store(folder) for folder in folders])
    say(f"{store.path} has {len(store.keys())} rows, {added} of them new")


@app.command("report")
def report(
    ctx: typer.Context,
    results: Annotated[Path, typer.Argument(help="Folder of the results.")],
    out: Annotated[Path, typer.Option(help="Folder for the page.")],
    suite: Annotated[
        list[str] | None,
        typer.Option(help="A suite, or a .yml file of your own; again for another (default: all)."),
    ] = None,
) -> None:
    """Make a page of results: index.html, one file that needs nothing else; report.md, report.csv.

    A leaderboard with intervals, charts, sequences to see and hear, and where all of it comes from.
    """
    from seqgen_envs.benchmark.page.report import write_report
    from seqgen_envs.benchmark.store import FILE, Store
    from seqgen_envs.benchmark.suites import bundled, load_suite

    if not (results / FILE).is_file():
        raise ValueError(f"{results} holds no results: there is no {FILE} in it")
    suites = [load_suite(name) for name in suite or bundled()]
    by_name = {one.name: one for one in suites}
    written = write_report(Store(results), by_name, out, ctx.meta.get(COMMAND_KEY, ""))
    if written.left_out:
        warn(written.left_out)
    say(f"Open {written.files[0]}; the same in {written.files[1]} and {written.files[2]}")


@app.command("submit")
def submit(
    results: Annotated[Path, typer.Argument(help="Folder of results.")], out: OutOption
) -> None:
    """Write what somebody else needs to score the results again, as CSV files."""
    from seqgen_envs.benchmark.store import FILE, Store
    from seqgen_envs.benchmark.submission import write_submission

    if not (results / FILE).is_file():
        raise ValueError(f"{results} holds no results: there is no {FILE} in it")
    paths = write_submission(Store(results).rows(), out)
    say(f"{out} has {len(paths)} files. To score them again:")
    say(f"  seqgen bench verify {out}")


@app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(help="A submission's folder.")]) -> None:
    """Score a submission again; the exit code is 1 where anything does not hold."""
    from seqgen_envs.benchmark.submission import verify_submission

    problems = 0
    for finding in verify_submission(folder):
        problems += bool(finding.problem)
        outcome = finding.problem or f"holds, AUC top-10 {finding.headline:.4f}"
        (fail if finding.problem else say)(
            f"{finding.file}: {finding.sequences:,} sequences: {outcome}"
        )
    if problems:
        raise typer.Exit(1)


def _label(row: Row) -> str:
    return f"{row.agent} on {row.task}, seed {row.seed}"


def _settings(path: Path | None) -> dict[str, Any]:
    from seqgen_envs.documents import read_yaml

    if path is None:
        return {}
    found = read_yaml(path)
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise ValueError(f"--settings {path} must hold a block of settings for each agent's name")
    return found


def _agents(
    references: Sequence[str], settings: Mapping[str, Any], trust: bool
) -> list[Contestant]:
    from seqgen_envs.benchmark.agents import find_agent
    from seqgen_envs.benchmark.saved import stable_algorithm

    if unknown := sorted(set(settings) - set(references)):
        raise ValueError(f"--settings has a block for {unknown[0]!r}, which is no --agent given")
    for reference in references:
        path = Path(reference)
        if path.is_file() and not trust and stable_algorithm(path) is not None:
            raise ValueError(
                f"{reference} is a file of Stable-Baselines3, which may hold code that runs when "
                "it is loaded: add --trust if you know where it comes from"
            )
    return [find_agent(reference, settings.get(reference)) for reference in references]
