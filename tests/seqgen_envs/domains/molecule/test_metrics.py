"""Statistics of molecules against values computed another way, and what a corpus leaves behind."""

import itertools
import logging

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import QED, Crippen, Descriptors, rdFingerprintGenerator
from scipy.stats import wasserstein_distance

from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.molecule.metrics import measured as descriptions
from seqgen_envs.domains.molecule.metrics import reference as corpus_reference
from seqgen_envs.domains.molecule.metrics import summary as metrics
from seqgen_envs.domains.molecule.metrics.measured import describe, internal_diversity
from seqgen_envs.domains.molecule.metrics.reference import (
    COMPARED,
    CorpusReference,
    hash_all,
    reference_of,
    sampled,
)
from seqgen_envs.domains.molecule.metrics.summary import (
    DEFAULT_REFERENCE,
    PUBLISHED,
    corpus_columns,
    describe_corpus,
    longest_carbon_run,
    sequence_metrics,
    summarize,
)
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
IBUPROFEN = "CC(C)Cc1ccc(C(C)C(=O)O)cc1"
NICOTINE = "CN1CCCC1c1cccnc1"
BENZENE = "c1ccccc1"
CYCLOOCTANE = "C1CCCCCCC1"
DRUGS = (ASPIRIN, CAFFEINE, IBUPROFEN, NICOTINE, BENZENE, CYCLOOCTANE)


def tokens_of(*smiles, width=60):
    tokens = np.full((len(smiles), width), VOCABULARY.pad_id)
    for row, text in zip(tokens, smiles, strict=True):
        ids = np.append(encode(text), VOCABULARY.end_id)
        row[: len(ids)] = ids
    return tokens


