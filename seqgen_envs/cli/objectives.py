"""``seqgen objectives``: what objectives of a domain are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from seqgen_envs.reporting.console import say, show

if TYPE_CHECKING:
    from seqgen_envs.domain_groups import Ingredient


def objectives(
    name: Annotated[
        str | None, typer.Argument(help="Show this one, with an example.", show_default=False)
    ] = None,
    domain: Annotated[str, typer.Option(help="Whose objectives.")] = "molecule",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List what objectives are made of: properties, modifiers, parts, means and oracles.

    An objective is a YAML file that names them: `--task objective:FILE.yaml`. In a training,
    `--set env_kwargs.task=objective:FILE.yaml`.
    """
    from seqgen_envs.registration import get_domain

    kind = get_domain(domain)
    if kind.ingredients is None:
        raise ValueError(
            f"domain {kind.name!r} has no objectives to put together; its tasks are "
            f"{', '.join(kind.tasks)}"
        )
    found = kind.ingredients()
    if name is not None:
        found = [one for one in found if one.name == name] or _unknown(name, found)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif name is None:
        _show_all(found)
    else:
        for one in found:
            _show_one(one)


def _unknown(name: str, found: Sequence[Ingredient]) -> Sequence[Ingredient]:
    near = get_close_matches(name, [one.name for one in found], 1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"there is no objective {name!r}{meant}; `seqgen objectives` lists all")


def _show_all(found: Sequence[Ingredient]) -> None:
    from rich.table import Table

    for kind in dict.fromkeys(one.kind for one in found):
        chosen = [one for one in found if one.kind == kind]
        title = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        table = Table(title=title.capitalize(), title_justify="left")
        columns = ["name", "what it is", "values"]
        columns[1:1] = ["arguments"] if any(one.arguments for one in chosen) else []
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column == "name")
        for one in chosen:
            cells = [one.name, one.about, one.values]
            cells[1:1] = [", ".join(one.arguments)] if "arguments" in columns else []
            table.add_row(*cells)
        show(table)
    say("`seqgen objectives NAME` shows one with its arguments and an example")


def _show_one(one: Ingredient) -> None:
    import yaml

    say(f"{one.name} ({one.kind}): {one.about}")
    say(f"Values: {one.values}")
    for name, what in one.arguments.items():
        say(f"  {name}: {what}")
    say("Example (a YAML file, named as --task objective:FILE.yaml):")
    typer.echo(yaml.safe_dump(dict(one.example), sort_keys=False).rstrip())
