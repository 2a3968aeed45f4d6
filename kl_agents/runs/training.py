"""A training in a folder, which can be killed at any moment and goes on exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.callbacks import (
    CheckpointEvery,
    CountFailures,
    KLEvalCallback,
    ProgressLines,
    RecordSequences,
    StopWhenSpent,
)
from kl_agents.collectors import CollectorSettings, check_fits, collecting
from kl_agents.registry import get_algorithm
from kl_agents.registry import load as load_file
from kl_agents.runs import folder as files
from kl_agents.runs.environment import make_env, make_lanes
from kl_agents.runs.loading import take_seeds, take_weights
from kl_agents.runs.lock import locked
from kl_agents.runs.signals import Stopped, StopSignals
from kl_agents.runs.spec import RunSpec, check_same
from kl_agents.writers import ProgressCsv, SequencesCsv, TensorBoard
from seqgen_envs.cluster import connect
from seqgen_envs.interrupts import Interrupted
from seqgen_envs.lanes import Lanes
from seqgen_envs.loading import trusting
from seqgen_envs.reporting.console import warn
from seqgen_envs.reporting.files import remove_leftovers
from seqgen_envs.rules import Task


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out: nothing here changes its parameters.

    Args:
        device: of PyTorch.
        address: of the Ray cluster that collectors run on; see
            :func:`~seqgen_envs.cluster.connect`.
        checkpoint_seconds, checkpoint_rounds: see :class:`~kl_agents.callbacks.CheckpointEvery`.
        keep_checkpoint: leave the last one when the run has finished, so that it can be lengthened.
        eval_every: steps between evaluations; None: ``evaluations`` says.
        evaluations: how many, at equal distances, where ``eval_every`` is None; there are none
            where a task has a budget, of which evaluations take no account.
        eval_episodes, media: see :class:`~kl_agents.callbacks.KLEvalCallback`.
        tensorboard: write event files.
        progress_bar: show one.
        say: takes a line about the progress now and then; None: nobody does.
        command: what to keep in ``config.json``.
        callbacks: further ones.
    """

    device: str = "cpu"
    address: str | None = None
    checkpoint_seconds: float = 60.0
    checkpoint_rounds: int | None = None
    keep_checkpoint: bool = True
    eval_every: int | None = None
    evaluations: int = 0
    eval_episodes: int = 256
    media: int = 3
    tensorboard: bool = True
    progress_bar: bool = False
    say: Callable[[str], object] | None = None
    command: str = ""
    callbacks: Sequence[BaseCallback] = ()


def start_run(folder: Path, spec: RunSpec, options: RunOptions | None = None) -> SequenceAlgorithm:
    """Train anew in ``folder``.

    Raises:
        FolderInUse: another process trains there (a ValueError, as the next).
        ValueError: it holds a run already, or a setting is out of its range.
        Stopped: SIGINT or SIGTERM came; a checkpoint is written.
    """
    options = options or RunOptions()
    if folder.exists():
        with locked(folder):
            _check_empty(folder)
    model = new_model(spec, options.device)  # what is wrong with the settings is said before
    assert model.facts is not None
    _join_cluster(spec, options, model)
    for task in model.facts.tasks:
        task.prepare()
    with locked(folder):
        _check_empty(folder)
        assert model.env is not None
        prior = model.env.get_attr("prior")[0].fingerprint
        files.write_config(folder, spec, prior, options.command)
        if spec.initial is not None:  # from here on the other run is not needed
            files.save(model, folder / files.CHECKPOINT, spec, whole=True)
        return _train(folder, spec, options, model)


def resume_run(
    folder: Path,
    options: RunOptions | None = None,
    spec: RunSpec | None = None,
    steps: int | None = None,
    trust: bool = False,
) -> SequenceAlgorithm:
    """Go on from the checkpoint, from the start if there is none; a finished run is just loaded.

    Args:
        folder: of the run.
        options: how to carry on.
        spec: what the run is expected to be; None takes it as it is.
        steps: lengthens the run to so many in all. What changes with the progress of a training
            (schedules of c, epsilon, the learning rate) is from then on a function of the share of
            the new total: a run that had come to its end goes back to where that share is.
        trust: run the code that the folder's files name, besides what ``spec`` names (see
            :func:`~seqgen_envs.loading.trusting`).

    Raises:
        FileNotFoundError: it holds no run.
        FolderInUse: another process trains there (a ValueError, as the next).
        UntrustedCodeError: its files name code and are not trusted.
        ValueError: the run is another one than ``spec``, ``steps`` would shorten it, or its files
            are damaged, or of another run.
        Stopped: SIGINT or SIGTERM came; a checkpoint is written.
    """
    with trusting(trust, given=None if spec is None else spec.to_dict()):
        return _resume(folder, options or RunOptions(), spec, steps)


