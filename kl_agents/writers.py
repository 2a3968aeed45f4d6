"""What a run writes as it goes on: ``progress.csv``, a table of sequences, TensorBoard.

A writer takes up where a checkpoint was made: what came after it is dropped, since the training
makes it anew.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import Image, KVWriter
from torch.utils.tensorboard import SummaryWriter

from seqgen_envs.reporting.files import bare_cell, write_rows, write_text

STEP = "time/total_timesteps"


@dataclass(frozen=True)
class Sound:
    """Samples float32 [n] in -1..1 for TensorBoard, ``rate`` of them a second."""

    samples: NDArray[np.float32]
    rate: int


class ProgressCsv(KVWriter):
    """``progress.csv``: one row a number of steps.

    Args:
        path: the file. Its rows up to ``done`` steps are kept, the others dropped.
        done: steps of the training that goes on; 0 for a new one.
    """

    def __init__(self, path: Path, done: int = 0) -> None:
        self.path = path
        self.rows = [row for row in read_progress(path) if row[STEP] <= done] if done else []
        self.columns = list(dict.fromkeys(name for row in self.rows for name in row)) or [STEP]
        self._rewrite()

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Add a row, or complete the last one if it is of the same step."""
        row = {name: float(v) for name, v in key_values.items() if isinstance(v, (int, float))}
        row[STEP] = float(step)
        fresh = [name for name in row if name not in self.columns]
        self.columns += fresh
        same = bool(self.rows) and self.rows[-1][STEP] == row[STEP]
        if same:
            self.rows[-1] |= row
        else:
            self.rows.append(row)
        if fresh or same:
            self._rewrite()
        else:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)

    def close(self) -> None:
        """Nothing is held open."""

    def _rewrite(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def read_progress(path: Path) -> list[dict[str, float]]:
    """The rows of a ``progress.csv``, empty cells left out; a row cut short is dropped."""
    if not path.is_file():
        return []
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if line.endswith("\n")):
            try:
                numbers = {name: float(v) for name, v in row.items() if v and name is not None}
            except (ValueError, TypeError):
                continue
            if STEP in numbers:
                rows.append(numbers)
    return rows


class SequencesCsv:
    """A table of distinct sequences in the order they came, with columns ``text`` and ``step``.

    Args:
        path: the file. Its rows up to ``done`` steps are kept, the others cut off.
        done: steps of the training that goes on; 0 for a new one.
    """

    def __init__(self, path: Path, done: int = 0) -> None:
        self.path = path
        self._known: set[str] = set()
        self._columns: Sequence[str] = ()
        if done and path.is_file():
            self._take_up(done)
        else:
            path.unlink(missing_ok=True)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows of sequences that are not there yet; all rows have the same columns."""
        fresh = []
        for row in rows:
            if row["text"] not in self._known:
                self._known.add(row["text"])
                fresh.append(row)
        if not fresh:
            return
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            new = not self._columns
            self._columns = self._columns or list(fresh[0])
            head = [dict(zip(self._columns, self._columns, strict=True))] if new else []
            write_rows(file, self._columns, [*head, *fresh])

    def _take_up(self, done: int) -> None:
        """Read what is there, and cut the file off behind the last row of ``done`` steps."""
        with open(self.path, "r+", newline="", encoding="utf-8") as file:
            end, header = 0, file.readline()
            names = next(csv.reader([header])) if header.endswith("\n") else ()
            self._columns = [bare_cell(name) for name in names]
            while self._columns:
                end = file.tell()
                line = file.readline()
                if not line.endswith("\n"):
                    break
                row = dict(zip(self._columns, next(csv.reader([line])), strict=False))
                if int(row.get("step") or done + 1) > done:
                    break
                self._known.add(bare_cell(row["text"]))
            file.seek(end)
            file.truncate()


class TensorBoard(KVWriter):
    """Event files of numbers, pictures and sounds.

    Args:
        folder: for the event files; TensorBoard is told to hide what is after ``done`` steps.
        done: steps of the training that goes on; 0 for a new one, which has the folder to itself.
    """

    def __init__(self, folder: Path, done: int = 0) -> None:
        if not done:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        _wait_for_a_second_of_its_own(folder)
        self.writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Write all of it, and see that it is on the disk: a process may be killed."""
        for name, value in key_values.items():
            if isinstance(value, (int, float, np.number)):
                self.writer.add_scalar(name, value, step)
            elif isinstance(value, Image):
                self.writer.add_image(name, value.image, step, dataformats=value.dataformats)
            elif isinstance(value, Sound):
                self.writer.add_audio(name, value.samples[None], step, sample_rate=value.rate)
        self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()


def _wait_for_a_second_of_its_own(folder: Path) -> None:
    """Event files are read in the order of their names: the second, then the process's number.

    Of two that begin in one second the later one could be taken for the earlier.
    """
    names = [file.name.split(".")[3] for file in folder.glob("events.out.tfevents.*")]
    latest = max((int(name) for name in names if name.isdigit()), default=0)
    if 0 <= latest - int(time.time()) <= 1:
        time.sleep(max(latest + 1 - time.time(), 0.0))
