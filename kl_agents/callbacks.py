"""What a run does between its rounds: evaluate, log, checkpoint.

All of it hangs on ``on_rollout_end``, which comes after a round's training, and none of it touches
the generators of the training: a run with these callbacks ends where one without them does.
"""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image, KVWriter, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from seqgen_envs.env import draw_sequence
from seqgen_envs.evaluation import Evaluation, evaluate_policy_network
from seqgen_envs.lanes import Lanes
from seqgen_envs.reporting.files import write_text

STEP = "time/total_timesteps"
_NOT_SCALARS = ("stdout", "log", "json", "csv")


class StopWhenSpent(BaseCallback):
    """Ends the training when the budget of every task is spent: what follows would earn nothing.

    It does not see the tasks of environments in worker processes.
    """

    def _on_training_start(self) -> None:
        self._tasks = self.training_env.get_attr("task")

    def _on_step(self) -> bool:
        return not all(task.spent for task in self._tasks)


class KLEvalCallback(BaseCallback):
    """Evaluates every so many steps: ``eval/`` metrics, pictures and sounds of a few sequences.

    Args:
        lanes: where; not the training's own.
        eval_every: environment steps between evaluations.
        episodes: of an evaluation.
        media: sequences to draw and play; 0 for none.
        seed: of the draws, the same at every evaluation.
    """

    def __init__(
        self, lanes: Lanes, eval_every: int, episodes: int = 256, media: int = 3, seed: int = 0
    ) -> None:
        super().__init__()
        self.lanes, self.eval_every, self.episodes = lanes, eval_every, episodes
        self.media, self.seed = media, seed
        self.last: Evaluation | None = None
        self._period = 0

    def _on_training_start(self) -> None:
        self._period = self.model.num_timesteps // self.eval_every
        if self.model.num_timesteps == 0:
            self._evaluate()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        period = self.model.num_timesteps // self.eval_every
        if period > self._period:
            self._period = period
            self._evaluate()

    def _evaluate(self) -> None:
        policy: Any = self.model.policy
        self.last = evaluate_policy_network(policy, self.lanes, self.episodes, self.seed)
        for name, value in self.last.metrics().items():
            self.logger.record(f"eval/{name}", value)
        for i, tokens in enumerate(self.last.examples[: self.media]):
            ids = tokens[tokens < self.lanes.domain.vocabulary.size]
            picture = draw_sequence(self.lanes.domain, ids, self.lanes.horizon)
            self.logger.record(f"sequences/{i}", Image(picture, "HWC"), exclude=_NOT_SCALARS)
            self._sound(f"sequences/{i}", ids)
        self.logger.dump(self.model.num_timesteps)

    def _sound(self, name: str, ids: np.ndarray) -> None:
        domain = self.lanes.domain
        if domain.view.waveform is None:
            return
        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                samples = domain.view.waveform(ids)[None]
                output.writer.add_audio(
                    name, samples, self.model.num_timesteps, sample_rate=domain.view.sample_rate
                )


class CheckpointEvery(BaseCallback):
    """Writes the whole state between rounds, atomically: all that an exact resume needs.

    Args:
        path: the file, replaced each time.
        seconds: at most so often.
        rounds: after so many rounds, whatever the time; None leaves it to ``seconds``.
    """

    def __init__(self, path: Path, seconds: float = 60.0, rounds: int | None = None) -> None:
        super().__init__()
        self.path, self.seconds, self.rounds = path, seconds, rounds
        self._last, self._since = time.monotonic(), 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._since += 1
        many = self.rounds is not None and self._since >= self.rounds
        if many or time.monotonic() - self._last >= self.seconds:
            self.model.save(self.path, include=["replay_buffer"])
            self._last, self._since = time.monotonic(), 0


class ProgressCsv(KVWriter):
    """``progress.csv``: one row a number of steps; goes on where a checkpoint was made.

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
        for row in csv.DictReader(file):
            try:
                numbers = {name: float(v) for name, v in row.items() if v and name is not None}
            except (ValueError, TypeError):
                continue
            if STEP in numbers:
                rows.append(numbers)
    return rows


class TensorBoard(TensorBoardOutputFormat):
    """Stable-Baselines3's TensorBoard output, which hides what came after a checkpoint.

    Args:
        folder: for the event files.
        done: steps of the training that goes on; 0 for a new one.
    """

    def __init__(self, folder: Path, done: int = 0) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)
        self._is_closed = False
