"""``seqgen reproduce``: the paper's experiment and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    COMMAND_KEY,
    AddressOption,
    Backend,
    BackendOption,
    ShardOption,
    TrustOption,
    check_backend,
    check_folder,
    set_trust,
)
from seqgen_envs.reporting.console import fail, say
from seqgen_envs.reporting.machine import machine, now

if TYPE_CHECKING:
    from kl_agents.reproduction.plan import Job

ALL = "all"


def reproduce(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="melody.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report.")] = Path(
        "reproduction"
    ),
    steps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps of a training.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each agent.")] = 3,
    n: Annotated[
        int, typer.Option("-n", "--number", min=1, help="Sequences of an evaluation.")
    ] = 100_000,
    blocks: Annotated[str, typer.Option(help="Some of the plan's blocks, with commas.")] = ALL,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Runs at a time, one thread each (default: 2; of Ray, its cores)."
        ),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A YAML plan of your own in place of the bundled one.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing: a report of what there is.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="At a size that shows only that it works.")
    ] = False,
    backend: BackendOption = Backend.LOCAL,
    address: AddressOption = None,
    shard: ShardOption = None,
    trust: TrustOption = False,
) -> None:
    """Train and measure the paper's agents, and report them beside its published figures.

    Every run has its folder under OUT/runs; those finished are not run again and those stopped go
    on, so the same command continues an interrupted reproduction. Parts of it (--shard) may share
    OUT; --report-only then writes the report.
    """
    from kl_agents.reproduction.plan import Scale, choose_blocks, load_plan, make_jobs
    from kl_agents.reproduction.report import write_report
    from kl_agents.reproduction.work import check_jobs
    from seqgen_envs.shards import Shard

    set_trust(ctx, trust)
    check_backend(backend, address)
    part = None if shard is None else Shard.parse(shard)
    if part is not None and report_only:
        raise ValueError("--report-only reports all runs there are: leave out --shard")
    chosen = load_plan(domain, plan)
    names = list(chosen.blocks) if blocks == ALL else blocks.split(",")
    parts = choose_blocks(chosen, names)
    wanted = make_jobs(chosen, parts, Scale(steps, seeds, n, quick), part)
    command = ctx.meta.get(COMMAND_KEY, "")
    check_folder(out)
    check_jobs(out, wanted)
    out.mkdir(parents=True, exist_ok=True)
    say(f"{len(wanted)} runs in {out / 'runs'}")
    failed: list[tuple[Job, str]] = []
    if not report_only:
        failed = _carry_out(out, wanted, jobs, command, backend, address)
    if part is None:
        facts: dict[str, Any] = {
            "date": now(),
            "command": command,
            "machine": machine() | {"torch_threads": 1},
        }
        say(f"The report is {write_report(out, chosen, parts, wanted, facts)}")
    else:
        say("When all parts are done, the same with --report-only and no --shard reports them")
    for job, why in failed:
        fail(f"{job.name}: {why}")
    if failed:
        raise typer.Exit(1)


def _carry_out(
    out: Path,
    wanted: list[Job],
    jobs: int | None,
    command: str,
    backend: Backend,
    address: str | None,
) -> list[tuple[Job, str]]:
    from kl_agents.reproduction.work import run_jobs, run_jobs_on_ray

    if backend is Backend.RAY:
        return run_jobs_on_ray(out, wanted, jobs, command, _Teller(), address)
    return run_jobs(out, wanted, jobs or 2, command, _Teller())


class _Teller:
    """Says what has finished."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, job: Job, result: dict[str, Any]) -> None:
        minutes = (time.monotonic() - self.began) / 60
        objective = result["objective"]
        say(
            f"[{minutes:6.1f} min] {job.name}: task return {result['task_return']:.2f}, "
            f"log p {result['log_prior']:.3f}, KL {result['kl_to_prior']:.2f}, "
            f"J {objective:.2f} (V {_or_dash(result['start_value'])}), "
            f"distinct {result['distinct']:.3f}"
        )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
