"""``seqgen evaluate``: the metrics of a run's agent, beside published ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgen_envs.cli.common import (
    COMMAND_KEY,
    LengthOption,
    MaskOption,
    PriorOption,
    SeedOption,
    TaskOption,
    TrustOption,
    parse_task,
    say_overridden,
    set_threads,
    set_trust,
)
from seqgen_envs.reporting.console import progress_bar, say, show_metrics
from seqgen_envs.reporting.machine import machine, now
from seqgen_envs.reporting.tables import beside_published

if TYPE_CHECKING:
    from seqgen_envs.evaluation import Evaluation


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
    prior: PriorOption = None,
    any_prior: Annotated[
        bool,
        typer.Option("--any-prior", help="The prior may be another than the agent was trained on."),
    ] = False,
    task: TaskOption = None,
    length: LengthOption = None,
    primer: Annotated[
        str | None, typer.Option(help="What every sequence starts with, as text.")
    ] = None,
    mask: MaskOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The JSON to write (default: RUN/evaluation.json).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="PyTorch's threads.")] = 1,
    trust: TrustOption = False,
) -> None:
    """Sample sequences from a trained agent and measure them.

    Prior, task, length, primer, mask and c are those of its training, unless they are given here. J
    = E[R]/c - KL to the prior, in nats, is what the agents maximise; V(s0) is the agent's own idea
    of it, discounted as in its training.
    """
    from kl_agents.runs import EVALUATION, evaluate_agent, load_run, make_lanes, with_environment
    from kl_agents.runs.environment import published_for
    from seqgen_envs.reporting.files import write_json

    set_threads(threads)
    set_trust(ctx, trust, parse_task(task))
    model, trained = load_run(run, device)
    given = {
        "prior": prior, "task": parse_task(task), "length": length, "primer": primer, "mask": mask
    }  # fmt: skip
    spec = with_environment(trained, given)
    say_overridden(
        trained.environment, {name: spec.env_kwargs.get(name) for name in given} | {"c": c}
    )
    domain = make_lanes(spec, 1).domain
    with progress_bar(n, "sampling", domain.name) as bar:
        result = evaluate_agent(model, spec, n, seed, num_envs, c, bar.update, any_prior)
    path = out or run / EVALUATION
    path.parent.mkdir(parents=True, exist_ok=True)
    published = published_for(spec, domain)
    columns = beside_published({spec.algorithm: metrics_of(result)}, published)
    report = {
        **result.to_dict(),
        "run": spec.to_dict(),
        "trained_steps": model.num_timesteps,
        "command": ctx.meta.get(COMMAND_KEY, ""),
        "date": now(),
        "machine": machine(),
        "published": {name: dict(column) for name, column in published.items()},
    }
    write_json(path, report)
    show_metrics(f"{n:,} {domain.plural} of {run}", columns)
    if result.why:
        say(f"Not known: {result.why}")
    say(f"The report is {path}")


def metrics_of(result: Evaluation) -> dict[str, float | None]:
    """The rows of the table: the domain's, then what any agent has."""
    return {
        **result.summary,
        **{f"mean_{name}": value for name, value in result.terms.items()},
        "mean_task_return": result.task_return,
        "mean_log_p(a|s)": result.log_prior,
        "KL_to_the_prior": result.kl_to_prior,
        "c": result.c,
        "J = E[R]/c - KL": result.objective,
        **({} if (least := result.objective_at_least) is None else {"J, at least": least}),
        "log Z, at least": result.log_z_best,
        **({} if (most := result.log_z_upper) is None else {"log Z, at most": most}),
        "effective share of the episodes": result.effective,
        "KL(q || q*) = log Z - J": result.kl_to_optimum,
        **({} if result.discount == 1 else {"J discounted": result.objective_discounted}),
        "V(s0)": result.start_value,
        f"distinct of {result.distinct_of:,}": result.distinct,
    }
