"""What of a text is copied from a corpus: its runs of six words that stand there too.

The corpus is kept as 32-bit hashes (CRC-32) of its different runs: a run that is not in it is taken
for one with a chance of (runs) / 2^32, which is 2 in 10,000 for the 900,000 words of all of
Shakespeare. The file ``reference.npz`` beside a prior takes a little more than two bytes a run.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.bounded import read_arrays
from seqgen_envs.domains.text.pronunciation import words_of
from seqgen_envs.reporting.files import write_arrays

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus

REFERENCE_FILE = "reference.npz"
#: Words of a run.
RUN = 6
_LOW_BITS = 16
_BUCKETS = 1 << _LOW_BITS
_UINT16 = np.dtype(np.uint16)

Hashes = NDArray[np.uint32]


def hashes_of(text: str) -> list[int]:
    """Hashes of all runs of six words in a text, across its lines, in order."""
    words = [word.strip("'") for word in words_of(text)]
    return [
        zlib.crc32(" ".join(words[at : at + RUN]).encode()) for at in range(len(words) - RUN + 1)
    ]


def six_gram_hashes(texts: Iterable[str]) -> Hashes:
    """Hashes of the different runs of six words in texts, uint32 [n], ascending.

    Runs do not go from one text to the next: give passages as long as there are.
    """
    found = {one for text in texts for one in hashes_of(text)}
    return np.array(sorted(found), dtype=np.uint32)


def save_six_grams(hashes: Hashes, folder: str | Path) -> Path:
    """Write the hashes into a folder, and return the file's path.

    By their upper 16 bits they fall into 65,536 buckets: what is kept are the sizes of those, and
    the lower 16 bits of each.
    """
    path = Path(folder) / REFERENCE_FILE
    sizes = np.bincount(hashes >> _LOW_BITS, minlength=_BUCKETS).astype(np.uint16)
    low = (hashes & (_BUCKETS - 1)).astype(np.uint16)
    write_arrays(path, sizes=sizes, low=low)
    return path


def load_six_grams(folder: str | Path) -> Hashes:
    """The hashes that :func:`save_six_grams` wrote.

    Raises:
        OSError: there is no such file.
        ValueError: it is not such a file.
    """
    path = Path(folder) / REFERENCE_FILE
    arrays = read_arrays(path, str(path))
    wrong = ValueError(f"{path} is not a file of six-grams: make it anew with its prior")
    if set(arrays) != {"sizes", "low"}:
        raise wrong
    sizes, low = arrays["sizes"], arrays["low"]
    if sizes.shape != (_BUCKETS,) or low.ndim != 1 or {sizes.dtype, low.dtype} != {_UINT16}:
        raise wrong
    if sizes.sum(dtype=np.int64) != len(low):
        raise wrong
    high = np.repeat(np.arange(_BUCKETS, dtype=np.uint32), sizes)
    hashes: Hashes = (high << np.uint32(_LOW_BITS)) | low
    return hashes


def describe_corpus(corpus: Corpus, folder: str | Path) -> Path:
    """Write the runs of a corpus's training split beside a prior trained on it; returns the path.

    Raises:
        ValueError: the corpus has no training sequences.
    """
    texts = [corpus.vocabulary.to_text(ids) for ids in corpus.split("train")]
    if not texts:
        raise ValueError(f"corpus {corpus.source} has no training sequences")
    return save_six_grams(six_gram_hashes(texts), folder)


@lru_cache(maxsize=4)
def six_grams_beside(folder: Path) -> Hashes | None:
    """Those of the corpus of the prior in ``folder``; None where it has none."""
    return load_six_grams(folder) if (folder / REFERENCE_FILE).is_file() else None


def copied_runs(text: str, corpus: Hashes) -> tuple[int, int]:
    """How many of a text's runs of six words stand in the corpus too, and how many it has."""
    runs = np.array(hashes_of(text), dtype=np.uint32)
    if not len(runs) or not len(corpus):
        return 0, len(runs)
    at = np.minimum(np.searchsorted(corpus, runs), len(corpus) - 1)
    return int(np.count_nonzero(corpus[at] == runs)), len(runs)
