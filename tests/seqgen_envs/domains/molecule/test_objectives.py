"""Modifiers by hand and by their laws, objectives in Python and YAML, and their errors."""

import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from seqgen_envs.domains.molecule import DOMAIN
from seqgen_envs.domains.molecule.objectives.alerts import AlertCount
from seqgen_envs.domains.molecule.objectives.components import components
from seqgen_envs.domains.molecule.objectives.described import objective_from, read_objective
from seqgen_envs.domains.molecule.objectives.means import Arithmetic, Geometric
from seqgen_envs.domains.molecule.objectives.modifiers import (
    MODIFIERS,
    Absolute,
    Chained,
    Clipped,
    Gaussian,
    Linear,
    MaxGaussian,
    MinGaussian,
    SmoothClipped,
    Squared,
    Thresholded,
    modifier_from,
)
from seqgen_envs.domains.molecule.objectives.oracles import oracle
from seqgen_envs.domains.molecule.objectives.parts import (
    IsomerScore,
    Measured,
    Named,
    Similarity,
    Substructure,
    atom_counts,
)
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES, MatchCount
from seqgen_envs.domains.molecule.objectives.sigmoids import (
    DoubleSigmoid,
    LeftStep,
    ReverseSigmoid,
    RightStep,
    Sigmoid,
    Step,
)

ASPIRIN = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
ETHANOL = Chem.MolFromSmiles("CCO")


def half(molecule):
    return 0.5


def zero(molecule):
    return 0.0


def never(molecule):
    raise AssertionError("asked")


# -- modifiers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modifier", "x", "expected"),
    [
        (Linear(), 3, 3),
        (Linear(-2, 1), 3, -5),
        (Squared(2), 2, 1),
        (Squared(2, 0.5), 4, -1),
        (Absolute(2), 4.5, -1.5),
        (Gaussian(2, 0.5), 2, 1),
        (Gaussian(2, 0.5), 2.5, math.exp(-0.5)),
        (Gaussian(2, 0.5), 1, math.exp(-2)),
        (MinGaussian(2, 0.5), -100, 1),
        (MinGaussian(2, 0.5), 2.5, math.exp(-0.5)),
        (MaxGaussian(2, 0.5), 100, 1),
        (MaxGaussian(2, 0.5), 1.5, math.exp(-0.5)),
        (Clipped(0, 0.8), 0.4, 0.5),
        (Clipped(0, 0.8), 0.9, 1),
        (Clipped(0, 0.8), -1, 0),
        (Clipped(6, 2), 5, 0.25),
        (Clipped(6, 2), 1, 1),
        (Clipped(-2, 6, low_score=-2, high_score=6), 4, 4),
        (Clipped(-2, 6, low_score=-2, high_score=6), 9, 6),
        (SmoothClipped(0, 2), 1, 0.5),
        (SmoothClipped(0, 2), 2, 1 / (1 + math.exp(-2))),
        (SmoothClipped(2, 0, low_score=1, high_score=3), 2, 1 + 2 / (1 + math.exp(2))),
        (Thresholded(4), 1, 0.25),
        (Thresholded(4), 5, 1),
        (Thresholded(4), -4, -1),
        (Sigmoid(2, 6, 0.5), 4, 0.5),
        (Sigmoid(0, 10), 10, 1 / (1 + 10**-1.25)),
        (ReverseSigmoid(0, 10), 10, 1 / (1 + 10**1.25)),
        (DoubleSigmoid(100, 500), 100, 0.5),
        (DoubleSigmoid(100, 500), 110, 1 / (1 + 10**-15.0)),
        (DoubleSigmoid(1, 3, 2, 1, 4), 0, 1 / (1 + 10**0.5)),
        (DoubleSigmoid(1, 3, 2, 1, 4), 4, 1 - 1 / (1 + 10**-2.0)),
        (Step(1, 2), 2, 1),
        (Step(1, 2), 2.1, 0),
        (LeftStep(1), 1, 1),
        (LeftStep(1), 1.1, 0),
        (RightStep(1), 1, 1),
        (RightStep(1), 0.9, 0),
        (Chained([Linear(2), Clipped(0, 4)]), 1, 0.5),
    ],
)
def test_modifiers_by_hand(modifier, x, expected):
    assert modifier(x) == pytest.approx(expected, abs=1e-12)


