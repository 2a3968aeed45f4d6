"""Replayed episodes spelled another way (Augmented Memory; Guo and Schwaller 2024).

One molecule has many SMILES: an update may as well learn from another one than the one that was
drawn, and needs no new molecule scored for that. Nothing here knows of molecules: a domain that
has several spellings of a thing says so by its ``augment``.

What an episode of the new tokens would have recorded is put together without playing it:

- ``log_prior`` is computed anew, as the environment would have shown it;
- the terms that judge every step are asked again; what the terms at the end paid stays as it was.
  By the contract of ``Domain.corpora.augment`` they value both spellings alike, so no oracle is
  asked, no budget spent, and no memory of a task (a diversity filter's, say) touched;
- ``log_behaviour`` is the prior's log-probability of the actions. Nobody chose them, so how likely
  the choice was is unknown, and need not be known: path consistency holds along any sequence,
  whatever the traces in [0, 1] are, so they decide how far a return reaches and never what it tends
  to. Traces of 0 would be safe too, and would throw away what makes replay quick: a reward at the
  end would move one step an update. With the prior's, lambda * min(1, pi/p) lets a return through
  where the policy is at least as willing as the prior to write this, and cuts it where the policy
  has left the prior the other way. Q learning and REINVENT do not look at it.

Use it with a prior that was trained on many spellings (``seqgen prior train`` can draw them). One
that knows a single spelling of everything finds the others far-fetched: under the bundled molecule
prior, trained on canonical SMILES, its own samples have -23 nats and other spellings of them -76.
They are then true of states that the policy hardly visits, and teach it little.

Where the new spelling does not begin with the primer, does not fit into the horizon, or takes a
token that the action mask forbids, the episode stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kl_agents.replay import EpisodeBatch
from kl_agents.shown import Shown, taken_of
from seqgen_envs.domain import ActionMask, Domain
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task, score_sequences
from seqgen_envs.starts import MIN_LOG_PROB

Ids = NDArray[np.int64]


class Augmenter:
    """Spells episodes of one environment another way.

    Args:
        domain: with an ``augment``.
        prior: the environment's.
        task: the environment's; only its terms that judge every step are asked.
        primer: what every episode begins with, int64 [P].
        horizon: steps of an episode at most, the primer left out.
        mask: the environment's action mask, if it has one.

    Raises:
        ValueError: the domain has one spelling of everything.
    """

    def __init__(
        self,
        domain: Domain,
        prior: Prior,
        task: Task,
        primer: Ids,
        horizon: int,
        mask: ActionMask | None = None,
    ) -> None:
        if domain.corpora.augment is None:
            raise ValueError(
                f"augment must be 0 in domain {domain.name!r}: it has no other spellings of a "
                "sequence (Domain.corpora.augment)"
            )
        self.domain, self.primer, self.horizon = domain, primer, horizon
        self._shown = Shown(prior, primer, mask)
        self._augment = domain.corpora.augment
        end = domain.vocabulary.end_id
        self._ending = np.array([] if end is None else [end], dtype=np.int64)
        terms = [term for term in task.terms if term.at == "step"]
        self._steps = Task(task.name, terms, on_error=task.on_error) if terms else None

    def respell(
        self, episodes: EpisodeBatch, share: float, rng: np.random.Generator
    ) -> tuple[EpisodeBatch, int]:
        """The episodes [B, T], about this share of them spelled anew; and how many that are.

        The given arrays are not changed.
        """
        drawn = np.flatnonzero(rng.random(len(episodes)) < share)
        tokens = np.full((len(drawn), self.horizon), self.domain.vocabulary.pad_id, dtype=np.int64)
        lengths = np.zeros(len(drawn), dtype=np.int64)
        for i, row in enumerate(drawn):
            before = episodes.tokens[row, : episodes.lengths[row]]
            after = self._spelled(before, rng)
            if after is not None and not np.array_equal(after, before):
                tokens[i, : len(after)] = after
                lengths[i] = len(after)
        made = lengths > 0
        drawn, tokens, lengths = drawn[made], tokens[made], lengths[made]
        if episodes.log_prior is None:
            log_prior, taken = None, self._shown.taken(tokens, lengths)
        else:
            log_prior = self._shown(tokens, lengths)
            taken = taken_of(log_prior, tokens)
        kept = (taken > MIN_LOG_PROB).all(axis=1)
        rows = drawn[kept]
        if not len(rows):
            return episodes, 0
        reward = self._task_reward(episodes.rows(rows), tokens[kept], lengths[kept])
        every = EpisodeBatch(tokens, lengths, taken, np.zeros_like(taken), taken, log_prior)
        fresh = replace(every.rows(kept), task_reward=reward)
        return _replaced(episodes, rows, fresh), len(rows)

    def _spelled(self, ids: Ids, rng: np.random.Generator) -> Ids | None:
        """The actions of another spelling, or None where it does not fit.

        The end token stands at its end where there is room: at the horizon a sequence ends
        without.
        """
        ending, first = self._ending, len(self.primer)
        whole = np.concatenate([self.primer, self._without_end(ids), ending])
        spelled = np.asarray(self._augment(whole, rng), dtype=np.int64)
        actions = self._without_end(spelled[first:])
        if len(actions) < self.horizon:
            actions = np.concatenate([actions, ending])
        if len(actions) > self.horizon or spelled[:first].tolist() != self.primer.tolist():
            return None
        return actions if len(ending) or len(actions) == self.horizon else None

    def _without_end(self, ids: Ids) -> Ids:
        return ids[ids != self._ending[0]] if len(self._ending) else ids

    def _task_reward(self, before: EpisodeBatch, tokens: Ids, lengths: Ids) -> NDArray[np.float32]:
        """r_T [B, T]: the step terms of the new spelling, and what the end brought the old one."""
        rows = np.arange(len(tokens))
        reward = self._step_reward(tokens, lengths)
        last = before.lengths - 1
        old = self._step_reward(before.tokens, before.lengths)
        reward[rows, lengths - 1] += before.task_reward[rows, last] - old[rows, last]
        return reward.astype(np.float32)

    def _step_reward(self, tokens: Ids, lengths: Ids) -> NDArray[np.float64]:
        """Sum of the terms that judge every step, [B, T]."""
        if self._steps is None:
            return np.zeros(tokens.shape)
        first = len(self.primer)
        whole = np.concatenate([np.tile(self.primer, (len(tokens), 1)), tokens], axis=1)
        values = score_sequences(self._steps, whole, lengths + first)[:, first:]
        total: NDArray[np.float64] = values.sum(axis=2)
        return total


def _replaced(episodes: EpisodeBatch, rows: NDArray[np.intp], fresh: EpisodeBatch) -> EpisodeBatch:
    """``episodes`` with some of its rows exchanged."""
    arrays = {name: array.copy() for name, array in episodes.arrays().items()}
    for name, array in fresh.arrays().items():
        arrays[name][rows] = array
    return EpisodeBatch(**arrays)
