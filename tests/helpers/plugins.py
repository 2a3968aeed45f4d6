"""A domain of another package, as that package would write it, and its installation."""

#: A domain of letters for any vocabulary, with a rule, a reader of files and an environment's id.
LETTERS = '''
"""Words of letters: vowels pay."""

from functools import partial
from pathlib import Path

import numpy as np

from seqgen_envs import Corpora, Domain, Files, Task, Term, Vocabulary, register_env
from seqgen_envs.domains.toy.prior import random_prior

BASE = Vocabulary(("a", "b", "e", "."), end=".", joiner="")
HORIZON = 5


class Vowels:
    """1 for a vowel."""

    def __init__(self, vocabulary, vowels="ae"):
        ids = [i for i, token in enumerate(vocabulary.tokens) if token in vowels]
        self.ids = np.array(ids)

    def __call__(self, tokens, lengths):
        return np.isin(tokens[np.arange(len(tokens)), lengths - 1], self.ids).astype(float)


def vowels_task(vocabulary, **arguments):
    return Task("vowels", [Term("vowels", Vowels(vocabulary, **arguments))])


def read(path):
    return [(f"line {i}", line) for i, line in enumerate(Path(path).read_text().split(), 1)]


def make_domain(vocabulary=BASE):
    return Domain(
        name="letters",
        vocabulary=vocabulary,
        priors={"default": partial(random_prior, BASE, HORIZON, 0, 1.0)},
        tasks={"vowels": partial(vowels_task, vocabulary)},
        default_prior="default",
        default_task="vowels",
        horizon=HORIZON,
        files=Files(read_many=read, suffixes=(".words",)),
        of_vocabulary=make_domain,
    )


DOMAIN = make_domain()
register_env("LetterGen-v0", domain="letters", c=0.25)
'''


def install(folder, name, entry_points):
    """Make the files of ``folder`` an installed distribution with these entry points."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
