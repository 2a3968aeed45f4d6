"""The ``seqgen`` command.

``seqgen --help`` imports neither PyTorch nor any domain's libraries: each command brings in what
it needs when it runs. Other packages add commands through the entry point group
``seqgen.commands`` (name -> a ``typer.Typer`` or a function), and agents for
``seqgen sample --agent`` through ``seqgen.agents`` (see :mod:`seqgen_envs.agents`).
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated

import typer

from seqgen_envs._version import __version__
from seqgen_envs.cli import bench, bound, check, data, envs, objectives, prior, sample, score
from seqgen_envs.cli.common import ExpectedErrors
from seqgen_envs.reporting.console import show_logged_warnings, warn

COMMANDS_GROUP = "seqgen.commands"


def make_app() -> typer.Typer:
    """The command with the subcommands of this package."""
    app = typer.Typer(
        name="seqgen",
        help="Sequence generation with priors and rules: sample, score, and train priors.",
        cls=ExpectedErrors,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    app.command("check")(check.check)
    app.command("data")(data.data)
    app.command("envs")(envs.envs)
    app.command("objectives")(objectives.objectives)
    app.command("sample")(sample.sample)
    app.command("score")(score.score)
    app.command("bound")(bound.bound)
    app.add_typer(bench.app, name="bench")
    app.add_typer(prior.app, name="prior")
    return app


def add_plugins(app: typer.Typer) -> None:
    """Add the commands of other packages; one that is broken or takes a taken name is named."""
    taken = {command.name for command in app.registered_commands}
    taken |= {group.name for group in app.registered_groups}
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda entry: entry.name):
        if entry.name in taken:
            warn(f"the command {entry.name!r} of {entry.value} is left out: the name is taken")
            continue
        try:
            command = entry.load()
        except Exception as error:  # whatever is wrong with it, the other commands still work
            warn(f"the command {entry.name!r} of {entry.value} cannot be loaded: {error!r}")
            continue
        taken.add(entry.name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)


def main() -> None:
    """Run the command; what the console script calls."""
    show_logged_warnings()
    app = make_app()
    add_plugins(app)
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seqgen {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="SEQGEN_DEBUG", help="Show errors' tracebacks.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass  # --debug is read by ExpectedErrors, --version by its callback
