"""Properties: RDKit's own figures, hand-made molecules, what a user writes."""

import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen, Descriptors
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.DataStructs import TanimotoSimilarity

from helpers.paths import DATA
from seqgen_envs.domains.molecule.objectives import pharmacophores, properties
from seqgen_envs.domains.molecule.objectives.druglikeness import count_alerts
from seqgen_envs.domains.molecule.objectives.fingerprints import FINGERPRINTS, get_fingerprint
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES, MatchCount, get_property
from seqgen_envs.domains.molecule.objectives.queries import read_formula, read_smarts, read_smiles
from seqgen_envs.domains.molecule.smiles import compound_of

GOLDEN = DATA / "molecule_oracles.npz"
MACROCYCLE = "C1CCCCCCCCCCCCCC1"


@pytest.fixture(scope="module")
def molecules():
    """A few hundred, small and large, charged and odd, in the order of the golden file."""
    with np.load(GOLDEN) as data:
        return [Chem.MolFromSmiles(smiles) for smiles in data["smiles"].tolist()]


@pytest.fixture(scope="module")
def sascorer():
    """RDKit's contributed module, imported as its own documentation does."""
    folder = str(Path(RDConfig.RDContribDir) / "SA_Score")
    sys.path.append(folder)
    try:
        import sascorer
    finally:
        sys.path.remove(folder)
    return sascorer


def of(name, smiles):
    return PROPERTIES[name](Chem.MolFromSmiles(smiles))


def test_sa_is_rdkits(molecules, sascorer):
    assert len(molecules) >= 200
    for molecule in molecules:
        assert PROPERTIES["sa"](molecule) == sascorer.calculateScore(molecule)


def test_what_is_shared_by_all_properties_of_a_compound_is_rdkits(molecules, sascorer):
    """Each is measured of the one molecule that all others were measured of before."""
    for text in map(Chem.MolToSmiles, molecules[::2]):
        compound = compound_of(text)
        alone = Chem.Mol(compound.molecule)
        found = [compound.take(PROPERTIES[name]) for name in ("logp", "sa", "qed", "logp")]
        wanted = Crippen.MolLogP(alone), sascorer.calculateScore(alone), QED.qed(alone)
        assert found == [*wanted, wanted[0]]


def test_qed_is_rdkits(molecules):
    odd = "[2H]C([2H])O", "[H][H]", "*CCO", "[13CH4]", "[NH4+].[Cl-]", "C1CC2CCC1CC2", "[Na]Cl"
    for molecule in [*molecules, *map(Chem.MolFromSmiles, odd)]:
        before = Chem.MolToSmiles(molecule)
        assert PROPERTIES["qed"](molecule) == QED.qed(molecule)
        assert Chem.MolToSmiles(molecule) == before


def test_every_structural_alert_is_found():
    """Patterns that are molecules as they stand, each by itself and in others' company."""
    alerted = [m for m in map(Chem.MolFromSmiles, QED.StructuralAlertSmarts) if m is not None]
    alerted += [Chem.CombineMols(one, alerted[7]) for one in alerted]
    assert len(alerted) > 80
    for molecule in alerted:
        Chem.SanitizeMol(molecule)
        expected = sum(molecule.HasSubstructMatch(alert) for alert in QED.StructuralAlerts)
        assert count_alerts(molecule) == expected > 0


def test_sa_by_the_new_perception_of_stereochemistry(molecules, sascorer):
    Chem.SetUseLegacyStereoPerception(False)
    try:
        for molecule in molecules[:40]:
            fresh = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
            assert PROPERTIES["sa"](fresh) == sascorer.calculateScore(fresh)
    finally:
        Chem.SetUseLegacyStereoPerception(True)


