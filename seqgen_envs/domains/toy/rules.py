"""Three rules that pull against the prior and each other: per step, with memory, and at the end."""

from __future__ import annotations

import numpy as np

from seqgen_envs.domains.toy.vocabulary import A, B, C
from seqgen_envs.rules import ScanRule, Task, Term, Tokens, Values, remembers


def _last(tokens: Tokens, lengths: Tokens) -> Values:
    return tokens[np.arange(len(tokens)), lengths - 1, None].astype(np.float64)


@remembers(_last)
def alternation(tokens: Tokens, lengths: Tokens) -> Values:
    """+0.5 for a token unlike the one before it, -0.5 for the same again; 0 for the first."""
    rows = np.arange(len(tokens))
    last = tokens[rows, lengths - 1]
    before = tokens[rows, np.maximum(lengths - 2, 0)]
    return np.where(lengths < 2, 0.0, np.where(last == before, -0.5, 0.5))


class SecondB(ScanRule):
    """+1 for the second b, -1 for each later one. Carries the number of b so far."""

    width = 1

    def initial_state(self) -> Values:
        """No b yet."""
        return np.zeros(1)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See :class:`seqgen_envs.rules.ScanRule`."""
        is_b = tokens[np.arange(len(tokens)), lengths - 1] == B
        count = state[:, 0] + is_b
        values = np.where(is_b & (count == 2), 1.0, np.where(is_b & (count > 2), -1.0, 0.0))
        return values, count[:, None]


def _surplus(tokens: Tokens, lengths: Tokens) -> Values:
    """Numbers of a less those of c, [N, 1]."""
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    counts = [((tokens == letter) & inside).sum(1, keepdims=True) for letter in (A, C)]
    found: Values = (counts[0] - counts[1]).astype(np.float64)
    return found


@remembers(_surplus)
def balance(tokens: Tokens, lengths: Tokens) -> Values:
    """At the end: 1.5 less the difference between the numbers of a and of c."""
    found: Values = 1.5 - np.abs(_surplus(tokens, lengths)[:, 0])
    return found


def letters_task(weights: dict[str, float] | None = None) -> Task:
    """The task ``letters``: alternation, second_b and (at the end) balance."""
    terms = [
        Term("alternation", alternation),
        Term("second_b", SecondB()),
        Term("balance", balance, at="end"),
    ]
    return Task("letters", terms).with_weights(weights or {})
