"""One sentence where a name is a folder, a file is empty, a column or an argument is another."""

import pytest

from helpers.commands import refused

TABLE = "Compound;Name;Structure\nCPD-1;Verbindung 1;CCO\nCPD-2;Verbindung 2;CCN\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["score", "a.csv", "--task", "objective:adir"], "adir is a folder: give a file"),
        (
            ["score", "a.csv", "--task", '{"name": "custom:adir:score", "n_jobs": 0}'],
            "custom task 'adir:score': adir is a folder, {}/adir: name a file in it, as "
            "adir/FILE.py:score",
        ),
        (
            ["score", "a.csv", "--task", '{"name": "qed", "diversty": {"kind": "scaffold"}}'],
            "task 'qed' does not take these arguments: there is no 'diversty' (did you mean "
            "'diversity'?); every task of molecules takes budget, ",
        ),
        (
            ["score", "a.mid", "--task", '{"bar_lenght": 12}'],
            "does not take these arguments: there is no 'bar_lenght' (did you mean 'bar_length'?)",
        ),
        (["score", "adir"], "adir is a folder: give the files in it, as adir/*"),
        (["data", "adir"], "adir is a folder: say whose files are in it by --domain"),
        (["data", "adir", "--domain", "molecule"], "'adir' is a folder, and no corpus of mol"),
        (["score", "empty.csv"], "empty.csv is empty: there is no row in it"),
        (["score", "empty.smi"], "empty.smi holds no SMILES"),
        (["data", "empty.csv"], "empty.csv is empty: there is no row in it"),
        (
            ["score", "a.csv", "--column", "2"],
            "a.csv has no molecules: no value of column 2 'Name' is one, 'Verbindung 1' first; "
            "columns count from 1 and are ['Compound', 'Name', 'Structure']",
        ),
        (["sample", "molecule", "--agent", "adir", "--out", "out"], "the folder adir holds no ag"),
    ],
)
def test_what_is_wrong_is_said_in_the_users_words(command, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "adir").mkdir()
    (tmp_path / "a.csv").write_text(TABLE)
    for name in ("empty.csv", "empty.smi", "a.mid"):
        (tmp_path / name).touch()
    said = refused(*command)
    assert message.replace("{}", str(tmp_path)) in said