def test_sa_without_the_contributed_module(monkeypatch, tmp_path):
    monkeypatch.setattr(RDConfig, "RDContribDir", str(tmp_path))
    monkeypatch.setattr(properties, "_sa_scorer", properties._sa_scorer.__wrapped__)
    with pytest.raises(ImportError, match=r"sascorer\.py, which is missing; .*pip install rdkit"):
        of("sa", "CCO")


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("logp", Crippen.MolLogP),
        ("qed", QED.qed),
        ("weight", Descriptors.MolWt),
        ("tpsa", Descriptors.TPSA),
        ("hbd", Descriptors.NumHDonors),
        ("hba", Descriptors.NumHAcceptors),
        ("rotatable_bonds", Descriptors.NumRotatableBonds),
        ("rings", Descriptors.RingCount),
        ("aromatic_rings", Descriptors.NumAromaticRings),
        ("heavy_atoms", Descriptors.HeavyAtomCount),
        ("bertz", Descriptors.BertzCT),
        ("fraction_csp3", Descriptors.FractionCSP3),
    ],
)
def test_rdkits_descriptors(molecules, name, theirs):
    for molecule in molecules[::5]:
        assert PROPERTIES[name](molecule) == theirs(molecule)


def test_all_are_finite_floats(molecules):
    for molecule in molecules[::25]:
        for name, measure in PROPERTIES.items():
            value = measure(molecule)
            assert type(value) is float, name
            assert math.isfinite(value), name


@pytest.mark.parametrize(
    ("name", "smiles", "expected"),
    [
        ("largest_ring", "CCO", 0),
        ("largest_ring", "c1ccc2[nH]ccc2c1", 6),
        ("largest_ring", MACROCYCLE, 15),
        ("ring_penalty", "CCO", 0),
        ("ring_penalty", "C1CC1", 0),
        ("ring_penalty", "C1CCCCC1", 0),
        ("ring_penalty", "C1CCCCCC1", 1),
        ("ring_penalty", MACROCYCLE, 9),
        ("rings", "c1ccc2ccccc2c1", 2),
        ("aromatic_rings", "C1CCCCC1c1ccccc1", 1),
        ("heavy_atoms", "CCO.[Na+]", 4),
        ("hbd", "OCCO", 2),
        ("hba", "CC(=O)C", 1),
        ("rotatable_bonds", "CCCC", 1),
        ("fraction_csp3", "CC=O", 0.5),
        ("stereocentres", "C[C@H](N)C(O)CC", 2),
        ("formal_charge", "[NH3+]CC(=O)[O-].[Na+]", 1),
        ("weight", "O", pytest.approx(18.015, abs=1e-3)),
        ("tpsa", "CCO", pytest.approx(20.23)),
        ("alerts", "CCO", 0),
        ("alerts", "O=C1NC(=S)SC1=Cc1ccccc1", 3),  # ene_rhod_A; Michael acceptor, thiocarbonyl
    ],
)
def test_by_hand(name, smiles, expected):
    assert of(name, smiles) == expected


def test_penalized_logp():
    plain = of("logp", MACROCYCLE) - of("sa", MACROCYCLE) - 9
    assert of("penalized_logp", MACROCYCLE) == pytest.approx(plain, abs=1e-12)
    assert plain < of("penalized_logp", "C" * 15) - 9


def test_standardized_penalized_logp():
    """The published figures written out once more; 0 at ZINC250k's mean."""
    expected = (
        (of("logp", MACROCYCLE) - 2.4570953396190123) / 1.434324401111988
        + (-of("sa", MACROCYCLE) + 3.0525811293166134) / 0.8335207024513095
        + (-9 + 0.0485696876403053) / 0.2860212110245455
    )
    assert of("penalized_logp_standardized", MACROCYCLE) == pytest.approx(expected, abs=1e-9)


def test_unknown_property():
    with pytest.raises(ValueError, match="unknown property 'logP'; expected one of logp, qed"):
        get_property("logP")


def test_properties_pickle():
    for measure in PROPERTIES.values():
        assert pickle.loads(pickle.dumps(measure)) is measure


# -- what a user writes ---------------------------------------------------------------------------


