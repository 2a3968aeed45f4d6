"""Children of two molecules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs import get_domain
from seqgen_envs.domains.molecule.corpus.offspring import cross
from seqgen_envs.domains.molecule.objectives.oracles import MOLECULES
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode, parse
from seqgen_envs.vocabulary import Vocabulary

PARENTS = [MOLECULES[name] for name in ("celecoxib", "ranolazine", "troglitazone", "zaleplon")]


def child(one, other, seed=0, vocabulary=VOCABULARY):
    ids = cross(encode(one), encode(other), np.random.default_rng(seed), vocabulary)
    return None if ids is None else vocabulary.to_text(ids)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(PARENTS), st.sampled_from(PARENTS), st.integers(0, 2**32))
def test_a_child_is_one_valid_molecule_and_none_of_its_parents(one, other, seed):
    text = child(one, other, seed)
    assert text is None or (parse(text) is not None and "." not in text)
    assert text not in (one, other)


def test_children_take_after_both_parents():
    """Bromine comes from one side alone, fluorine from the other; some children have both."""
    one, other = "Brc1ccccc1CCN", "Fc1ccccc1CCO"
    children = [child(one, other, seed) or "" for seed in range(30)]
    assert any("Br" in text and "F" in text for text in children)
    assert len(set(children)) > 10


def test_a_seed_decides_the_child():
    assert child(*PARENTS[:2], seed=3) == child(*PARENTS[:2], seed=3)


@pytest.mark.parametrize(
    ("one", "other"), [("C", "C"), ("C1CC", "CCO")], ids=["nothing to cut", "invalid"]
)
def test_there_may_be_none(one, other):
    assert child(one, other) is None


def test_a_child_with_a_token_that_the_vocabulary_lacks_is_none(monkeypatch):
    monkeypatch.setattr("seqgen_envs.domains.molecule.corpus.offspring.MUTATION_RATE", 1.0)
    small = Vocabulary(("C", "N", "(", ")", "1", "c", "<end>"), joiner="", end="<end>")
    ids = {token: i for i, token in enumerate(small.tokens)}
    parents = [np.array([ids[letter] for letter in text]) for text in ("CCNCC", "CC(C)CN")]
    found = [cross(*parents, np.random.default_rng(seed), small) for seed in range(40)]
    assert 0 < sum(child is None for child in found) < len(found)  # an oxygen, a double bond


def test_it_is_the_domains():
    ids = [encode(text) for text in PARENTS[:2]]
    made = get_domain("molecule").corpora.cross(*ids, np.random.default_rng(0))
    np.testing.assert_array_equal(made, cross(*ids, np.random.default_rng(0)))


def test_without_the_package_its_extra_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name, name="mol_ga")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ImportError, match=r"seqgen\[genetic\]"):
        child(*PARENTS[:2])
