"""A training in a folder, which can be killed at any moment and goes on exactly.

- ``config.json``: what was asked for, and by which command, versions and machine;
- ``checkpoint.zip``: the whole state after some round; gone when the run has finished;
- ``agent.zip``: the finished agent;
- ``progress.csv`` and ``tb/`` (TensorBoard): the figures of the rounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

import seqgen_envs  # noqa: F401  (registers the environments)
from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.callbacks import (
    CheckpointEvery,
    KLEvalCallback,
    ProgressCsv,
    StopWhenSpent,
    TensorBoard,
)
from kl_agents.hyperparameters import Hyperparams
from kl_agents.registry import get_algorithm, load
from kl_agents.saving import check_bound, differences
from seqgen_envs.evaluation import Evaluation, evaluate_policy_network
from seqgen_envs.lanes import Lanes
from seqgen_envs.reporting.files import remove_leftovers, write_json
from seqgen_envs.reporting.machine import machine, now
from seqgen_envs.vector_env import SequenceVectorEnv

FORMAT = 1
CONFIG, CHECKPOINT, AGENT = "config.json", "checkpoint.zip", "agent.zip"
PROGRESS, TB, EVALUATION = "progress.csv", "tb", "evaluation.json"


@dataclass(frozen=True)
class RunSpec:
    """What a run is: two runs of equal specs end with equal parameters.

    Args:
        algorithm: a name of :data:`~kl_agents.registry.ALGORITHMS`.
        env_id: a Gymnasium id with a native vector environment.
        total_timesteps: environment steps; a round is always finished.
        seed: of everything.
        n_envs: lanes.
        env_kwargs: arguments of the environment.
        arguments: constructor arguments of the algorithm.
    """

    algorithm: str
    env_id: str
    total_timesteps: int
    seed: int = 0
    n_envs: int = 128
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, hyperparams: Hyperparams, env_id: str, seed: int) -> RunSpec:
        """The run of merged hyper-parameters."""
        return cls(
            hyperparams.algorithm,
            env_id,
            hyperparams.n_timesteps,
            seed,
            hyperparams.n_envs,
            hyperparams.env_kwargs,
            hyperparams.arguments,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out: nothing here changes its parameters.

    Args:
        device: of PyTorch.
        checkpoint_seconds, checkpoint_rounds: see :class:`~kl_agents.callbacks.CheckpointEvery`.
        eval_every: steps between evaluations; None for none.
        eval_episodes, media: see :class:`~kl_agents.callbacks.KLEvalCallback`.
        tensorboard: write event files.
        progress_bar: show one.
        command: what to keep in ``config.json``.
        callbacks: further ones.
    """

    device: str = "cpu"
    checkpoint_seconds: float = 60.0
    checkpoint_rounds: int | None = None
    eval_every: int | None = None
    eval_episodes: int = 256
    media: int = 3
    tensorboard: bool = True
    progress_bar: bool = False
    command: str = ""
    callbacks: Sequence[BaseCallback] = ()


def start_run(folder: Path, spec: RunSpec, options: RunOptions | None = None) -> SequenceAlgorithm:
    """Train anew in ``folder``.

    Raises:
        ValueError: it holds a run already, or a setting is out of its range.
    """
    if (folder / CONFIG).exists():
        raise ValueError(
            f"{folder} already holds a run: add --resume to go on with it, or give another folder"
        )
    options = options or RunOptions()
    model = _new_model(spec, options.device)  # what is wrong with the settings is said before
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, spec, options)
    return _train(folder, spec, options, model)


def resume_run(
    folder: Path, options: RunOptions | None = None, spec: RunSpec | None = None
) -> SequenceAlgorithm:
    """Go on from the checkpoint, from the start if there is none; a finished run is just loaded.

    Args:
        folder: of the run.
        options: how to carry on.
        spec: what the run is expected to be; None takes it as it is.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: the run is another one than ``spec``, or its files are damaged.
    """
    options = options or RunOptions()
    recorded = read_spec(folder)
    if spec is not None:
        check_same(recorded, spec, folder)
    remove_leftovers(folder)
    env = make_env(recorded)
    if (folder / AGENT).exists():
        return load(folder / AGENT, env, recorded.algorithm, device=options.device)
    if (folder / CHECKPOINT).exists():
        model = load(folder / CHECKPOINT, env, recorded.algorithm, device=options.device)
        check_bound(model, recorded.seed, recorded.arguments)
    else:
        model = _new_model(recorded, options.device)
    return _train(folder, recorded, options, model)


def run(folder: Path, spec: RunSpec, options: RunOptions | None = None) -> SequenceAlgorithm:
    """Start or resume, whichever is due.

    Raises:
        ValueError: the folder holds another run than ``spec``.
    """
    if (folder / CONFIG).exists():
        return resume_run(folder, options, spec)
    return start_run(folder, spec, options)


def load_run(folder: Path, device: str = "cpu") -> tuple[SequenceAlgorithm, RunSpec]:
    """The agent of a run, finished or as last checkpointed, to act (not to train), and its spec.

    Raises:
        FileNotFoundError: there is no run, or none that has got so far.
        ValueError: its files are damaged.
    """
    spec = read_spec(folder)
    return load(agent_file(folder), algorithm=spec.algorithm, device=device), spec


