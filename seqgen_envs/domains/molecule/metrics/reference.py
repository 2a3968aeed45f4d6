"""What novelty and property distances need to know of a corpus, without the corpus.

``reference.npz`` beside a prior holds 40-bit hashes of the canonical SMILES of the training split
and quantiles of a few properties of the training and the held-out split. Novelty by hashes errs
with a chance of (training molecules) / 2^40 a molecule: 2e-7 for ZINC250k.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.bounded import read_arrays
from seqgen_envs.documents import parse_json
from seqgen_envs.domains.molecule.metrics.measured import MEASURED, describe
from seqgen_envs.domains.molecule.smiles import canonicalize
from seqgen_envs.reporting.files import write_arrays

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

REFERENCE_FILE = "reference.npz"
FORMAT = 1
#: Properties whose distributions are compared.
COMPARED = ("logp", "qed", "sa", "weight")
QUANTILES = 1001
HASH_BITS = 40
#: Molecules of the training split that the properties are measured on.
SAMPLE = 20_000
_PROBABILITIES = np.linspace(0, 1, QUANTILES)
#: Where quantile functions are compared.
_MIDPOINTS = (np.arange(4000) + 0.5) / 4000
# Spellings that canonical SMILES have to agree on (aspirin, penicillin G, sildenafil, ...).
_SPECIMENS = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O",
    "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    "C[NH+](C)CCc1c[nH]c2ccc(CS([O-])(=O)=O)cc12",
    "O=C(/C=C/c1ccco1)N[C@@H]1CC[C@H](O)C1",
)


@dataclass(frozen=True)
class CorpusReference:
    """A corpus as far as samples are compared with it.

    Args:
        source: what the corpus is called.
        counts: molecules by split, and ``sampled``: training molecules whose properties were
            measured.
        hashes: of the training split's canonical SMILES, ascending uint64 [n].
        quantiles: by split (``train``, ``held_out``), then by property: float [1001] at
            probabilities 0, 0.001, ... 1.
        yardstick: the summary of some training molecules.
        spelling: fingerprint of how canonical SMILES were written when the hashes were made.
    """

    source: str
    counts: Mapping[str, int]
    hashes: NDArray[np.uint64]
    quantiles: Mapping[str, Mapping[str, NDArray[np.float64]]]
    yardstick: Mapping[str, float] = field(default_factory=dict)
    spelling: str = ""

    def known(self, canonical: Sequence[str]) -> NDArray[np.bool_]:
        """Which canonical SMILES are those of training molecules, bool [n]."""
        wanted = hash_all(canonical)
        at = np.searchsorted(self.hashes, wanted)
        inside = at < len(self.hashes)
        inside[inside] = self.hashes[at[inside]] == wanted[inside]
        return inside

    def distance(self, name: str, values: ArrayLike, split: str = "held_out") -> float:
        """Wasserstein-1 distance of values [n], n > 0, to a property of a split, in its units."""
        ours = np.quantile(np.asarray(values, np.float64), _MIDPOINTS, method="inverted_cdf")
        theirs = np.interp(_MIDPOINTS, _PROBABILITIES, self.quantiles[split][name])
        return float(np.abs(ours - theirs).mean())

    def save(self, folder: str | Path) -> Path:
        """Write ``reference.npz`` into a folder that exists; returns its path."""
        gaps = np.diff(self.hashes, prepend=np.uint64(0))
        about = {
            "format": FORMAT,
            "source": self.source,
            "counts": dict(self.counts),
            "figures": dict(self.yardstick),
            "spelling": self.spelling,
        }
        path = Path(folder) / REFERENCE_FILE
        write_arrays(
            path,
            # byte by byte the gaps of ascending hashes compress to three fifths of the hashes
            gaps=np.ascontiguousarray(gaps.astype("<u8").view(np.uint8).reshape(-1, 8).T),
            quantiles=np.array(
                [[self.quantiles[split][name] for name in COMPARED] for split in self._splits()],
                dtype=np.float32,
            ),
            about=np.array(json.dumps(about)),
        )
        return path

    @staticmethod
    def _splits() -> tuple[str, str]:
        return "train", "held_out"

    @classmethod
    def load(cls, folder: str | Path) -> CorpusReference:
        """Read what :meth:`save` wrote; one copy a process.

        Raises:
            FileNotFoundError: the folder holds no ``reference.npz``.
            ValueError: the file is not what :meth:`save` writes.
        """
        path = Path(folder).expanduser().resolve() / REFERENCE_FILE
        return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: Path, modified: int) -> CorpusReference:
    try:
        file = read_arrays(path, "it")
        about: dict[str, Any] = parse_json(str(file["about"]))
        gaps = np.ascontiguousarray(file["gaps"].T).view("<u8")[:, 0]
        quantiles = file["quantiles"].astype(np.float64)
        if about.pop("format") != FORMAT or quantiles.shape != (2, len(COMPARED), QUANTILES):
            raise ValueError("it is of another version")
        reference = CorpusReference(
            hashes=np.cumsum(gaps, dtype=np.uint64),
            quantiles={
                split: dict(zip(COMPARED, rows, strict=True))
                for split, rows in zip(("train", "held_out"), quantiles, strict=True)
            },
            yardstick=about.pop("figures"),
            **about,
        )
    except Exception as error:  # zipfile, numpy and json each raise their own
        raise ValueError(
            f"{path} is not a corpus reference ({error}); make it again with "
            "seqgen_envs.domains.molecule.metrics.describe_corpus"
        ) from error
    if reference.spelling != spelling():
        logger.warning(
            "%s was made with an RDKit that writes other canonical SMILES than this one: some "
            "training molecules will count as novel",
            path,
        )
    return reference


def hash_all(canonical: Iterable[str]) -> NDArray[np.uint64]:
    """The first 40 bits of each text's BLAKE2b digest, uint64 [n]."""
    size = HASH_BITS // 8
    digests = (hashlib.blake2b(text.encode(), digest_size=size).digest() for text in canonical)
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)


