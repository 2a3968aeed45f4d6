"""Terms that read one scorer, and a rule that watches a SMILES being written.

The terms at the end of a task share a :class:`Board`, so a molecule is parsed and scored once,
however many of them ask for it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.molecule.smiles import VOCABULARY, carbon_ids
from seqgen_envs.domains.molecule.tasks.scoring import Scorer, Verdict
from seqgen_envs.rules import Task, Term, Tokens, Values
from seqgen_envs.vocabulary import Vocabulary

SelfTask = TypeVar("SelfTask", bound="MoleculeTask")
SelfRule = TypeVar("SelfRule", bound="MoleculeRule")


class MoleculeTask(Task):
    """A task whose terms read one scorer.

    Args:
        name, terms: as in :class:`~seqgen_envs.rules.Task`.
        board: what the terms read; the accounts of its scorer (``calls``, ``history``) are the
            task's.
        failed: by term, what a finished molecule earns on which a rule has failed, before the
            weights; 0 in those not named.
    """

    def __init__(
        self,
        name: str,
        terms: Sequence[Term],
        board: Board,
        failed: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(name, terms)
        self.board = board
        self._failed = np.array([(failed or {}).get(term, 0.0) for term in self.names])

    @property
    def scorer(self) -> Scorer:
        """What scores the molecules."""
        return self.board.scorer

    def settle(self, values: Values, finished: NDArray[np.bool_]) -> Values:
        """See :class:`~seqgen_envs.rules.Task`: as where the SMILES is invalid, terms of every step
        included, but with the task's own value of a failed molecule.
        """
        at_end = np.array([term.at == "end" for term in self.terms])
        kept = np.where(at_end | ~np.isfinite(values), 0.0, values)
        return np.where(finished[:, None] & at_end, self._failed, kept)

    def expect(self, tokens: Tokens, lengths: Tokens) -> None:
        """See :class:`~seqgen_envs.rules.Task`: the scorer's processes begin with them."""
        if self.scorer.ahead:
            self.scorer.expect(self.board.texts(tokens, lengths))

    def prepare(self) -> None:
        """See :class:`~seqgen_envs.rules.Task`: the scorer's objectives."""
        self.scorer.prepare()

    def close(self) -> None:
        """See :class:`~seqgen_envs.rules.Task`: the scorer's processes."""
        self.scorer.close()

    def for_vocabulary(self: SelfTask, vocabulary: Vocabulary) -> SelfTask:
        """See :class:`~seqgen_envs.rules.Task`; the scorer is the same one."""
        if vocabulary == self.board.vocabulary:
            return self
        task = copy.copy(self)
        task.board = Board(self.scorer, vocabulary)
        task.terms = tuple(
            replace(term, rule=term.rule.for_board(task.board))
            if isinstance(term.rule, MoleculeRule)
            else term
            for term in self.terms
        )
        return task

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
    """Verdicts of finished sequences, for several terms that ask for the same ones in turn.

    Args:
        scorer: gives them.
        vocabulary: of the sequences.
    """

    def __init__(self, scorer: Scorer, vocabulary: Vocabulary = VOCABULARY) -> None:
        self.scorer, self.vocabulary = scorer, vocabulary
        self._rows: bytes = b""
        self._verdicts: list[Verdict] = []

    def verdicts(self, tokens: Tokens, lengths: Tokens) -> list[Verdict]:
        """One verdict a sequence."""
        rows = tokens.tobytes() + lengths.tobytes()
        if rows != self._rows:
            self._verdicts = self.scorer.score(self.texts(tokens, lengths))
            self._rows = rows
        return self._verdicts

    def texts(self, tokens: Tokens, lengths: Tokens) -> list[str]:
        """The sequences as SMILES."""
        return [self.vocabulary.to_text(row[:n]) for row, n in zip(tokens, lengths, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rows": b"", "_verdicts": []}


class Columns:
    """Objectives of a scorer that are looked at and pay nothing.

    Args:
        scorer: that has them.
        names: theirs.
    """

    def __init__(self, scorer: Scorer, names: Sequence[str]) -> None:
        self.scorer, self.names = scorer, tuple(names)

    def __call__(self, smiles: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Their values of N SMILES, [N] each by name; NaN where one is invalid or has failed."""
        verdicts = self.scorer.score(list(smiles))
        valid = np.array([verdict.canonical is not None for verdict in verdicts], dtype=bool)
        columns = {name: self.scorer.names.index(name) for name in self.names}
        return {
            name: np.where(valid, [verdict.values[column] for verdict in verdicts], np.nan)
            for name, column in columns.items()
        }


class MoleculeRule:
    """A rule that reads a board, or asks for the tokens' meaning."""

    board: Board

    def for_board(self: SelfRule, board: Board) -> SelfRule:
        """The same rule, of another board and its vocabulary."""
        rule = copy.copy(self)
        rule.board = board
        return rule


class ColumnRule(MoleculeRule):
    """One objective of the board; 0 for an invalid SMILES, NaN where the objective failed."""

    def __init__(self, board: Board, column: int) -> None:
        self.board, self.column = board, column

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        verdicts = self.board.verdicts(tokens, lengths)
        return np.array([verdict.values[self.column] for verdict in verdicts])

    def explain(self, sequence: Tokens) -> str:
        """See :mod:`seqgen_envs.rules`: the traceback."""
        return self.board.scorer.explain(self.board.vocabulary.to_text(sequence))


class ValidityRule(MoleculeRule):
    """``reward`` for a valid SMILES, minus ``penalty`` for another."""

    def __init__(self, board: Board, reward: float, penalty: float) -> None:
        self.board, self.reward, self.penalty = board, reward, penalty

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        valid = [v.canonical is not None for v in self.board.verdicts(tokens, lengths)]
        return np.where(valid, self.reward, -self.penalty)


class CarbonRunRule(MoleculeRule):
    """-1 for each carbon token beyond ``longest`` equal ones in a row.

    Rewards for logP or for simple molecules open that loophole: a chain, token after token.
    """

    def __init__(self, longest: int) -> None:
        if longest < 1:
            raise ValueError(f"max_run must be at least 1, got {longest}")
        self.longest = longest
        self._carbons = carbon_ids(VOCABULARY)

    def for_board(self, board: Board) -> CarbonRunRule:
        """See :class:`MoleculeRule`."""
        rule = copy.copy(self)
        rule._carbons = carbon_ids(board.vocabulary)
        return rule

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        at = lengths[:, None] - 1 - np.arange(self.longest + 1)  # the last ones, backwards
        last = np.take_along_axis(tokens, np.maximum(at, 0), axis=1)
        same = (last == last[:, :1]).all(axis=1) & (lengths > self.longest)
        return np.where(same & np.isin(last[:, 0], self._carbons), -1.0, 0.0)
