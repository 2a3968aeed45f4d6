"""``seqgen evaluate``: the figures of a run's agent, beside published ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    COMMAND_KEY,
    SeedOption,
    figures_table,
    machine,
    progress_bar,
    say,
    set_threads,
    show,
)

if TYPE_CHECKING:
    from kl_agents.evaluation import Evaluation


def evaluate(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="A folder written by `seqgen train`.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Sequences.")] = 100_000,
    seed: SeedOption = 0,
    num_envs: Annotated[int, typer.Option(min=1, help="Sequences at a time.")] = 1024,
    c: Annotated[
        float | None,
        typer.Option(help="Temperature to act at (default: that of the end of training)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The JSON to write (default: RUN/evaluation.json).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="PyTorch's threads.")] = 1,
) -> None:
    """Sample sequences from a trained agent and measure them.

    J = E[R]/c - KL to the prior, in nats, is what the agents maximise; V(s0) is the agent's own
    idea of it,
    discounted as in its training.
    """
    from kl_agents.runs import EVALUATION, evaluate_agent, load_run, make_lanes, write_json

    set_threads(threads)
    model, spec = load_run(run, device)
    domain = make_lanes(spec, 1).domain
    with progress_bar(n, "sampling", domain.name) as bar:
        result = evaluate_agent(model, spec, n, seed, num_envs, c, bar.update)
    path = out or run / EVALUATION
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {spec.algorithm: figures_of(result), **(domain.published or {})}
    report = {
        **result.to_dict(),
        "run": spec.to_dict(),
        "trained_steps": model.num_timesteps,
        "command": ctx.meta.get(COMMAND_KEY, ""),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "published": {name: dict(column) for name, column in (domain.published or {}).items()},
    }
    write_json(path, report)
    show(figures_table(f"{n:,} {domain.plural} of {run}", _readable(columns)))
    say(f"The report is {path}")


def figures_of(result: Evaluation) -> dict[str, float | None]:
    """The rows of the table: the domain's, then what any agent has."""
    return {
        **result.summary,
        **{f"mean_{name}": value for name, value in result.terms.items()},
        "mean_task_return": result.task_return,
        "mean_log_p(a|s)": result.log_prior,
        "KL_to_the_prior": result.kl_to_prior,
        "c": result.c,
        "J = E[R]/c - KL": result.objective,
        **({} if result.discount == 1 else {"J discounted": result.objective_discounted}),
        "V(s0)": result.value_start,
        f"distinct of {result.distinct_of:,}": result.distinct,
    }


def _readable(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {name: dict(column) for name, column in columns.items()}
