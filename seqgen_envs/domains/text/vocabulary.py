"""Byte-pair tokens: how a vocabulary is learned from texts, and how it cuts a text.

A text is lower-case lines separated by line feeds. It is first cut into pieces: a line feed, or a
word or a run of marks with the blank before it. Within a piece two neighbouring tokens whose
concatenation is a token become that token, the one of the lowest id first. So the order of a
vocabulary's tokens says all that there is to know: single characters, then what byte-pair encoding
(Sennrich, Haddow & Birch 2016) merged, in that order, then the token that ends a text. A vocabulary
lies in the ``config.json`` of its prior, and neither encoding nor decoding needs a library.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.extras import require
from seqgen_envs.vocabulary import UnknownTokenError, Vocabulary

END = "<end>"
NEWLINE = "\n"
#: Tokens of a vocabulary of a corpus, unless it is told otherwise.
SIZE = 1024
#: No text of an environment comes near it: longer ones are refused.
MAX_CHARACTERS = 20_000
_PIECE = re.compile(r"\n| ?[^\W\d_]+(?:'[^\W\d_]*)*| ?'[^\W\d_]+|.", re.DOTALL)
_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "“": "", "”": "", '"': "", "—": ", ", "–": "-", "…": "...", "\t": " "}
)


def plain(text: str) -> str:
    """A text as the lower-case vocabularies have it: no capitals, accents, quotation marks.

    Dashes become commas, several blanks one, and blanks at the ends of lines go.
    """
    split = unicodedata.normalize("NFKD", text.lower().translate(_PLAIN).replace("--", ", "))
    bare = "".join(c for c in split if not unicodedata.combining(c))
    bare = re.sub(r"\s*([,;:.!?])(?:\s*,)+", r"\1", bare)  # a comma or dash after another mark
    bare = re.sub(r" +([,;:.!?])", r"\1", re.sub(r"[^\S\n]+", " ", bare))
    return "\n".join(line.strip(" ") for line in bare.split("\n"))


def is_lower_case(vocabulary: Vocabulary) -> bool:
    """Whether no token of the vocabulary has a capital: texts are made :func:`plain` for it."""
    return all(token == token.lower() for token in vocabulary.tokens)


def is_of_characters(vocabulary: Vocabulary) -> bool:
    """Whether each longer token is made of two others, as :func:`learn` makes them, so that
    :func:`encode` can cut texts; tokens of a tokenizer that write blanks in some other way are not.
    """
    tokens = {token for token in vocabulary.tokens if token != vocabulary.end}
    made = (len(t) == 1 or any(t[:i] in tokens and t[i:] in tokens for i in range(1, len(t)))
            for t in tokens)  # fmt: skip
    return type(vocabulary) is Vocabulary and not vocabulary.joiner and all(made)


def encode(text: str, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Ids of a text, without the end token, int64 [n].

    Raises:
        UnknownTokenError: characters that the vocabulary lacks (the message names them).
        ValueError: it has more than :data:`MAX_CHARACTERS`.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"it has {len(text):,} characters; texts with at most {MAX_CHARACTERS:,} are read"
        )
    if not set(text).issubset(vocabulary.tokens) and is_lower_case(vocabulary):
        text = plain(text)  # what is in the vocabulary's characters is taken as it is
    if unknown := sorted(set(text).difference(vocabulary.tokens)):
        shown = " ".join(map(repr, unknown[:12])) + (" ..." if len(unknown) > 12 else "")
        known = "".join(sorted(t for t in vocabulary.tokens if len(t) == 1)).strip()
        raise UnknownTokenError(
            f"the vocabulary lacks the characters {shown} of {text[:60]!r}; it has a blank, a line "
            f"feed and {known}",
            frozenset(unknown),
        )
    return np.array(
        [i for piece in _PIECE.findall(text) for i in _merged(piece, vocabulary)], dtype=np.int64
    )


@lru_cache(maxsize=50_000)
def _merged(piece: str, vocabulary: Vocabulary) -> tuple[int, ...]:
    """Ids of one piece, all of whose characters are tokens."""
    ranks, parts = _ranks(vocabulary), list(piece)
    while len(parts) > 1:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in itertools.pairwise(parts)]
        at = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[at] == len(ranks):
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return tuple(ranks[part] for part in parts)


@lru_cache(maxsize=16)
def _ranks(vocabulary: Vocabulary) -> dict[str, int]:
    return {token: i for i, token in enumerate(vocabulary.tokens) if token != vocabulary.end}


def learn(texts: Iterable[str], size: int = SIZE) -> Vocabulary:
    """A vocabulary of ``size`` tokens learned from texts, a line feed and the end token included.

    Args:
        texts: as :func:`plain` leaves them, if it is to be a lower-case vocabulary.
        size: V; fewer where the texts have no further pair that occurs twice.

    Raises:
        ImportError: the library ``tokenizers`` is missing (the extra ``text``).
        ValueError: the texts have more different characters than that.
    """
    models, trainers = (require(f"tokenizers.{part}", "text") for part in ("models", "trainers"))
    texts = list(texts)
    characters = sorted({NEWLINE}.union(*texts))
    if len(characters) + 1 >= size:
        raise ValueError(
            f"a vocabulary of {size} tokens cannot hold the {len(characters)} different "
            "characters of these texts and the end token: ask for more"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1, min_frequency=2, initial_alphabet=characters, show_progress=False
    )
    tokenizer = require("tokenizers", "text").Tokenizer(models.BPE())
    tokenizer.train_from_iterator(_pieces(texts), trainer)
    found: dict[str, int] = tokenizer.get_vocab()
    return Vocabulary((*sorted(found, key=found.__getitem__), END), end=END, joiner="")


def _pieces(texts: Sequence[str]) -> Iterator[Any]:
    for text in texts:
        yield from _PIECE.findall(text)
