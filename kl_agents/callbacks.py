"""What a run does between its rounds: evaluate, log, checkpoint.

All of it hangs on ``on_rollout_end``, which comes after a round's training, and none of it touches
the generators of the training: a run with these callbacks ends where one without them does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image

from kl_agents.collection import Collected
from kl_agents.writers import SequencesCsv, Sound
from seqgen_envs.env import draw_sequence
from seqgen_envs.evaluation import Evaluation, evaluate_policy_network
from seqgen_envs.lanes import Lanes
from seqgen_envs.reporting.files import write_text
from seqgen_envs.rules import Task

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
        self.lanes.task = self.lanes.task.for_evaluation()  # it remembers no evaluation before
        self.last = evaluate_policy_network(policy, self.lanes, self.episodes, self.seed)
        for name, value in self.last.metrics().items():
            self.logger.record(f"eval/{name}", value)
        domain = self.lanes.domain
        for i, tokens in enumerate(self.last.examples[: self.media]):
            ids = tokens[tokens < domain.vocabulary.size]
            picture = Image(draw_sequence(self.lanes, ids), "HWC")
            self.logger.record(f"sequences/{i}", picture, exclude=_NOT_SCALARS)
            if domain.view.waveform is not None:
                sound = Sound(domain.view.waveform(ids), domain.view.sample_rate)
                self.logger.record(f"sounds/{i}", sound, exclude=_NOT_SCALARS)
        self.logger.dump(self.model.num_timesteps)


class RecordSequences(BaseCallback):
    """Keeps every sequence that the training's task has scored, in a table.

    Args:
        table: takes the rows: text, step (of the end of its round), task return, the terms and the
            task's remarks.
        lanes: the training's.
    """

    def __init__(self, table: SequencesCsv, lanes: Lanes) -> None:
        super().__init__()
        self.table, self.lanes = table, lanes

    def _on_training_start(self) -> None:
        seeds = getattr(self.model, "seeds", None)
        if seeds is not None:
            self.table.add(self._rows(seeds))

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.table.add(self._rows(self.locals["collected"]))

    def _rows(self, collected: Collected) -> Iterator[dict[str, Any]]:
        domain, task = self.lanes.domain, self.lanes.task
        episodes = collected.episodes
        primer = np.asarray(self.lanes.settings.primers[0], dtype=np.int64)
        for i, n in enumerate(episodes.lengths):
            ids = np.concatenate([primer, episodes.tokens[i, :n]])
            terms = collected.terms[i].tolist()
            yield {
                "text": domain.to_text(ids),
                "step": self.model.num_timesteps,
                "task_return": sum(terms),
                **{f"term_{name}": v for name, v in zip(task.names, terms, strict=True)},
                **task.remarks(ids),
            }


class CountFailures(BaseCallback):
    """``rollout/failures``: sequences that a rule or an oracle has failed on so far.

    Args:
        path: takes the first failure in full, if there is one.
        tasks: of the training.
    """

    def __init__(self, path: Path, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.path, self.tasks = path, tasks

    def _on_step(self) -> bool:
        self.logger.record("rollout/failures", sum(task.failures.count for task in self.tasks))
        return True

    def _on_rollout_end(self) -> None:
        first = [task.failures.first for task in self.tasks if task.failures.first]
        if first and not self.path.exists():
            write_text(self.path, f"{first[0]}\n")


class ProgressLines(BaseCallback):
    """A line now and then, for a log that is no terminal.

    After a twentieth of the training or a minute, but at least 10 seconds after the last one.

    Args:
        say: takes the line.
        total: steps of the training.
    """

    def __init__(self, say: Callable[[str], object], total: int) -> None:
        super().__init__()
        self.say, self.total = say, total

    def _on_training_start(self) -> None:
        self._first = self._steps = self.model.num_timesteps
        self._began = self._last = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        steps, now = self.model.num_timesteps, time.monotonic()
        waited = now - self._last
        if waited < 10 or (steps - self._steps < self.total / 20 and waited < 60):
            return
        self._steps, self._last = steps, now
        rate = (steps - self._first) / (now - self._began)
        left = max(self.total - steps, 0) / rate
        share = min(steps / self.total, 1.0)  # the last round is whole
        self.say(
            f"{steps:,} of {self.total:,} steps ({share:.0%}), {rate:,.0f} a second, "
            f"{left / 60:.1f} minutes to go"
        )


class CheckpointEvery(BaseCallback):
    """Writes the whole state between rounds: all that an exact resume needs.

    Args:
        save: writes it, atomically.
        seconds: at most so often.
        rounds: after so many rounds, whatever the time; None leaves it to ``seconds``.
        asked: whether to write it now, whatever the time.
    """

    def __init__(
        self,
        save: Callable[[], object],
        seconds: float = 60.0,
        rounds: int | None = None,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.save, self.seconds, self.rounds, self.asked = save, seconds, rounds, asked
        self._last, self._since = time.monotonic(), 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._since += 1
        many = self.rounds is not None and self._since >= self.rounds
        if many or self.asked() or time.monotonic() - self._last >= self.seconds:
            self.save()
            self._last, self._since = time.monotonic(), 0
