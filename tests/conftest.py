"""What every test runs under, and the fixtures of more than one folder."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLUMNS"] = "240"  # tables are not wrapped, however long the temporary folder's name

import pytest
import torch

pytest.register_assert_rewrite("helpers")

from helpers.envs import ENV_IDS
from helpers.paths import DATA

torch.set_num_threads(1)

#: Files of tests that take long, some half a minute each.
LONG = {"test_pages.py", "test_notebooks.py", "test_bench.py", "test_kills.py"}


def pytest_collection_modifyitems(items):
    """The long ones first, so that the workers of a parallel run end together."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(params=ENV_IDS)
def env_id(request):
    """An environment of every domain."""
    return request.param


@pytest.fixture(scope="session")
def smiles_sample():
    """400 SMILES drawn from ZINC250k."""
    return (DATA / "smiles_sample.smi").read_text().split()


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster of two nodes; tests that ask for it are in files named after it."""
    pytest.importorskip("ray", reason="needs the extra cluster")
    from helpers.clusters import two_nodes

    with two_nodes() as nodes:
        yield nodes
