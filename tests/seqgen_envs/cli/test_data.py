"""``seqgen data``, and training on other spellings: what is written, said and refused."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from helpers.commands import table
from seqgen_envs import get_domain, load_prior_folder
from seqgen_envs.cli import data
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.molecule import DOMAIN
from seqgen_envs.domains.molecule.corpus import named as corpora
from seqgen_envs.domains.molecule.smiles import VOCABULARY

LINES = ["OCC ethanol", "CC(C", "", "C[C@H](N)C(=O)O", "[Xe]", "CCO again", "C" * 1_000_000]
LINES += [f"{'C' * n}N" for n in range(1, 40)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def smi(tmp_path):
    path = tmp_path / "mine.smi"
    path.write_text("\n".join(LINES))
    return path


def run(*arguments, code=0):
    runner = CliRunner(env={"COLUMNS": "250"})
    result = runner.invoke(cli.make_app(), [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    assert "Traceback" not in result.stderr
    return result


def texts(path):
    corpus = Corpus.load(path, VOCABULARY)
    return [VOCABULARY.to_text(tokens) for tokens in corpus.sequences]


def test_a_file_becomes_a_corpus(smi, tmp_path):
    result = run("data", smi, "--jobs", 1)
    written = texts(tmp_path / "mine.npz")
    assert written[:2] == ["CCO", "C[C@H](N)C(=O)O"]
    assert len(written) == 41
    said = result.stderr.replace("\n", " ")
    for problem in (
        "Warning: dropped line 2, 'CC(C': it is not a valid SMILES",
        "Warning: dropped line 5, '[Xe]': unknown token '[Xe]' at position 0",
        "it has 1,000,000 characters, more than 5,000",
    ):
        assert problem in said
    for row in ("kept", "dropped: unreadable", "dropped: duplicate", "found"):
        assert row in result.stdout
    assert "41 sequences of" in result.stdout
    start = "seqgen prior train molecule --initial zinc250k --learning-rate 0.0005 --data mine.npz"
    assert start in result.stdout
    assert "cleaning" not in result.stderr  # no bar where stderr is no terminal


def test_many_sequences_or_other_tokens_are_trained_on_from_nothing(smi, tmp_path, monkeypatch):
    result = run("data", smi, "--jobs", 1, "--vocabulary", "corpus")
    assert "seqgen prior train molecule --data mine.npz" in result.stdout
    monkeypatch.setattr(data, "FEW", 41)
    result = run("data", smi, "--jobs", 1, "--out", "m y.npz")
    assert "seqgen prior train molecule --data 'm y.npz'" in result.stdout


def test_options_change_what_is_written(smi, tmp_path):
    out = tmp_path / "deep" / "other.npz"
    run("data", smi, "--as-written", "--length", 10, "--out", out, "--jobs", 1)
    written = texts(out)
    assert written[:2] == ["OCC", "CCO"]  # alanine has more than ten tokens
    assert max(map(len, written)) == 9
    run("data", smi, "--no-stereo", "--out", out, "--jobs", 1)
    assert texts(out)[1] == "CC(N)C(=O)O"
    both = run("data", smi, "--no-stereo", "--as-written", "--out", out, "--jobs", 1, code=1)
    assert "leaves every SMILES as it is: leave out no_stereo and neutralize" in both.stderr


def test_two_versions_of_a_file_are_two_corpora(tmp_path):
    for name, line in (("my.v1.smi", "CCO"), ("my.v2.smi", "CCN"), ("my.v3.csv", "smiles\nCCF")):
        (tmp_path / name).write_text(f"{line}\n")
        run("data", name, "--jobs", 1)
    assert [texts(f"my.v{i}.npz") for i in (1, 2, 3)] == [["CCO"], ["CCN"], ["CCF"]]


def test_what_became_of_charges_and_salts_is_counted(tmp_path):
    lines = ["CC(=O)[O-].[Na+] sodium acetate", "CCN", "[O-]c1ccccc1", "OCC", "C[N+](=O)[O-]"]
    (tmp_path / "salts.smi").write_text("\n".join(lines))
    said = run("data", "salts.smi", "--jobs", 1).stdout
    rows = {
        row[1].strip(): row[2].strip()
        for row in (line.split("│") for line in said.splitlines())
        if len(row) > 3
    }
    assert rows["- stripped of counter-ions or solvents"] == "1"
    assert rows["- charged"] == "2"
    assert rows["- rewritten"] == "2"
    assert "rewritten: CC(=O)[O-].[Na+] -> CC(=O)[O-]" in said
    assert Corpus.load("salts.npz").names[0] == "sodium acetate"
    said = run("data", "salts.smi", "--neutralize", "--jobs", 1).stdout
    assert texts("salts.npz") == ["CC(=O)O", "CCN", "Oc1ccccc1", "CCO", "C[N+](=O)[O-]"]
    assert "- neutralized" in said
    assert "- charged" not in said


def test_all_that_is_dropped_is_named_in_a_table(tmp_path):
    lines = ["OCC ethanol", "CC(C", "", "CCO again", "[Xe] =xenon", "CCCCC"]
    (tmp_path / "mine.smi").write_text("\n".join(lines))
    said = run("data", "mine.smi", "--length", 5, "--jobs", 1).stdout
    assert "mine.dropped.csv names what was dropped, and why" in said
    (tmp_path / "mine.dropped.csv").rename("first.csv")
    run("data", "mine.smi", "--length", 5, "--jobs", 1)  # out of the cache
    assert Path("mine.dropped.csv").read_text() == Path("first.csv").read_text()
    assert [list(row.values()) for row in table("first.csv")] == [
        ["unreadable", "line 2, 'CC(C'", "it is not a valid SMILES"],
        ["duplicate", "line 4 (again), 'CCO'", "it is the molecule of line 1 (ethanol)"],
        ["unknown token", "line 5 (=xenon), '[Xe]'", "unknown token '[Xe]' at position 0"],
        ["too long", "line 6, 'CCCCC'", "it has 6 tokens, more than 5"],
    ]


def test_tunes_that_are_dropped_are_named_in_a_table(tmp_path):
    (tmp_path / "music").mkdir()
    tune = f"X:1\nT:Twice\nM:4/4\nL:1/16\nK:C\n{'CDEFGABc' * 5}\n\n"
    (tmp_path / "music" / "a.abc").write_text(tune + tune.replace("X:1", "X:2"))
    (tmp_path / "music" / "b.mid").write_bytes(b"MThd")
    run("data", "music", "--domain", "melody", "--jobs", 1)
    rows = [(row["reason"], row["name"]) for row in table("music.dropped.csv")]
    assert rows == [("duplicate", "a.abc#2 Twice"), ("unreadable", "b.mid")]


def test_further_problems_are_counted(tmp_path):
    (tmp_path / "bad.smi").write_text("C\n" + "C(\n" * 15)
    result = run("data", "bad.smi", "--jobs", 1)
    assert result.stderr.count("dropped line") == data.SHOWN
    assert "dropped 5 more for such reasons" in result.stderr


def test_without_a_name_the_names_are_listed():
    listed = run("data").stdout
    for name, about in DOMAIN.corpora.names.items():
        assert name in listed
        assert about in listed
    for known in ("oracles", "drd2", ".smi", "folk tunes"):
        assert known in listed


def test_a_name_finds_its_domain(tmp_path, monkeypatch):
    """Asked of the domains, never of the name: here another reader stands for MOSES."""
    asked = []

    def reader(name, *, n_jobs=None, no_stereo=False):
        asked.append((name, n_jobs, no_stereo))
        splits = np.array(["train"])
        return Corpus([np.array([1, 2])], ["1"], splits, name, VOCABULARY)

    monkeypatch.setitem(vars(get_domain("molecule").corpora), "read", reader)
    run("data", "moses", "--no-stereo", "--jobs", 2)
    assert asked == [("moses", 2, True)]
    assert (tmp_path / "moses.npz").is_file()
    message = run("data", "moses", "--length", 20, code=1).stderr
    assert "corpora of domain 'molecule' have no option --length" in message


def test_oracles_are_fetched_by_name(tmp_path, monkeypatch):
    def fetched():
        return [tmp_path / "drd2.npz", tmp_path / "jnk3.npz"]

    monkeypatch.setitem(vars(get_domain("molecule").corpora), "downloads", {"oracles": fetched})
    shown = run("data", "oracles").stdout
    assert shown.split() == [str(path) for path in fetched()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zinc",), "no corpus 'zinc': give one of corpus, moses, moses-scaffolds, names, ora"),
        (("none.smi",), "there is no file none.smi"),
        (("tune.krn",), "tune.krn is not a kind of file known as a corpus: add --domain"),
        (("tune.krn", "--domain", "toy"), "domain 'toy' reads no corpora"),
        (("corpus", "--domain", "nope"), "unknown domain 'nope'"),
        (("corpus", "--no-stereo"), "corpora of domain 'melody' have no option --no-stereo"),
        (("mine.smi", "--out", "a.csv"), "--out a.csv must end in .npz"),
        (("mine.smi", "--length", "2"), "the shortest valid one has 3 tokens, allow more than 2"),
        (("zinc", "--domain", "molecule"), "'zinc' is no corpus of molecules; there are zinc250k"),
    ],
)
def test_what_data_refuses(arguments, message, smi, tmp_path):
    (tmp_path / "tune.krn").write_text("**kern")
    (line,) = [
        line for line in run("data", *arguments, code=1).stderr.splitlines() if message in line
    ]
    assert line.startswith("Error: ")
    assert not list(tmp_path.glob("*.npz"))


def test_offline_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "ZINC_URLS", ("http://127.0.0.1:9/zinc.csv",))
    said = run("data", "zinc250k", code=1).stderr
    assert "could not be downloaded (127.0.0.1: ConnectionError)" in said
    assert f"put it at {tmp_path / 'cache' / corpora.ZINC_FILE}" in said


# -- training -------------------------------------------------------------------------------------

TINY = ["--cell", "gru", "--hidden", 8, "--embedding", 4, "--epochs", 2, "--dropout", 0]


def test_a_prior_is_trained_on_other_spellings(smi, tmp_path):
    run("data", smi, "--jobs", 1)
    corpus = Corpus.load("mine.npz", VOCABULARY)
    corpus.splits[:4] = ["validation", "test", "validation", "test"]
    corpus.save("mine.npz")
    arguments = ("prior", "train", "molecule", "--data", "mine.npz", "--out", "a", *TINY)
    run(*arguments, "--augment")
    training = load_prior_folder(tmp_path / "a" / "prior").metadata
    assert training["config"]["augment"] is True
    assert training["epochs"] == 2
    said = run(*arguments, "--no-augment", "--resume", code=1).stderr
    assert "was made with other settings (augment)" in said


def test_melodies_have_one_spelling(tmp_path):
    melody = get_domain("melody")
    sequences = [np.full(n, 5, np.int8) for n in range(32, 40)]
    splits = np.array(["train", "validation", "test", *["train"] * 5])
    names = [str(n) for n in range(8)]
    Corpus(sequences, names, splits, "test", melody.vocabulary).save("tunes.npz")
    arguments = ("--data", "tunes.npz", "--augment", "--out", "run", *TINY)
    said = run("prior", "train", "melody", *arguments, code=1).stderr
    assert "the sequences of this domain cannot be spelled in other ways" in said
