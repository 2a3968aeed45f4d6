"""A guest's molecules from file to scores and priors, by the commands."""

import json
import pickle

import pytest
import torch

from helpers.commands import refused, run, table
from helpers.paths import MOLECULES
from seqgen_envs import SequenceEnv, get_domain, load_prior_folder
from seqgen_envs.domains.molecule.smiles import VOCABULARY
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork

TINY = ("--hidden", 8, "--embedding", 4, "--epochs", 2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    torch.manual_seed(0)
    network = RecurrentNetwork(RecurrentConfig(VOCABULARY.size, embedding_size=4, hidden_size=4))
    return RecurrentPrior(network, VOCABULARY).save(tmp_path_factory.mktemp("prior"))


def scores(prior, file, folder, *options):
    run("score", file, "--prior", prior, "--csv", folder / "scores.csv", *options)
    return table(folder / "scores.csv")


def test_spellings_are_cleaned_and_what_that_changes_is_said(prior, tmp_path):
    file = MOLECULES / "spellings.smi"
    arguments = ("score", file, "--prior", "zinc250k", "--csv", tmp_path / "a.csv")
    result = run(*arguments, code=1)
    rows = {row["name"]: row for row in table(tmp_path / "a.csv")}
    assert " ".join(rows) == "aromatic kekule canonical brackets at1 salt pct nine"
    values = {rows[name]["log_prior"] for name in ("aromatic", "kekule", "canonical", "brackets")}
    assert [round(float(value), 1) for value in values] == [-14.8]
    assert rows["kekule"]["given"] == "C1=CC=CC=C1C(=O)NC"
    assert rows["kekule"]["source"] == f"{file}, line 2"
    said = " ".join(result.stdout.split())
    assert (
        "7 of 8 molecules were rewritten (--as-written leaves them): c1ccccc1C(=O)NC -> CNC" in said
    )
    assert "how many molecules hold them: [2H] in 1, * in 1" in said
    assert "line 10, rxn: it is a reaction SMILES; give one molecule instead" in result.stderr
    result = run(*arguments, "--as-written", code=1)
    rows = {row["name"]: row for row in table(tmp_path / "a.csv")}
    assert list(rows) == ["aromatic", "kekule", "canonical"]
    assert float(rows["kekule"]["log_prior"]) == pytest.approx(-37.1, abs=0.1)
    assert "rewritten" not in result.stdout


def test_names_and_other_columns_of_a_table_are_kept(prior, tmp_path):
    rows = scores(prior, MOLECULES / "names.csv", tmp_path, "--keep-columns")
    assert [(row["name"], row["given_IC50"]) for row in rows] == [
        ("cmpd-7", "1.5"),
        ("cmpd-8", "2"),
    ]
    rows = scores(prior, MOLECULES / "names.csv", tmp_path)
    assert "given_IC50" not in rows[0]
    (tmp_path / "two.csv").write_text("a smiles,b smiles\nCCO,CCC\n")
    said = refused("score", tmp_path / "two.csv", "--prior", prior)
    assert "has several columns of SMILES, ['a smiles', 'b smiles']: choose one by --column" in said
    rows = scores(prior, tmp_path / "two.csv", tmp_path, "--column", "b smiles")
    assert [row["text"] for row in rows] == ["CCC"]
    tune = refused("score", tmp_path / "no.mid", "--neutralize")
    assert "files of domain 'melody' have no option --neutralize" in tune


def test_rare_tokens_are_counted(prior):
    result = run("score", MOLECULES / "rare-elements.smi", "--prior", prior, code=1)
    assert "hold them: [Si] in 1, B in 1, [se] in 1" in " ".join(result.stdout.split())


def test_primers_are_read_as_other_files(prior, tmp_path):
    (tmp_path / "a.csv").write_text("Name;SMILES\na;CO\n")
    out = tmp_path / "out"
    arguments = ("sample", "molecule", "-n", 4, "--prior", prior, "--max-files", 0, "--out", out)
    run(*arguments, "--primer", tmp_path / "a.csv")
    assert all(row["text"].startswith("CO") for row in table(out / "molecules.csv"))
    said = refused(*arguments, "--primer", MOLECULES / "rare-elements.smi")
    assert "line 1 of" in said
    assert "unknown token '[Si]' at position 1" in said


def test_a_prior_has_the_length_of_its_corpus(tmp_path):
    corpus, out = tmp_path / "long.npz", tmp_path / "L"
    run("data", MOLECULES / "long-corpus.smi", "--length", 200, "--out", corpus, "--jobs", 1)
    run("prior", "train", "molecule", "--data", corpus, *TINY, "--epochs", 1, "--out", out)
    prior = out / "prior"
    assert load_prior_folder(prior).metadata["max_tokens"] == 200
    rows = scores(prior, MOLECULES / "long.smi", tmp_path)
    assert [row["length"] for row in rows] == ["121", "4"]
    assert "it has 120 tokens; molecules have at most 100" in refused(
        "score", MOLECULES / "long.smi"
    )
    domain = get_domain("molecule").for_prior(prior)
    for one in (domain, pickle.loads(pickle.dumps(domain)), domain.for_prior(str(prior))):
        assert (one.horizon, one.vocabulary) == (200, VOCABULARY)
    assert get_domain("molecule").for_prior(load_prior_folder(prior)).horizon == 200
    assert get_domain("molecule").for_prior("moses").horizon == 100
    assert SequenceEnv("molecule", prior=prior).lanes.horizon == 200
    onward = ("prior", "train", "molecule", "--initial", prior, "--epochs", 1, "--jobs", 1)
    for name, data in (("M", MOLECULES / "long-corpus.smi"), ("N", corpus)):
        run(*onward, "--data", data, "--out", tmp_path / name)
        assert load_prior_folder(tmp_path / name / "prior").metadata["max_tokens"] == 200


def test_a_prior_is_trained_on_a_file_as_it_is(tmp_path):
    file = tmp_path / "mine.csv"
    lines = [f"{i};C[Si](C)(C){'C' * i}O;CCO" for i in range(1, 61)]
    file.write_text("\n".join(["id;mine;reference", *lines]))
    train = ("prior", "train", "molecule", "--data", file, "--jobs", 1, *TINY)
    options = ("--column", "mine", "--vocabulary", "corpus", "--length", 150)
    run(*train, *options, "--out", tmp_path / "run")
    prior = load_prior_folder(tmp_path / "run" / "prior")
    assert set(prior.vocabulary.tokens) == {"C", "O", "(", ")", "[Si]", "<end>"}
    assert prior.metadata["max_tokens"] == 150
    assert sum(prior.metadata["sequences"].values()) == 60
    assert "has several columns of SMILES" in refused(*train, "--out", tmp_path / "other")
    evaluate = ("prior", "evaluate", "molecule", "-n", 4, "--jobs", 1, "--data", file)
    evaluate += ("--prior", tmp_path / "run" / "prior")
    run(*evaluate, "--column", "mine", "--out", tmp_path / "report")
    report = json.loads((tmp_path / "report.json").read_text())
    expected = prior.metadata["test_nats_per_token"]
    assert report["test_split"]["nats_per_token"] == pytest.approx(expected, abs=1e-4)
    assert "has several columns of SMILES" in refused(*evaluate)