def _resume(
    folder: Path, options: RunOptions, spec: RunSpec | None, steps: int | None
) -> SequenceAlgorithm:
    recorded = files.read_spec(folder)
    if spec is not None:
        check_same(recorded, spec, folder)
    with locked(folder):
        remove_leftovers(folder)
        files.check_files(folder)
        longer = steps is not None and steps != recorded.total_timesteps
        if steps is not None and longer:
            recorded = _lengthened(folder, recorded, steps)
        elif (folder / files.AGENT).exists():
            files.check_is_of(folder / files.AGENT, recorded)
            return _load(folder / files.AGENT, recorded, options.device)
        model = _last_state(folder, recorded, options.device)
        _join_cluster(recorded, options, model)
        assert model.facts is not None
        for task in model.facts.tasks:
            task.prepare()
        if longer:  # all that can be missing is there
            files.lengthen(folder, recorded.total_timesteps)
        return _train(folder, recorded, options, model)


def run(folder: Path, spec: RunSpec, options: RunOptions | None = None) -> SequenceAlgorithm:
    """Start or resume, whichever is due.

    Raises:
        ValueError: the folder holds another run than ``spec``, or another process trains there.
    """
    if (folder / files.CONFIG).exists():
        return resume_run(folder, options, spec)
    return start_run(folder, spec, options)


def _check_empty(folder: Path) -> None:
    if (folder / files.CONFIG).exists():
        raise ValueError(
            f"{folder} already holds a run: add --resume to go on with it, or give another folder"
        )


def _lengthened(folder: Path, spec: RunSpec, steps: int) -> RunSpec:
    """The run with more steps; nothing is written yet."""
    if steps < spec.total_timesteps:
        raise ValueError(
            f"{folder} is a run of {spec.total_timesteps:,} steps: --steps lengthens it to more "
            f"than that, got {steps:,}"
        )
    if (folder / files.AGENT).exists() and not (folder / files.CHECKPOINT).exists():
        raise ValueError(
            f"{folder} cannot be lengthened: its last checkpoint was not kept; train another run "
            f"with --initial {folder}"
        )
    return replace(spec, total_timesteps=steps)


def _load(path: Path, spec: RunSpec, device: str) -> SequenceAlgorithm:
    return load_file(path, make_env(spec), spec.algorithm, device=device)


def _last_state(folder: Path, spec: RunSpec, device: str) -> SequenceAlgorithm:
    checkpoint = folder / files.CHECKPOINT
    if not checkpoint.exists():
        return new_model(spec, device)
    files.check_is_of(checkpoint, spec)
    model = _load(checkpoint, spec, device)
    files.restore_state(model, checkpoint)
    return model


def new_model(spec: RunSpec, device: str) -> SequenceAlgorithm:
    """The agent of a run before its training, in an environment of its own.

    Raises:
        ValueError: a setting is out of its range, or cannot be written down.
    """
    spec.to_dict()  # what cannot be written down is said now
    model = get_algorithm(spec.algorithm)(
        "SequencePolicy", make_env(spec), seed=spec.seed, device=device, **spec.arguments
    )
    model.environment = {"id": spec.env_id, "kwargs": dict(spec.env_kwargs)}
    if spec.initial is not None:
        take_weights(model, Path(spec.initial["path"]), spec.initial["sha256"])
    if spec.seeds is not None:
        take_seeds(model, Path(spec.seeds["path"]), spec.seeds["sha256"])
    return model


def _join_cluster(spec: RunSpec, options: RunOptions, model: SequenceAlgorithm) -> None:
    """Of collectors: before anything is written, and before the signals are minded (Ray minds
    SIGTERM too, from then on).
    """
    if spec.collectors is not None:
        check_fits(model)
        connect(options.address)


