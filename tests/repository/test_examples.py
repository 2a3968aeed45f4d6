"""The examples that are programs: what they promise is so. The others run in their pages' tests."""

import importlib.util

from helpers.paths import ROOT


def example(name):
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_psi_learning_in_one_file_finds_the_optimum():
    """Four seeds of the default length ended within 0.008 nats; the prior is at 1.8."""
    psi_learning = example("psi_learning")
    untrained = psi_learning.distance(*psi_learning.train("ToyGen-v0", 0, c=0.5, seed=0), c=0.5)
    trained = psi_learning.distance(*psi_learning.train("ToyGen-v0", 32_000, c=0.5, seed=0), c=0.5)
    assert untrained > 1.5
    assert 0 <= trained < 0.02


def test_every_example_is_on_a_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    names = [path.name for path in sorted((ROOT / "examples").glob("*.py"))]
    assert [name for name in names if f"<!-- begin: examples/{name} -->" not in pages] == []
