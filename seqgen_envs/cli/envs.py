"""``seqgen envs``: which environments, domains, tasks and priors there are."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from seqgen_envs.reporting.console import console, say, show

if TYPE_CHECKING:
    from seqgen_envs.domain import Domain

Ids = Mapping[str, Mapping[str, Any]]


def envs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A domain or an environment's id: all about it (default: a page of all).",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON.")] = False,
) -> None:
    """List domains and environments; or the tasks, priors and ids of one domain.

    V is the number of tokens, T the length of a sequence. A * marks a default.
    """
    ids: Ids = registered()
    domains, missing = _domains(ids)
    if name is not None:
        home = str(ids[name]["domain"]) if name in ids else name
        if home not in domains:
            raise ValueError(_unknown(name, home, ids, missing))
        ids = {name: ids[name]} if name in ids else _of(home, ids)
        domains, missing = {home: domains[home]}, {}
    if as_json:
        say(json.dumps(_described(domains, ids), indent=1, default=str))
    elif name is not None:
        _show_domain(domains[home], ids, {} if name == home else ids[name])
    else:
        _show_page(domains, missing, ids)


def registered() -> dict[str, dict[str, Any]]:
    """Ids of :func:`seqgen_envs.register_env`, sorted, with their keyword arguments."""
    import gymnasium

    from seqgen_envs.registration import load_plugins

    load_plugins()
    return {
        env_id: dict(spec.kwargs)
        for env_id, spec in sorted(gymnasium.registry.items())
        if isinstance(spec.entry_point, str)
        and spec.entry_point.startswith("seqgen_envs.")
        and "domain" in spec.kwargs
    }


def _domains(ids: Ids) -> tuple[dict[str, Domain], dict[str, str]]:
    """Domains by name, and why others are not there: for want of a library."""
    from seqgen_envs.registration import get_domain, registered_domains

    found, missing = {}, {}
    for name in dict.fromkeys([*registered_domains(), *(str(a["domain"]) for a in ids.values())]):
        try:
            found[name] = get_domain(name)
        except ImportError as error:
            missing[name] = str(error)
    return found, missing


def _unknown(name: str, home: str, ids: Ids, missing: Mapping[str, str]) -> str:
    if home in missing:
        return f"domain {home!r} is not available: {missing[home]}"
    return f"there is no domain or environment {name!r}; `seqgen envs` lists them"


def _show_page(domains: Mapping[str, Domain], missing: Mapping[str, str], ids: Ids) -> None:
    table = Table(title="Domains", title_justify="left")
    for title in ("domain", "V", "T", "environments", "tasks", "priors"):
        table.add_column(title, justify="left" if title == "domain" else "right", no_wrap=True)
    for title in ("default task", "default prior"):
        table.add_column(title, overflow="fold")
    for name, domain in domains.items():
        counts = (len(_of(name, ids)), len(domain.tasks), len(domain.priors))
        numbers = map(str, (domain.vocabulary.size, domain.horizon, *counts))
        table.add_row(name, *numbers, domain.default_task, domain.default_prior)
    show(table)
    for name, why in missing.items():
        say(f"domain {name} is not available: {why}")
    for name in domains:
        if of_domain := _of(name, ids):
            say(f"\nEnvironments of domain {name}:")
            _show_in_columns(list(of_domain))
    say("\n`seqgen envs DOMAIN` or `seqgen envs ID` tells more.")


def _show_domain(domain: Domain, ids: Ids, arguments: Mapping[str, Any]) -> None:
    """All of a domain; the defaults marked are those of an environment with such arguments."""
    say(
        f"Domain {domain.name}: V = {domain.vocabulary.size} tokens, "
        f"T = {arguments.get('length') or domain.horizon} in a sequence"
    )
    named = {
        "Tasks": _starred(domain.tasks, arguments.get("task") or domain.default_task),
        "Priors": _starred(domain.priors, arguments.get("prior") or domain.default_prior),
        "Masks": list(domain.masks),
    }
    for title, names in named.items():
        if names:
            say(_paragraph(f"{title}: {', '.join(names)}"))
    say(f"Environments: {len(ids) or 'none'}")
    _show_in_columns([f"{env_id}{_settings(a)}" for env_id, a in ids.items()])


def _show_in_columns(names: Sequence[str]) -> None:
    texts = [Text(f"  {name}", no_wrap=True, overflow="fold") for name in names]
    console.print(Columns(texts, padding=(0, 1), column_first=True))


def _settings(arguments: Mapping[str, Any]) -> str:
    """What an id sets besides its domain."""
    others = [f"{name}={value}" for name, value in arguments.items() if name != "domain"]
    return f" ({', '.join(others)})" if others else ""


def _paragraph(text: str) -> str:
    return textwrap.fill(
        text, console.width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def _of(domain: str, ids: Ids) -> Ids:
    return {env_id: a for env_id, a in ids.items() if a["domain"] == domain}


def _starred(names: Mapping[str, Any], default: object) -> list[str]:
    """The names, the default first; of a family what follows its colon is shown as dots."""
    shown = {name: f"{name}..." if name.endswith(":") else name for name in names}
    first = [f"{default}*"]
    return first + [text for name, text in shown.items() if name != default]


def _described(domains: Mapping[str, Domain], ids: Ids) -> dict[str, Any]:
    """The same for programs."""
    return {
        "domains": {
            name: {
                "V": domain.vocabulary.size,
                "T": domain.horizon,
                "tasks": list(domain.tasks),
                "default_task": domain.default_task,
                "priors": list(domain.priors),
                "default_prior": domain.default_prior,
                "masks": list(domain.masks),
            }
            for name, domain in domains.items()
        },
        "environments": {env_id: dict(arguments) for env_id, arguments in ids.items()},
    }
