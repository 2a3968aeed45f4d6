"""Results as plain files that somebody else can score again.

    FOLDER/SUITE/AGENT/TASK/SEED.csv    text, score and call of each sequence the oracle scored
    FOLDER/submission.json              suites with their fingerprints, agents, versions

For suites whose budget is in calls: the files hold all that the headline is computed of.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from seqgen_envs.benchmark.scores import auc_top
from seqgen_envs.benchmark.store import FINISHED, Row
from seqgen_envs.benchmark.suites import BenchTask, Suite, load_suite
from seqgen_envs.benchmark.work import play_text
from seqgen_envs.documents import read_json
from seqgen_envs.reporting.files import bare_cell, write_csv, write_json

INDEX = "submission.json"
#: A score computed again may differ so much: other machines round otherwise.
TOLERANCE = 1e-6


def write_submission(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the files of all rows that have a history.

    Raises:
        ValueError: none has.
    """
    chosen = [row for row in rows if row.status == FINISHED and row.history]
    if not chosen:
        raise ValueError(
            "there is nothing to submit: no finished row has the sequences that an oracle scored "
            "(suites whose budget is in calls keep them)"
        )
    entries, paths = [], []
    for row in chosen:
        name = Path(row.suite, _file_name(row.agent), row.task, f"{row.seed}.csv")
        table = [
            {"text": text, "score": repr(float(score)), "call": call}
            for call, (text, score) in enumerate(row.history, start=1)
        ]
        write_csv(folder / name, table)
        paths.append(folder / name)
        entries.append(_entry(row, name))
    write_json(folder / INDEX, {"rows": entries})
    return [*paths, folder / INDEX]


def _entry(row: Row, file: Path) -> dict[str, Any]:
    names = ("suite", "suite_fingerprint", "agent", "agent_fingerprint", "task", "seed",
             "settings", "machine", "commit_id", "date", "metrics")  # fmt: skip
    return {"file": file.as_posix(), **{name: getattr(row, name) for name in names}}


def _file_name(agent: str) -> str:
    return re.sub(r"[^\w.-]+", "-", agent).strip("-.") or "agent"


@dataclass(frozen=True)
class Finding:
    """What came of checking one file: ``problem`` is "" where it holds."""

    file: str
    sequences: int
    headline: float
    problem: str


def verify_submission(folder: Path) -> Iterator[Finding]:
    """Score every file again, and compute its headline from that.

    Raises:
        ValueError: it is no submission, or one of a suite that is not bundled or has changed.
    """
    try:
        entries = read_json(folder / INDEX)["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is no submission: {INDEX} cannot be read: {error}") from error
    for entry in entries:
        suite = load_suite(str(entry["suite"]))
        if suite.fingerprint != entry["suite_fingerprint"]:
            raise ValueError(
                f"{entry['file']} is of another version of suite {suite.name!r} than this package's"
            )
        yield _checked(folder, entry, suite)


def _checked(folder: Path, entry: dict[str, Any], suite: Suite) -> Finding:
    task = suite.tasks[entry["task"]]
    path = (folder / entry["file"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{entry['file']} lies outside {folder}")
    with open(path, newline="", encoding="utf-8") as file:
        rows = [(bare_cell(row["text"]), float(row["score"])) for row in csv.DictReader(file)]
    problem = _problem(rows, task)
    headline = auc_top([score for _, score in rows], budget=task.calls or len(rows))
    said = entry["metrics"].get("auc_top10")
    if not problem and (said is None or not math.isclose(said, headline, abs_tol=TOLERANCE)):
        problem = f"the AUC said is {said}, that of the file {headline:.6f}"
    return Finding(entry["file"], len(rows), headline, problem)


def _problem(rows: Sequence[tuple[str, float]], task: BenchTask) -> str:
    """What is wrong with the sequences and scores of a file; "" for nothing."""
    texts = [text for text, _ in rows]
    if len(set(texts)) < len(texts):
        return "a sequence stands there twice: a repeat costs nothing and earns nothing"
    if task.calls is not None and len(rows) > task.calls:
        return f"it has {len(rows):,} sequences, more than the budget of {task.calls:,}"
    lanes: Any = gym.make(task.env_id, **task.env_kwargs).unwrapped.lanes  # type: ignore[attr-defined]
    scorer = getattr(lanes.task, "scorer", None)
    if scorer is None:
        again = [play_text(lanes, text) for text in texts]
    else:
        again = [verdict.values[0] for verdict in scorer.score(texts)]
    for text, (_, score), value in zip(texts, rows, again, strict=True):
        if not math.isclose(score, value if math.isfinite(value) else 0.0, abs_tol=TOLERANCE):
            return f"{text} scores {value:.6f}, not {score:.6f}"
    return ""