def corpus_of(train, test=(), validation=()):
    texts = [*train, *validation, *test]
    splits = ["train"] * len(train) + ["validation"] * len(validation) + ["test"] * len(test)
    return Corpus(
        sequences=[np.append(encode(t), VOCABULARY.end_id).astype(np.int8) for t in texts],
        names=[str(i) for i in range(len(texts))],
        splits=np.array(splits),
        source="drugs",
        vocabulary=VOCABULARY,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prior's folder whose corpus is aspirin, caffeine and ibuprofen; held out: nicotine."""
    out = tmp_path_factory.mktemp("prior")
    describe_corpus(corpus_of(DRUGS[:3], test=[NICOTINE]), out, progress=False)
    return out


# --- each sequence -----------------------------------------------------------------------------


def test_metrics_are_rdkits_and_nan_where_invalid():
    stats = sequence_metrics(tokens_of(ASPIRIN, "CC(", CYCLOOCTANE))
    mol = Chem.MolFromSmiles(ASPIRIN)
    assert stats["logp"][0] == pytest.approx(Crippen.MolLogP(mol))
    assert stats["qed"][0] == pytest.approx(QED.qed(mol))
    assert stats["weight"][0] == pytest.approx(Descriptors.MolWt(mol))
    assert stats["sa"][0] == pytest.approx(1.58, abs=0.005)  # Ertl and Schuffenhauer's aspirin
    assert stats["sa_penalty"][0] == -stats["sa"][0]
    np.testing.assert_array_equal(stats["ring_penalty"], [0, np.nan, -2])
    np.testing.assert_array_equal(stats["valid"], [1, 0, 1])
    np.testing.assert_array_equal(stats["longest_carbon_run"], [5, 2, 7])
    for name in set(stats) - {"valid", "longest_carbon_run"}:
        np.testing.assert_array_equal(np.isnan(stats[name]), [False, True, False], err_msg=name)
    assert all(v.shape == (3,) and v.dtype == np.float64 for v in stats.values())


def test_the_longest_run_is_of_one_carbon_token():
    rng = np.random.default_rng(0)
    tokens = rng.choice([*encode("CcCcN"), VOCABULARY.end_id, VOCABULARY.pad_id], (50, 30))
    carbons = set(encode("Cc").tolist())
    expected = [
        max((len(list(g)) for t, g in itertools.groupby(row) if t in carbons), default=0)
        for row in tokens.tolist()
    ]
    np.testing.assert_array_equal(longest_carbon_run(tokens), expected)


def test_a_molecule_is_measured_once_however_it_is_spelled(monkeypatch):
    calls = []
    monkeypatch.setitem(descriptions.PROPERTIES, "qed", lambda mol: calls.append(mol) or 0.25)
    spellings = ["CCCCSC#N", "N#CSCCCC", "C(CC)CSC#N"]
    stats = sequence_metrics(tokens_of(*spellings, *spellings))
    np.testing.assert_array_equal(stats["qed"], [0.25] * 6)
    assert len(calls) == 1


def test_a_property_that_fails_is_nan_and_said_once(monkeypatch, caplog):
    def broken(mol):
        if any(atom.GetSymbol() == "Br" for atom in mol.GetAtoms()):
            raise RuntimeError("no bonds left")
        return 2.0

    monkeypatch.setitem(descriptions.PROPERTIES, "sa", broken)
    monkeypatch.setattr(descriptions, "_said", set())
    tokens = tokens_of("CCCCSC#CBr", "CCCCCSC#CBr", ASPIRIN)
    with caplog.at_level(logging.WARNING):
        stats = sequence_metrics(tokens)
    np.testing.assert_array_equal(np.isnan(stats["sa"]), [True, True, False])
    assert not np.isnan(stats["logp"]).any()
    (record,) = caplog.records
    assert "sa of CCCCSC#CBr cannot be computed: RuntimeError('no bonds left')" in record.message
    summary = summarize(tokens)
    assert summary["sa"] == stats["sa"][2]
    assert summary["valid"] == 1


# --- a batch -----------------------------------------------------------------------------------


def test_the_summary_of_a_batch_worked_out_by_hand(folder):
    aspirin_again = "O=C(O)c1ccccc1OC(C)=O"
    tokens = tokens_of(ASPIRIN, aspirin_again, BENZENE, NICOTINE, "CCC=", "CCCCCCCC", width=30)
    summary = summarize(tokens, folder)
    assert summary["valid"] == pytest.approx(5 / 6)
    assert summary["unique"] == pytest.approx(4 / 5)
    assert summary["novel"] == pytest.approx(3 / 4)  # nicotine was held out
    assert summary["scaffolds"] == 2  # octane has none
    assert summary["mean_length"] == pytest.approx(np.mean([21, 21, 8, 16, 4, 8]))
    assert summary["longest_carbon_run"] == pytest.approx(np.mean([5, 5, 5, 4, 3, 8]))
    valid = [Chem.MolFromSmiles(s) for s in (ASPIRIN, ASPIRIN, BENZENE, NICOTINE, "CCCCCCCC")]
    assert summary["logp"] == pytest.approx(np.mean([Crippen.MolLogP(m) for m in valid]))
    assert summary["weight"] == pytest.approx(np.mean([Descriptors.MolWt(m) for m in valid]))
    assert summary["sa_penalty"] == -summary["sa"]
    nicotine = Crippen.MolLogP(valid[3])
    expected = np.mean([abs(Crippen.MolLogP(m) - nicotine) for m in valid])
    assert summary["distance_logp"] == pytest.approx(expected)


def test_nothing_valid_still_gives_numbers(folder):
    summary = summarize(tokens_of("CC(", "C1CC", "C)"), folder)
    assert all(np.isfinite(value) for value in summary.values())
    zero = ("valid", "unique", "novel", "internal_diversity", "scaffolds", "qed", "weight")
    assert [summary[name] for name in zero] == [0.0] * len(zero)
    assert (summary["sa"], summary["sa_penalty"]) == (10, -10)
    weight = describe(NICOTINE).values[descriptions.MEASURED.index("weight")]
    assert summary["distance_weight"] == pytest.approx(weight, rel=1e-6)
    assert summary.keys() == summarize(tokens_of(ASPIRIN), folder).keys()
    empty = summarize(np.full((2, 5), VOCABULARY.pad_id), folder)
    assert (empty["valid"], empty["mean_length"]) == (0, 0)


def tanimoto_distance(smiles):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles]
    pairs = [[DataStructs.TanimotoSimilarity(a, b) for a in prints] for b in prints]
    return 1 - np.mean(pairs)


@pytest.mark.parametrize("block", [1, 2, 4, 1000])
def test_internal_diversity_is_moses(monkeypatch, block):
    monkeypatch.setattr(descriptions, "_BLOCK", block)
    smiles = [*DRUGS, ASPIRIN]  # copies count
    prints = [describe(s).fingerprint for s in smiles]
    assert internal_diversity(prints) == pytest.approx(tanimoto_distance(smiles), abs=1e-6)