VALUES = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-3, 1e3)
ENDS = st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)).filter(lambda e: abs(e[0] - e[1]) > 1)
BELL_TYPES = st.sampled_from([Gaussian, MinGaussian, MaxGaussian])
BELLS = st.builds(lambda kind, *a: kind(*a), BELL_TYPES, VALUES, POSITIVE)
CLIPS = st.builds(
    lambda kind, ends, low, span: kind(*ends, low_score=low, high_score=low + span),
    st.sampled_from([Clipped, SmoothClipped]),
    ENDS,
    st.floats(-10, 10),
    POSITIVE,
)


@settings(deadline=None)
@given(BELLS, VALUES)
def test_bells_stay_within_0_and_1(modifier, x):
    assert 0 <= modifier(x) <= 1
    assert modifier(modifier.mu) == 1


@settings(deadline=None)
@given(VALUES, POSITIVE, VALUES)
def test_half_bells_make_a_bell(mu, sigma, x):
    falling, rising = MinGaussian(mu, sigma), MaxGaussian(mu, sigma)
    assert min(falling(x), rising(x)) == Gaussian(mu, sigma)(x)
    assert max(falling(x), rising(x)) == 1


@settings(deadline=None)
@given(BELLS, VALUES, VALUES)
def test_bells_fall_away_from_mu(modifier, x, y):
    near, far = sorted((x, y), key=lambda value: abs(value - modifier.mu))
    if (near - modifier.mu) * (far - modifier.mu) >= 0:  # on one side
        assert modifier(near) >= modifier(far)


@settings(deadline=None)
@given(CLIPS, VALUES)
def test_clips_stay_between_their_scores(modifier, x):
    assert modifier.low_score <= modifier(x) <= modifier.high_score + 1e-12


@settings(deadline=None)
@given(CLIPS, VALUES, VALUES)
def test_clips_go_one_way(modifier, x, y):
    small, large = sorted((x, y))
    rise = modifier(large) - modifier(small)
    assert (rise if modifier.upper > modifier.lower else -rise) >= -1e-9


@settings(deadline=None)
@given(ENDS, VALUES)
def test_clipped_ends(ends, x):
    modifier = Clipped(*ends)
    assert modifier(modifier.lower) == 0
    assert modifier(modifier.upper) == 1


@settings(deadline=None)
@given(VALUES, POSITIVE, VALUES)
def test_squared_and_absolute_are_best_at_the_target(target, coefficient, x):
    assert Squared(target, coefficient)(x) <= Squared(target, coefficient)(target) == 1
    assert Absolute(target)(x) <= Absolute(target)(target) == 1


@settings(deadline=None)
@given(POSITIVE, VALUES, VALUES)
def test_thresholded_rises_to_1(threshold, x, y):
    modifier = Thresholded(threshold)
    assert modifier(min(x, y)) <= modifier(max(x, y)) <= 1


EXAMPLES = [
    Linear(2, 1),
    Squared(1),
    Absolute(1),
    Gaussian(1, 2),
    MinGaussian(1, 2),
    MaxGaussian(1, 2),
    Clipped(0, 1),
    SmoothClipped(0, 1),
    Thresholded(1),
    Sigmoid(0, 1),
    ReverseSigmoid(0, 1),
    DoubleSigmoid(0, 1),
    Step(0, 1),
    LeftStep(0),
    RightStep(0),
    Chained((Linear(2), Clipped(0, 1))),
]


@pytest.mark.parametrize("modifier", EXAMPLES)
def test_modifiers_in_general(modifier):
    """A failed measurement stays one; no overflow; values of their own; frozen."""
    assert math.isnan(modifier(math.nan))
    for extreme in (-1e300, 1e300):
        assert not math.isnan(modifier(extreme))
    for twin in (pickle.loads(pickle.dumps(modifier)), copy.deepcopy(modifier)):
        assert twin == modifier
        assert hash(twin) == hash(modifier)
        assert twin(0.3) == modifier(0.3)
    with pytest.raises(FrozenInstanceError):
        setattr(modifier, fields(modifier)[0].name, 1)
    assert type(modifier).__name__ in repr(modifier)


