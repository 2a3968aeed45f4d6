"""``seqgen report``: a page about one training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqgen_envs.cli.common import COMMAND_KEY, SeedOption, TrustOption, set_threads, set_trust
from seqgen_envs.reporting.console import say


def report(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="A folder written by `seqgen train`.")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    n: Annotated[
        int, typer.Option("-n", "--number", min=1, help="Sequences of the agent, and of the prior.")
    ] = 256,
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option(min=1, help="PyTorch's threads.")] = 1,
    trust: TrustOption = False,
) -> None:
    """Make a page of a run: one HTML file that needs nothing else.

    Curves, the rules' shares beside those of the prior, sequences to see and hear, and the best
    sequences found in training.
    """
    from kl_agents.runs.page import run_page
    from seqgen_envs.benchmark.page.html import write

    if out.is_dir():
        raise ValueError(f"--out {out} is a folder: give the name of a file, such as report.html")
    set_threads(threads)
    set_trust(ctx, trust)
    write(run_page(run, n, seed, ctx.meta.get(COMMAND_KEY, "")), out)
    say(f"Open {out}")
