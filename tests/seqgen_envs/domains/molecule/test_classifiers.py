"""The classifiers: read without running anything, and equal to scikit-learn's own probabilities.

The models themselves are not part of this package. Tests that need them run where the cache has
them (``seqgen data oracles``), or fetch them if the environment has SEQGEN_ORACLE_TESTS=1.
"""

import csv
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from helpers.paths import DATA
from seqgen_envs.datasets.fetch import sha256_of
from seqgen_envs.domains.molecule.objectives import classifiers
from seqgen_envs.domains.molecule.objectives.classifiers import (
    CLASSIFIERS,
    fetch_models,
    load,
    model_of,
)
from seqgen_envs.domains.molecule.objectives.pickles import Record, UnsafePickleError, read_pickle

VALUES = DATA / "molecule_classifiers.csv"
NODES = [
    ("left_child", "<i8"),
    ("right_child", "<i8"),
    ("feature", "<i8"),
    ("threshold", "<f8"),
    ("impurity", "<f8"),
]


# -- what pickles may ask for ----------------------------------------------------------------------


class Evil:
    """Pickled as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch run",), r"(posix|nt)\.system"),
        (eval, ("open('run', 'w')",), r"builtins\.eval"),
        (np.load, ("run",), r"numpy\.load"),
        (np.fromfile, ("run",), r"numpy.*\.fromfile"),
        (getattr, (os, "system"), r"builtins\.getattr"),
        (Path, ("run",), r"pathlib.*\.Path"),
    ],
)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_nothing_is_ever_run(function, arguments, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = tuple(a for a in arguments if a is not os)
    content = pickle.dumps([1, Evil(function, *arguments)], protocol=protocol)
    with pytest.raises(UnsafePickleError, match=f"the file asks for {named}: expected only"):
        read_pickle(content)
    assert list(tmp_path.iterdir()) == []


def test_the_same_pickle_would_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil(os.system, "echo > run")))
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.zeros((0, 4), np.float32),
        np.array(3.5),
        np.array([1, 2], ">i4"),
        np.array([(1, 2.5), (3, 4.5)], [("a", "<i8"), ("b", "<f4")]),
        np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    ],
    ids=str,
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_of_numbers_are_read(array, protocol):
    read = read_pickle(pickle.dumps({"array": array}, protocol=protocol))["array"].value
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_scalars_are_read():
    assert read_pickle(pickle.dumps((np.float64(2.5), np.int64(7)), protocol=3)) == (2.5, 7)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(np.array([Evil(os.system, "true"), None], dtype=object)),
        pickle.dumps(np.array(["text"])),
        pickle.dumps(np.zeros(2, [("a", "O")])),
        pickle.dumps(np.zeros(3), protocol=3)[:-30],
        pickle.dumps(np.zeros(3), protocol=3).replace(b"K\x03\x85", b"K\x04\x85"),  # four of three
        b"",
        b"no pickle",
        b"\x80\x02P1\n.",  # a persistent id
    ],
)
def test_other_contents_are_refused(content):
    with pytest.raises(UnsafePickleError):
        read_pickle(content)


# -- models made here ------------------------------------------------------------------------------


@pytest.fixture
def sklearn_of_2019(monkeypatch):
    """Classes under the names that old pickles have; scikit-learn is not needed."""
    names = ("ensemble.forest RandomForestClassifier", "tree.tree DecisionTreeClassifier")
    made = {}
    for name in (*names, "tree._tree Tree", "svm.classes SVC"):
        module, _, kind = name.partition(" ")
        path = f"sklearn.{module}"
        made[kind] = type(kind, (Record,), {"__module__": path, "__reduce__": _reduce})
        for package in ("sklearn", path.rpartition(".")[0], path):
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        setattr(sys.modules[path], kind, made[kind])
    return made


def _reduce(record):
    return type(record), record.arguments, record.state


def thing(kind, *arguments, **state):
    made = kind(*arguments)
    made.state = state
    return made


def random_tree(rng, depth):
    """Rows of nodes as scikit-learn lays them out, and class weights of each."""
    nodes, weights = [], []

    def grow(level):
        at = len(nodes)
        nodes.append(None)
        weights.append(rng.integers(1, 9, 2).astype(float))
        if level == depth or rng.random() < 0.2:
            nodes[at] = (-1, -1, -2, -2.0, 0.0)
        else:
            left, right = grow(level + 1), grow(level + 1)
            nodes[at] = (left, right, rng.integers(2048), 0.5, 0.0)
        return at

    grow(0)
    return np.array(nodes, NODES), np.array(weights)[:, None, :]


def forest_pickle(kinds, trees):
    estimators = [
        thing(
            kinds["DecisionTreeClassifier"],
            tree_=thing(
                kinds["Tree"], 2048, max_depth=12, node_count=len(nodes), nodes=nodes, values=values
            ),
        )
        for nodes, values in trees
    ]
    forest = thing(kinds["RandomForestClassifier"], n_classes_=2, estimators_=estimators)
    return pickle.dumps(forest, protocol=3)


def naive_probability(trees, features):
    """One tree after the other, one node after the other."""
    shares = []
    for nodes, values in trees:
        at = 0
        while nodes["left_child"][at] >= 0:
            goes_left = features.get(nodes["feature"][at], 0) <= nodes["threshold"][at]
            at = nodes["left_child" if goes_left else "right_child"][at]
        shares.append(values[at, 0, 1] / values[at, 0].sum())
    return np.mean(shares)


def test_a_forest_equals_its_naive_twin(sklearn_of_2019):
    rng = np.random.default_rng(0)
    trees = [random_tree(rng, depth) for depth in (0, 1, 3, 8, 12)]
    model = model_of(forest_pickle(sklearn_of_2019, trees))
    answers = set()
    for _ in range(50):
        features = dict.fromkeys(rng.choice(2048, 1000, replace=False).tolist(), 1)
        expected = naive_probability(trees, features)
        assert model.probability(features) == pytest.approx(expected, abs=1e-15)
        answers.add(round(expected, 12))
    assert len(answers) > 10
    assert 0 < model.probability({}) < 1


def svc_pickle(kinds, rng, **changes):
    vectors = rng.integers(0, 4, (30, 2048)) * (rng.random((30, 2048)) < 0.02)
    state = {
        "kernel": "rbf",
        "_gamma": 1 / 64,
        "support_vectors_": vectors.astype(float),
        "dual_coef_": rng.normal(size=(1, 30)) * 3,
        "intercept_": np.array([-0.3]),
        "probA_": np.array([-6.0]),
        "probB_": np.array([0.1]),
    }
    return state | changes, pickle.dumps(thing(kinds["SVC"], **(state | changes)), protocol=3)


@pytest.mark.parametrize("names", [("probA_", "probB_"), ("_probA", "_probB")])
def test_support_vectors_equal_the_formula(sklearn_of_2019, names):
    rng = np.random.default_rng(0)
    state, _ = svc_pickle(sklearn_of_2019, rng)
    for old, new in zip(("probA_", "probB_"), names, strict=True):
        state[new] = state.pop(old)
    model = model_of(pickle.dumps(thing(sklearn_of_2019["SVC"], **state), protocol=3))
    answers = []
    for _ in range(30):
        features = {int(i): int(rng.integers(1, 4)) for i in rng.choice(2048, 40, replace=False)}
        x = np.zeros(2048)
        x[list(features)] = list(features.values())
        distances = ((state["support_vectors_"] - x) ** 2).sum(axis=1)
        decision = float(state["dual_coef_"][0] @ np.exp(-distances / 64) - 0.3)
        expected = 1 / (1 + np.exp(-6.0 * decision - 0.1))
        answers.append(model.probability(features))
        assert answers[-1] == pytest.approx(expected, abs=0.01)  # libsvm stops early
    assert max(answers) - min(answers) > 0.3


@pytest.mark.parametrize(
    ("chance", "probability"),
    [
        (0.0004562818976345243, 6.254343746237012e-07),
        (0.0173798609307335, 0.017375730892957852),
        (0.8824362366413253, 0.8824360405521277),
        (0.9535428678541802, 0.951795319290004),
        (0.978227282045917, 0.9777950951207316),
        (0.9999170081552595, 0.9999170012698998),
        (0.9999884417180217, 0.999988441584434),
    ],
)
def test_chances_become_probabilities_as_in_libsvm(chance, probability):
    """Pairs of scikit-learn 1.9.1, from the model of drd2."""
    assert classifiers._coupled(chance) == pytest.approx(probability, abs=1e-12)


def test_other_models_are_refused(sklearn_of_2019):
    _, linear = svc_pickle(sklearn_of_2019, np.random.default_rng(0), kernel="linear")
    with pytest.raises(ValueError, match="expected a Gaussian kernel, got 'linear'"):
        model_of(linear)
    nodes, values = random_tree(np.random.default_rng(0), 3)
    three = np.concatenate([values, values[:, :, :1]], axis=2)
    with pytest.raises(ValueError, match="expected a forest of two classes, got 3"):
        model_of(forest_pickle(sklearn_of_2019, [(nodes, three)]))
    for other in ({}, [1, 2], thing(sklearn_of_2019["SVC"], kernel="rbf")):
        with pytest.raises(ValueError, match="the pickle holds no SVC or random forest"):
            model_of(pickle.dumps(other))


# -- fetching and loading --------------------------------------------------------------------------


@pytest.fixture
def small_wheel(tmp_path, monkeypatch, sklearn_of_2019):
    """A wheel of small models, put into the cache folder by hand."""
    rng = np.random.default_rng(0)
    path = tmp_path / "molscore-1.9.5-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        folder = "molscore/data/models/molopt"
        archive.writestr(f"{folder}/drd2.pkl", svc_pickle(sklearn_of_2019, rng)[1])
        for name in ("gsk3b", "jnk3"):
            trees = [random_tree(rng, 12) for _ in range(3)]
            archive.writestr(f"{folder}/{name}.pkl", forest_pickle(sklearn_of_2019, trees))
    monkeypatch.setattr(classifiers, "WHEEL_SHA256", sha256_of(path))
    return path


def test_models_are_fetched_once_and_loaded_by_name(small_wheel, tmp_path):
    paths = fetch_models(tmp_path)
    assert [path.parent for path in paths] == [tmp_path] * 3
    small_wheel.unlink()
    assert fetch_models(tmp_path) == paths
    molecules = [Chem.MolFromSmiles(smiles) for smiles in ("c1ccccc1O", "CC(=O)NC", "CCCCCCCl")]
    for name in CLASSIFIERS:
        objective = load(name, tmp_path)
        answers = [objective(molecule) for molecule in molecules]
        assert all(isinstance(answer, float) and 0 <= answer <= 1 for answer in answers)
        content = pickle.dumps(objective)
        assert len(content) < 1000  # its name, not its numbers
        assert [pickle.loads(content)(molecule) for molecule in molecules] == answers


def test_what_cannot_be_loaded_is_said(small_wheel, tmp_path):
    with pytest.raises(ValueError, match="unknown classifier 'drd3'; there are drd2, gsk3b, jnk3"):
        load("drd3", tmp_path)
    message = r"the model of jnk3 is not in .*: fetch .* with `seqgen data oracles` \(70 MB"
    with pytest.raises(ImportError, match=message):
        load("jnk3", tmp_path)
    path = fetch_models(tmp_path)[2]
    path.write_bytes(b"spoilt")
    with pytest.raises(ValueError, match=r"is not the model of jnk3 .*delete it and run `seqgen d"):
        load("jnk3", tmp_path)


def test_another_wheel_is_refused(small_wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"is not the molscore-1.9.5-py3-none-any.whl expected"):
        fetch_models(tmp_path)
    assert not list(tmp_path.glob("*.npz"))


# -- the published models --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    if os.environ.get("SEQGEN_ORACLE_TESTS") == "1":
        fetch_models()
    try:
        return {name: load(name) for name in CLASSIFIERS}
    except ImportError as error:
        pytest.skip(f"{error}, or set SEQGEN_ORACLE_TESTS=1")


def golden():
    with open(VALUES, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_are_scikit_learns(published, name):
    """``generate_molecule_classifiers.py`` wrote them, with scikit-learn 1.9.1."""
    rows = golden()
    ours = [published[name](Chem.MolFromSmiles(row["smiles"])) for row in rows]
    np.testing.assert_allclose(ours, [float(row[name]) for row in rows], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "smiles", "value"),
    [
        # the oracles' documentation and tests in TDC (Huang et al. 2021), and users' tables
        ("drd2", "CC(C)(C)[C@H]1CCc2c(sc(NC(=O)COc3ccc(Cl)cc3)c2C(N)=O)C1", 0.0015465),
        ("gsk3b", "CC(C)(C)[C@H]1CCc2c(sc(NC(=O)COc3ccc(Cl)cc3)c2C(N)=O)C1", 0.03),
        ("gsk3b", "C[C@@H]1CCc2c(sc(NC(=O)c3ccco3)c2C(N)=O)C1", 0.02),
        ("gsk3b", "CCNC(=O)c1ccc(NC(=O)N2CC[C@H](C)[C@H](O)C2)c(C)c1", 0.0),
        ("jnk3", "C[C@@H]1CCN(C(=O)CCCc2ccccc2)C[C@@H]1O", 0.01),
        ("jnk3", "NC(=O)CSc1ccc(CC2CCN(C3CCN(C(=O)c4cccc5ccccc45)CC3)CC2)cc1", 0.1),
        ("jnk3", "CCc1nnc2c(NC3CC3)nc3ccccc3n12", 0.0),
    ],
)
def test_golden_values_are_the_published_ones(name, smiles, value):
    """The table itself, so that it is checked where the models are not."""
    (row,) = [row for row in golden() if row["smiles"] == smiles]
    assert float(row[name]) == pytest.approx(value, abs=1e-6)


def test_golden_values_are_many_and_spread():
    rows = golden()
    assert len(rows) >= 200
    for name, high in (("drd2", 0.9), ("gsk3b", 0.3), ("jnk3", 0.2)):
        values = [float(row[name]) for row in rows]
        assert min(values) < 0.01
        assert max(values) > high
