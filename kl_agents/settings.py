"""The settings of the learners: one frozen dataclass each.

Its fields are the keyword arguments of the learner, the keys of YAML files and of ``--set``, and
what ``save`` writes. Kinds and ranges are checked once, here, off the annotations: a number, a
whole number, a truth value or a text as annotated, a schedule where :data:`ScheduleSpec` stands,
within the limits that ``Annotated`` adds. So a learner of your own needs no more than

    @dataclass(frozen=True, kw_only=True)
    class MySettings(SequenceSettings):
        \"\"\"What my learner needs besides.

        Args:
            beta: a line on it, for the learner's own docstring.
        \"\"\"

        beta: Annotated[float, Within(0, 1)] = 0.5
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, get_type_hints

from kl_agents.checking import OneOf, Within, checked
from kl_agents.collection import EXPLORERS
from kl_agents.replay import SAMPLING
from kl_agents.schedules import Schedule, ScheduleSpec
from seqgen_envs.spelling import did_you_mean

#: A greedy policy repeats itself, so it needs exploring: fully at first, little from half-way on.
FALLING_EPSILON = Schedule(1.0, 0.05, fraction=0.5)


Share = Annotated[float, Within(0, 1)]
Count = Annotated[int, Within(1)]
Rate = Annotated[ScheduleSpec, Within(0)]


@dataclass(frozen=True, kw_only=True)
class SequenceSettings:
    """What every learner has.

    Args:
        learning_rate: a number or a schedule (:mod:`kl_agents.schedules`).
        c: temperature of the task reward, a number or a schedule; None is the environment's,
            throughout. Where returns are hundreds of nats, start high (the melody settings fall
            from 10): at a small c a run soon locks onto the first good sequence it finds.
        discount: gamma, in [0, 1].
        batch_episodes: episodes an update.
        replay_ratio: transitions trained on for each one collected.
        episodes_per_round: episodes collected between trainings; None: one a lane.
        replay_capacity: episodes kept.
        replay_sampling: ``"uniform"``, ``"rank"`` (by task return) or ``"latest"`` (the last round,
            whole).
        replay_unique: keep equal sequences once.
        augment: share of the replayed episodes that an update reads in another spelling, in
            domains that have several (:mod:`kl_agents.augmentation`).
        explore: what behaviour is mixed with: ``"policy"`` (nothing), ``"prior"`` or
            ``"uniform"``, token by token; or ``"genetic"``, whole sequences: children of
            replayed ones (:mod:`kl_agents.breeding`), for learners that hold off policy.
        epsilon: its share, a number or a schedule: behaviour is (1 - epsilon) pi + epsilon e.
        novelty: share of a round's sequences that should be new to the replay. Where fewer are, the
            temperature that pi is drawn from at rises by a tenth a round, to at most 2; where more
            are, it falls back to 1. 0: it is 1 throughout.
        max_grad_norm: gradients are scaled down to this norm.

    Raises:
        ValueError: a value is of the wrong kind or out of its range.
    """

    learning_rate: Rate = 2e-3
    c: Annotated[ScheduleSpec | None, Within(0, above=True)] = None
    discount: Share = 1.0
    batch_episodes: Count = 32
    replay_ratio: Annotated[float, Within(0)] = 4.0
    episodes_per_round: Annotated[int | None, Within(1)] = None
    replay_capacity: Count = 10_000
    replay_sampling: Annotated[str, OneOf(SAMPLING)] = "uniform"
    replay_unique: bool = True
    augment: Share = 0.0
    explore: Annotated[str, OneOf(EXPLORERS)] = "policy"
    epsilon: Annotated[ScheduleSpec, Within(0, 1)] = 0.0
    novelty: Share = 0.0
    max_grad_norm: Annotated[float, Within(0)] = 10.0

    def __post_init__(self) -> None:
        """Check every field; schedules become mappings of all their entries, JSON-able."""
        hints = get_type_hints(type(self), include_extras=True)
        for f in fields(self):
            value = checked(f.name, getattr(self, f.name), hints[f.name])
            object.__setattr__(self, f.name, value)
        if self.novelty and not self.replay_unique:
            raise ValueError("novelty needs replay_unique: what is new is what the replay lacks")


@dataclass(frozen=True, kw_only=True)
class ValueSettings(SequenceSettings):
    """What learners of values have besides.

    Args:
        tau: the target network moves this share of the way after every update (Polyak; the paper
            has 0.01).
        huber_delta: errors beyond this, in reward units, count linearly.
    """

    tau: Share = 0.05
    huber_delta: Annotated[float, Within(0, above=True)] = 10.0


@dataclass(frozen=True, kw_only=True)
class SoftValueSettings(ValueSettings):
    """Of Psi and G learning.

    Args:
        lambda_: 0 is the paper's one-step target, 1 whole trajectories.
        dueling: V(s) and log pi(a|s) are learned apart: an error in V then does not touch the
            policy (Wang et al. 2016; the loss is that of path consistency, Nachum et al. 2017).
    """

    lambda_: Share = 0.9
    dueling: bool = False


@dataclass(frozen=True, kw_only=True)
class QSettings(ValueSettings):
    """Of Q learning: episodes are the prior's at first and, from half of the training on, greedy.

    Args:
        n_step: steps of the target; above 1 it is biased off policy (there is no identity that
            corrects a max).
        double: the online network picks the action that the target network values.
    """

    n_step: Count = 1
    double: bool = False
    explore: Annotated[str, OneOf(EXPLORERS)] = "prior"
    epsilon: Annotated[ScheduleSpec, Within(0, 1)] = FALLING_EPSILON


@dataclass(frozen=True, kw_only=True)
class RLOnlySettings(QSettings):
    """Of Q learning with no prior in the reward: nothing holds it near the data."""

    explore: Annotated[str, OneOf(EXPLORERS)] = "uniform"


@dataclass(frozen=True, kw_only=True)
class ReinventSettings(SequenceSettings):
    """Of REINVENT: by default the replay is short and keeps sequences as often as drawn.

    Args:
        sigma: weight of the task return; None is 1/c and follows it.
        delta: residuals beyond this many nats count linearly, which keeps returns of hundreds of
            nats from blowing the weights up.
    """

    learning_rate: Rate = 5e-4
    replay_capacity: Count = 256
    replay_unique: bool = False
    sigma: Annotated[float | None, Within(0)] = None
    delta: Annotated[float, Within(0, above=True)] = 20.0


@dataclass(frozen=True, kw_only=True)
class ReinventPMOSettings(SequenceSettings):
    """Of REINVENT as a published benchmark ran it: one update a round, no clipping of gradients.

    Args:
        sigma: weight of the task return; c plays no part.
        memory: distinct sequences that are kept, those of the highest task return.
        replayed: of them, drawn for each update beside the round.
        likelihood_penalty: weight of the mean of -1 / log q, which holds sequences off certainty.
    """

    learning_rate: Rate = 5e-4
    replay_ratio: Annotated[float, Within(0)] = 1.0
    episodes_per_round: Annotated[int | None, Within(1)] = 64
    max_grad_norm: Annotated[float, Within(0)] = 1e9
    sigma: Annotated[float, Within(0)] = 500.0
    memory: Count = 100
    replayed: Annotated[int, Within(0)] = 24
    likelihood_penalty: Annotated[float, Within(0)] = 5e3


@dataclass(frozen=True, kw_only=True)
class TrajectoryBalanceSettings(SequenceSettings):
    """Of trajectory balance.

    Args:
        log_z: ``"learned"`` (the network's V(s_0)) or ``"batch"`` (the batch mean of what remains,
            which is VarGrad).
        huber_delta: residuals beyond this, in reward units, count linearly.
    """

    log_z: Annotated[str, OneOf(("learned", "batch"))] = "learned"
    huber_delta: Annotated[float, Within(0, above=True)] = 10.0


@dataclass(frozen=True, kw_only=True)
class PolicyGradientSettings(SequenceSettings):
    """Of policy gradients: one update a round, on that round.

    Args:
        advantage: ``"leave-one-out"`` (less the mean of the others) or ``"group"`` (less the mean,
            over the standard deviation).
        kl: where the KL to the prior stands, in the ``"reward"`` or in the ``"loss"``.
        estimator: of that KL. With d = log p - log q: ``"k1"`` -d, ``"k2"`` d^2 / 2, ``"k3"``
            exp(d) - 1 - d.
        beta: weight of the KL.
        level: what ratios, and estimators in the loss, are of: whole a ``"sequence"``, or each
            ``"token"``, whose mean over its sequence counts.
        clip: a ratio of the policy to the behaviour beyond 1 +- this earns nothing more.
    """

    replay_ratio: Annotated[float, Within(0)] = 1.0
    replay_sampling: Annotated[str, OneOf(SAMPLING)] = "latest"
    replay_unique: bool = False
    advantage: Annotated[str, OneOf(("leave-one-out", "group"))] = "leave-one-out"
    kl: Annotated[str, OneOf(("reward", "loss"))] = "reward"
    estimator: Annotated[str, OneOf(("k1", "k2", "k3"))] = "k1"
    beta: Annotated[float, Within(0)] = 1.0
    level: Annotated[str, OneOf(("sequence", "token"))] = "sequence"
    clip: Annotated[float, Within(0, above=True)] = 0.2


@dataclass(frozen=True, kw_only=True)
class GRPOSettings(PolicyGradientSettings):
    """Of policy gradients as GRPO has them."""

    advantage: Annotated[str, OneOf(("leave-one-out", "group"))] = "group"
    kl: Annotated[str, OneOf(("reward", "loss"))] = "loss"
    estimator: Annotated[str, OneOf(("k1", "k2", "k3"))] = "k3"
    beta: Annotated[float, Within(0)] = 0.04
    level: Annotated[str, OneOf(("sequence", "token"))] = "token"


@dataclass(frozen=True, kw_only=True)
class PriorSettings(SequenceSettings):
    """Of the prior as an agent: nothing is learned."""

    learning_rate: Rate = 0.0
    replay_ratio: Annotated[float, Within(0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class BestOfNSettings(PriorSettings):
    """Of the best of n sequences of the prior.

    Args:
        candidates: n, sequences that are drawn for each that is kept.
        soft: keep one with probability by exp(R/c) instead of the best.
    """

    candidates: Count = 16
    soft: bool = False


_ARGUMENTS = """Args:
    policy: ``"SequencePolicy"`` or a subclass of it.
    env: an id, a native vector environment, an SB3 ``VecEnv`` or a single environment, with
        ``observation="dict"``.
{settings}
    n_envs: lanes, where ``env`` is an id.
    compile: run the network through ``torch.compile``.
    policy_kwargs: see :class:`~kl_agents.policy.SequencePolicy` (``init``, ``scale``,
        ``initial_value``, ``architecture``, ``adam``).
    stats_window_size, tensorboard_log, verbose, seed, device: as in Stable-Baselines3.