def test_every_modifier_has_a_name():
    assert {type(example) for example in EXAMPLES} == {*MODIFIERS.values(), Chained}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gaussian(0, 0), r"sigma must be above 0, got Gaussian\(mu=0, sigma=0\)"),
        (lambda: MinGaussian(0, -1), "sigma must be above 0, got MinGaussian"),
        (lambda: Gaussian("2", 1), "Gaussian: mu must be a finite number, got '2'"),
        (lambda: Gaussian(math.nan, 1), "mu must be a finite number, got nan"),
        (lambda: Linear(True), "Linear: slope must be a finite number, got True"),
        (lambda: Clipped(1, 1), "lower and upper must differ"),
        (lambda: Clipped(0, 1, 1, 1), "low_score must be below high_score"),
        (lambda: SmoothClipped(0, math.inf), "upper must be a finite number"),
        (lambda: Thresholded(0), "threshold must be above 0"),
        (lambda: Sigmoid(1, 1), "low must be below high"),
        (lambda: ReverseSigmoid(0, 1, 0), "k must be above 0"),
        (lambda: DoubleSigmoid(3, 1), "low must be below high"),
        (lambda: DoubleSigmoid(0, 1, 0), "coef_div, coef_si and coef_se must be above 0"),
        (lambda: Step(2, 1), "low must not be above high"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_modifiers_of_plain_data():
    assert modifier_from({"gaussian": {"mu": 2, "sigma": 0.5}}) == Gaussian(2, 0.5)
    assert modifier_from({"linear": {}}) == Linear()
    chain = modifier_from([{"linear": {"slope": 2}}, {"clipped": {"lower": 0, "upper": 4}}])
    assert chain == Chained((Linear(2), Clipped(0, 4)))
    assert modifier_from(math.sqrt) is math.sqrt


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"gauss": {}}, "unknown modifier 'gauss'; expected one of linear, squared"),
        ({"gaussian": {"mu": 1}}, "modifier 'gaussian' needs sigma too"),
        (
            {"gaussian": {"mu": 1, "sd": 1}},
            "modifier 'gaussian' has no argument sd; it has mu, sigma",
        ),
        ({"gaussian": [1, 2]}, r"needs its arguments by name \(mu, sigma\), got \[1, 2\]"),
        ({"linear": {}, "squared": {}}, "described by one name and its arguments"),
        ("gaussian", "described by one name and its arguments, .* got 'gaussian'"),
        ([], "described by one name"),
        ({"gaussian": {"mu": 1, "sigma": 0}}, "sigma must be above 0"),
    ],
)
def test_bad_descriptions_of_modifiers(description, message):
    with pytest.raises(ValueError, match=message):
        modifier_from(description)


# -- objectives -----------------------------------------------------------------------------------


def test_measured():
    logp = PROPERTIES["logp"](ASPIRIN)
    assert Measured("logp")(ASPIRIN) == logp
    assert Measured("logp", Gaussian(2, 1))(ASPIRIN) == Gaussian(2, 1)(logp)
    assert Measured(half, Linear(3))(ASPIRIN) == 1.5
    assert Measured(MatchCount("[#8]"))(ASPIRIN) == 4


def test_a_function_of_ones_own_is_a_part_with_a_modifier(tmp_path):
    (tmp_path / "mine.py").write_text("def atoms(molecule):\n    return molecule.GetNumAtoms()\n")
    own = {"custom": f"{tmp_path}/mine.py:atoms", "modifier": {"linear": {"slope": 2}}}
    mean = objective_from({"arithmetic": [own, {"property": "qed"}]})
    assert mean.references == (own["custom"],)  # so it is called in a process of its own
    qed = PROPERTIES["qed"](ETHANOL)
    assert mean(ETHANOL) == pytest.approx((6 + qed) / 2)
    assert pickle.loads(pickle.dumps(mean))(ETHANOL) == mean(ETHANOL)


