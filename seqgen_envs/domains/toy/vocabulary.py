"""Three letters and an end token."""

from __future__ import annotations

from seqgen_envs.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("a", "b", "c", "."), end=".", joiner="")
A, B, C, END = range(4)
HORIZON = 5
