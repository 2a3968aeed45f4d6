"""``seqgen`` on molecules: files, scores of a user's own SMILES, the quality table."""

import csv
import json

import numpy as np
import pytest
import torch
from rdkit import Chem
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from seqgen_envs import get_domain
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.molecule import DOMAIN
from seqgen_envs.domains.molecule.metrics.summary import summarize
from seqgen_envs.domains.molecule.output import files
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.reporting.files import bare_cell

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
#: Odds of the tokens of a prior that forgets everything: mostly chains, some of them broken.
ODDS = {"C": 10, "O": 1, "N": 1, "F": 0.3, "(": 0.2, "=": 1, "<end>": 2}


def run(*arguments, code=0):
    runner = CliRunner(env={"COLUMNS": "250"})  # tables whose cells are not wrapped
    result = runner.invoke(cli.make_app(), [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: bare_cell(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    network = RecurrentNetwork(RecurrentConfig(VOCABULARY.size, embedding_size=4, hidden_size=4))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(-20.0)
        for token, odds in ODDS.items():
            network.head.bias[VOCABULARY.tokens.index(token)] = float(np.log(odds))
    return RecurrentPrior(network, VOCABULARY).save(tmp_path_factory.mktemp("prior"))


@pytest.fixture(scope="module")
def sampled(prior, tmp_path_factory):
    out = tmp_path_factory.mktemp("sampled")
    result = run("sample", "molecule", "-n", 40, "--prior", prior, "--seed", 5, "--out", out)
    return out, table(out / "molecules.csv"), result


def test_sample_writes_a_table_and_the_files_of_all(sampled):
    out, rows, result = sampled
    assert len(rows) == 40
    assert sorted(path.name for path in out.iterdir()) == [
        "grid.png",
        "grid.svg",
        "histograms.png",
        "molecules.csv",
        "molecules.sdf",
        "molecules.smi",
    ]
    terms = [name for name in rows[0] if name.startswith("term_")]
    assert {f"term_{name}" for name in DOMAIN.make_task().names} == set(terms)
    valid = [row for row in rows if row["metric_valid"] == "1.0"]
    assert 0 < len(valid) < 40
    for row in rows:
        assert sum(float(row[t]) for t in terms) == pytest.approx(float(row["task_return"]))
        assert (row in valid) == bool(row["text"] and Chem.MolFromSmiles(row["text"]))
    smi = [line.split() for line in (out / "molecules.smi").read_text().splitlines()]
    assert smi == [[row["text"], row["name"]] for row in valid]
    fields = [mol.GetPropsAsDict() for mol in Chem.SDMolSupplier(str(out / "molecules.sdf"))]
    for row, known in zip(valid, fields, strict=True):
        for name in (*terms, "log_prior", "metric_sa"):
            assert known[name] == pytest.approx(float(row[name]), rel=1e-5, abs=1e-9)
    assert "5 files are in" in result.stdout


def test_the_summary_is_that_of_the_tokens(sampled):
    _, rows, result = sampled
    tokens = np.full((len(rows), DOMAIN.horizon), VOCABULARY.pad_id)
    for padded, row in zip(tokens, rows, strict=True):
        ids = [int(token) for token in row["tokens"].split()]
        padded[: len(ids)] = ids
    summary = summarize(tokens)
    shown = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if "│" in line}
    for name, value in summary.items():
        assert f"{value:,.4g}" in shown[name.replace("_", " ")], name


def test_no_files_but_the_table(prior, tmp_path):
    run("sample", "molecule", "-n", 3, "--prior", prior, "--max-files", 0, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["molecules.csv"]


@pytest.mark.parametrize("name", ["molecules.csv", "molecules.smi", "molecules.sdf"])
def test_sampled_molecules_score_as_they_were_sampled(sampled, prior, tmp_path, name):
    out, rows, _ = sampled
    starts = {row["text"][:1] for row in rows}
    assert {"", "C"} < starts  # no molecule at all
    assert "=" in starts  # what a spreadsheet would take for a formula
    valid = [row for row in rows if row["metric_valid"] == "1.0"]
    expected = rows if name == "molecules.csv" else valid
    arguments = ("score", out / name, "--prior", prior, "--as-written")
    result = run(*arguments, "--csv", tmp_path / "scores.csv")
    scores = table(tmp_path / "scores.csv")
    assert [(s["name"], s["text"]) for s in scores] == [(r["name"], r["text"]) for r in expected]
    for score, row in zip(scores, expected, strict=True):
        for column in row.keys() - {"name", "text", "tokens"}:
            assert float(score[column]) == pytest.approx(float(row[column]), rel=1e-5, nan_ok=True)
    assert scores[0]["source"].startswith(f"{out / name}, ")
    assert f"... and {len(expected) - 20} more" in result.stdout
    assert "internal diversity" in result.stdout


def test_bad_lines_are_named_and_the_others_scored(prior, tmp_path):
    file = tmp_path / "mine.smi"
    lines = [
        ASPIRIN,
        "CC[Si](C)C",
        "C1CC",
        "C" * 1_000_000,
        "[" + "x" * 3000 + "]",
        "C" * 101,
        "CC",
    ]
    file.write_text("\n\n".join(lines) + "\n")
    missing = tmp_path / "missing.csv"
    result = run(
        *("score", file, missing, "--prior", prior, "--task", "qed"),
        *("--csv", tmp_path / "s.csv"),
        code=1,
    )
    rows = table(tmp_path / "s.csv")
    assert [row["text"] for row in rows] == [ASPIRIN, "C1CC", "CC"]
    assert [float(row["metric_valid"]) for row in rows] == [1, 0, 1]
    assert float(rows[1]["term_qed"]) == 0
    named = (
        f"1 of 3 molecules are invalid and are scored as such ({file}, line 5: it is not a valid"
    )
    assert named in result.stderr
    assert float(rows[0]["term_qed"]) == pytest.approx(float(rows[0]["metric_qed"]))
    said = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    expected = [
        f"{file}, line 3: unknown token '[Si]' at position 2",
        f"{file}, line 7: it has 1,000,000 characters; SMILES with at most 5,000 are read",
        f"{file}, line 9: unknown token '[xxx",
        f"{file}, line 11: it has 101 tokens; molecules have at most 100",
        f"there is no file {missing}",
    ]
    assert len(said) == len(expected)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(f"Error: {start}")
        assert len(line) < 500


def test_few_molecules_are_shown_with_every_figure(prior, tmp_path):
    file = tmp_path / "two.csv"
    file.write_text(f"smiles\n{ASPIRIN}\nCCO\n")
    result = run("score", file, "--prior", prior, "--task", "logp")
    for name in ("metric novel", "term logp", "log prior per token"):
        line = next(x for x in result.stdout.splitlines() if x.startswith(f"│ {name} "))
        assert line.count("│") == 4  # a name and two molecules
    empty = tmp_path / "empty.smi"
    empty.write_text("")
    assert "holds no SMILES" in run("score", empty, "--prior", prior, code=1).stderr


def test_a_program_and_a_function_score_files(prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.smi").write_text(f"{ASPIRIN}\nC1CC\nCCO\n")
    (tmp_path / "mine.py").write_text("def lengths(smiles):\n    return map(len, smiles)\n")
    function = json.dumps({"name": "custom:mine.py:lengths", "n_jobs": 0})
    for task, term in (("command:awk '{print length($0)}'", "command"), (function, "custom")):
        run("score", "mine.smi", "--prior", prior, "--task", task, "--csv", "s.csv")
        assert [float(row[f"term_{term}"]) for row in table("s.csv")] == [len(ASPIRIN), 0, 3]
    said = run("score", "mine.smi", "--prior", prior, "--task", "command:cat", code=1).stderr
    assert "the objective returned 'CCO' (str), expected a finite number" in said
    assert "Traceback" not in said


def test_molecules_that_a_function_fails_on_are_named_and_counted(prior, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("smiles,name\nCF,a\nCCO,b\nC1CC,c\nFC(F)F,d\nCCN,e\n")
    (tmp_path / "bad.py").write_text(
        "def some(smiles):\n    return [float(s.index('F')) for s in smiles]\n"
        "def most(smiles):\n    return [float(s.index('C')) for s in smiles]\n"
    )
    task = json.dumps({"name": "custom:bad.py:some", "n_jobs": 0})
    command = ("score", "mine.csv", "--prior", prior, "--task", task, "--csv", "s.csv")
    result = run(*command, code=1)
    rows = {row["name"]: row for row in table("s.csv")}
    assert [rows[name]["term_custom"] for name in "abde"] == ["1.0", "nan", "0.0", "nan"]
    assert [rows[name]["return"] == "nan" for name in "abde"] == [False, True, False, True]
    why = "custom:bad.py:some failed on {}: ValueError: substring not found (bad.py, line 2)"
    assert [line for line in result.stderr.splitlines() if "Error: " in line] == [
        f"Error: mine.csv, line 3, b: {why.format('CCO')}",
        f"Error: mine.csv, line 6, e: {why.format('CCN')}",
        "Error: 2 of 5 molecules could not be scored (custom: 2): their cells are nan",
    ]
    mean = next(line for line in result.stdout.splitlines() if "mean term custom" in line)
    assert "0.3333" in mean  # of the invalid one too, which earns 0
    out = ("--prior", prior, "--out", "out", "--max-files", 0, "--task", "custom:bad.py:most")
    said = run("sample", "molecule", "-n", 60, *out).stderr
    failed = [row for row in table("out/molecules.csv") if row["term_custom"] == "nan"]
    assert f"{len(failed)} of 60 molecules could not be scored" in said
    assert "the first: custom:bad.py:most failed on" in said


def test_the_file_names_tell_the_domain(prior, tmp_path):
    for name in ("a.smi", "a.SMI", "a.unknown", "a.mid"):
        (tmp_path / name).write_text("CCO\n")
    run("score", tmp_path / "a.SMI", "--prior", prior)
    unknown = run("score", tmp_path / "a.unknown", code=1).stderr
    assert f"the name of {tmp_path / 'a.unknown'} does not tell its domain; give --dom" in unknown
    mixed = run("score", tmp_path / "a.smi", tmp_path / "a.mid", code=1).stderr
    assert "the files are of the domains ['melody', 'molecule']; give those of one" in mixed
    given = run("score", tmp_path / "a.unknown", "--domain", "molecule", "--prior", prior, code=1)
    assert "is not a file of SMILES" in given.stderr
    assert get_domain("toy").files.suffixes == ()


def test_evaluate_shows_the_quality_table_beside_the_anchors(prior, tmp_path):
    result = run(
        *("prior", "evaluate", "molecule", "-n", 50, "--prior", prior, "--task", "logp"),
        *("--out", tmp_path / "quality.md"),
    )
    report = json.loads((tmp_path / "quality.json").read_text())
    assert report["corpus"].keys() == {"10,000 of zinc250k"}
    assert report["published"]["CharRNN (MOSES)"]["internal_diversity"] == 0.856
    assert all(np.isfinite(value) for value in report["metrics"].values())
    assert all(seconds > 0 for seconds in report["seconds"].values())
    assert f"measuring {report['seconds']['measuring']:,.1f} s" in result.stdout
    (heads,) = [x for x in (tmp_path / "quality.md").read_text().splitlines() if "| Q (" in x]
    measured = "| | this prior (measured) | 10,000 of zinc250k (measured) |"
    assert heads.startswith(f"{measured} MLE RNN (published) | Q (published) | CharRNN (MOSES) (pu")
    diversity = next(line for line in result.stdout.splitlines() if "internal diversity" in line)
    for number in (report["metrics"]["internal_diversity"], 0.856):
        assert f"{number:.4g}" in diversity


def test_a_trained_prior_comes_with_its_corpuss_reference(tmp_path, monkeypatch):
    smiles = ["C" * n + end for n in range(1, 6) for end in ("O", "N", "F", "CCl")]
    corpus = Corpus(
        sequences=[np.append(encode(s), VOCABULARY.end_id).astype(np.int8) for s in smiles],
        names=smiles,
        splits=np.array(["train"] * 16 + ["validation"] * 2 + ["test"] * 2),
        source="chains",
        vocabulary=VOCABULARY,
    )
    corpus.save(tmp_path / "chains.npz")
    result = run(
        *("prior", "train", "molecule", "--data", tmp_path / "chains.npz", "--epochs", 1),
        *("--hidden", 8, "--embedding", 4, "--out", tmp_path / "run"),
        *("--valid-weight", 1, "--valid-samples", 4),
    )
    assert "% valid, " in result.stdout
    assert f"{tmp_path / 'run' / 'prior' / 'reference.npz'} describes the corpus" in result.stdout
    trained = DOMAIN.load_prior(tmp_path / "run" / "prior")
    tokens = np.array([np.append(encode("CCCO"), VOCABULARY.end_id)])
    assert DOMAIN.summary(tokens, trained)["novel"] == 0
    assert DOMAIN.summary(tokens)["novel"] == 1
    beside = DOMAIN.beside(trained)
    assert beside.metrics.each(tokens)["novel"] == 0
    assert DOMAIN.metrics.each(tokens)["novel"] == 1
    said = run("prior", "evaluate", "molecule", "-n", 5, "--prior", tmp_path / "run" / "prior")
    assert "16 of chains" in said.stdout
    (tmp_path / "own.smi").write_text("CCCO\n")
    for prior, novel in ((tmp_path / "run" / "prior", 0), ("zinc250k", 1)):
        scores = tmp_path / f"{novel}.csv"
        run("score", tmp_path / "own.smi", "--prior", prior, "--csv", scores)
        assert [float(row["metric_novel"]) for row in table(scores)] == [novel]
    drawn = []
    monkeypatch.setattr(files, "write_histograms", lambda *given: drawn.append(given[2].source))
    for prior in (tmp_path / "run" / "prior", "zinc250k"):
        run("sample", "molecule", "-n", 1, "--prior", prior, "--out", tmp_path / "sampled")
    assert drawn == ["chains", "zinc250k"]
