"""``seqgen check``: whether a domain keeps the contract that environments rely on."""

from __future__ import annotations

from typing import Annotated

import typer

from seqgen_envs.cli.common import EXPECTED, DomainArgument, SeedOption
from seqgen_envs.reporting.console import say


def check(
    domain: DomainArgument,
    episodes: Annotated[
        int, typer.Option(min=1, help="Random episodes that each task is tried on.")
    ] = 16,
    seed: SeedOption = 0,
) -> None:
    """Check a domain's priors, tasks, masks, texts, pictures and metrics; one line a check.

    The exit code is 1 if one of them breaks the contract.
    """
    from seqgen_envs.checks import check_domain
    from seqgen_envs.registration import get_domain

    kind = get_domain(domain)
    try:
        check_domain(kind, episodes=episodes, seed=seed, say=say)
    except EXPECTED as error:
        raise ValueError(f"domain {domain!r} does not conform: {error}") from error
    except Exception as error:  # what a rule or a prior raises: in a run it would be counted
        raise ValueError(
            f"domain {domain!r} does not conform: {type(error).__name__}: {error} "
            "(seqgen --debug check ... shows where)"
        ) from error
    say(f"domain {kind.name!r} conforms")
