"""The same page in Markdown, and its rows as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqgen_envs.benchmark.page.blocks import Cell, Facts, Failures, Page, Table
from seqgen_envs.benchmark.store import Row
from seqgen_envs.reporting.files import write_csv, write_text

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def markdown(page: Page) -> str:
    """Tables, failures and facts of the page; charts and sequences are in its HTML alone."""
    lines = [f"# {escaped(page.title)}", "", escaped(page.about), ""]
    for section in page.sections:
        lines += [f"## {escaped(section.title)}", "", escaped(section.about), ""]
        for block in section.blocks:
            if isinstance(block, Table):
                lines += _table(block)
            elif isinstance(block, Failures):
                lines += [f"### {escaped(block.title)}", ""]
                lines += [f"- {escaped(line)}" for line, _ in block.failures] + [""]
            elif isinstance(block, Facts):
                lines += [f"### {escaped(block.title)}", "", *_facts(block.facts), ""]
    return "\n".join([*lines, *_facts(page.facts), ""])


def _table(table: Table) -> Iterator[str]:
    yield from (f"### {escaped(table.title)}", "")
    if table.note:
        yield from (escaped(table.note), "")
    yield f"| {' | '.join(map(escaped, table.columns))} |"
    numbers = [cell.is_number for cell in (table.rows[0] if table.rows else [])]
    yield f"| {' | '.join('---:' if right else '---' for right in numbers)} |"
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(cell: Cell) -> str:
    return escaped(f"{cell.text} {cell.note}".strip())


def _facts(facts: Any) -> list[str]:
    return [f"- {escaped(name)}: {escaped(value)}" for name, value in facts.items()]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def write_markdown(page: Page, path: Path) -> None:
    """Write :func:`markdown`."""
    write_text(path, markdown(page))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write one line for each run, failed ones too, with all its metrics, as CSV."""
    write_csv(path, [_flat(row) for row in rows])


def _flat(row: Row) -> dict[str, Any]:
    error = row.error.strip().splitlines()
    return {
        "suite": row.suite,
        "suite_fingerprint": row.suite_fingerprint,
        "agent": row.agent,
        "reference": row.reference,
        "agent_fingerprint": row.agent_fingerprint,
        "task": row.task,
        "seed": row.seed,
        "status": row.status,
        "error": error[-1] if error else "",
        "seconds": row.seconds,
        "steps": row.steps,
        "commit": row.commit_id,
        "date": row.date,
        **row.metrics,
    }
