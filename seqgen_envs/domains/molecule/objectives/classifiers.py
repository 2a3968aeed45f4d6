"""The three classifiers among PMO's oracles: how likely a molecule is active on a target.

``drd2``
    Dopamine receptor D2: a support vector classifier on folded FCFP6 counts (Olivecrona et al.
    2017).
``gsk3b``, ``jnk3``
    Two kinases: forests of 100 trees on ECFP4 bits (Li, Zhang and Liu 2018).

The models were published as pickles of scikit-learn versions of 2019, and are part of the Python
wheel of MolScore (Thomas et al. 2024). :func:`fetch_models` takes the wheel from PyPI, reads the
numbers out of them without running any of it (:mod:`~.pickles`), and keeps those as .npz files in
the user's cache folder; :func:`load` reads these. Neither scikit-learn nor MolScore is needed. What
a few lines of NumPy make of the numbers equals scikit-learn's probabilities to 1e-12.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from seqgen_envs.bounded import read_arrays
from seqgen_envs.datasets.cache import cache_folder
from seqgen_envs.datasets.fetch import wheel
from seqgen_envs.domains.molecule.objectives.fingerprints import ecfp4, fcfp6
from seqgen_envs.domains.molecule.objectives.pickles import Array, read_pickle
from seqgen_envs.reporting.files import write_arrays

CLASSIFIERS = ("drd2", "gsk3b", "jnk3")
PACKAGE, VERSION = "molscore", "1.9.5"
WHEEL_SHA256 = "6ebc2af51891dddc03d0f4ee94c52381caefe74d06552d55cbac2cb33461e6a1"
BITS = 2048
#: Bounds that libsvm keeps its probabilities within, and when it ends its iteration.
_LEAST, _SETTLED, _ROUNDS = 1e-7, 0.0025, 100

Numbers = NDArray[Any]
Counts = Mapping[int, int]


@dataclass(frozen=True)
class Forest:
    """A forest of binary decision trees.

    Args:
        roots: node of each tree, int64 [trees].
        children: (left, right) of each node, int64 [nodes, 2]; a leaf is its own child.
        features: the feature a node asks for, int64 [nodes].
        thresholds: a feature above it goes right, float64 [nodes].
        values: share of the positive class, float64 [nodes].
        depth: of the deepest tree.
    """

    roots: Numbers
    children: Numbers
    features: Numbers
    thresholds: Numbers
    values: Numbers
    depth: Numbers

    def probability(self, counts: Counts) -> float:
        """Mean over the trees of the leaves' shares.

        Args:
            counts: features that are not 0.
        """
        x = _dense(counts)
        nodes = self.roots
        for _ in range(int(self.depth)):
            right = x[self.features[nodes]] > self.thresholds[nodes]
            nodes = self.children[nodes, right.astype(np.intp)]
        return float(self.values[nodes].mean())


@dataclass(frozen=True)
class SupportVectors:
    """A classifier of two classes by support vectors with Gaussian kernels.

    Args:
        vectors: one a column, float32 [features, vectors]; counts, so float32 is exact.
        weights: their signed weights, float64 [vectors].
        squares: their squared lengths, float64 [vectors].
        gamma, intercept: of the kernel and the decision.
        slope, offset: of the logistic curve from decisions to probabilities (Platt 1999).
    """

    vectors: Numbers
    weights: Numbers
    squares: Numbers
    gamma: Numbers
    intercept: Numbers
    slope: Numbers
    offset: Numbers

    def probability(self, counts: Counts) -> float:
        """The positive class's probability.

        Args:
            counts: features that are not 0.
        """
        indices, values = np.array(list(counts), np.intp), np.array(list(counts.values()), float)
        products = values @ self.vectors[indices]
        distances = self.squares - 2 * products + (values**2).sum()
        decision = np.exp(-self.gamma * distances) @ self.weights + self.intercept
        return 1.0 - _coupled(1 / (1 + np.exp(self.offset - self.slope * decision)))


def _coupled(chance: float) -> float:
    """What libsvm makes of the first class's chance: close to it, but not the same.

    With two classes the pairwise coupling of Wu, Lin and Weng (2004, algorithm 2) has the chance
    itself as its solution; libsvm stops the iteration early, and published values of the oracle
    contain what is left.
    """
    first = min(max(chance, _LEAST), 1 - _LEAST)
    chances = np.array([first, 1 - first])
    form = np.outer(chances[::-1], chances[::-1]) * np.array([[1, -1], [-1, 1]])
    shares = np.array([0.5, 0.5])
    for _ in range(_ROUNDS):
        slopes = form @ shares
        if np.abs(slopes - shares @ slopes).max() < _SETTLED:
            break
        for k in range(2):
            slopes = form @ shares
            shares[k] += (shares @ slopes - slopes[k]) / form[k, k]
            shares /= shares.sum()
    return float(shares[0])


Model = Forest | SupportVectors
_KINDS: dict[str, type[Model]] = {"drd2": SupportVectors, "gsk3b": Forest, "jnk3": Forest}


@dataclass(frozen=True)
class Classifier:
    """An objective: the probability that a molecule is active.

    It is pickled as its name; every process reads the model once.

    Args:
        name: one of :data:`CLASSIFIERS`.
        path: of the model.
    """

    name: str
    path: Path

    def __call__(self, molecule: Chem.Mol) -> float:
        """The probability, 0 to 1."""
        model = _read_model(self.name, self.path)
        if isinstance(model, SupportVectors):
            return model.probability(_folded(fcfp6(molecule)))
        return model.probability(dict.fromkeys(_folded(ecfp4(molecule)), 1))


def load(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Classifier:
    """A classifier whose model :func:`fetch_models` has put into the cache folder.

    Raises:
        ValueError: there is none of that name, or the model's file is broken.
        ImportError: the model is not there; the message says how to get it.
    """
    if name not in CLASSIFIERS:
        raise ValueError(f"unknown classifier {name!r}; there are {', '.join(CLASSIFIERS)}")
    path = _model_path(name, cache_dir)
    if not path.is_file():
        raise ImportError(
            f"the model of {name} is not in {path.parent}: fetch the three classifiers once with "
            f"`seqgen data oracles` (70 MB, the package {PACKAGE} {VERSION} on PyPI)"
        )
    _read_model(name, path)
    return Classifier(name, path)


def fetch_models(cache_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """The models of PMO's oracles drd2, gsk3b and jnk3 (70 MB from PyPI).

    They are kept in the cache folder; those that are there are left as they are.

    Raises:
        FetchError: the wheel could not be fetched; the message says where to put it by hand.
        ValueError: it is not the wheel expected.
    """
    missing = [name for name in CLASSIFIERS if not _model_path(name, cache_dir).is_file()]
    if missing:
        with wheel(PACKAGE, VERSION, WHEEL_SHA256, cache_dir=cache_dir) as archive:
            for name in missing:
                content = archive.read(f"molscore/data/models/molopt/{name}.pkl")
                _write_model(model_of(content), _model_path(name, cache_dir))
    return [_model_path(name, cache_dir) for name in CLASSIFIERS]


def model_of(content: bytes) -> Model:
    """The model in a pickle of scikit-learn's SVC or RandomForestClassifier, of two classes.

    Raises:
        ValueError: the pickle asks for more than data, or holds another model.
    """
    record = read_pickle(content)
    try:
        state = record.state
        return _forest(state) if "estimators_" in state else _support_vectors(state)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"the pickle holds no SVC or random forest of two classes ({error!r})"
        ) from error


def _support_vectors(state: Mapping[str, Any]) -> SupportVectors:
    if state["kernel"] != "rbf":
        raise ValueError(f"expected a Gaussian kernel, got {state['kernel']!r}")
    vectors = state["support_vectors_"].value
    return SupportVectors(
        vectors=np.ascontiguousarray(vectors.T, dtype=np.float32),
        weights=state["dual_coef_"].value[0],
        squares=(vectors**2).sum(axis=1),
        gamma=np.array(state["_gamma"]),
        intercept=state["intercept_"].value[0],
        slope=_either(state, "probA_", "_probA").value[0],
        offset=_either(state, "probB_", "_probB").value[0],
    )


def _either(state: Mapping[str, Any], *names: str) -> Array:
    found: Array = next(state[name] for name in names if name in state)
    return found


def _forest(state: Mapping[str, Any]) -> Forest:
    trees: list[Mapping[str, Any]] = [tree.state["tree_"].state for tree in state["estimators_"]]
    sizes = [tree["node_count"] for tree in trees]
    starts = np.cumsum([0, *sizes[:-1]])
    nodes = np.concatenate([tree["nodes"].value for tree in trees])
    values = np.concatenate([tree["values"].value[:, 0, :] for tree in trees])
    if values.shape[1] != 2:
        raise ValueError(f"expected a forest of two classes, got {values.shape[1]}")
    first = np.repeat(starts, sizes)
    children = np.stack([nodes["left_child"], nodes["right_child"]], axis=1) + first[:, None]
    leaves = np.flatnonzero(nodes["left_child"] < 0)
    children[leaves] = leaves[:, None]
    features = nodes["feature"].copy()
    features[leaves] = 0  # a leaf asks for nothing; it holds -2
    return Forest(
        roots=starts,
        children=children,
        features=features,
        thresholds=nodes["threshold"],
        values=values[:, 1] / values.sum(axis=1),
        depth=np.array(max(tree["max_depth"] for tree in trees)),
    )


def _model_path(name: str, cache_dir: str | os.PathLike[str] | None) -> Path:
    return cache_folder(cache_dir) / f"oracle-{name}-{PACKAGE}-{VERSION}.npz"


def _write_model(model: Model, path: Path) -> None:
    """One .npz file, whole or not at all."""
    write_arrays(path, **vars(model))


@lru_cache(maxsize=16)
def _read_model(name: str, path: Path) -> Model:
    try:
        return _KINDS[name](**read_arrays(path, "it"))
    except Exception as error:  # zipfile, numpy and the dataclass each raise their own
        raise ValueError(
            f"{path} is not the model of {name} ({error}); delete it and run `seqgen data oracles`"
        ) from error


def _dense(counts: Counts) -> Numbers:
    x = np.zeros(BITS, np.float32)
    x[list(counts)] = list(counts.values())
    return x


def _folded(fingerprint: Any) -> Counts:
    """Counts of a sparse fingerprint by identifier modulo 2048."""
    counts: dict[int, int] = {}
    for identifier, count in fingerprint.GetNonzeroElements().items():
        counts[identifier % BITS] = counts.get(identifier % BITS, 0) + count
    return counts
