"""Results of benchmarks: one SQLite file, a row for each (suite, agent, task, seed).

A row is written in one transaction when its work is done, so whatever kills a sweep loses the rows
in flight and no other. A suite or an agent whose definition has changed has another fingerprint:
its rows are others, and older ones stay beside them until they are asked for no more.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "results.sqlite"
FINISHED, FAILED = "finished", "failed"
_KEY = ("suite", "suite_fingerprint", "agent", "agent_fingerprint", "task", "seed")
#: Compressed JSON; the others of :data:`_JSON` are plain, for whoever reads the file with SQL.
_LARGE = ("samples", "history", "curve")
_JSON = ("metrics", "settings", "machine")
_PLAIN = (*_KEY, "reference", "status", "error", "seconds", "steps", "commit_id", "date")
_COLUMNS = (*_PLAIN, *_JSON, *_LARGE)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS rows (
    {", ".join(_COLUMNS)},
    PRIMARY KEY ({", ".join(_KEY)})
)
"""


@dataclass(frozen=True)
class Row:
    """One agent on one task with one seed.

    Args:
        suite, suite_fingerprint: what was measured.
        agent, agent_fingerprint, reference: of what, and what finds it again.
        task, seed: on what, and from which seed.
        status: ``"finished"`` or ``"failed"``.
        error: the traceback, or why there is none, of a failed row.
        seconds, steps: of the training.
        commit_id, date, machine: when and where it was made.
        settings: of the agent.
        metrics: by name; None is not known.
        curve, samples, history: see :class:`~seqgen_envs.benchmark.measures.Measured`.
    """

    suite: str
    suite_fingerprint: str
    agent: str
    agent_fingerprint: str
    task: str
    seed: int
    reference: str
    status: str
    error: str = ""
    seconds: float = 0.0
    steps: int = 0
    commit_id: str = ""
    date: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    history: list[tuple[str, float]] = field(default_factory=list)

    @property
    def key(self) -> tuple[Any, ...]:
        """What no two rows of a store share."""
        return tuple(getattr(self, name) for name in _KEY)


class Store:
    """The results in a folder.

    Args:
        folder: made, with an empty store, where there is none.

    Raises:
        ValueError: its file is no store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file; results are kept in a folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / FILE
        try:
            with self._connected() as connection:
                connection.execute(_SCHEMA)
                found = [row[1] for row in connection.execute("PRAGMA table_info(rows)")]
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} is no store of results: {error}") from error
        if found != list(_COLUMNS):
            raise ValueError(f"{self.path} is a store of another version: it has columns {found}")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept when the block ends without error."""
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def add(self, row: Row) -> None:
        """Keep a row, in place of one of the same key."""
        values = [_packed(name, getattr(row, name)) for name in _COLUMNS]
        places = ", ".join("?" for _ in _COLUMNS)
        with self._connected() as connection:
            connection.execute(f"INSERT OR REPLACE INTO rows VALUES ({places})", values)

    def rows(self, suite: str | None = None) -> list[Row]:
        """All rows, or those of a suite of that name, sorted by their keys."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM rows"
        where, values = ("", ()) if suite is None else (" WHERE suite = ?", (suite,))
        order = f" ORDER BY {', '.join(_KEY)}"
        with self._connected() as connection:
            found = connection.execute(query + where + order, values).fetchall()
        return [Row(**_unpacked(values)) for values in found]

    def keys(self) -> dict[tuple[Any, ...], str]:
        """The status of each row, by its key."""
        with self._connected() as connection:
            query = f"SELECT {', '.join(_KEY)}, status FROM rows"
            return {tuple(found[:-1]): found[-1] for found in connection.execute(query)}


def _packed(name: str, value: Any) -> Any:
    if name in _LARGE:
        return zlib.compress(json.dumps(value).encode())
    return json.dumps(value, sort_keys=True) if name in _JSON else value


def _unpacked(values: Sequence[Any]) -> dict[str, Any]:
    row = dict(zip(_COLUMNS, values, strict=True))
    for name in _JSON:
        row[name] = json.loads(row[name])
    for name in _LARGE:
        row[name] = json.loads(zlib.decompress(row[name]))
    row["history"] = [(text, score) for text, score in row["history"]]
    return row


def merge(into: Store, others: Sequence[Store]) -> int:
    """Add the rows of other stores; a finished row is never replaced by a failed one.

    Returns:
        how many rows were added or replaced.
    """
    known, added = into.keys(), 0
    for other in others:
        for row in other.rows():
            status = known.get(row.key)
            if status is None or (status == FAILED and row.status == FINISHED):
                into.add(row)
                known[row.key] = row.status
                added += 1
    return added