def spelling() -> str:
    """A fingerprint of how this RDKit writes canonical SMILES: versions of it may differ."""
    texts = "\n".join(str(canonicalize(smiles)) for smiles in _SPECIMENS)
    return hashlib.blake2b(texts.encode(), digest_size=8).hexdigest()


def reference_of(
    corpus: Corpus, *, sample: int = SAMPLE, seed: int = 0, progress: bool = True
) -> CorpusReference:
    """The reference of a corpus, without its ``yardstick``.

    Hashes are of the whole training split. Properties are measured on the whole held-out split
    (the test split; where it is empty validation, where that is empty training molecules) and on
    a sample of the training split.

    Args:
        corpus: of SMILES.
        sample: training molecules that are measured.
        seed: of their choice.
        progress: show progress bars.

    Raises:
        ValueError: the corpus has no training sequences.
    """
    from tqdm import tqdm

    train = texts_of(corpus, "train")
    if not train:
        raise ValueError(f"corpus {corpus.source} has no training sequences")
    chosen = sampled(train, sample, seed)
    held_out = texts_of(corpus, "test") or texts_of(corpus, "validation") or chosen
    disable = None if progress else True  # None: where stderr is no terminal
    bar = tqdm(train, desc="hashing", unit="molecule", disable=disable, leave=False)
    known = {text for text in map(canonicalize, bar) if text is not None}
    return CorpusReference(
        source=corpus.source,
        counts={"train": len(train), "held_out": len(held_out), "sampled": len(chosen)},
        hashes=np.unique(hash_all(known)),
        quantiles={
            "train": _quantiles(chosen, "training molecules", progress),
            "held_out": _quantiles(held_out, "held-out molecules", progress),
        },
        spelling=spelling(),
    )


def texts_of(corpus: Corpus, split: str) -> list[str]:
    """The SMILES of a split."""
    return [corpus.vocabulary.to_text(ids) for ids in corpus.split(split)]


def sampled(items: Sequence[Item], size: int, seed: int = 0) -> list[Item]:
    """``size`` of the items, drawn without replacement; all where there are no more."""
    if len(items) <= size:
        return list(items)
    chosen = np.random.default_rng(seed).choice(len(items), size, replace=False)
    return [items[i] for i in chosen]


def _quantiles(texts: Sequence[str], what: str, progress: bool) -> dict[str, NDArray[np.float64]]:
    from tqdm import tqdm

    bar = tqdm(texts, desc=what, disable=None if progress else True, leave=False)
    found = [describe(text) for text in bar]
    rows = np.array([molecule.values for molecule in found if molecule is not None])
    columns = {name: rows[:, MEASURED.index(name)] for name in COMPARED}
    return {
        name: np.quantile(values[np.isfinite(values)], _PROBABILITIES)
        for name, values in columns.items()
    }