def test_internal_diversity_of_few():
    assert internal_diversity([]) == 0
    assert internal_diversity([describe(ASPIRIN).fingerprint]) == pytest.approx(0)
    assert internal_diversity([bytes(128)] * 2) == 0  # no bits at all are the same


def test_diversity_of_many_is_that_of_a_sample(monkeypatch, folder):
    monkeypatch.setattr(metrics, "DIVERSITY_OF", 4)
    summary = summarize(tokens_of(*DRUGS), folder)
    chosen = sampled(DRUGS, 4)
    assert len(set(chosen)) == 4
    assert summary["internal_diversity"] == pytest.approx(tanimoto_distance(chosen), abs=1e-6)
    assert summarize(tokens_of(*DRUGS), folder) == summary


def test_published_rows_are_rows_of_the_summary():
    rows = summarize(tokens_of(ASPIRIN)).keys()
    for column in PUBLISHED.values():
        assert column.keys() <= rows
    prior, q = PUBLISHED["MLE RNN"], PUBLISHED["Q"]
    assert prior.keys() == q.keys()
    assert all(q[name] > prior[name] for name in q.keys() - {"qed"})


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros(4, int), r"integer array \[N, T\]"),
        (np.zeros((2, 0), int), r"T >= 1"),
        (np.zeros((2, 3)), "got float64"),
        (np.full((1, 3), VOCABULARY.size + 1), f"ids 0..{VOCABULARY.size}, got"),
        (np.full((1, 3), -1), "got -1..-1"),
    ],
)
def test_what_is_no_batch(tokens, message):
    for function in (sequence_metrics, summarize):
        with pytest.raises(ValueError, match=message):
            function(tokens)
    with pytest.raises(ValueError, match="0 rows"):
        summarize(np.zeros((0, 3), int))
    assert sequence_metrics(np.zeros((0, 3), int))["qed"].shape == (0,)


# --- a corpus's reference ----------------------------------------------------------------------


def test_a_reference_comes_back_as_it_was_saved(tmp_path):
    made = reference_of(corpus_of(DRUGS[:4], test=DRUGS[4:]), progress=False)
    made.save(tmp_path)
    read = CorpusReference.load(tmp_path)
    assert (read.source, read.counts, read.spelling) == (made.source, made.counts, made.spelling)
    assert read.counts == {"train": 4, "held_out": 2, "sampled": 4}
    np.testing.assert_array_equal(read.hashes, made.hashes)
    assert read.hashes.dtype == np.uint64
    for split, name in itertools.product(("train", "held_out"), COMPARED):
        np.testing.assert_allclose(
            read.quantiles[split][name], made.quantiles[split][name], rtol=1e-6
        )


def test_known_molecules(tmp_path):
    corpus = corpus_of([ASPIRIN, "OCC", BENZENE], test=[NICOTINE])
    reference = reference_of(corpus, progress=False)
    np.testing.assert_array_equal(
        reference.known([ASPIRIN, "CCO", NICOTINE, BENZENE, "C"]), [1, 1, 0, 1, 0]
    )
    assert reference.known([]).shape == (0,)
    assert (hash_all(["C", "CC"]) < 2**40).all()


def test_the_distance_is_wasserstein_1(folder):
    rng = np.random.default_rng(0)
    corpus, ours = rng.normal(2, 1, 5000), rng.gamma(2, 1, 3000)
    quantiles = {"logp": np.quantile(corpus, np.linspace(0, 1, corpus_reference.QUANTILES))}
    reference = CorpusReference("", {}, np.zeros(0, np.uint64), {"held_out": quantiles})
    expected = wasserstein_distance(corpus, ours)
    assert reference.distance("logp", ours) == pytest.approx(expected, rel=0.01)
    assert reference.distance("logp", corpus + 3) == pytest.approx(3, abs=0.01)
    assert reference.distance("logp", corpus) < 0.005