def _train(
    folder: Path, spec: RunSpec, options: RunOptions, model: SequenceAlgorithm
) -> SequenceAlgorithm:
    assert model.facts is not None
    done = model.num_timesteps
    outputs: list[KVWriter] = [ProgressCsv(folder / files.PROGRESS, done)]
    if options.tensorboard:
        outputs.append(TensorBoard(folder / files.TB, done))
    model.set_logger(Logger(str(folder), outputs))
    with StopSignals() as signals:
        checkpoint = _Checkpoint(model, folder / files.CHECKPOINT, spec, signals)
        callbacks = _callbacks(folder, spec, options, model, checkpoint)
        try:
            if not all(task.spent for task in model.facts.tasks):
                _learn(spec, options, model, callbacks)
        except Interrupted:  # while an oracle was waited for: the agent is between two rounds
            checkpoint()
        finally:
            model.logger.close()
            for task in model.facts.tasks:
                task.close()
        if options.keep_checkpoint:
            files.save(model, folder / files.CHECKPOINT, spec, whole=True)
        files.save(model, folder / files.AGENT, spec)
    if not options.keep_checkpoint:
        (folder / files.CHECKPOINT).unlink(missing_ok=True)
    return model


def _learn(
    spec: RunSpec, options: RunOptions, model: SequenceAlgorithm, callbacks: list[BaseCallback]
) -> None:
    """The steps that are still to come."""
    done = model.num_timesteps
    settings = None if spec.collectors is None else CollectorSettings.of(spec.collectors)
    with collecting(model, settings, options.address):
        model.learn(
            spec.total_timesteps - done,
            callback=callbacks,
            reset_num_timesteps=done == 0,
            progress_bar=options.progress_bar,
        )


@dataclass(frozen=True)
class _Checkpoint:
    """Writes checkpoints; stops the training after one that a signal asked for."""

    model: SequenceAlgorithm
    path: Path
    spec: RunSpec
    signals: StopSignals

    def __call__(self) -> None:
        if self.model.num_timesteps:  # before, a resumed run just begins
            files.save(self.model, self.path, self.spec, whole=True)
        if self.signals.received is not None:
            raise Stopped(self.signals.received, self.model.num_timesteps)

    def asked(self) -> bool:
        return self.signals.received is not None


def _callbacks(
    folder: Path,
    spec: RunSpec,
    options: RunOptions,
    model: SequenceAlgorithm,
    checkpoint: _Checkpoint,
) -> list[BaseCallback]:
    """The checkpoint comes last: what the others write is then part of it."""
    assert model.facts is not None
    assert model.env is not None
    failures = CountFailures(folder / files.FAILURES, model.facts.tasks)
    callbacks = [StopWhenSpent(), failures, *options.callbacks]
    lanes: Lanes = model.env.get_attr("lanes")[0]
    if any(term.at == "end" for term in lanes.task.terms):
        table = SequencesCsv(folder / f"{lanes.domain.plural}.csv", model.num_timesteps)
        callbacks.append(RecordSequences(table, lanes))
    if (every := _eval_every(spec, options, model.facts.tasks)) is not None:
        judged = make_lanes(spec, min(options.eval_episodes, 256))
        callbacks.append(KLEvalCallback(judged, every, options.eval_episodes, options.media))
    if options.say is not None:
        callbacks.append(ProgressLines(options.say, spec.total_timesteps))
    seconds, rounds = options.checkpoint_seconds, options.checkpoint_rounds
    return [*callbacks, CheckpointEvery(checkpoint, seconds, rounds, checkpoint.asked)]


def _eval_every(spec: RunSpec, options: RunOptions, tasks: Sequence[Task]) -> int | None:
    """Steps between evaluations; None for none. Says where they call an oracle with a budget."""
    budget = next((task.budget for task in tasks if task.budget is not None), None)
    if options.eval_every is None:
        if budget is not None or not options.evaluations:
            return None
        return max(spec.total_timesteps // options.evaluations, 1)
    if budget is not None:
        warn(
            f"evaluations every {options.eval_every:,} steps call the oracle beyond the task's "
            f"budget of {budget:,} calls: leave --eval-every out to keep to it"
        )
    return options.eval_every
