"""Names that are known: a sorted list, looked up by name or by how a name begins."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.bounded import read_arrays
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.names.vocabulary import END
from seqgen_envs.reporting.files import write_arrays
from seqgen_envs.rules import Tokens

PRIORS = Path(__file__).parents[2] / "priors" / "names"
#: Of a prior's folder: the names of its corpus.
REFERENCE_FILE = "reference.npz"
DEFAULT = PRIORS / "default"
_A = ord("a")


def as_bytes(text: Tokens) -> NDArray[np.bytes_]:
    """Names as NumPy's byte strings, [N]; ``text`` [N, T] as of :func:`~.vocabulary.letters`."""
    width = text.shape[1]
    spelled = np.where(text < END, text + _A, 0).astype(np.uint8)
    found: NDArray[np.bytes_] = np.ascontiguousarray(spelled).view(f"S{width}")[:, 0]
    return found


def describe_corpus(corpus: Corpus, folder: Path) -> Path:
    """Write the names of a corpus beside the prior in ``folder``; returns the file's path."""
    texts = sorted(corpus.vocabulary.to_text(ids) for ids in corpus.sequences)
    path = folder / REFERENCE_FILE
    write_arrays(path, names=np.frombuffer("\n".join(texts).encode(), np.uint8))
    return path


@lru_cache(maxsize=8)
def known_names(folder: Path | None = None) -> NDArray[np.bytes_]:
    """The names of a prior's corpus, sorted; of the default prior where it has no such list.

    Raises:
        ValueError: the list cannot be read.
    """
    path = (folder or DEFAULT) / REFERENCE_FILE
    if not path.is_file():
        path = DEFAULT / REFERENCE_FILE
    content = read_arrays(path, "it")["names"].tobytes()
    return np.unique(np.array(content.split(b"\n")))


def is_known(text: Tokens, names: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Whether names are among the sorted ones, bool [N]."""
    wanted = as_bytes(text)
    at = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    found: NDArray[np.bool_] = names[at] == wanted
    return found


def beginning_of(text: Tokens, length: int, names: NDArray[np.bytes_]) -> Tokens:
    """The first of the sorted names that begins with each prefix of one length, [N]; -1: none."""
    wanted = as_bytes(text)
    at = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    begins = np.char.startswith(names[at], wanted) if length else np.ones(len(text), dtype=bool)
    return np.where(begins, at, -1)