def test_without_a_test_split_validation_is_held_out():
    train, validation = [ASPIRIN, BENZENE], [NICOTINE]
    reference = reference_of(corpus_of(train, validation=validation), progress=False)
    assert reference.counts["held_out"] == 1
    alone = reference_of(corpus_of(train), progress=False)
    np.testing.assert_array_equal(
        alone.quantiles["held_out"]["qed"], alone.quantiles["train"]["qed"]
    )
    with pytest.raises(ValueError, match="corpus drugs has no training sequences"):
        reference_of(corpus_of([], test=train), progress=False)


def test_a_folder_without_a_reference_falls_back_to_the_default(tmp_path, caplog):
    tokens = tokens_of(ASPIRIN)
    with caplog.at_level(logging.WARNING):
        assert summarize(tokens, tmp_path) == summarize(tokens)
    assert f"{tmp_path} holds no reference.npz" in caplog.text


def test_broken_and_missing_references(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"reference\.npz"):
        CorpusReference.load(tmp_path)
    (tmp_path / "reference.npz").write_bytes(b"PK, or so it says")
    with pytest.raises(ValueError, match="is not a corpus reference"):
        CorpusReference.load(tmp_path)


def test_another_rdkits_spelling_is_pointed_out(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(corpus_reference, "spelling", lambda: "of 2031")
    reference_of(corpus_of([ASPIRIN]), progress=False).save(tmp_path)
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING):
        CorpusReference.load(tmp_path)
    assert "some training molecules will count as novel" in caplog.text


def test_the_corpus_has_a_column_of_its_own(folder):
    ((title, column),) = corpus_columns(folder).items()
    assert title == "3 of drugs"
    assert (column["valid"], column["unique"], column["novel"]) == (1, 1, 0)
    assert column.keys() == summarize(tokens_of(ASPIRIN)).keys()
    logp = [Crippen.MolLogP(Chem.MolFromSmiles(s)) for s in DRUGS[:3]]
    expected = np.mean(np.abs(logp - np.float64(Crippen.MolLogP(Chem.MolFromSmiles(NICOTINE)))))
    assert column["distance_logp"] == pytest.approx(expected, rel=1e-3)


# --- the bundled one ---------------------------------------------------------------------------

# Molecules of ZINC250k by the split that their content puts them in.
TRAINING = (
    "CCOC(=O)[C@H]1C=C(C#N)O[C@@H](c2ccc(C)cc2)C1",
    "CCC[NH2+]C1CCC(O)(Cc2nc(C)cs2)CC1",
    "CCc1nc2ccccc2c(C(=O)NCc2ccc(OC)c(C(=O)OC)c2)c1C",
)
HELD_OUT = (
    "O=C(CCc1nc2ccccc2c(=O)[nH]1)N[C@H]1CCc2ccccc21",
    "CC(C)[C@@H](C[NH+](C)C)C(=O)[O-]",
    "O=C(COc1ccc(I)cc1)NC[C@@H]1COc2ccccc2O1",
)


def test_the_bundled_reference_knows_its_training_molecules():
    reference = CorpusReference.load(DEFAULT_REFERENCE)
    assert reference.known(TRAINING).all()
    assert not reference.known(HELD_OUT).any()
    stats = sequence_metrics(tokens_of(TRAINING[0], HELD_OUT[0], "CC("))
    np.testing.assert_array_equal(stats["novel"], [0, 1, np.nan])


def test_the_bundled_reference_is_small_and_describes_zinc250k():
    size = (DEFAULT_REFERENCE / "reference.npz").stat().st_size
    assert size < 1_500_000
    reference = CorpusReference.load(DEFAULT_REFERENCE)
    assert reference.counts == {"train": 224_527, "held_out": 12_559, "sampled": 20_000}
    assert len(reference.hashes) == pytest.approx(224_527, abs=5)
    ((title, column),) = corpus_columns().items()
    assert title == "10,000 of zinc250k"
    # ZINC250k's published means (see properties.ZINC250K_LOGP)
    assert column["logp"] == pytest.approx(2.457, abs=0.05)
    assert column["sa"] == pytest.approx(3.053, abs=0.05)
    assert column["ring_penalty"] == pytest.approx(-0.0486, abs=0.015)
    # two halves of one corpus: what a perfect prior's distances look like
    distances = [column[f"distance_{name}"] for name in COMPARED]
    assert np.all(np.array(distances) < [0.05, 0.005, 0.03, 2.0])
