"""Molecules written as files and read back, by us and by RDKit's own readers."""

import numpy as np
import pytest
from matplotlib.image import imread
from rdkit import Chem
from rdkit.Chem import QED

from seqgen_envs.domains.molecule.corpus.entries import read_molecules
from seqgen_envs.domains.molecule.output.files import write_collection, write_sdf
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode

PENICILLIN = "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O"
SAMPLED = ("OCC", "C1CC", PENICILLIN, "CC(", "c1ccccc1")
NAMES = [f"molecule-{i:04d}" for i in range(len(SAMPLED))]
VALID = [0, 2, 4]


def tokens_of(smiles):
    tokens = np.full((len(smiles), 80), VOCABULARY.pad_id)
    for row, text in zip(tokens, smiles, strict=True):
        ids = np.append(encode(text), VOCABULARY.end_id)
        row[: len(ids)] = ids
    return tokens


def rows_of(smiles):
    return [
        {
            "name": name,
            "length": len(text),
            "text": text,
            "tokens": "1 2 3",
            "log_prior": -12.3456789,
            "metric_qed": float("nan"),
        }
        for name, text in zip(NAMES, smiles, strict=True)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules")
    paths = write_collection(tokens_of(SAMPLED), folder, NAMES, rows_of(SAMPLED))
    return folder, paths


def test_all_files_are_written_and_named(written):
    folder, paths = written
    names = ["molecules.smi", "molecules.sdf", "grid.svg", "grid.png", "histograms.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_the_smi_holds_the_valid_ones_as_they_were_spelled(written):
    folder, _ = written
    lines = (folder / "molecules.smi").read_text().splitlines()
    assert lines == [f"{SAMPLED[i]} {NAMES[i]}" for i in VALID]
    supplier = Chem.SmilesMolSupplier(str(folder / "molecules.smi"), titleLine=False)
    assert [mol.GetProp("_Name") for mol in supplier] == [NAMES[i] for i in VALID]
    entries = read_molecules(folder / "molecules.smi", as_written=True)
    assert [(e.place, e.name, e.text, e.given) for e in entries] == [
        (f"line {n}", NAMES[i], SAMPLED[i], SAMPLED[i]) for n, i in enumerate(VALID, start=1)
    ]


def test_the_sdf_holds_coordinates_stereo_and_fields(written):
    molecules = list(Chem.SDMolSupplier(str(written[0] / "molecules.sdf")))
    assert [mol.GetProp("_Name") for mol in molecules] == [NAMES[i] for i in VALID]
    for i, mol in zip(VALID, molecules, strict=True):
        assert Chem.MolToSmiles(mol) == Chem.CanonSmiles(SAMPLED[i])
        assert mol.GetPropsAsDict() == {
            "SMILES": SAMPLED[i],
            "length": len(SAMPLED[i]),
            "log_prior": -12.3457,
        }
        positions = mol.GetConformer().GetPositions()
        assert (positions[:, 2] == 0).all()
        assert len(np.unique(positions, axis=0)) == mol.GetNumAtoms()


def test_pictures_of_the_valid_ones(written):
    folder, _ = written
    assert imread(folder / "grid.png").shape[:2] == (220, 3 * 290)
    assert (folder / "grid.svg").stat().st_size > 5_000
    assert imread(folder / "histograms.png").shape[:2] == (780, 1170)


def test_where_nothing_is_valid_the_grid_shows_what_there_is(tmp_path):
    bad = ["C1CC", "CC("]
    paths = write_collection(tokens_of(bad), tmp_path, NAMES[:2], [{"length": 4}] * 2)
    assert all(path.is_file() for path in paths)
    assert (tmp_path / "molecules.smi").read_text() == ""
    assert (tmp_path / "molecules.sdf").read_text() == ""
    picture = imread(tmp_path / "grid.png")[..., :3]
    assert picture.shape[:2] == (220, 2 * 290)
    assert all((half < 0.5).any() for half in np.split(picture, 2, axis=1))


def test_names_and_rows_for_every_sequence(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        write_collection(tokens_of(SAMPLED), tmp_path, NAMES[:2], rows_of(SAMPLED))
    assert not list(tmp_path.iterdir())


def test_an_sdf_leaves_out_what_is_no_molecule(tmp_path):
    rows = [("a", "C1CC", {}), ("b", "CCO", {"qed": QED.qed(Chem.MolFromSmiles("CCO"))})]
    write_sdf(tmp_path / "x.sdf", rows)
    (mol,) = Chem.SDMolSupplier(str(tmp_path / "x.sdf"))
    assert float(mol.GetProp("qed")) == pytest.approx(0.406808)
