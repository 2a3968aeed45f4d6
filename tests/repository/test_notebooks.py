"""Every notebook runs from a fresh kernel, and is stored as its last run left it.

``jupyter execute --inplace notebooks/*.ipynb`` stores the outputs anew.
"""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.paths import ROOT

#: Notebooks that need an extra which the suite is not installed with, by its package.
NEEDS = {"07_language_model": "peft"}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def outputs_of(notebook):
    return [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]


def kinds_of(outputs):
    return {kind for o in outputs for kind in o.get("data", {})}


def is_sound(output):
    return "data:audio/wav;base64," in output.get("data", {}).get("text/html", "")


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_visitor_sees_what_they_do(path):
    """Text and pictures of every notebook, and the sound of melodies."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = outputs_of(notebook)
    assert not [o for o in outputs if o.output_type == "error"]
    assert "image/png" in kinds_of(outputs)
    plays = any("MelodyGen" in cell.source for cell in cells)
    assert any(map(is_sound, outputs)) == plays
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem], reason="the notebook needs the extra hf")
    here = str(Path(sys.executable).parent)  # of the command seqgen, which some cells call
    monkeypatch.setenv("PATH", here + os.pathsep + os.environ["PATH"])
    notebook = nbformat.read(path, as_version=4)
    stored = outputs_of(notebook)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()  # raises CellExecutionError with the cell and its traceback
    outputs = outputs_of(notebook)
    assert not [o for o in outputs if o.output_type == "error"]
    assert kinds_of(outputs) == kinds_of(stored)
