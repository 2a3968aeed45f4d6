"""A domain of your own: DNA primers of 20 bases, under three rules of thumb of the laboratory.

seqgen check examples/domain.py:PRIMERS
seqgen sample examples/domain.py:PRIMERS -n 8 --out primers
seqgen train psi examples.domain:PrimerGen-v0 --out runs/primers
"""

import numpy as np

from seqgen_envs import Domain, Metrics, Task, Term, Vocabulary, register_domain, register_env
from seqgen_envs.domains.toy.prior import TabularPrior

BASES = Vocabulary(("A", "C", "G", "T"), joiner="")
LENGTH = 20
C, G = BASES.encode("CG")


def all_alike():
    """The prior: every base equally likely, whatever stands before it."""
    return TabularPrior(np.full((LENGTH, BASES.size + 1, BASES.size), -np.log(4.0)), BASES)


def is_gc(tokens):
    """Whether a base is G or C, bool as ``tokens``."""
    return (tokens == C) | (tokens == G)


def gc_content(tokens, lengths):
    """At the end: 1 where 40 to 60 percent of the bases are G or C, less the further away."""
    share = is_gc(tokens).sum(axis=1) / lengths
    return 1.0 - np.maximum(np.abs(share - 0.5) - 0.1, 0.0) / 0.4


def run(tokens, lengths):
    """-1 for a base that is the fourth or later of a run of one base."""
    rows = np.arange(len(tokens))
    same = [
        tokens[rows, np.maximum(lengths - 1 - back, 0)] == tokens[rows, lengths - 1]
        for back in (1, 2, 3)
    ]
    return np.where((lengths >= 4) & np.all(same, axis=0), -1.0, 0.0)


def clamp(tokens, lengths):
    """At the end: 1 where the last base is G or C."""
    return is_gc(tokens[np.arange(len(tokens)), lengths - 1]).astype(float)


def good_primer():
    """The task: the three rules."""
    return Task(
        "good-primer",
        [
            Term("gc_content", gc_content, weight=2.0, at="end"),
            Term("run", run),
            Term("clamp", clamp, at="end"),
        ],
    )


def melting_temperature(tokens):
    """Degrees Celsius by the rule of Wallace, 2 for A and T and 4 for G and C, float [N]."""
    bases = (tokens < BASES.size).sum(axis=1)
    return {"melting_temperature": 2.0 * bases + 2.0 * is_gc(tokens).sum(axis=1)}


PRIMERS = Domain(
    name="primers",
    vocabulary=BASES,
    priors={"all-alike": all_alike},
    tasks={"good-primer": good_primer},
    default_prior="all-alike",
    default_task="good-primer",
    horizon=LENGTH,
    plural="primers",
    metrics=Metrics(each=melting_temperature),
)
register_domain("primers", PRIMERS)
register_env("PrimerGen-v0", domain="primers")