def test_match_count():
    assert MatchCount("[F]")(Chem.MolFromSmiles("FC(F)(F)CCl")) == 3
    count = pickle.loads(pickle.dumps(MatchCount("[$([#7]-c1ccccc1)]")))
    assert count(Chem.MolFromSmiles("Nc1ccc(N)cc1")) == 2
    assert count == MatchCount("[$([#7]-c1ccccc1)]")


@pytest.mark.parametrize("smarts", ["c1cc", "", "[", "not"])
def test_bad_smarts(smarts):
    with pytest.raises(ValueError, match="is not a valid SMARTS") as raised:
        read_smarts(smarts)
    assert repr(smarts) in str(raised.value)


@pytest.mark.parametrize("smiles", ["c1cc", "", "C(C)(C)(C)(C)C", "not"])
def test_bad_smiles(smiles):
    with pytest.raises(ValueError, match="is not a valid SMILES") as raised:
        read_smiles(smiles)
    assert repr(smiles) in str(raised.value)


@pytest.mark.parametrize("read", [read_smiles, read_smarts, read_formula])
@pytest.mark.parametrize("value", [False, None, ["N"]])
def test_unquoted_in_yaml(read, value):
    with pytest.raises(ValueError, match=r"must be text, got .*; quote it in a YAML file"):
        read(value)


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("C7H8N2O2", {"C": 7, "H": 8, "N": 2, "O": 2}),
        ("C9H10N2O2PF2Cl", {"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}),
        ("CH3CH2OH", {"C": 2, "H": 6, "O": 1}),
    ],
)
def test_formula(formula, counts):
    assert read_formula(formula) == counts


@pytest.mark.parametrize("formula", ["", "c6h6", "C6H6+", "2H2O", "C 6"])
def test_bad_formula(formula):
    with pytest.raises(ValueError, match="is not a molecular formula"):
        read_formula(formula)


def test_formula_of_no_element():
    with pytest.raises(ValueError, match="'C2Xx' names 'Xx', which is no element"):
        read_formula("C2Xx")


# -- fingerprints ---------------------------------------------------------------------------------


def test_unknown_fingerprint():
    with pytest.raises(ValueError, match="unknown fingerprint 'ecfp4'; expected one of ECFP4"):
        get_fingerprint("ecfp4")


@pytest.mark.parametrize("name", [name for name in FINGERPRINTS if name != "PHCO"])
def test_fingerprints_count(name):
    """Counts tell chains of different lengths apart, bits hardly would."""
    short, long = (get_fingerprint(name)(Chem.MolFromSmiles("C" * n)) for n in (12, 24))
    assert 0.2 < TanimotoSimilarity(short, long) < 0.75


def check_pharmacophores(molecules):
    """The same bits as RDKit's, under other numbers: equal counts, equal similarities."""
    ours = [pharmacophores.gobbi(molecule) for molecule in molecules]
    factory = Gobbi_Pharm2D.factory
    theirs = [Generate.Gen2DFingerprint(molecule, factory) for molecule in molecules]
    assert [a.GetNumOnBits() for a in ours] == [b.GetNumOnBits() for b in theirs]
    pairs = [(i, j) for i in range(len(molecules)) for j in range(i)]
    ours_alike = [TanimotoSimilarity(ours[i], ours[j]) for i, j in pairs]
    theirs_alike = [TanimotoSimilarity(theirs[i], theirs[j]) for i, j in pairs]
    np.testing.assert_array_equal(ours_alike, theirs_alike)
    assert np.count_nonzero(ours_alike) > len(pairs) / 4


def test_pharmacophores_are_rdkits(molecules):
    check_pharmacophores([*molecules[:30], *molecules[120:220:2]])


def test_pharmacophores_of_many_points(molecules, monkeypatch):
    """The way that saves memory gives the same bits."""
    monkeypatch.setattr(pharmacophores, "_AT_ONCE", 6)
    check_pharmacophores([*molecules[:10], *molecules[120:160:2]])
