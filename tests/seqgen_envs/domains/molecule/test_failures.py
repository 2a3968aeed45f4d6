"""What is said where a user's function fails on some molecules."""

import logging

import numpy as np
import pytest

from seqgen_envs import get_domain
from seqgen_envs.rules import score_sequences

SCRIPT = """
def some(smiles):
    return [one(text) for text in smiles]

def one(text):
    if "F" not in text:
        raise ValueError("no fluorine,\\nas it seems")
    return 1.0
"""


@pytest.mark.parametrize("n_jobs", [0, 1])
def test_the_warning_says_molecule_message_file_and_line(n_jobs, tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(SCRIPT)
    domain = get_domain("molecule")
    task = domain.make_task({"name": "custom:bad.py:some", "n_jobs": n_jobs})
    end = domain.vocabulary.end_id
    rows = [[*domain.to_ids(text), end] for text in ("CF", "CO", "CCF", "COc1ccccc1")]
    padded = domain.vocabulary.padded(rows, 20)
    with caplog.at_level(logging.WARNING):
        values = score_sequences(task, padded, np.array([len(row) for row in rows]))
    task.close()
    assert values.sum(axis=(1, 2)).tolist() == [1, 0, 1, 0]
    (said,) = caplog.messages
    assert said == (
        "custom:bad.py:some failed on CO: ValueError: no fluorine, as it seems (bad.py, "
        "line 7); it scores as invalid, later cases are counted"
    )
    assert task.failures.count == 2
    assert "Traceback" in task.failures.first  # what a run keeps in its failures.txt
    assert 'bad.py", line 3' in task.failures.first
