"""The vocabulary of a language model: its tokenizer's tokens, and how it cuts a text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.vocabulary import UnknownTokenError, Vocabulary


@dataclass(frozen=True)
class TokenizerVocabulary(Vocabulary):
    """The tokens of a tokenizer, which texts are cut and put together by.

    Args:
        tokens, end, joiner: see :class:`~seqgen_envs.vocabulary.Vocabulary`; a token's position is
            its id in the tokenizer and in the model's output.
        rules: digest of the tokenizer: two that cut texts differently differ here.
        unknown: id of the token that stands for text the tokenizer cannot cut; None: it cuts any.
        tokenizer: a ``tokenizers.Tokenizer``.
    """

    rules: str = ""
    unknown: int | None = None
    tokenizer: Any = field(default=None, compare=False, repr=False)

    #: Tokenizers write a space in some other way.
    has_blanks = True

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that two vocabularies share only if they are the same."""
        text = "\x00".join(self.tokens) + "\x01" + (self.end or "") + "\x01" + self.rules
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def to_text(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ``ids`` up to the first pad or end token, as the tokenizer decodes it."""
        self.decode(ids)  # which raises where an id is out of range
        kept = ids.tolist() if isinstance(ids, np.ndarray) else [int(i) for i in ids]
        for stop in (self.pad_id, self.end_id):
            if stop in kept:
                del kept[kept.index(stop) :]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=False)
        return text

    def from_text(self, text: str) -> NDArray[np.int64]:
        """Ids of a text, int64 [n], as the tokenizer cuts it; nothing is put before or after it.

        Raises:
            UnknownTokenError: a part of it has no token.
        """
        cut = self.tokenizer.encode(text, add_special_tokens=False)
        if self.unknown in cut.ids:
            start, stop = cut.offsets[cut.ids.index(self.unknown)]
            raise UnknownTokenError(
                f"the tokenizer has no token for {text[start:stop]!r} at position {start} of "
                f"{text[:60]!r}",
                frozenset({text[start:stop]}),
            )
        return np.asarray(cut.ids, dtype=np.int64)


def vocabulary_of(tokenizer: Any, size: int) -> TokenizerVocabulary:
    """The vocabulary of a tokenizer of transformers, for a model of ``size`` outputs.

    Raises:
        ValueError: it has no end token, or more tokens than the model has outputs; or it is none
            of those that the library ``tokenizers`` runs.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(
            "its tokenizer runs in Python, and only those of the library tokenizers are taken: "
            "save it with a tokenizer.json"
        )
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "its tokenizer has no end token: set eos_token in tokenizer_config.json to the token "
            "that ends a text"
        )
    named: dict[int, str] = {i: token for token, i in tokenizer.get_vocab().items()}
    if max(named) >= size:
        raise ValueError(
            f"its tokenizer has the token id {max(named)}, and the model outputs for 0..{size - 1}"
        )
    # models are often padded to a round number of outputs; "" is no token of a Vocabulary
    tokens = tuple(named.get(i) or f"<no token {i}>" for i in range(size))
    unknown, end = tokenizer.unk_token_id, tokenizer.eos_token_id
    return TokenizerVocabulary(
        tokens,
        end=tokens[end],
        joiner="",
        rules=hashlib.sha256(backend.to_str().encode()).hexdigest()[:16],
        unknown=None if unknown == end else unknown,
        tokenizer=backend,
    )


def never_generated(tokenizer: Any, size: int) -> tuple[int, ...]:
    """Ids that only stand in inputs: special tokens but the end, and outputs that no token has."""
    marked = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    unnamed = set(range(size)) - set(tokenizer.get_vocab().values())
    found = (marked | set(tokenizer.all_special_ids) | unnamed) - {tokenizer.eos_token_id}
    return tuple(sorted(found))


def start_of(tokenizer: Any) -> int:
    """What the model reads before a sequence: the beginning token, or the end of the one before."""
    given = tokenizer.bos_token_id
    return int(tokenizer.eos_token_id if given is None else given)