PARTS = {
    "geometric": [
        {"property": "tpsa", "modifier": {"linear": {"slope": 0.5, "offset": 1}}},
        {"arithmetic": [{"similarity": "CCO"}, {"similarity": ["CC", "CCC"]}]},
        {"property": "qed"},
    ]
}


def test_parts_of_an_objective_by_name():
    found = components(objective_from(PARTS))
    assert list(found) == ["tpsa", "raw_tpsa", "similarity", "similarity_2", "qed"]
    assert found["raw_tpsa"](ETHANOL) == PROPERTIES["tpsa"](ETHANOL)
    assert found["tpsa"](ETHANOL) == 1 + PROPERTIES["tpsa"](ETHANOL) / 2
    assert found["similarity"](ETHANOL) == 1
    assert components(objective_from({"property": "qed"})) == {}


def test_parts_are_metrics_of_each_molecule_and_pay_nothing():
    plain = DOMAIN.make_task({"name": "objective", "objective": PARTS})
    shown = DOMAIN.make_task({"name": "objective", "objective": PARTS, "parts": True})
    assert shown.names == plain.names
    tokens = DOMAIN.vocabulary.padded([DOMAIN.to_ids(text) for text in ("CCO", "CC(", "CCC")])
    each = DOMAIN.beside(None, shown).metrics.each(tokens)
    assert np.isnan(each["part_similarity"][1])
    assert each["part_similarity"][0] == 1
    assert each["part_raw_tpsa"].tolist()[::2] == [PROPERTIES["tpsa"](ETHANOL), 0]
    assert not [name for name in DOMAIN.beside(None, plain).metrics.each(tokens) if "part" in name]
    with pytest.raises(ValueError, match="parts must be true or false"):
        DOMAIN.make_task({"name": "objective", "objective": PARTS, "parts": "yes"})


def test_similarity_by_hand():
    """Ethane has the environments CH3 twice and its whole; propane CH3 twice, CH2, two of one bond
    and its whole: counts share 2 of 3 + 6 - 2."""
    propane = Chem.MolFromSmiles("CCC")
    assert Similarity("CC")(propane) == pytest.approx(2 / 7)
    assert Similarity("CC", modifier=Clipped(0, 4 / 7))(propane) == pytest.approx(0.5)
    assert Similarity("OCC")(ETHANOL) == 1
    assert Similarity("O")(ETHANOL) == 0
    assert Similarity(["O", "CC"])(propane) == pytest.approx(2 / 7)  # to the most similar one
    with pytest.raises(ValueError, match="a list of one or more"):
        Similarity([])


def test_substructure():
    assert Substructure("c1ccccc1")(ASPIRIN) == 1
    assert Substructure("c1ccccc1")(ETHANOL) == 0
    assert Substructure("c1ccccc1", inverse=True)(ASPIRIN) == 0


def test_isomers_by_hand():
    assert atom_counts(Chem.MolFromSmiles("[2H]C([H])O.[Na+]")) == {"C": 1, "H": 4, "O": 1, "Na": 1}
    assert IsomerScore("C2H6O")(ETHANOL) == 1
    assert IsomerScore("C2H6O")(Chem.MolFromSmiles("COC")) == 1
    # propanol, C3H8O: Gaussians of 1 and 2 and 0 atoms too many, and of 3 in all at sigma 2
    expected = math.exp(-(1 + 4 + 0 + (3 / 2) ** 2) / 2) ** (1 / 4)
    assert IsomerScore("C2H6O")(Chem.MolFromSmiles("CCCO")) == pytest.approx(expected)


def test_isomers_of_explicit_hydrogens():
    assert IsomerScore("C2H6O")(Chem.AddHs(ETHANOL)) == 1


def test_means_by_hand():
    one, quarter = Measured(half, Linear(2)), Measured(half, Linear(0.5))
    assert Arithmetic([one, quarter])(ASPIRIN) == 0.625
    assert Arithmetic([one, quarter], [3, 1])(ASPIRIN) == pytest.approx(0.8125)
    assert Geometric([one, quarter])(ASPIRIN) == pytest.approx(0.5)
    assert Geometric([one, quarter], [1, 3])(ASPIRIN) == pytest.approx(0.25**0.75)
    assert Arithmetic([half, Geometric([half, half])])(ASPIRIN) == pytest.approx(0.5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=6))
