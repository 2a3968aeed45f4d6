"""The action mask ``"partial-smiles"``: tokens from which a valid molecule can still be reached.

What may follow a prefix is :class:`~.partial.Partial`'s to say; here it
is asked for all tokens at once, kept by prefix, and fitted into the horizon:

- the end token is allowed where the prefix is a whole molecule, and there only;
- a token is allowed if what it leads to can be completed in the tokens that are left. Far from the
  horizon that is any that :class:`Partial` lets through. Nearer, a token must leave room for a
  cautious estimate of what completing takes, or be the next of an ending that was searched for and
  fits; so a token that would just fit may be masked there, and the search's is always allowed;
- no row is all zero. Where no ending fits (a primer that leaves too little, a token taken against
  the mask), what the syntax allows is allowed; of a prefix that no molecule is written like,
  nothing is masked.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.molecule.grammar.atoms import AtomKind, kind_of
from seqgen_envs.domains.molecule.grammar.partial import (
    BOND,
    BOND_ORDERS,
    CLOSE,
    OPEN,
    START,
    Atom,
    Partial,
    is_ring_label,
)
from seqgen_envs.domains.molecule.smiles import VOCABULARY
from seqgen_envs.vocabulary import Vocabulary

Tokens = NDArray[np.int64]

#: Prefixes whose states are kept, about 2 KB each; the older half goes when there are more.
CACHE_SIZE = 50_000
#: A token raises :func:`tokens_to_end` by less than this.
FAR = 12
#: States that a search for an ending may look at; it needs 6 as a rule, and 20 at worst so far.
MAX_EXPANSIONS = 300

#: Tokens that an ending is looked for with, beside ring labels.
_ENDINGS = ")Cco=O#("


class Alphabet:
    """The tokens of a vocabulary by what they are in a SMILES.

    Attributes:
        tokens, ids: all of them, and their ids.
        end: id of the end token, or -1.
        labels: ring labels.
        others: bonds and brackets, without the two slashes.
        slashes: those.
        endings: what endings are made of, ring labels left out.
        first: 1 for what the first group on a scaffold may begin with: atoms and ``-``, int8 [V].

    Args:
        vocabulary: the tokens.
        taken: ring labels that are left out.
    """

    def __init__(self, vocabulary: Vocabulary, taken: Iterable[str] = ()) -> None:
        self._vocabulary = vocabulary
        self.tokens = vocabulary.tokens
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.end = -1 if vocabulary.end_id is None else vocabulary.end_id
        self.labels = tuple(sorted(set(filter(is_ring_label, self.tokens)).difference(taken)))
        self.slashes = tuple(token for token in ("/", "\\") if token in self.ids)
        others = (*BOND_ORDERS, "(", ")")
        self.others = tuple(t for t in others if t in self.ids and t not in self.slashes)
        self._kinds = {t: kind for t in self.tokens if (kind := kind_of(t)) is not None}
        simple = tuple(token for token in _ENDINGS if token in self.ids)
        self.endings = simple if "C" in self.ids else (*self._kinds, *self.others)
        self.first = np.array([t in self._kinds or t == "-" for t in self.tokens], dtype=np.int8)
        self._classes: dict[int, tuple[tuple[str, list[int]], ...]] = {}

    def without(self, labels: Iterable[str]) -> Alphabet:
        """The same tokens, but for some ring labels."""
        taken = set(labels)
        return Alphabet(self._vocabulary, taken) if taken else self

    def atom_classes(self, order: int) -> tuple[tuple[str, list[int]], ...]:
        """Atom tokens in classes that fare alike after any prefix: one of each, and their ids.

        Args:
            order: of the bond to them; 0 at the start.
        """
        if order not in self._classes:
            classes: dict[tuple[Any, ...], list[str]] = {}
            for token, kind in self._kinds.items():
                atom = Atom(kind, 0, order, exocyclic=kind.aromatic and order == 2)
                if atom.room >= 0:
                    classes.setdefault(_fate(kind, atom), []).append(token)
            self._classes[order] = tuple(
                (tokens[0], [self.ids[t] for t in tokens]) for tokens in classes.values()
            )
        return self._classes[order]


def _fate(kind: AtomKind, atom: Atom) -> tuple[Any, ...]:
    """What decides whether an atom may follow a prefix."""
    if kind.aromatic:
        return (1, min(atom.room, 2), atom.needs_double, atom.exocyclic)
    return (0, min(atom.room, 1))


BUNDLED = Alphabet(VOCABULARY)


def tokens_to_end(state: Partial) -> int:
    """A cautious estimate of the tokens that complete ``state``; 0 only if it is complete.

    Two for each open label and branch, one for the atom that must follow a bond or a branch, what
    atoms lack, and some for an aromatic system. That no ending needed more after 150,000 random
    walks is how it was chosen, and is tested on fewer.
    """
    if state.last == START:
        return 1
    total = 2 * (len(state.labels) + len(state.branches)) + (state.last in (BOND, OPEN, CLOSE))
    total += state.lacking
    if state.aromatic_unsettled:
        return total + 5
    return total + 2 if state.labels else total


def find_ending(state: Partial, most: int, alphabet: Alphabet = BUNDLED) -> tuple[str, ...] | None:
    """Tokens that make ``state`` a whole molecule, at most so many; None where none were found.

    A best-first search over few tokens, which goes by what is open and finds short endings, if not
    always the shortest.
    """
    order = count()
    heap: list[tuple[int, int, int, Partial, tuple[str, ...]]] = [(0, next(order), 0, state, ())]
    for _ in range(MAX_EXPANSIONS):
        if not heap:
            return None
        _, _, taken, best, ending = heapq.heappop(heap)
        if best.complete():
            return ending
        unused = next((label for label in alphabet.labels if label not in best.labels), None)
        for token in (*best.labels, *alphabet.endings, *([unused] if unused else [])):
            after = best.push(token)
            if after is not None and taken < most:
                pending = after.last in (BOND, OPEN)
                open_ends = len(after.labels) + 2 * len(after.branches) + pending
                cost = taken + 1 + 3 * open_ends
                heapq.heappush(heap, (cost, next(order), taken + 1, after, (*ending, token)))
    return None


def allowed_ids(state: Partial, alphabet: Alphabet = BUNDLED) -> list[int]:
    """Ids of the tokens that may follow, whatever the horizon."""
    known = alphabet.ids
    ids = [alphabet.end] if state.complete() and alphabet.end >= 0 else []
    order = 0 if state.last == START else BOND_ORDERS[state.bond]
    for one, members in alphabet.atom_classes(order):
        if state.push(one) is not None:
            ids += members
    unused = [label for label in alphabet.labels if label not in state.labels]
    if unused and state.push(unused[0]) is not None:
        ids += [known[label] for label in unused]
    if state.last not in (START, BOND):
        if alphabet.slashes and state.push(alphabet.slashes[0]) is not None:
            ids += [known[slash] for slash in alphabet.slashes]
        ids += [known[token] for token in alphabet.others if state.push(token) is not None]
    return ids + [known[label] for label in state.labels if state.push(label) is not None]


class Completion:
    """What is kept of a prefix: its state, an ending if one was needed, its row if asked for."""

    __slots__ = ("alphabet", "ending", "left", "row", "state")

    def __init__(
        self,
        alphabet: Alphabet,
        state: Partial | None,
        ending: tuple[str, ...] | None,
        left: int,
    ) -> None:
        self.alphabet, self.state = alphabet, state
        self.left = left  # tokens to the horizon
        self.row: NDArray[np.int8] | None = None
        self.ending = ending
        if state is not None and ending is None and self.near:
            self.ending = find_ending(state, left, alphabet)

    @property
    def near(self) -> bool:
        """Whether some token might be too much for what is left."""
        return self.state is not None and tokens_to_end(self.state) + FAR > self.left

    def push(self, token: str) -> Completion:
        """What is known of the prefix with another token."""
        after = None if self.state is None else self.state.push(token)
        ending = self.ending
        rest = ending[1:] if ending and ending[0] == token else None
        return Completion(self.alphabet, after, rest, self.left - 1)

    def allowed(self) -> NDArray[np.int8]:
        """The row of the mask, int8 [V]."""
        tokens, end = self.alphabet.tokens, self.alphabet.end
        if self.state is None:
            return np.ones(len(tokens), dtype=np.int8)
        ids = allowed_ids(self.state, self.alphabet)
        if self.near and self.ending is not None:
            ids = [i for i in ids if i == end or self._fits(tokens[i])]
        row = np.zeros(len(tokens), dtype=np.int8)
        row[ids] = 1
        return row if ids else np.ones_like(row)

    def _fits(self, token: str) -> bool:
        if self.ending and self.ending[0] == token:
            return True
        after = self.state.push(token) if self.state else None
        return after is not None and tokens_to_end(after) < self.left


class PartialSmilesMask:
    """Which tokens keep a SMILES completable within the horizon: see the module.

    A pure function of prefixes; what it remembers only saves time, and is not pickled.

    Args:
        cache_size: prefixes kept, at least 2.
        vocabulary: the tokens.

    Raises:
        ValueError: ``cache_size`` is below 2.
    """

    def __init__(self, cache_size: int = CACHE_SIZE, vocabulary: Vocabulary = VOCABULARY) -> None:
        if cache_size < 2:
            raise ValueError(f"cache_size must be at least 2, got {cache_size}")
        self.cache_size, self.vocabulary = cache_size, vocabulary
        self._alphabet = Alphabet(vocabulary)
        self._known: dict[tuple[int, bytes], Completion] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cache_size, self.vocabulary)

    def __call__(self, tokens: Tokens, lengths: Tokens) -> NDArray[np.int8]:
        """Masks int8 [N, V] of prefixes int64 [N, T] of ``lengths`` [N]; T is the horizon."""
        tokens = np.ascontiguousarray(tokens, dtype=np.int64)
        rows = np.empty((len(tokens), self.vocabulary.size), dtype=np.int8)
        for i, length in enumerate(lengths.tolist()):
            known = self._look_up(tokens[i, :length], tokens.shape[1])
            if known.row is None:
                known.row = known.allowed()
            rows[i] = known.row
        return rows

    def _look_up(self, prefix: Tokens, horizon: int) -> Completion:
        known = self._known.get((horizon, prefix.tobytes()))
        if known is not None:
            return known
        start = len(prefix) - 1
        while start > 0 and (horizon, prefix[:start].tobytes()) not in self._known:
            start -= 1
        known = self._known.get((horizon, prefix[: max(start, 0)].tobytes()))
        if known is None:
            known = self._begin(horizon)
        for token in prefix[max(start, 0) :].tolist():
            known = known.push(self.vocabulary.tokens[token])
        self._keep((horizon, prefix.tobytes()), known)
        return known

    def _begin(self, horizon: int) -> Completion:
        """What is known of the empty prefix."""
        return Completion(self._alphabet, Partial(), None, horizon)

    def _keep(self, key: tuple[int, bytes], known: Completion) -> None:
        if len(self._known) >= self.cache_size:
            for old in list(self._known)[: self.cache_size // 2]:
                del self._known[old]
        self._known[key] = known
