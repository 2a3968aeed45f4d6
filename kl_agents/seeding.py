"""Sequences that a user knows to be good, in the replay before a training begins.

They are played through the training's own lanes, token by token, and recorded as the episodes that
would have made them: log-prior as the environment shows it, the task's rewards, and the tokens that
its mask lets through. So the task scores them as it scores all others: they cost calls of its
budget, and a diversity filter remembers them.

Nobody chose their tokens. ``log_behaviour`` is therefore the prior's log-probability, as for
respelled episodes (see :mod:`kl_agents.augmentation`): the targets of Q, Psi and G hold along any
sequence, and traces only decide how far a return reaches. Losses that hold for the policy's own
episodes alone take no seeds (:attr:`~kl_agents.losses.Loss.off_policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kl_agents.collection import Collected, Collector, Recorder, VecEnvLanes
from seqgen_envs.domain import ActionMask, Domain
from seqgen_envs.domain_groups import Entry
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import play

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Seeded:
    """What became of the sequences.

    Attributes:
        collected: the episodes that are in the replay now.
        skipped: a sentence on each sequence that is not.
    """

    collected: Collected
    skipped: tuple[str, ...]


def seed_replay(model: SequenceAlgorithm, file: Path) -> Seeded:
    """Score the sequences of a file and put them into an agent's replay; equal ones count once.

    Args:
        model: the agent, with the environment that it is to be trained in.
        file: one that the domain reads, with finished sequences.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the agent learns from its own episodes only; the file cannot be read, none of
            its sequences can be an episode, or they are more than the replay or the budget holds.
    """
    if model.loss is None or not model.loss.off_policy:
        raise ValueError(
            f"{type(model).__name__} learns from its own episodes only, so its replay takes no "
            "seeds: use psi, g, tb or q"
        )
    assert model.replay is not None
    assert model.collector is not None
    assert model.facts is not None
    domain = model.facts.domain
    fits = Fitting(domain, model.facts.mask, model.facts.primer, model.facts.horizon)
    found: dict[bytes, Ids] = {}
    skipped = []
    for place, given, problem in _read(file, domain):
        try:
            if problem:
                raise ValueError(problem)
            if isinstance(given, str):
                given = domain.to_ids(given)
            actions = fits.actions(given)
            found[actions.tobytes()] = actions
        except ValueError as error:
            skipped.append(f"{place}: {error}")
    if not found:
        raise ValueError(f"no sequence of {file} can be an episode: {skipped[0]}")
    if len(found) > model.replay.capacity:
        raise ValueError(
            f"{file} has {len(found):,} sequences, the replay takes {model.replay.capacity:,}: "
            "raise replay_capacity, or give fewer"
        )
    collected = played(model.collector, list(found.values()), fits.horizon)
    assert collected is not None
    if any(task.spent for task in model.facts.tasks):
        raise ValueError(
            f"scoring the {len(found):,} sequences of {file} spends the task's whole budget: raise "
            "it, or give fewer"
        )
    model.replay.add(collected.episodes)
    return Seeded(collected, tuple(skipped))


def _read(file: Path, domain: Domain) -> Iterator[tuple[str, str | Ids, str]]:
    """Places in a file, the texts or ids that stand there, and what is wrong with them if any."""
    files = domain.files
    if files.read_many is not None:
        for entry in files.read_many(file):
            if isinstance(entry, Entry):
                place = f"{file}, {entry.place}" if entry.place else str(file)
                yield place, entry.text, entry.problem or entry.invalid
            else:
                yield f"{file}, {entry[0]}", entry[1], ""
    elif files.read is not None:
        yield str(file), files.read(file), ""
    else:
        raise ValueError(f"domain {domain.name!r} reads no files of sequences")


@dataclass(frozen=True)
class Fitting:
    """Makes episodes of sequences.

    Args:
        domain, mask: the environment's.
        primer: what its episodes start with, int64 [P].
        horizon: steps of an episode at most.
    """

    domain: Domain
    mask: ActionMask | None
    primer: Ids
    horizon: int

    def actions(self, ids: Ids) -> Ids:
        """The actions of the episode that would have made a sequence, int64 [n].

        Raises:
            ValueError: none would.
        """
        vocabulary, first, most = self.domain.vocabulary, len(self.primer), self.horizon
        whole = np.asarray(ids, dtype=np.int64)
        if whole[:first].tolist() != self.primer.tolist():
            primer = self.domain.to_text(self.primer)
            raise ValueError(f"it does not begin with the environment's primer {primer!r}")
        if vocabulary.end_id is None and len(whole) != first + most:
            raise ValueError(f"it has {len(whole)} tokens, and episodes have {first + most}")
        if len(whole) > first + most:
            most += first
            raise ValueError(f"it has {len(whole)} tokens, and episodes have at most {most}")
        if len(whole) < first + most and vocabulary.end_id is not None:
            whole = np.append(whole[whole != vocabulary.end_id], vocabulary.end_id)
        self._check_mask(whole)
        return whole[first:]

    def _check_mask(self, whole: Ids) -> None:
        if self.mask is None:
            return
        first, horizon = len(self.primer), len(self.primer) + self.horizon
        lengths = np.arange(first, len(whole))
        row = self.domain.vocabulary.padded([whole.tolist()], horizon)
        seen = np.arange(horizon) < lengths[:, None]
        allowed = self.mask(np.where(seen, row, self.domain.vocabulary.pad_id), lengths)
        forbidden = np.flatnonzero(allowed[np.arange(len(lengths)), whole[first:]] == 0)
        if len(forbidden):
            at = first + int(forbidden[0])
            token = self.domain.vocabulary.tokens[whole[at]]
            raise ValueError(f"the mask forbids its token {token!r} at position {at}")


def played(
    collector: Collector,
    actions: Sequence[Ids],
    horizon: int,
    on_step: Callable[[NDArray[np.bool_]], bool] = lambda finished: True,
) -> Collected | None:
    """The episodes of some actions, as many at a time as there are lanes.

    None where ``on_step`` (told which lanes finished, [N]) asks to stop.
    """
    source = collector.source
    rounds = [actions[i : i + source.n] for i in range(0, len(actions), source.n)]
    found = []
    for part in rounds:
        recite = _Recital(source, part)
        record: Recorder | None = None
        for moment in play(source, recite, len(part)):
            if record is None:
                size, terms = moment.log_prior.shape[1], moment.step.terms.shape[1]
                record = Recorder(len(part), horizon, size, terms, collector.whole)
            record.note(moment, moment.log_prior)
            if not on_step(moment.step.ended):
                return None
        assert record is not None
        found.append(Collected(record.batch(), 0.0, 0.0, 0, record.terms))
    return Collected.joined(found)


class _Recital:
    """Acts for :func:`~seqgen_envs.rollout.play`: lane i takes the i-th actions, one by one."""

    def __init__(self, source: Lanes | VecEnvLanes, actions: Sequence[Ids]) -> None:
        self.source, self._step = source, 0
        longest = max(map(len, actions))
        self._actions = np.zeros((source.n, longest), dtype=np.int64)
        for lane, one in enumerate(actions):
            self._actions[lane, : len(one)] = one

    def __call__(self, first: NDArray[np.bool_]) -> tuple[Ids, NDArray[Any]]:
        actions = self._actions[:, self._step]
        self._step += 1
        return actions, self.source.log_prior