def test_laws_of_means(pairs):
    parts = [Measured(half, Linear(0, score)) for score, _ in pairs]
    weights = [weight for _, weight in pairs]
    scores = [score for score, _ in pairs]
    arithmetic = Arithmetic(parts, weights)(ASPIRIN)
    geometric = Geometric(parts, weights)(ASPIRIN)
    assert min(scores) - 1e-9 <= geometric <= arithmetic + 1e-9 <= max(scores) + 2e-9
    alike = Geometric(parts[:1] * len(parts), weights)(ASPIRIN)
    assert alike == pytest.approx(scores[0], rel=1e-9, abs=1e-300)


def test_perfect_scores_are_exactly_1():
    for n in range(1, 12):
        parts = [Measured(half, Linear(2))] * n
        assert Arithmetic(parts)(ASPIRIN) == Geometric(parts)(ASPIRIN) == 1


def test_geometric_mean_stops_at_0():
    assert Geometric([zero, never])(ASPIRIN) == 0
    with pytest.raises(AssertionError, match="asked"):
        Arithmetic([zero, never])(ASPIRIN)


def test_geometric_mean_of_less_than_0():
    with pytest.raises(ValueError, match=r"scores of at least 0, got -0.5 of Measured"):
        Geometric([half, Measured(half, Linear(-1))])(ASPIRIN)


def test_nan_is_not_hidden():
    bad = Measured(half, Linear(1, 0.0))
    bad_modifier = Measured(half, lambda x: math.nan)
    assert math.isnan(Arithmetic([bad, bad_modifier])(ASPIRIN))
    assert math.isnan(Geometric([bad, bad_modifier])(ASPIRIN))


class Counting:
    """A property that counts its calls, and cannot be hashed."""

    __hash__ = None

    def __init__(self):
        self.calls = 0

    def __call__(self, molecule):
        self.calls += 1
        return 0.5


def test_nothing_is_measured_twice_within_a_mean():
    counting = Counting()
    mean = Geometric(
        [Measured(counting), Arithmetic([Measured(counting, Linear(0.5)), counting]), counting]
    )
    mean(ASPIRIN)
    assert counting.calls == 1
    mean(ASPIRIN)  # but nothing is remembered of a molecule
    assert counting.calls == 2


def test_similarities_share_a_fingerprint(monkeypatch):
    from seqgen_envs.domains.molecule.objectives import fingerprints

    calls = []
    plain = fingerprints.ecfp4

    def counted(molecule):
        calls.append(molecule)
        return plain(molecule)

    monkeypatch.setitem(fingerprints.FINGERPRINTS, "ECFP4", counted)
    mean = Arithmetic([Similarity("CCO"), Similarity("CCN"), Similarity("CCC")])
    assert len(calls) == 3  # the targets, once
    mean(ASPIRIN)
    assert calls[3:] == [ASPIRIN]


# -- descriptions ---------------------------------------------------------------------------------

RANOLAZINE = """
geometric:
  - similarity: "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
    fingerprint: AP
    modifier: {clipped: {lower: 0, upper: 0.7}}
  - property: logp
    modifier: {max_gaussian: {mu: 7, sigma: 1}}
  - property: tpsa
    modifier: {max_gaussian: {mu: 95, sigma: 20}}
  - count: "[F]"
    modifier: {gaussian: {mu: 1, sigma: 1}}
"""


def test_an_mpo_in_yaml(tmp_path):
    path = tmp_path / "ranolazine.yaml"
    path.write_text(RANOLAZINE, encoding="utf-8")
    objective = read_objective(path)
    assert objective == oracle("ranolazine_mpo")
    assert objective(ASPIRIN) == oracle("ranolazine_mpo")(ASPIRIN) > 0
    again = objective_from(json.loads(json.dumps(yaml.safe_load(RANOLAZINE))))
    assert again == objective


