"""Half-written SMILES: what molecules begin with is let through, and what is let through is one."""

import numpy as np
import pytest

from seqgen_envs.domains.molecule.grammar.partial import Partial
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY, canonicalize, parse, tokenize

TOKENS = np.array([token for token in VOCABULARY.tokens if token != END])


def written(smiles):
    """The state after ``smiles``; None where a token is refused."""
    state = Partial()
    for token in tokenize(smiles):
        state = state.push(token)
        if state is None:
            return None
    return state


def test_the_corpus_is_let_through_token_by_token(smiles_sample):
    for smiles in smiles_sample:
        for text in (smiles, canonicalize(smiles)):
            state = written(text)
            assert state is not None, text
            assert state.complete(), text


@pytest.mark.parametrize(
    "smiles",
    ["=C", "C(", "(C)C", ")C", "C==C", "F(C)C", "C(C)(C)(C)(C)C", "O=C=O=C", "c1ccccc1=C", "1CC1",
     "C=1CC-1", "CF=C", "C11", "cc"],
)  # fmt: skip
def test_what_no_molecule_begins_like_is_refused_or_incomplete(smiles):
    state = written(smiles)
    assert state is None or not state.complete()


@pytest.mark.parametrize("smiles", ["C", "c1ccccc1", "C1CC1", "O=C=O", "[nH]1cccc1", "CC(C)C"])
def test_whole_molecules_are_complete(smiles):
    assert written(smiles).complete()


@pytest.mark.parametrize("smiles", ["c1ccccc", "C1CC", "CC(C", "CC="])
def test_unfinished_ones_are_not(smiles):
    state = written(smiles)
    assert state is not None
    assert not state.complete()


def test_push_leaves_what_it_is_asked_of_alone():
    state = written("c1ccc(")
    first = state.push("C")
    state.push("N")
    assert first.push(")") is not None
    assert state.push("C").push(")") is not None


def test_whatever_random_walks_complete_is_a_molecule_to_rdkit():
    """Walks take any token that is let through, and stop where they have completed something."""
    rng = np.random.default_rng(0)
    completed = 0
    for _ in range(400):
        state, text = Partial(), ""
        while len(text) < 60:
            if state.complete() and rng.random() < 0.15:
                break
            pushes = ((token, state.push(token)) for token in rng.permutation(TOKENS).tolist())
            chosen = next(((token, after) for token, after in pushes if after is not None), None)
            if chosen is None:  # a dead end may only be a whole molecule
                assert state.complete(), text
                break
            text, state = text + chosen[0], chosen[1]
        if state.complete():
            completed += 1
            assert parse(text) is not None, text
    assert completed > 50
