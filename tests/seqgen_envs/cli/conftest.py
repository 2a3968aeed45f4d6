"""A sampled folder, for the commands that write one and that read it."""

import pytest

from helpers.commands import run, table


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    out = tmp_path_factory.mktemp("sampled") / "deep"
    result = run("sample", "melody", "-n", 8, "--length", 16, "--max-files", 4, "--out", out)
    return out, table(out / "melodies.csv"), result
