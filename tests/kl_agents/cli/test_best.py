"""``seqgen best``: what a training has found, as files."""

import csv

import pytest
from rdkit import Chem

from helpers.commands import run
from helpers.runs import toy_spec
from kl_agents.cli import best
from kl_agents.runs.folder import write_config
from seqgen_envs.cli import make_app
from seqgen_envs.domains.melody import DOMAIN as MELODY

GIVEN, GOOD, FAIR, INVALID = "OCC", "c1ccccc1O", "CCO", "CC("
NUMBERS = {GIVEN: (0, 1.0), GOOD: (20, 0.9), FAIR: (10, 0.4), INVALID: (30, -1.0)}


def app():
    made = make_app()
    made.command("best")(best)
    made.command("other")(best)  # of a single command Typer would ask no name
    return made


@pytest.fixture
def folder(tmp_path):
    """``folder(env_id, table, rows)``: a run that has scored so much."""

    def make(env_id, table, rows, **env_kwargs):
        spec = toy_spec(steps=2000)
        moved = {**spec.to_dict(), "env_id": env_id, "env_kwargs": env_kwargs}
        found = tmp_path / "run"
        found.mkdir()
        write_config(found, type(spec)(**moved), "", "seqgen train ...")
        if rows:
            lines = ["text,step,task_return,term_a", *rows]
            (found / table).write_text("\n".join(lines) + "\n")
        return found

    return make


def molecules(folder):
    rows = [f"{text},{step},{value},{value}" for text, (step, value) in NUMBERS.items()]
    return folder("MoleculeGen-QED-v0", "molecules.csv", rows)


def test_the_best_molecules_as_files_without_those_given(folder, tmp_path):
    out = tmp_path / "deep" / "best"
    said = run("best", molecules(folder), "--out", out, app=app()).stdout
    assert "the 3 best of 4 molecules that were scored" in said
    rows = list(csv.DictReader((out / "molecules.csv").open()))
    assert [row["text"] for row in rows] == [GOOD, FAIR, INVALID]
    assert [float(row["task_return"]) for row in rows] == [0.9, 0.4, -1.0]
    sdf = [*Chem.SDMolSupplier(str(out / "molecules.sdf"))]
    assert [molecule.GetProp("SMILES") for molecule in sdf] == [GOOD, FAIR]
    assert float(sdf[0].GetProp("task_return")) == 0.9
    assert (out / "molecules.smi").read_text() == f"{GOOD} molecule-0000\n{FAIR} molecule-0001\n"
    assert (out / "grid.svg").is_file()


def test_as_many_as_asked_for_without_pictures(folder, tmp_path):
    out = tmp_path / "best"
    run("best", molecules(folder), "--out", out, "-n", 1, "--no-pictures", app=app())
    names = sorted(path.name for path in out.iterdir())
    assert names == ["molecules.csv", "molecules.sdf", "molecules.smi"]
    assert (out / "molecules.smi").read_text() == f"{GOOD} molecule-0000\n"


def test_the_best_melodies_as_files_of_each(folder, tmp_path):
    melody = MELODY.to_text(MELODY.to_ids("C4 - - - E4 - - - G4 - - -"))
    out = tmp_path / "best"
    source = folder("MelodyGen-v0", "melodies.csv", [f"{melody},640,12.5,12.5"])
    run("best", source, "--out", out, "--no-pictures", app=app())
    assert (out / "melody-0000.mid").is_file()
    (row,) = csv.DictReader((out / "melodies.csv").open())
    assert row["text"] == melody


def test_code_that_the_task_names_is_not_run(folder, tmp_path):
    (tmp_path / "o.py").write_text("raise SystemExit('was run')\n")
    source = folder(
        "MoleculeGen-v0", "molecules.csv", [f"{GOOD},64,0.5,0.5"], task=f"custom:{tmp_path}/o.py:f"
    )
    run("best", source, "--out", tmp_path / "best", "--no-pictures", app=app())
    assert (tmp_path / "best" / "molecules.smi").read_text() == f"{GOOD} molecule-0000\n"


def test_a_run_that_has_found_nothing_is_refused(folder, tmp_path):
    said = run(
        "best", folder("ToyGen-v0", "", []), "--out", tmp_path / "best", code=1, app=app()
    ).stderr
    assert "that the training has found" in said
    assert "Traceback" not in said
