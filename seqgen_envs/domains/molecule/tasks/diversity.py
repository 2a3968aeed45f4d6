"""Diversity: a task that tires of molecules like those it has rewarded.

The diversity filters of REINVENT (Blaschke et al. 2020, "Memory-assisted reinforcement learning
for diverse molecular de novo design"). Good molecules, of a score of ``min_score`` and more, are
remembered in buckets of their like; once a bucket is full, further molecules of its kind score 0.

    task={"name": "qed", "diversity": {"kind": "scaffold", "bucket_size": 25, "min_score": 0.4}}

The score of a molecule is the sum of its weighted terms at the end; terms that judge every step
have no part in it and stay as they are. Scaling it scales each of those terms alike, so
``reward_terms`` still sums to the task reward. Invalid SMILES, and molecules below ``min_score``,
are never touched.

With a memory the reward is not a function of the sequence alone:

- it changes at finished sequences only, in the order they end; of those that end in one step, in
  the order of the lanes. The lanes of a vector environment share one memory, single environments
  have one each;
- it belongs to the task. A task that is copied, pickled, or given other weights starts with an
  empty one, as every task does that is made by name; ``forget`` empties it. Agents' checkpoints
  keep it (``state_dict``), and a resumed run goes on with it, unless the environments live in
  worker processes;
- a replay keeps the reward that an episode had when it was played.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqgen_envs.domains.molecule.tasks.memory import Diversity, Judgement, Memory
from seqgen_envs.domains.molecule.tasks.rules import Board, MoleculeTask
from seqgen_envs.rules import Term, Tokens, Values

#: Judgements that wait to be asked for.
_JUDGED_AT_MOST = 100_000


class DiverseTask(MoleculeTask):
    """A task of molecules with a memory; see this module.

    Args:
        name, terms, board, failed: as in :class:`~.rules.MoleculeTask`.
        diversity: what counts as alike.
    """

    def __init__(
        self,
        name: str,
        terms: Sequence[Term],
        board: Board,
        diversity: Diversity,
        failed: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(name, terms, board, failed)
        self.diversity = diversity
        self.memory = Memory(diversity)
        self._judged: dict[bytes, Judgement] = {}  # by the tokens; for remarks()
        self._at_end = np.array([term.at == "end" for term in self.terms])

    def score(
        self,
        tokens: Tokens,
        lengths: Tokens,
        finished: np.ndarray,
        state: tuple[Values, ...],
    ) -> tuple[Values, tuple[Values, ...]]:
        """See :class:`~seqgen_envs.rules.Task`; finished molecules are remembered."""
        values, after = super().score(tokens, lengths, finished, state)
        rows = np.flatnonzero(finished)
        if len(rows):
            scores = values[rows][:, self._at_end].sum(axis=1)
            ended = (tokens[rows], lengths[rows])
            verdicts, texts = self.board.verdicts(*ended), self.board.texts(*ended)
            for row, score, verdict, text in zip(
                rows, scores.tolist(), verdicts, texts, strict=True
            ):
                if verdict.canonical is not None and verdict.error is None:
                    judgement = self.memory.judge(text, score)
                    values[row, self._at_end] *= judgement.factor
                    self._note(tokens[row, : lengths[row]], judgement)
        return values, after

    def _note(self, ids: Tokens, judgement: Judgement) -> None:
        """Keep the first judgement of a spelling until it is asked for, or there are too many."""
        if len(self._judged) >= _JUDGED_AT_MOST:
            self._judged.clear()
        self._judged.setdefault(ids.tobytes(), judgement)

    def remarks(self, ids: Tokens) -> dict[str, Any]:
        """See :class:`~seqgen_envs.rules.Task`: the bucket, and what the terms at the end were
        multiplied by."""
        judgement = self._judged.pop(ids.tobytes(), Judgement("", 1.0))
        return {"bucket": judgement.bucket, "factor": judgement.factor}

    def buckets(self) -> dict[str, dict[str, float]]:
        """What is remembered, the fullest bucket first: score by SMILES, by the bucket's name."""
        ordered = sorted(self.memory.buckets.items(), key=lambda item: -len(item[1]))
        return {name: dict(bucket) for name, bucket in ordered}

    def forget(self) -> None:
        """Empty the memory."""
        self.memory = Memory(self.diversity)

    def for_evaluation(self) -> DiverseTask:
        """See :class:`~seqgen_envs.rules.Task`; the copy's memory is its own, and empty."""
        task = super().for_evaluation()
        return copy.copy(self) if task is self else task

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~seqgen_envs.rules.Task`."""
        return {**super().state_dict(), **self.memory.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`~seqgen_envs.rules.Task`."""
        names = ("molecules", "scaled")
        super().load_state_dict({k: v for k, v in state.items() if k not in names})
        self.memory.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "memory": Memory(self.diversity), "_judged": {}}
