"""Every notebook runs from a fresh kernel, in small, and is stored as its last run left it.

``jupyter execute --inplace notebooks/*.ipynb`` stores the outputs anew, in full.
"""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.paths import ROOT

#: Notebooks that need an extra which the suite is not installed with, by its package.
NEEDS = {"07_language_model": "peft"}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


#: What makes minutes into seconds: (pattern, what stands there instead). Each must be met.
SMALL = (
    (r"\.learn\((?:\d\d|\d)_\d{3}", ".learn(1_024"),
    (r"steps: 6000, episodes: 2000", "steps: 600, episodes: 200"),
    (r"episodes=(?:256|512)", "episodes=64"),
    (r" --agent sb3:PPO", ""),
    (r"range\(250\)", "range(40)"),
)


def in_small(cell):
    for pattern, replacement in SMALL:
        cell.source = re.sub(pattern, replacement, cell.source)


def outputs_of(notebook):
    return [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]


def kinds_of(outputs):
    return {kind for o in outputs for kind in o.get("data", {})}


def is_sound(output):
    return "data:audio/wav;base64," in output.get("data", {}).get("text/html", "")


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_what_makes_them_small_is_all_used():
    sources = [c.source for p in NOTEBOOKS for c in nbformat.read(p, as_version=4).cells]
    for pattern, _ in SMALL:
        assert any(re.search(pattern, source) for source in sources), pattern


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
    stored = kinds_of(outputs_of(notebook))
    for cell in notebook.cells:
        in_small(cell)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()  # raises CellExecutionError with the cell and its traceback
    outputs = outputs_of(notebook)
    assert not [o for o in outputs if o.output_type == "error"]
    assert kinds_of(outputs) == stored
