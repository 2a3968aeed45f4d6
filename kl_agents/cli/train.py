"""``seqgen train``: one training in one folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kl_agents.cli.asked import Asked, collectors_of
from seqgen_envs.cli.common import COMMAND_KEY, TrustOption, check_folder, set_threads, set_trust
from seqgen_envs.reporting.console import say, warn

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm
    from kl_agents.runs import RunSpec

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A hyper-parameter, such as tau=0.01, env_kwargs.prior=paper or "
        "policy_kwargs.scale=5; again for another one.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
#: On the way, where --eval-every is not given.
EVALUATIONS = 20
#: Networks this small run fastest on one thread.
ThreadsOption = Annotated[int, typer.Option(min=1, help="PyTorch's threads.")]


def train(
    ctx: typer.Context,
    algorithm: Annotated[
        str | None,
        typer.Argument(
            help="An algorithm, such as psi or reinvent; or one of your own, as module:Class or "
            "FILE.py:Class.",
            show_default=False,
        ),
    ] = None,
    env_id: Annotated[
        str | None,
        typer.Argument(
            help="An environment, as `seqgen envs` lists them.", metavar="ENV", show_default=False
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    steps: Annotated[
        int | None,
        typer.Option(
            min=0, help="Environment steps (default: the file's); with --resume, more than before."
        ),
    ] = None,
    c: Annotated[
        float | None,
        typer.Option(
            help="Temperature at the end of training: a schedule keeps its start and shape. "
            "(`--set c=0.5` is that temperature throughout.)"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all random numbers (default: 0).")
    ] = None,
    settings: SetOption = None,
    hyperparams: Annotated[
        Path | None,
        typer.Option(help="A YAML file, or a bundled one such as PMO.yml, in place of the ENV's."),
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(help="A run, or an agent's file, whose network to start from.")
    ] = None,
    seed_molecules: Annotated[
        Path | None,
        typer.Option(
            help="A file of known actives (molecules, or any domain's sequences): scored and put "
            "into the replay before the training (psi, g, tb, q)."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT, if there is one.")
    ] = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    collectors: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Ray actors that collect beside the learner, each with lanes of its own; 0: the "
            "learner collects itself (q, psi, g and tb only; extra `cluster`).",
        ),
    ] = None,
    staleness: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Collectors: rounds that a round's weights may be behind the learner's (default: "
            "twice as many as collectors).",
        ),
    ] = None,
    broadcast_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Collectors: rounds between broadcasts of the weights (default: 1)."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Collectors: of a Ray cluster, such as auto; without it, RAY_ADDRESS's, or this "
            "machine alone."
        ),
    ] = None,
    eval_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps between evaluations (default: a twentieth of all; none where the task has "
            "a budget, as evaluations call the oracle beyond it).",
        ),
    ] = None,
    eval_episodes: Annotated[int, typer.Option(min=1, help="Sequences of an evaluation.")] = 256,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Checkpoint at most so often.")
    ] = 60.0,
    progress: Annotated[
        bool, typer.Option("--progress/--no-progress", help="Show how far it is.")
    ] = True,
    trust: TrustOption = False,
) -> None:
    """Train an agent.

    Hyper-parameters are those of the environment's file (kl_agents/hyperparams), then --set. A run
    that was stopped, even by kill -9, goes on with `seqgen train --resume --out OUT`, and ends
    where it would have ended; --steps with --resume lengthens it. OUT holds agent.zip,
    progress.csv, config.json and TensorBoard's tb.
    """
    from kl_agents.hyperparameters import parse_settings
    from kl_agents.runs import (
        CONFIG,
        RunOptions,
        Stopped,
        check_same,
        read_spec,
        resume_run,
        start_run,
    )

    set_threads(threads)
    _check_device(device)
    check_folder(out)
    known = resume and ((out / CONFIG).exists() or algorithm is None)
    set_trust(ctx, trust, algorithm, env_id, parse_settings(settings or []))
    asked = Asked(
        algorithm,
        env_id,
        settings or [],
        steps,
        c,
        seed,
        hyperparams,
        initial,
        seed_molecules,
        collectors_of(collectors, staleness, broadcast_every),
    )
    if known:
        spec = read_spec(out)
        check_same(spec, asked.of_run(spec), out)
    else:
        spec = asked.new()
    live = progress and sys.stderr.isatty()
    options = RunOptions(
        device=device,
        address=address,
        checkpoint_seconds=checkpoint_seconds,
        eval_every=eval_every,
        evaluations=EVALUATIONS,
        eval_episodes=eval_episodes,
        progress_bar=live,
        say=say if progress and not live else None,
        command=ctx.meta.get(COMMAND_KEY, ""),
    )
    try:
        model = resume_run(out, options, steps=steps) if known else start_run(out, spec, options)
    except Stopped as stopped:
        where = [] if address is None else ["--address", address]
        again = _command(spec, "train", "--resume", "--out", out, *where)
        warn(f"{stopped}; go on with: {again}")
        raise typer.Exit(128 + stopped.signal_number) from stopped
    _say_spent(model, max(spec.total_timesteps, steps or 0))
    _say_where(model, spec, out)


def _command(spec: RunSpec, *words: object) -> str:
    """A command about the run, to be copied."""
    from kl_agents.runs import names_code

    trust = ["--trust"] if names_code(spec) else []
    return shlex.join(["seqgen", *map(str, words), *trust])


def _say_spent(model: SequenceAlgorithm, total: int) -> None:
    assert model.facts is not None
    tasks = model.facts.tasks
    if model.num_timesteps < total and all(task.spent for task in tasks):
        say(
            f"the budget of {tasks[0].budget:,} calls is spent: the training ended at "
            f"{model.num_timesteps:,} of {total:,} steps"
        )


def _say_where(model: SequenceAlgorithm, spec: RunSpec, out: Path) -> None:
    from kl_agents.runs import AGENT, FAILURES

    say(f"{model.num_timesteps:,} steps are trained; the agent is {out / AGENT}")
    assert model.facts is not None
    domain = model.facts.domain
    drawn = f"{out}-{domain.plural}"
    found = (out / f"{domain.plural}.csv").is_file()
    for words in (
        ("sample", domain.name, "-n", 16, "--agent", out, "--out", drawn),
        *([("best", out, "--out", f"{out}-best")] if found else []),
        ("evaluate", out),
        ("report", out, "--out", f"{out}.html"),
    ):
        say(f"  {_command(spec, *words)}")
    say(f"  {shlex.join(['tensorboard', '--logdir', str(out)])}")
    failures = model.facts.tasks[0].failures
    if failures.count:
        rules = ", ".join(f"{name}: {count:,}" for name, count in failures.by_term.items())
        warn(
            f"{failures.count:,} sequences could not be scored ({rules}) and count as invalid; "
            f"{out / FAILURES} has the first"
        )


def _check_device(device: str) -> None:
    import torch

    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device cuda is not available to PyTorch here; use --device cpu")
