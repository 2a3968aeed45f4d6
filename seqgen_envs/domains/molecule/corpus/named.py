"""Named molecule corpora, fetched when they are asked for, and a user's own files.

``zinc250k``
    249,455 drug-like molecules drawn at random from ZINC (Irwin et al. 2012) by Gómez-Bombarelli et
    al. 2018, and the corpus that the PMO benchmark prescribes (Gao et al. 2022). Splits follow from
    each molecule's own content.
``moses``
    The MOSES benchmark's clean leads of ZINC (Polykovskiy et al. 2020): 1,584,663 molecules to
    train on and 176,074 to test on; they lie inside its Python wheel, none of whose code is run.
    One in a hundred of the training molecules, by content, is the validation split.
``moses-scaffolds``
    The same training molecules, tested on the 176,225 whose scaffolds are not among them.

Cleaned corpora are cached in the user's cache folder, or the one ``SEQGEN_CACHE`` names; so are
downloads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rdkit import rdBase

from seqgen_envs.datasets.cache import cache_folder, cached_corpus
from seqgen_envs.datasets.corpus import Corpus, split_of
from seqgen_envs.datasets.fetch import download, sha256_of, wheel
from seqgen_envs.domains.molecule.corpus.cleaning import MAX_TOKENS, SHOWN, Cleaning, smiles_corpus
from seqgen_envs.domains.molecule.corpus.reading import (
    ENDINGS,
    SUFFIXES,
    Record,
    read_records,
    smiles_in,
)
from seqgen_envs.domains.molecule.smiles import VOCABULARY
from seqgen_envs.reporting.files import replacing
from seqgen_envs.vocabulary import Vocabulary

CORPORA = {
    "zinc250k": "249,455 drug-like molecules of ZINC (22 MB from GitHub)",
    "moses": "MOSES: 1.6 million molecules, 176,074 more to test on (52 MB from PyPI)",
    "moses-scaffolds": "MOSES, tested on molecules of scaffolds not seen in training",
}
DEFAULT = "zinc250k"
#: What ``vocabulary`` is called where it comes from the corpus.
OWN_VOCABULARY = "corpus"
#: Part of the cache's key: raise it whenever a line's tokens would come out differently.
FORMAT = 4

ZINC_FILE = "250k_rndm_zinc_drugs_clean_3.csv"
ZINC_URLS = (
    "https://raw.githubusercontent.com/aspuru-guzik-group/chemical_vae/"
    "a509dc613c4c9be54d448a34829bab25bcf09a79/models/zinc_properties/" + ZINC_FILE,
    "https://media.githubusercontent.com/media/lianghsun/miniCDDD/"
    "a9356362cd9390db1228a7d383cd523eb1e23828/" + ZINC_FILE,
)
ZINC_SHA256 = "35e3f1a52b1badc0697e373d73a18ad773f415936ff992f4c6baa2e067b3e6ae"
#: Of its SMILES in order, see :func:`content_of`: what the file is fetched for, whatever its form.
ZINC_CONTENT = "b2a780b520e9188fdbc3dd1affe785f0f21151ac7e9fa8889e33832067763a9b"

MOSES_VERSION = "0.3.1"
MOSES_SHA256 = "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34"
#: The files of the wheel, and their own digests.
MOSES_FILES = {
    "train": "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c",
    "test": "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
    "test_scaffolds": "adffb2192c1bfe31ab0e13154d4af19a37dc18bdbf3cd7b4491e04405128adde",
}
MOSES_VALIDATION = 0.01

Folder = str | os.PathLike[str] | None


def read_corpus(
    data: str,
    *,
    n_jobs: int | None = None,
    column: str | None = None,
    no_stereo: bool = False,
    neutralize: bool = False,
    as_written: bool = False,
    length: int = MAX_TOKENS,
    vocabulary: Vocabulary | str = VOCABULARY,
    cache_dir: Folder = None,
    refresh: bool = False,
    progress: bool = True,
) -> Corpus:
    """A corpus by its name, or of a file of SMILES.

    Args:
        data: one of :data:`CORPORA`, ``"corpus"`` for the default one, or a file
            (see :mod:`.reading`).
        n_jobs: worker processes; default one a core.
        column: of a file that is a table, the name or number of the column of SMILES.
        no_stereo: leave out stereochemistry.
        neutralize: take off charges by protons, as far as they go.
        as_written: leave every SMILES as it is, instead of counter-ions taken off and RDKit's
            canonical spelling; a molecule may then occur in several spellings.
        length: longest sequence kept in tokens, end token included.
        vocabulary: the tokens allowed; ``"corpus"`` allows any and takes the corpus's own.
        cache_dir: where downloads and cleaned corpora are kept; default the ``SEQGEN_CACHE``
            environment variable, else the user's cache folder.
        refresh: clean again even if the cache has the corpus.
        progress: show progress bars.

    Raises:
        FetchError: the corpus could not be downloaded; the message says where to put it by hand.
        FileNotFoundError: there is no such file.
        ValueError: it is neither a name nor a file of SMILES, a download is not what it should be,
            or no line of it could be used.
    """
    if isinstance(vocabulary, str) and vocabulary != OWN_VOCABULARY:
        raise ValueError(
            f"vocabulary must be {OWN_VOCABULARY!r} or be left out, got {vocabulary!r}"
        )
    allowed = vocabulary if isinstance(vocabulary, Vocabulary) else None
    cleaning = Cleaning(as_written, not no_stereo, neutralize, length, allowed)
    name = DEFAULT if data == "corpus" else data
    if column is not None and name in CORPORA:
        raise ValueError(f"the corpus {name} has no columns: leave column out")
    clean = partial(smiles_corpus, cleaning=cleaning, n_jobs=n_jobs, progress=progress)
    if name == "zinc250k":
        content, build = ZINC_CONTENT, partial(_zinc250k, clean, cache_dir, progress)
    elif name in CORPORA:
        test = "test_scaffolds" if name == "moses-scaffolds" else "test"
        content = f"{MOSES_FILES['train']} {MOSES_FILES[test]} {MOSES_VALIDATION}"
        build = partial(_moses, name, test, clean, cache_dir)
    elif name.lower().endswith(ENDINGS):
        content = f"{_stamp(Path(name))} {column}"
        build = partial(_file, Path(name), clean, column)
    else:
        raise ValueError(
            f"{data!r} is {'a folder, and ' if Path(name).is_dir() else ''}no corpus of molecules; "
            f"there are {', '.join(CORPORA)}, and files that end in {', '.join(SUFFIXES)}, gzipped "
            "or not"
        )
    return cached_corpus(
        build,
        kind=f"molecule-{name if name in CORPORA else 'file'}",
        key=f"{FORMAT} RDKit {rdBase.rdkitVersion} {replace(cleaning, vocabulary=None)} {content}",
        vocabulary=allowed,
        cache_dir=cache_dir,
        refresh=refresh,
    )


def content_of(smiles: Sequence[str]) -> str:
    """SHA-256 of SMILES joined by line feeds: what a corpus holds, whatever file it stands in."""
    return hashlib.sha256("\n".join(smiles).encode()).hexdigest()


def _zinc250k(clean: Callable[..., Corpus], cache_dir: Folder, progress: bool) -> Corpus:
    path = download(ZINC_FILE, ZINC_URLS, ZINC_SHA256, cache_dir=cache_dir, progress=progress)
    lines = smiles_in(path)
    found = content_of(lines)
    if found != ZINC_CONTENT:
        raise ValueError(
            f"{path} does not hold the molecules of zinc250k: the SHA-256 of its SMILES is "
            f"{found}, not {ZINC_CONTENT}; delete it and try again"
        )
    return clean(lines, "zinc250k")


def _moses(name: str, test: str, clean: Callable[..., Corpus], cache_dir: Folder) -> Corpus:
    parts = {part: smiles_in(_moses_file(part, cache_dir)) for part in ("train", test)}
    lines = [smiles for part in parts.values() for smiles in part]
    names = [f"{part} {number}" for part, ls in parts.items() for number in range(1, len(ls) + 1)]
    splits = ["train" if part == "train" else "test" for part, ls in parts.items() for _ in ls]
    corpus = clean(lines, name, names=names, splits=splits)
    shares = (1 - MOSES_VALIDATION, MOSES_VALIDATION, 0.0)
    given = zip(corpus.sequences, corpus.splits, strict=True)
    drawn = [split_of(tokens, shares) if split == "train" else split for tokens, split in given]
    return replace(corpus, splits=np.array(drawn))


def _moses_file(part: str, cache_dir: Folder) -> Path:
    """One file of the wheel, taken out of it unless it lies in the cache folder."""
    folder = cache_folder(cache_dir) / f"moses-{MOSES_VERSION}"
    path = folder / f"{part}.csv.gz"
    if not path.is_file() or sha256_of(path) != MOSES_FILES[part]:
        with wheel("molsets", MOSES_VERSION, MOSES_SHA256, cache_dir=cache_dir) as archive:
            for file in MOSES_FILES:
                with replacing(folder / f"{file}.csv.gz") as unfinished:
                    unfinished.write_bytes(archive.read(f"moses/dataset/data/{file}.csv.gz"))
    return path


def _file(path: Path, clean: Callable[..., Corpus], column: str | None = None) -> Corpus:
    records = read_records(path, column)
    return clean(
        [record.smiles for record in records],
        str(path),
        names=[record.name or record.place.split()[-1] for record in records],
        places=[_place(record) for record in records],
    )


def _place(record: Record) -> str:
    return f"{record.place} ({record.name[:SHOWN]})" if record.name else record.place


def _stamp(path: Path) -> str:
    """What changes when the file does."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
