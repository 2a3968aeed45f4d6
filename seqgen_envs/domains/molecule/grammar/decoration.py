"""The action mask "partial-smiles" where sequences start with scaffolds: it keeps them whole.

Within a fixed part of a scaffold one token is allowed, the part's next. In a place, what
:class:`~.mask.PartialSmilesMask` would allow after the stand-in for the attachment atom, in the
tokens that the rest of the scaffold leaves; where that could end, the next part may begin instead.
So every sequence is a valid molecule that holds the scaffold, each place filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain_groups import Template
from seqgen_envs.domains.molecule.grammar.mask import (
    CACHE_SIZE,
    Alphabet,
    Completion,
    PartialSmilesMask,
)
from seqgen_envs.domains.molecule.grammar.scaffold import Scaffold, scaffold_of_parts
from seqgen_envs.domains.molecule.smiles import VOCABULARY
from seqgen_envs.vocabulary import Vocabulary


@dataclass
class _Decorated:
    """How far a prefix has come in a scaffold.

    Attributes:
        alphabet: the tokens.
        scaffolds: those that begin like it; one from the first place on.
        left: tokens to the horizon.
        part: the number of the fixed part that is being written, or after which the place stands.
        offset: tokens of it that are written.
        place: what is known of the place, while it is being written.
        depth: branches open in the place; -1: nothing is written in it yet.
    """

    alphabet: Alphabet
    scaffolds: tuple[Scaffold, ...]
    left: int
    part: int = 0
    offset: int = 0
    place: Completion | None = None
    depth: int = -1
    row: NDArray[np.int8] | None = None

    def push(self, token: str) -> _Decorated:
        """What is known of the prefix with another token."""
        after = replace(self, left=self.left - 1, row=None)
        if self.place is None:
            after.scaffolds = tuple(
                s for s in self.scaffolds if s.parts[self.part][self.offset] == token
            )
            after.offset += 1
        else:
            after.depth = max(self.depth, 0) + (token == "(") - (token == ")")
            if after.depth >= 0:
                after.place = self.place.push(token)
                return after
            after.part, after.offset, after.place = self.part + 1, 1, None
        return after._entered()

    def _entered(self) -> _Decorated:
        """Itself, in the place behind its part if that is written."""
        for scaffold in self.scaffolds:
            if self.part == len(scaffold.parts):  # a bracket too many, against the mask
                self.scaffolds = ()
            elif self.offset == len(scaffold.parts[self.part]):
                place, left = scaffold.places[self.part], self.left - scaffold.tails[self.part]
                self.scaffolds, self.depth = (scaffold,), -1
                self.place = Completion(place.alphabet, place.start, None, left)
        return self

    def allowed(self) -> NDArray[np.int8]:
        """The row of the mask, int8 [V]."""
        if not self.scaffolds:  # nothing is masked of what the mask has forbidden
            return np.ones(len(self.alphabet.tokens), dtype=np.int8)
        if self.place is None:
            row = np.zeros(len(self.alphabet.tokens), dtype=np.int8)
            row[[self.alphabet.ids[s.parts[self.part][self.offset]] for s in self.scaffolds]] = 1
            return row
        return self._in_place(self.place.allowed())

    def _in_place(self, row: NDArray[np.int8]) -> NDArray[np.int8]:
        ids, end = self.alphabet.ids, self.alphabet.end
        if self.depth < 0:
            return row * self.alphabet.first
        last = self.part == len(self.scaffolds[0].parts) - 1
        if not last and self.place is not None and self.place.state is not None:
            row = row.copy()
            row[ids[")"]] |= row[end]
            row[end] = 0
        return row


class DecoratingMask(PartialSmilesMask):
    """Which tokens keep a scaffold, and a SMILES completable within the horizon: see the module.

    Args:
        templates: the scaffolds.
        cache_size, vocabulary: as of :class:`~.mask.PartialSmilesMask`.

    Raises:
        ValueError: a scaffold begins like another as a whole, so that a prefix would not tell
            which of them it is of.
    """

    def __init__(
        self,
        templates: Sequence[Template],
        cache_size: int = CACHE_SIZE,
        vocabulary: Vocabulary = VOCABULARY,
    ) -> None:
        super().__init__(cache_size, vocabulary)
        self.templates = tuple(dict.fromkeys(templates))
        for one, other in permutations(self.templates, 2):
            if other.parts[0][: len(one.parts[0])] == one.parts[0]:
                raise ValueError(
                    f"scaffold {other.text!r} is spelled like {one.text!r} up to that one's first "
                    "attachment point, so a sequence would not show which it has: spell one of "
                    "them another way, or use them one after the other"
                )
        self._scaffolds = tuple(map(self._scaffold, self.templates))

    def _scaffold(self, template: Template) -> Scaffold:
        parts = [[self.vocabulary.tokens[i] for i in part] for part in template.parts]
        scaffold = scaffold_of_parts(parts, self._alphabet)
        assert scaffold is not None  # or there would be no such template
        return scaffold

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.templates, self.cache_size, self.vocabulary)

    def _begin(self, horizon: int) -> Any:
        return _Decorated(self._alphabet, self._scaffolds, horizon)