Raises:
    TypeError: there is no argument of that name.
    ValueError: an argument is of the wrong kind or out of its range, or the environment's spaces
        do not fit."""

Settings = TypeVar("Settings", bound=SequenceSettings)


def make_settings(
    kind: type[Settings], values: Mapping[str, Any], owner: str, also: Iterable[str] = ()
) -> Settings:
    """Settings of these values; ``owner`` is the learner's name, ``also`` its other arguments.

    Raises:
        TypeError: there is no setting of that name; the message has the nearest.
        ValueError: a value is of the wrong kind or out of its range.
    """
    known = [f.name for f in fields(kind)]
    for name in values:
        if name not in known:
            raise TypeError(
                f"{owner} has no argument {name!r}{did_you_mean(name, [*known, *also])}"
            )
    return kind(**values)


def arguments_of(kind: type[SequenceSettings]) -> dict[str, str]:
    """What the docstrings say of each setting, those of the bases included: name to lines."""
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(vars(base).get("__doc__") or "")
        section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", text, re.MULTILINE)
        for entry in re.split(r"\n(?=    \w)", section[1].rstrip() if section else ""):
            name, colon, _ = entry.strip().partition(":")
            if colon:
                described[name] = entry.strip("\n")
    return {f.name: described.get(f.name, f"    {f.name}: see its class.") for f in fields(kind)}


def documented(text: str, kind: type[SequenceSettings]) -> str:
    """A learner's docstring, completed by its arguments: those of its settings among them."""
    described = arguments_of(kind)
    settings = "\n".join(f"{described[f.name]} Default: {f.default}." for f in fields(kind))
    return f"{inspect.cleandoc(text)}\n\n{_ARGUMENTS.format(settings=settings)}".lstrip()
