"""A store's results as three files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from seqgen_envs._version import __version__
from seqgen_envs.benchmark.page import html, tables
from seqgen_envs.benchmark.page.blocks import Page
from seqgen_envs.benchmark.page.data import read_results
from seqgen_envs.benchmark.page.sequences import Budget
from seqgen_envs.benchmark.page.suite import section
from seqgen_envs.benchmark.store import Store
from seqgen_envs.benchmark.suites import Suite
from seqgen_envs.reporting.machine import now

FILES = ("index.html", "report.md", "report.csv")


class Report(NamedTuple):
    """What was written, and one sentence about the rows that are left out, or ""."""

    files: list[Path]
    left_out: str


def write_report(store: Store, suites: Mapping[str, Suite], out: Path, command: str = "") -> Report:
    """Write ``index.html``, ``report.md`` and ``report.csv`` into a folder.

    Args:
        store: the results.
        suites: by name; rows of other suites, or of other definitions of them, are left out.
        out: the folder; made where there is none.
        command: to be named in the page.

    Raises:
        ValueError: there are no results of these suites.
        ImportError: the extra ``bench`` is not installed.
    """
    results, left_out = read_results(store.rows(), suites)
    if not results:
        raise ValueError(
            f"{store.path} has no results of {', '.join(suites) or 'any suite'}"
            + (f" ({left_out})" if left_out else "")
        )
    budget = Budget()
    page = Page(
        "Benchmark of sequence agents",
        "How good agents are that generate sequences: on the suites of seqgen, each on its own "
        "environments, with one budget for all.",
        [section(one, budget) for one in results],
        facts(command, left_out),
    )
    paths = [out / name for name in FILES]
    html.write(page, paths[0])
    tables.write_markdown(page, paths[1])
    tables.write_rows([row for one in results for row in one.rows], paths[2])
    return Report(paths, left_out)


def facts(command: str, remark: str = "") -> dict[str, str]:
    """The end of a page: how and when it was made, and what is to be remarked."""
    known = {"note": remark, "this page": command, "made": now(), "seqgen": __version__}
    return {name: value for name, value in known.items() if value}