@pytest.mark.parametrize(
    ("description", "objective"),
    [
        ({"property": "qed"}, Measured("qed")),
        ({"similarity": "CCO"}, Similarity("CCO")),
        ({"substructure": "c1ccccc1", "inverse": True}, Substructure("c1ccccc1", True)),
        ({"isomer": "C2H6O"}, IsomerScore("C2H6O")),
        ({"alerts": "NIH"}, Measured(AlertCount(["NIH"]))),
        ({"oracle": "qed"}, Measured("qed")),
        ({"arithmetic": [half, {"property": "qed"}]}, Arithmetic([half, Measured("qed")])),
        (
            {"geometric": [{"property": "qed"}, {"isomer": "CH4"}], "weights": [2, 1]},
            Geometric([Measured("qed"), IsomerScore("CH4")], [2, 1]),
        ),
        (half, half),
        ("math:sqrt", Named("math:sqrt")),
    ],
)
def test_descriptions(description, objective):
    assert objective_from(description) == objective


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"property": "logP"}, "unknown property 'logP'; expected one of logp"),
        ({"property": ["qed"]}, "unknown property"),
        (
            {"property": "qed", "modifer": {}},
            "unknown key modifer beside 'property', which may have modifier",
        ),
        ({"isomer": "CH4", "modifier": {}}, "unknown key modifier .* may have no other"),
        ({"propertie": "qed"}, "exactly one of the keys property, count, .*; got propertie"),
        ({}, "got none"),
        ({"property": "qed", "isomer": "CH4"}, "exactly one of the keys"),
        ("qed", "described by a mapping such as .* got 'qed'"),
        (3, "got 3"),
        ({"similarity": "c1cc"}, "'c1cc' is not a valid SMILES"),
        ({"similarity": False}, "a SMILES must be text, got False; quote it in a YAML file"),
        ({"similarity": "CCO", "fingerprint": "MACCS"}, "unknown fingerprint 'MACCS'"),
        ({"substructure": "[C"}, r"'\[C' is not a valid SMARTS"),
        ({"substructure": "C", "inverse": "yes"}, "inverse must be true or false, got 'yes'"),
        ({"count": "[C"}, r"'\[C' is not a valid SMARTS"),
        ({"alerts": ["PAIN"]}, "unknown catalogue of alerts 'PAIN'; expected one of PAINS_A"),
        ({"alerts": []}, "one catalogue or a list of some"),
        ({"isomer": "water"}, "'water' is not a molecular formula"),
        ({"oracle": "qeds"}, "unknown oracle 'qeds'; expected one of albuterol_similarity"),
        ({"property": "qed", "modifier": {"gauss": {}}}, "unknown modifier 'gauss'"),
        ({"geometric": []}, "a mean needs one or more objectives"),
        ({"geometric": {"property": "qed"}}, "'geometric' needs a list"),
        ({"arithmetic": [half], "weights": 2}, "'weights' needs a list, got 2"),
        ({"arithmetic": [half, half], "weights": [1]}, "2 parts needs 2 weights"),
        ({"arithmetic": [half], "weights": [0]}, "finite and above 0; got \\(0,\\)"),
        ({"arithmetic": [half], "weights": ["1"]}, "finite and above 0; got \\('1',\\)"),
        (
            {"arithmetic": [{"property": "qed"}, {"geometric": [{"similarity": "C("}]}]},
            r"part 2 of 'arithmetic': part 1 of 'geometric': 'C\(' is not a valid SMILES",
        ),
    ],
)
def test_bad_descriptions(description, message):
    with pytest.raises(ValueError, match=message):
        objective_from(description)


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_objective(tmp_path / "none.yaml")
    path = tmp_path / "bad.yaml"
    path.write_text("geometric: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml is not YAML: while parsing"):
        read_objective(path)
    path.write_text("similarity: NO", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml: a SMILES must be text, got False"):
        read_objective(path)


def test_parts_of_a_mean_are_callables():
    with pytest.raises(ValueError, match="callables of a molecule; got \\('qed',\\)"):
        Arithmetic(["qed"])
