"""``seqgen tune``: a search for an agent's settings."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kl_agents.cli.train import SetOption
from seqgen_envs.cli.common import (
    COMMAND_KEY,
    AddressOption,
    Backend,
    BackendOption,
    SeedOption,
    TrustOption,
    check_backend,
    check_folder,
    set_trust,
)
from seqgen_envs.reporting.console import say, show

if TYPE_CHECKING:
    from kl_agents.tuning.recipe import Recipe
    from kl_agents.tuning.workers import Workers


def tune(
    ctx: typer.Context,
    algorithm: Annotated[str, typer.Argument(help="An algorithm, such as psi or tb.")],
    env_ids: Annotated[
        list[str],
        typer.Argument(
            help="An environment, or several: a trial is worth their mean.", metavar="ENV..."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the study and of what it finds.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials of the study, in all.")] = 50,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of a training (default: the file's)."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds that a trial is the mean of.")] = 1,
    looks: Annotated[
        int, typer.Option(min=1, help="Times a training is judged, its end included.")
    ] = 5,
    eval_episodes: Annotated[int, typer.Option(min=1, help="Sequences that judge it.")] = 1000,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials that are below the median.")
    ] = True,
    finalists: Annotated[
        int, typer.Option(min=0, help="Best trials that are trained again with fresh seeds.")
    ] = 3,
    confirm: Annotated[int, typer.Option(min=1, help="Fresh seeds of the finalists.")] = 3,
    space: Annotated[
        Path | None, typer.Option(help="A YAML file of what to search, and where.")
    ] = None,
    settings: SetOption = None,
    hyperparams: Annotated[
        Path | None, typer.Option(help="A YAML file in place of the bundled one.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time, one thread each.")] = 1,
    backend: BackendOption = Backend.LOCAL,
    address: AddressOption = None,
    storage: Annotated[
        str | None,
        typer.Option(help="A database that several machines share (default: a file in OUT)."),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="The study's name (default: ALGORITHM-ENV).")
    ] = None,
    seed: SeedOption = 0,
    trust: TrustOption = False,
) -> None:
    """Search for better settings of an agent.

    Trials are judged by J at the last temperature (by the area under the ten best where the task
    has a budget of calls), and the best ones again with fresh seeds, beside the settings shipped.
    OUT/best.yml is for `seqgen train --hyperparams`. A search that was stopped goes on with the
    same command; several processes, of several machines too, may share one study. Tune on
    environments that you do not report.
    """
    from kl_agents.hyperparameters import parse_settings
    from kl_agents.tuning.outcome import write_outcome
    from kl_agents.tuning.recipe import Recipe
    from kl_agents.tuning.search import Search, open_study
    from kl_agents.tuning.space import read_space

    check_folder(out)
    check_backend(backend, address)
    fixed = parse_settings(settings or [])
    set_trust(ctx, trust, algorithm, env_ids, fixed)
    recipe = Recipe(
        algorithm, tuple(env_ids), fixed, hyperparams, steps, seeds, looks, eval_episodes
    )
    searched = recipe.check(read_space(space))
    name = study or f"{algorithm}-{'-'.join(env_ids)}"
    opened = open_study(out, name, storage, seed, prune, looks)
    workers = _workers(backend, address)
    search = Search(opened, recipe, searched, workers, jobs, say)
    search.check_recipe()
    say(f"{', '.join(searched)}: {trials} trials in {out}")
    try:
        search.run(trials)
        confirmed = search.confirm(finalists, confirm)
    finally:
        workers.close()
    out.mkdir(parents=True, exist_ok=True)
    chosen = write_outcome(out, search, confirmed, ctx.meta.get(COMMAND_KEY, ""))
    _say_found(recipe, confirmed, chosen, out)


def _workers(backend: Backend, address: str | None) -> Workers:
    from kl_agents.tuning.workers import OnRay, Processes

    return OnRay(address) if backend is Backend.RAY else Processes()


def _say_found(recipe: Recipe, confirmed: dict[str, list[float]], chosen: str, out: Path) -> None:
    from rich.table import Table

    from kl_agents.runs import names_code
    from kl_agents.tuning.outcome import BEST, described
    from kl_agents.tuning.search import SHIPPED

    table = Table("settings", "worth with fresh seeds", title="The finalists")
    for name, worths in confirmed.items():
        title = "as shipped" if name == SHIPPED else f"trial {name}"
        table.add_row(f"{title} (chosen)" if name == chosen else title, described(worths))
    show(table)
    env_id = recipe.env_ids[0]
    trust = " --trust" if names_code(recipe.spec(env_id, {}, 0)) else ""
    file = shlex.quote(str(out / BEST))
    say(f"  seqgen train {recipe.algorithm} {env_id} --hyperparams {file} --out runs/tuned{trust}")
