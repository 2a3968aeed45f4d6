"""The task of names: what is wanted, as a sum of separate terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqgen_envs.domains.names.rules import (
    AlliterationRule,
    EndsRule,
    ForbiddenRule,
    NearRule,
    NovelRule,
    StartsRule,
    SyllablesRule,
)
from seqgen_envs.domains.names.vocabulary import HORIZON
from seqgen_envs.rules import PrefixRule, Task, Term


def wanted_task(
    syllables: int | None = 3,
    starts: str = "",
    ends: str = "a",
    forbid: str | Sequence[str] = (),
    near: str = "",
    alliteration: bool = False,
    novel: bool = True,
    weights: Mapping[str, float] | None = None,
) -> Task:
    """The task ``wanted``: three syllables, an a at the end, and a name that is not known.

    Each argument is a term of its own, judged when the name is finished (see :mod:`.rules`).

    Args:
        syllables: wanted, as groups of vowels; None: any number.
        starts, ends: letters that the name starts and ends with; empty: any.
        forbid: a word, or several, that the name must not hold.
        near: a name that it shall resemble: minus the edit distance.
        alliteration: later syllables begin with the first one's consonant.
        novel: 1 for a name that is not in the corpus.
        weights: of the terms, other than 1.

    Raises:
        ValueError: an argument is not what it should be, or nothing is wanted.
    """
    if syllables is not None and (isinstance(syllables, bool) or not isinstance(syllables, int)):
        raise ValueError(f"syllables must be a whole number or None, got {syllables!r}")
    words = (forbid,) if isinstance(forbid, str) and forbid else tuple(forbid)
    rules: dict[str, PrefixRule] = {}
    if syllables is not None:
        rules["syllables"] = SyllablesRule(syllables)
    if starts:
        rules["starts"] = StartsRule(_letters("starts", starts))
    if ends:
        rules["ends"] = EndsRule(_letters("ends", ends))
    if words:
        rules["forbidden"] = ForbiddenRule(tuple(_letters("forbid", word) for word in words))
    if near:
        rules["near"] = NearRule(_letters("near", near))
    if alliteration:
        rules["alliteration"] = AlliterationRule()
    if novel:
        rules["novel"] = NovelRule()
    task = Task("wanted", [Term(name, rule, at="end") for name, rule in rules.items()])
    return task.with_weights(weights or {})


def _letters(argument: str, text: object) -> str:
    """``text`` in lower case.

    Raises:
        ValueError: it is not 1 to 13 letters from a to z.
    """
    if not (isinstance(text, str) and text.isascii() and text.isalpha() and len(text) < HORIZON):
        raise ValueError(f"{argument} must be 1 to {HORIZON - 1} letters from a to z, got {text!r}")
    return text.lower()
