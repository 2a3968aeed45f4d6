"""What rules of verse are given of a prefix: the lines that its last token has completed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.rules import RuleError, Tokens, Values
from seqgen_envs.vocabulary import Vocabulary

SelfRule = TypeVar("SelfRule", bound="TextRule")


@dataclass(frozen=True)
class Passage:
    """A text whose last token has completed at least one line, or ended it.

    Attributes:
        text: all of it.
        lines: those that are complete.
        new: the first of them that the last token has completed.
        cut: whether the horizon has ended it, not an end token.
    """

    text: str
    lines: tuple[str, ...]
    new: int
    cut: bool


class Board:
    """Passages of prefixes, for several rules that ask for the same ones in turn.

    Args:
        vocabulary: of the sequences; None: not known yet. Its ``to_text`` gives a prefix's text.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary
        self._rows = b""
        self._passages: list[tuple[int, Passage]] = []

    def passages(self, tokens: Tokens, lengths: Tokens) -> list[tuple[int, Passage]]:
        """(row, passage) of each prefix whose last token completes a line or ends the text."""
        last = tokens[np.arange(len(tokens)), lengths - 1]
        cut = lengths == tokens.shape[1]
        found = np.flatnonzero(self._closes[last] | cut)
        if not len(found):
            return []
        tokens, lengths = tokens[found], lengths[found]
        rows = b"".join(one.tobytes() for one in (found, tokens, lengths))
        if rows != self._rows:
            self._passages = [
                (row, self._passage(ids[:n], bool(cut[row])))
                for row, ids, n in zip(found.tolist(), tokens, lengths.tolist(), strict=True)
            ]
            self._rows = rows
        return self._passages

    def _passage(self, ids: Tokens, cut: bool) -> Passage:
        vocabulary = self._known
        text = vocabulary.to_text(ids)
        ended = ids[-1] == vocabulary.end_id
        before = text if ended else vocabulary.to_text(ids[:-1])
        lines = text.split("\n")
        if not (ended or cut) or lines[-1] == "":  # the last one goes on, or has not begun
            lines.pop()
        return Passage(text, tuple(lines), before.count("\n"), cut and not ended)

    @property
    def _known(self) -> Vocabulary:
        if self.vocabulary is None:
            raise RuleError("the task does not know its vocabulary yet: call for_vocabulary first")
        return self.vocabulary

    @cached_property
    def _closes(self) -> NDArray[np.bool_]:
        """Which tokens hold a newline or end the text, bool [V + 1]."""
        vocabulary = self._known
        closes = [
            token == vocabulary.end_id or "\n" in vocabulary.to_text([token])
            for token in range(vocabulary.size)
        ]
        return np.array([*closes, False])

    def __getstate__(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary, "_rows": b"", "_passages": []}


class TextRule:
    """A rule that reads a board: :meth:`value` of each passage, 0 for other prefixes."""

    board: Board

    def for_board(self: SelfRule, board: Board) -> SelfRule:
        """The same rule, of another board."""
        rule = copy.copy(self)
        rule.board = board
        return rule

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """See :mod:`seqgen_envs.rules`."""
        values = np.zeros(len(tokens))
        for row, passage in self.board.passages(tokens, lengths):
            values[row] = self.value(passage)
        return values

    def value(self, passage: Passage) -> float:
        """What the last token earns."""
        raise NotImplementedError
