"""``seqgen envs``: which environments, domains, tasks and priors there are."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from seqgen_envs.reporting.console import show


def envs() -> None:
    """List the environments: id, domain, V tokens, horizon T, tasks and priors.

    A * marks a domain's default task or prior.
    """
    table = Table(title="Environments", title_justify="left")
    for name in ("id", "domain", "V", "T", "tasks", "priors"):
        numeric = len(name) == 1
        table.add_column(
            name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold"
        )
    for env_id, arguments in registered():
        table.add_row(env_id, *_cells(arguments))
    show(table)


def registered() -> list[tuple[str, dict[str, Any]]]:
    """Ids of :func:`seqgen_envs.register_env`, with their keyword arguments."""
    import gymnasium

    from seqgen_envs.registration import load_plugins

    load_plugins()
    ids = [
        (env_id, dict(spec.kwargs))
        for env_id, spec in gymnasium.registry.items()
        if isinstance(spec.entry_point, str)
        and spec.entry_point.startswith("seqgen_envs.")
        and "domain" in spec.kwargs
    ]
    return sorted(ids, key=lambda item: item[0])


def _cells(arguments: dict[str, Any]) -> list[str]:
    from seqgen_envs.registration import get_domain

    try:
        domain = get_domain(arguments["domain"])
    except ImportError as error:  # a domain whose libraries are not installed
        return [str(arguments["domain"]), "-", "-", f"not available: {error}", ""]
    return [
        domain.name,
        str(domain.vocabulary.size),
        str(arguments.get("length") or domain.horizon),
        _starred(list(domain.tasks), arguments.get("task") or domain.default_task),
        _starred(list(domain.priors), arguments.get("prior") or domain.default_prior),
    ]


def _starred(names: list[str], default: object) -> str:
    return ", ".join(f"{name}*" if name == default else name for name in names)
