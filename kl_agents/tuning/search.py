"""From trial to trial: ask Optuna, train, prune, tell; then judge the finalists on fresh seeds.

The study is a file (or a database) that several processes and machines may share. A trial whose
process was killed is tried again with the same settings. The settings shipped take part among the
finalists, so that what is written in the end is never worse than they are, as far as fresh seeds
can tell.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.space import Range
from kl_agents.tuning.workers import DONE, FAILED, LOOK, LOST, PRUNED, Workers
from seqgen_envs.extras import require

#: The journal of a study that is kept in a folder.
JOURNAL = "study.log"
RECIPE, OWNER, ERROR, TRIES = "recipe", "owner", "error", "tries"
#: Seconds after which a trial on another machine that told nothing is taken for dead.
STALE = 3600.0
#: How often a trial is begun whose machine or process disappears.
MOST_TRIES = 3
#: Trials of which none succeeds, after which the search ends.
HOPELESS = 5
#: What the shipped settings are called among the finalists.
SHIPPED = "shipped"
STARTUP_TRIALS = 10

Say = Callable[[str], object]


def open_study(
    out: Path, name: str, storage: str | None, seed: int, prune: bool, looks: int
) -> Any:
    """The study, made where it is missing.

    Args:
        out: folder of the journal, where ``storage`` is None.
        name: of the study in its storage.
        storage: a database's URL, such as ``sqlite:///FILE``.
        seed: of the sampler.
        prune: whether trials worse than the median at the same look are stopped.
        looks: of a trial, the first third of which prunes nothing.

    Raises:
        ImportError: the extra ``tune`` is not installed.
        ValueError: the storage cannot be opened.
    """
    optuna = require("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        kept = storage or _journal(out / JOURNAL)
        summaries = optuna.get_all_study_summaries(kept)
        before = sum(known.n_trials for known in summaries if known.study_name == name)
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(looks // 3, 1))
            if prune
            else optuna.pruners.NopPruner()
        )
        sampler = optuna.samplers.TPESampler(
            # another stream than before, or a resumed search draws its first settings again
            seed=seed + before,
            n_startup_trials=STARTUP_TRIALS,
        )
        return optuna.create_study(
            storage=kept,
            study_name=name,
            sampler=sampler,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
    except (ImportError, OSError):
        raise
    except Exception as error:  # each kind of storage has errors of its own
        if storage is None:
            raise
        raise ValueError(f"--storage {storage} cannot be opened: {error}") from error


def _journal(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    storages = require("optuna.storages", "tune")
    backend = require("optuna.storages.journal", "tune").JournalFileBackend(str(path))
    return storages.JournalStorage(backend)


def _state(name: str) -> Any:
    return getattr(require("optuna", "tune").trial.TrialState, name)


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "seen": time.time()}


@dataclass
class Search:
    """One process's part in a study.

    Args:
        study: Optuna's.
        recipe, space: what is tuned.
        workers: where trials run.
        jobs: trials at a time.
        say: told of each trial that is over.
    """

    study: Any
    recipe: Recipe
    space: Mapping[str, Range]
    workers: Workers
    jobs: int
    say: Say
    _trials: dict[int, Any] = field(default_factory=dict)

    def check_recipe(self) -> None:
        """Write down what is tuned; refuse a study of something else.

        Raises:
            ValueError: it is of other settings.
        """
        own = self.recipe.to_dict(self.space)
        known = self.study.user_attrs.get(RECIPE)
        if known is None:
            self.study.set_user_attr(RECIPE, own)
        elif known != own:
            other = [name for name in own if known.get(name) != own[name]]
            raise ValueError(
                f"the study {self.study.study_name!r} has another {', '.join(other)}: give the "
                "same command to go on with it, or another folder (or study) for another search"
            )

    def run(self, trials: int) -> None:
        """Go on until the study has that many trials that are over.

        Raises:
            ValueError: the first trials all failed; the message has the last reason.
        """
        self._try_again()
        while True:
            while len(self.workers) < self.jobs and self._wanted(trials):
                self._begin()
            if not len(self.workers):
                break
            for number, message in self.workers.messages():
                self._take(number, message)

    def _states(self, *names: str) -> list[Any]:
        wanted = tuple(map(_state, names))
        found: list[Any] = self.study.get_trials(deepcopy=False, states=wanted)
        return found

    def _wanted(self, trials: int) -> bool:
        """Whether another one is to begin; those that others have begun count."""
        if len(self._states("WAITING")):
            return True
        failed = [trial for trial in self._states("FAIL") if ERROR in trial.user_attrs]
        return len(self._states("COMPLETE", "PRUNED", "RUNNING")) + len(failed) < trials

    def _try_again(self) -> None:
        """Ask for the settings again of trials whose process is gone."""
        for trial in self._states("RUNNING"):
            if _is_gone(trial.user_attrs.get(OWNER)):
                self._lose(trial, "its process is gone")

    def _lose(self, trial: Any, why: str) -> None:
        tries = int(trial.user_attrs.get(TRIES, 1))
        self._trials.pop(trial.number, None)
        with suppress(ValueError):  # another process has just told the same
            self._fail(trial.number, why)
        if tries < MOST_TRIES:
            self.study.enqueue_trial(trial.params, user_attrs={TRIES: tries + 1})

    def _fail(self, number: int, why: str) -> None:
        self.study.tell(number, state=_state("FAIL"))
        self.say(f"trial {number} failed: {why.strip().splitlines()[-1] if why.strip() else why}")

    def _begin(self) -> None:
        trial = self.study.ask()
        trial.set_user_attr(OWNER, _owner())
        drawn = {name: entry.draw(trial, name) for name, entry in self.space.items()}
        self._trials[trial.number] = trial
        self.workers.start(trial.number, self.recipe.work(self.space, drawn))

    def _take(self, number: int, message: tuple[Any, ...]) -> None:
        kind, trial = message[0], self._trials[number]
        if kind == LOOK:
            trial.report(message[2], message[1])
            trial.set_user_attr(OWNER, _owner())
            self.workers.answer(number, not trial.should_prune())
        elif kind == DONE:
            del self._trials[number]
            self.study.tell(number, message[1])
            self.say(f"trial {number}: {message[1]:.4g}")
        elif kind == PRUNED:
            del self._trials[number]
            last = self.study.trials[number].last_step
            self.study.tell(number, state=_state("PRUNED"))
            self.say(f"trial {number}: pruned at look {last}")
        elif kind == LOST:
            self._lose(self.study.trials[number], message[1])
        else:
            self._trials.pop(number).set_user_attr(ERROR, message[1])
            self._fail(number, message[1])
            self._give_up(message[1])

    def _give_up(self, why: str) -> None:
        if len(self._states("FAIL")) >= HOPELESS and not self._states("COMPLETE", "PRUNED"):
            raise ValueError(f"the first {HOPELESS} trials all failed, the last one so: {why}")

    def best(self, number: int) -> list[int]:
        """Numbers of the best trials, best first."""
        done = sorted(self._states("COMPLETE"), key=lambda trial: -trial.value)
        return [trial.number for trial in done[:number]]

    def confirm(self, finalists: int, seeds: int) -> dict[str, list[float]]:
        """The finalists and the shipped settings with fresh seeds; what is known is not done again.

        Returns:
            worths by seed, of trials by their number and of :data:`SHIPPED`.

        Raises:
            ValueError: the shipped settings fail.
        """
        names = [SHIPPED, *map(str, self.best(finalists))]
        waiting = [
            (name, seed)
            for seed in range(seeds)
            for name in names
            if _place(name, seed) not in self.study.user_attrs
        ]
        while waiting or len(self.workers):
            while waiting and len(self.workers) < self.jobs:
                name, seed = waiting.pop(0)
                self.workers.start(
                    (name, seed), self.recipe.work(self.space, self.drawn(name), fresh=seed)
                )
            for (name, seed), message in self.workers.messages():
                if message[0] == LOOK:
                    self.workers.answer((name, seed), True)
                elif message[0] == DONE:
                    self.study.set_user_attr(_place(name, seed), message[1])
                    self.say(f"{_title(name)}, fresh seed {seed}: {message[1]:.4g}")
                elif message[0] == LOST:
                    waiting.append((name, seed))
                else:
                    self._not_confirmed(name, seed, message)
        known = self.study.user_attrs
        return {name: [known[_place(name, seed)] for seed in range(seeds)] for name in names}

    def _not_confirmed(self, name: str, seed: int, message: tuple[Any, ...]) -> None:
        assert message[0] == FAILED
        if name == SHIPPED:
            raise ValueError(f"the shipped settings failed with fresh seed {seed}: {message[1]}")
        self.study.set_user_attr(_place(name, seed), float("-inf"))
        self.say(f"{_title(name)} failed with fresh seed {seed}: {message[1]}")

    def drawn(self, name: str) -> dict[str, Any] | None:
        """What a finalist has drawn; None: the settings shipped."""
        return None if name == SHIPPED else dict(self.study.trials[int(name)].params)


def winner(confirmed: Mapping[str, list[float]]) -> str:
    """The finalist of the largest mean."""
    return max(confirmed, key=lambda name: statistics.fmean(confirmed[name]))


def _place(name: str, seed: int) -> str:
    return f"confirmed/{name}/{seed}"


def _title(name: str) -> str:
    return "the shipped settings" if name == SHIPPED else f"trial {name}"


def _is_gone(owner: Mapping[str, Any] | None) -> bool:
    """Whether the process that a trial belongs to has ended; this one has just begun."""
    if owner is None:
        return True
    if owner["host"] != socket.gethostname():
        return bool(time.time() - owner["seen"] > STALE)
    if owner["pid"] == os.getpid():
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