def agent_file(folder: Path) -> Path:
    """``agent.zip``, or ``checkpoint.zip`` of a run that has not finished.

    Raises:
        FileNotFoundError: there is neither.
    """
    for name in (AGENT, CHECKPOINT):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} holds no agent yet: neither {AGENT} nor {CHECKPOINT}")


def read_spec(folder: Path) -> RunSpec:
    """What ``folder`` is the run of.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: its ``config.json`` is not one.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {path}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return RunSpec(**config["run"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a run's: {error}") from error


def check_same(recorded: RunSpec, asked: RunSpec, folder: Path) -> None:
    """Raise a ValueError that names what differs between a run and what was asked for."""
    different = differences(recorded.to_dict(), asked.to_dict())
    if different:
        raise ValueError(
            f"{folder} holds another run ({'; '.join(different)}): give the same settings to go "
            "on with it, or another folder"
        )


def make_env(spec: RunSpec) -> SequenceVectorEnv:
    """The training's environment.

    Raises:
        ValueError: there is no such environment, or an argument is out of its range.
    """
    try:
        env = gym.make_vec(
            spec.env_id,
            num_envs=spec.n_envs,
            autoreset_mode=AutoresetMode.SAME_STEP.value,
            **spec.env_kwargs,
        )
    except gym.error.UnregisteredEnv as error:
        raise ValueError(f"{error}; `seqgen envs` lists those there are") from error
    except (TypeError, gym.error.Error) as error:
        raise ValueError(
            f"{spec.env_id} cannot be made as a vector environment of sequences with "
            f"{dict(spec.env_kwargs)}: {error}"
        ) from error
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, SequenceVectorEnv):
        raise ValueError(f"{spec.env_id} is not an environment of sequences (`seqgen envs`)")
    return unwrapped


def evaluate_agent(
    model: SequenceAlgorithm,
    spec: RunSpec,
    episodes: int,
    seed: int,
    num_envs: int = 512,
    c: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """A run's agent in its environment.

    Args:
        model: the agent.
        spec: its run.
        episodes, seed, progress: see :func:`~seqgen_envs.evaluation.evaluate`.
        num_envs: lanes.
        c: temperature it acts at; None is that of the end of its training.

    Raises:
        ValueError: ``c`` is not above 0.
    """
    if c is not None and not c > 0:
        raise ValueError(f"c must be above 0, got {c}")
    model.policy.c = float(model.c_schedule(0.0) if c is None else c)
    lanes = make_lanes(spec, min(num_envs, episodes))
    result = evaluate_policy_network(
        model.policy, lanes, episodes, seed, discount=model.settings.discount, progress=progress
    )
    if not model.estimates_objective:
        result.start_value = None  # preferences, or values of another objective
    return result


def make_lanes(spec: RunSpec, n: int) -> Lanes:
    """Lanes of the same environment, to evaluate in; a budget is the training's alone."""
    one = single_lane(spec)
    return Lanes(n, replace(one.settings, task=one.task.for_evaluation()))


def single_lane(spec: RunSpec) -> Lanes:
    """The engine of the environment with one lane, which knows its settings, domain and task."""
    lanes: Lanes = make_env(RunSpec(**{**vars(spec), "n_envs": 1})).lanes
    return lanes


def _new_model(spec: RunSpec, device: str) -> SequenceAlgorithm:
    model = get_algorithm(spec.algorithm)(
        "SequencePolicy", make_env(spec), seed=spec.seed, device=device, **spec.arguments
    )
    model.environment = {"id": spec.env_id, "kwargs": dict(spec.env_kwargs)}
    return model


def _train(
    folder: Path, spec: RunSpec, options: RunOptions, model: SequenceAlgorithm
) -> SequenceAlgorithm:
    done = model.num_timesteps
    outputs: list[KVWriter] = [ProgressCsv(folder / PROGRESS, done)]
    if options.tensorboard:
        outputs.append(TensorBoard(folder / TB, done))
    model.set_logger(Logger(str(folder), outputs))
    model.learn(
        spec.total_timesteps - done,
        callback=_callbacks(folder, spec, options),
        reset_num_timesteps=done == 0,
        progress_bar=options.progress_bar,
    )
    model.logger.close()
    model.save(folder / AGENT)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return model


def _callbacks(folder: Path, spec: RunSpec, options: RunOptions) -> list[BaseCallback]:
    """The checkpoint comes last: what the others write is then part of it."""
    callbacks = [StopWhenSpent(), *options.callbacks]
    if options.eval_every is not None:
        lanes = make_lanes(spec, min(options.eval_episodes, 256))
        callbacks.append(
            KLEvalCallback(lanes, options.eval_every, options.eval_episodes, options.media)
        )
    checkpoint = CheckpointEvery(
        folder / CHECKPOINT, options.checkpoint_seconds, options.checkpoint_rounds
    )
    return [*callbacks, checkpoint]


def _write_config(folder: Path, spec: RunSpec, options: RunOptions) -> None:
    config = {
        "format": FORMAT,
        "run": spec.to_dict(),
        "command": options.command,
        "date": now(),
        "machine": machine(),
    }
    write_json(folder / CONFIG, config)
