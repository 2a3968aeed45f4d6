"""Tokens and their ids.

A vocabulary of ``V`` tokens numbers them ``0 .. V-1``; these are the actions of an environment.
``V`` itself is the one extra id a model's *input* may hold: it stands before the first token
(``start_id``) and, in padded arrays, after the last one (``pad_id``). The two never meet in one
role, so they share the id, and an embedding has ``V + 1`` rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Longer tokens are cut in messages: a string that is no sequence may be one token.
LONGEST_SHOWN = 60


def sequence_array(tokens: ArrayLike) -> NDArray[np.int64]:
    """``tokens`` as int64 [N, T], T >= 1.

    Raises:
        ValueError: they are no such array.
    """
    array = np.asarray(tokens)
    if array.ndim != 2 or array.shape[1] == 0 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"tokens must be an integer array [N, T] with T >= 1, "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64, copy=False)


class UnknownTokenError(ValueError):
    """A sequence holds tokens that the vocabulary lacks.

    Args:
        message: what is wrong.
        tokens: those that it lacks.
    """

    def __init__(self, message: str, tokens: frozenset[str]) -> None:
        super().__init__(message)
        self.tokens = tokens

    def __reduce__(self) -> tuple[Any, ...]:
        return UnknownTokenError, (str(self), self.tokens)


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of tokens.

    Args:
        tokens: the distinct tokens; a token's position is its id.
        end: the token that ends a sequence, or None where only the horizon does.
        joiner: what :meth:`to_text` puts between tokens.

    Raises:
        ValueError: the tokens are fewer than two, repeated, empty, or lack ``end``.
    """

    tokens: tuple[str, ...]
    end: str | None = None
    joiner: str = " "

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if len(self.tokens) < 2:
            raise ValueError(f"a vocabulary needs at least 2 tokens, got {len(self.tokens)}")
        if not all(isinstance(text, str) for text in (*self.tokens, self.end or "", self.joiner)):
            raise ValueError("a vocabulary's tokens, end and joiner must be text")
        repeated = sorted(token for token, count in Counter(self.tokens).items() if count > 1)
        if repeated:
            raise ValueError(f"a vocabulary's tokens must be distinct; repeated: {repeated}")
        if "" in self.tokens:
            raise ValueError("a vocabulary cannot hold the empty string as a token")
        if self.end is not None and self.end not in self.tokens:
            raise ValueError(f"the end token {self.end!r} is not among the tokens")

    def __getstate__(self) -> dict[str, Any]:
        """What is given; what follows from it is worked out anew."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def size(self) -> int:
        """V, the number of tokens (and of actions)."""
        return len(self.tokens)

    @property
    def start_id(self) -> int:
        """The input id before the first token (V)."""
        return self.size

    @property
    def pad_id(self) -> int:
        """The id that fills arrays after the last token (V)."""
        return self.size

    @property
    def end_id(self) -> int | None:
        """The id of the end token, or None."""
        return None if self.end is None else self._ids[self.end]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def _by_id(self) -> dict[int, str]:
        return dict(enumerate(self.tokens))

    @cached_property
    def _stops(self) -> tuple[int, ...]:
        return (self.pad_id,) if self.end_id is None else (self.pad_id, self.end_id)

    @cached_property
    def has_blanks(self) -> bool:
        """Whether a token has a space in it: sequences are then lines of text, not words."""
        return any(" " in token for token in self.tokens)

    @cached_property
    def is_ambiguous(self) -> bool:
        """Whether some token is spelled by others too, so that a text can be cut in several ways;
        what is written between tokens prevents it.
        """
        return not self.joiner and any(
            len(token) > 1 and self._is_spelled_by_others(token)
            for token in self.tokens
            if token != self.end
        )

    def _is_spelled_by_others(self, token: str) -> bool:
        reached = {0}  # ends of beginnings that shorter tokens spell
        for stop in range(1, len(token) + 1):
            starts = (at for at in reached if stop - at < len(token))
            if any(token[at:stop] in self._ids for at in starts):
                reached.add(stop)
        return len(token) in reached

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that two vocabularies share only if they are the same."""
        text = "\x00".join(self.tokens) + "\x01" + (self.end or "")
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int64]:
        """Ids of ``tokens``, shape [n].

        Raises:
            UnknownTokenError: a token is unknown; the message names the first and its position.
        """
        given = list(tokens)
        unknown = [position for position, token in enumerate(given) if token not in self._ids]
        if unknown:
            known = ", ".join(self.tokens[:12]) + (", ..." if self.size > 12 else "")
            first = given[unknown[0]]
            first = first if len(first) <= LONGEST_SHOWN else f"{first[:LONGEST_SHOWN]}..."
            raise UnknownTokenError(
                f"unknown token {first!r} at position {unknown[0]}; "
                f"the vocabulary has {self.size} tokens: {known}",
                frozenset(given[position] for position in unknown),
            )
        return np.asarray([self._ids[token] for token in given], dtype=np.int64)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Tokens of ``ids`` up to the first pad; the end token, if any, is left out.

        Raises:
            ValueError: an id lies outside 0..V.
        """
        given = ids.tolist() if isinstance(ids, np.ndarray) else [int(i) for i in ids]
        for stop in self._stops:
            if stop in given:
                del given[given.index(stop) :]
        try:
            return [*map(self._by_id.__getitem__, given)]
        except KeyError as error:
            unknown = error.args[0]
            raise ValueError(
                f"token id {unknown} at position {given.index(unknown)} is outside "
                f"0..{self.size - 1}"
            ) from None

    def padded(
        self, sequences: Sequence[Sequence[int] | NDArray[np.integer]], width: int = 0
    ) -> NDArray[np.int64]:
        """Sequences of ids as rows, int64 [N, T]; T is the longest's length, ``width`` at least."""
        longest = max(map(len, sequences), default=0)
        tokens = np.full((len(sequences), max(longest, width)), self.pad_id, dtype=np.int64)
        for row, ids in zip(tokens, sequences, strict=True):
            row[: len(ids)] = ids
        return tokens

    def to_text(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """:meth:`decode` as one string."""
        return self.joiner.join(self.decode(ids))

    def from_text(self, text: str) -> NDArray[np.int64]:
        """Ids of a text, shape [n]: the inverse of :meth:`to_text`, without the end token.

        Raises:
            UnknownTokenError: see :meth:`encode`.
        """
        if not self.joiner:
            return self.encode(text)
        return self.encode(text.split(None if self.joiner.isspace() else self.joiner))

    def check_same(self, other: Vocabulary, mine: str, theirs: str) -> None:
        """Raise a ValueError showing the first difference unless the two are the same."""
        if self.fingerprint == other.fingerprint:
            return
        if self.size != other.size:
            what = f"{mine} has {self.size} tokens, {theirs} has {other.size}"
        else:
            pairs = enumerate(zip(self.tokens, other.tokens, strict=True))
            first = next(((i, a, b) for i, (a, b) in pairs if a != b), None)
            what = (
                f"token {first[0]} is {first[1]!r} in {mine} and {first[2]!r} in {theirs}"
                if first
                else f"the end token is {self.end!r} in {mine} and {other.end!r} in {theirs}"
            )
        raise ValueError(
            f"the vocabularies differ: {what}; use a prior trained on the tokens of {mine}"
        )
