"""Where downloads and cleaned corpora are kept: the user's cache folder.

The environment variable ``SEQGEN_CACHE`` names another one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """``cache_dir``, else the folder ``SEQGEN_CACHE`` names, else the user's cache folder."""
    if cache_dir is not None:
        return Path(cache_dir)
    from platformdirs import user_cache_dir

    return Path(os.environ.get("SEQGEN_CACHE") or user_cache_dir("seqgen"))


def cached_corpus(
    build: Callable[[], Corpus],
    *,
    kind: str,
    key: str,
    vocabulary: Vocabulary | None,
    cache_dir: str | os.PathLike[str] | None = None,
    refresh: bool = False,
) -> Corpus:
    """The corpus stored under ``key``, or ``build()``, stored.

    A file that is no corpus is built again, and a folder that cannot be written to is no obstacle:
    both are said.

    Args:
        build: makes the corpus.
        kind: what its file's name begins with.
        key: everything its content depends on, besides the vocabulary.
        vocabulary: of its ids; None: it comes from the corpus.
        cache_dir: see :func:`cache_folder`.
        refresh: build even if it is stored.
    """
    tokens = "its own" if vocabulary is None else vocabulary.fingerprint
    digest = hashlib.sha256(f"{tokens} {key}".encode()).hexdigest()[:16]
    path = cache_folder(cache_dir) / f"{kind}-{digest}.npz"
    if path.is_file() and not refresh:
        try:
            return Corpus.load(path, vocabulary)
        except ValueError as error:
            logger.warning("the cached corpus is built again: %s", error)
    corpus = build()
    try:
        corpus.save(path)
    except OSError as error:
        logger.warning("the corpus is not cached in %s (%s)", path.parent, error)
    return corpus
