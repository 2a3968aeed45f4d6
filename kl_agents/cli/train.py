"""``seqgen train``: one training in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import COMMAND_KEY, SeedOption, set_threads
from seqgen_envs.reporting.console import say, warn

if TYPE_CHECKING:
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
#: Networks this small run fastest on one thread.
ThreadsOption = Annotated[int, typer.Option(min=1, help="PyTorch's threads.")]


def train(
    ctx: typer.Context,
    algorithm: Annotated[
        str,
        typer.Argument(
            help="An algorithm, such as psi or reinvent; or one of your own, as module:Class or "
            "FILE.py:Class.",
            show_default=False,
        ),
    ],
    env_id: Annotated[
        str, typer.Argument(help="An environment, as `seqgen envs` lists them.", metavar="ENV")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    steps: Annotated[
        int | None, typer.Option(min=0, help="Environment steps (default: the file's).")
    ] = None,
    c: Annotated[
        float | None,
        typer.Option(
            help="Temperature at the end of training: a schedule keeps its start and shape. "
            "(`--set c=0.5` is that temperature throughout.)"
        ),
    ] = None,
    seed: SeedOption = 0,
    settings: SetOption = None,
    hyperparams: Annotated[
        Path | None, typer.Option(help="A YAML file in place of the bundled one.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT, if there is one.")
    ] = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    eval_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between evaluations (default: a twentieth of all)."),
    ] = None,
    eval_episodes: Annotated[int, typer.Option(min=1, help="Sequences of an evaluation.")] = 256,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Checkpoint at most so often.")
    ] = 60.0,
    progress: Annotated[
        bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")
    ] = True,
) -> None:
    """Train an agent.

    Hyper-parameters are those of the environment's file (kl_agents/hyperparams), then --set. A run
    that was stopped, even by kill -9, goes on with the same command and --resume, and ends where
    it would have ended. OUT holds agent.zip, progress.csv, config.json and TensorBoard's tb.
    """
    from kl_agents.runs import RunOptions, resume_run, start_run

    set_threads(threads)
    _check_device(device)
    spec = make_spec(algorithm, env_id, settings or [], steps, c, seed, hyperparams)
    options = RunOptions(
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        eval_every=eval_every or max(spec.total_timesteps // 20, 1),
        eval_episodes=eval_episodes,
        progress_bar=progress,
        command=ctx.meta.get(COMMAND_KEY, ""),
    )
    if resume and (out / "config.json").exists():
        model = resume_run(out, options, spec)
    else:
        model = start_run(out, spec, options)
    say(f"{model.num_timesteps:,} steps are trained; the agent is {out / 'agent.zip'}")
    say(f"  seqgen evaluate {out}")
    say(f"  tensorboard --logdir {out}")


def make_spec(
    algorithm: str,
    env_id: str,
    settings: list[str],
    steps: int | None,
    c: float | None,
    seed: int,
    source: Path | None = None,
) -> RunSpec:
    """The run of these options.

    Raises:
        ValueError: an unknown algorithm or setting, or ``c`` not above 0.
    """
    from kl_agents.hyperparameters import file_of, load_hyperparams, parse_settings, with_final_c
    from kl_agents.runs import RunSpec

    merged = load_hyperparams(algorithm, env_id, [parse_settings(settings)], source)
    if source is None and not file_of(env_id).is_file():
        warn(f"there are no hyper-parameters for {env_id}: the algorithm's defaults are used")
    if steps is not None:
        merged.n_timesteps = steps
    if c is not None:
        merged.arguments["c"] = with_final_c(merged.arguments.get("c"), c)
    return RunSpec.of(merged, env_id, seed)


def _check_device(device: str) -> Any:
    import torch

    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device cuda is not available to PyTorch here; use --device cpu")
