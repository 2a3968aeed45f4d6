"""Terms that read one scorer, and a rule that watches a SMILES being written.

The terms at the end of a task share a :class:`Board`, so a molecule is parsed and scored once,
however many of them ask for it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from seqgen_envs.domains.molecule.scoring import Scorer, Verdict
from seqgen_envs.domains.molecule.vocabulary import CARBONS, VOCABULARY
from seqgen_envs.rules import Task, Term, Tokens, Values

SelfTask = TypeVar("SelfTask", bound="MoleculeTask")


class OracleError(RuntimeError):
    """An objective raised or gave NaN on a molecule; the message holds the first traceback."""


class MoleculeTask(Task):
    """A task whose terms read one scorer.

    Args:
        name, terms: as in :class:`~seqgen_envs.rules.Task`.
        scorer: what the terms read; its accounts (``calls``, ``history``) are the task's.
    """

    def __init__(self, name: str, terms: Sequence[Term], scorer: Scorer) -> None:
        super().__init__(name, terms)
        self.scorer = scorer

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~seqgen_envs.rules.Task`: what a budget has been spent on."""
        accounts = self.scorer.state_dict()
        return {"scorer": accounts} if accounts else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`~seqgen_envs.rules.Task`."""
        rest = dict(state)
        self.scorer.load_state_dict(rest.pop("scorer", {}))
        super().load_state_dict(rest)

    @property
    def spent(self) -> bool:
        """See :class:`~seqgen_envs.rules.Task`."""
        return self.scorer.exhausted

    def for_evaluation(self: SelfTask) -> SelfTask:
        """See :class:`~seqgen_envs.rules.Task`; with a budget, a copy whose scorer has none."""
        if self.scorer.budget is None:
            return self
        task = copy.deepcopy(self)
        task.scorer.budget = None
        return task


class Board:
    """Verdicts of finished sequences, for several terms that ask for the same ones in turn."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._rows: bytes = b""
        self._verdicts: list[Verdict] = []

    def verdicts(self, tokens: Tokens, lengths: Tokens) -> list[Verdict]:
        """One verdict a sequence."""
        rows = tokens.tobytes() + lengths.tobytes()
        if rows != self._rows:
            texts = [VOCABULARY.to_text(row[:n]) for row, n in zip(tokens, lengths, strict=True)]
            self._verdicts = self.scorer.score(texts)
            self._rows = rows
        return self._verdicts

    def __getstate__(self) -> dict[str, Any]:
        return {"scorer": self.scorer, "_rows": b"", "_verdicts": []}


class ColumnRule:
    """One objective of the board; 0 for an invalid SMILES."""

    def __init__(self, board: Board, column: int) -> None:
        self.board, self.column = board, column

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`.

        Raises:
            OracleError: the objective failed on one of the molecules.
        """
        verdicts = self.board.verdicts(tokens, lengths)
        values = np.array([verdict.values[self.column] for verdict in verdicts])
        if np.isnan(values).any():
            failed = verdicts[int(np.argmax(np.isnan(values)))]
            raise OracleError(f"on {failed.canonical}: {failed.error}")
        return values


class ValidityRule:
    """``reward`` for a valid SMILES, minus ``penalty`` for another."""

    def __init__(self, board: Board, reward: float, penalty: float) -> None:
        self.board, self.reward, self.penalty = board, reward, penalty

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        valid = [v.canonical is not None for v in self.board.verdicts(tokens, lengths)]
        return np.where(valid, self.reward, -self.penalty)


class CarbonRunRule:
    """-1 for each carbon token beyond ``longest`` equal ones in a row.

    Rewards for logP or for simple molecules open that loophole: a chain, token after token.
    """

    def __init__(self, longest: int) -> None:
        if longest < 1:
            raise ValueError(f"max_run must be at least 1, got {longest}")
        self.longest = longest

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        at = lengths[:, None] - 1 - np.arange(self.longest + 1)  # the last ones, backwards
        last = np.take_along_axis(tokens, np.maximum(at, 0), axis=1)
        same = (last == last[:, :1]).all(axis=1) & (lengths > self.longest)
        return np.where(same & np.isin(last[:, 0], CARBONS), -1.0, 0.0)
