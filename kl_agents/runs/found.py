"""What a training has scored: the best rows of its table of sequences."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgen_envs.reporting.files import bare_cell

#: Step of the rows of sequences that were given (``--seed-molecules``): they were not found.
GIVEN = "0"


@dataclass(frozen=True)
class Found:
    """The best sequences, the best one first.

    Attributes:
        rows: of the table, without those that were given.
        scored: how many the training has scored, all in all.
    """

    rows: list[dict[str, str]]
    scored: int


def best_found(path: Path, n: int) -> Found:
    """The n distinct sequences of the largest task return.

    Args:
        path: a run's table of sequences, such as ``molecules.csv``; there may be none yet.
        n: how many, at most.
    """
    if not path.is_file():
        return Found([], 0)
    with open(path, newline="", encoding="utf-8") as file:
        known = [row for row in csv.DictReader(file) if score_of(row) is not None]
    new = [row for row in known if row.get("step") != GIVEN]
    best = heapq.nlargest(n, new, key=lambda row: score_of(row) or 0.0)
    return Found([row | {"text": bare_cell(row["text"])} for row in best], len(known))


def score_of(row: Mapping[str, Any]) -> float | None:
    """None where the row is cut short, or its task return no number."""
    try:
        value = float(row["task_return"])
    except (KeyError, TypeError, ValueError):
        return None
    return value if abs(value) < 1e300 else None
