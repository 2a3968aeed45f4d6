"""A domain: five throws of a die."""

import numpy as np
from seqgen_guest.rule import sixes

from seqgen_envs import Domain, Task, Term, Vocabulary, register_env
from seqgen_envs.domain_groups import Files, Metrics
from seqgen_envs.domains.toy.prior import TabularPrior

THROWS = 5
VOCABULARY = Vocabulary(tuple("123456"), joiner="")


def fair_die():
    """Every throw alike."""
    return TabularPrior(np.full((THROWS, 7, 6), -np.log(6.0)), VOCABULARY)


def high():
    """The task: sixes."""
    return Task("high", [Term("sixes", sixes)])


def read(path):
    """A text file of one sequence."""
    return VOCABULARY.encode(path.read_text(encoding="utf-8").strip())


def summary(tokens):
    """The mean of all throws."""
    return {"mean_throw": float((np.asarray(tokens) + 1).mean())}


DICE = Domain(
    name="dice",
    vocabulary=VOCABULARY,
    priors={"fair": fair_die},
    tasks={"high": high},
    default_prior="fair",
    default_task="high",
    horizon=THROWS,
    plural="throws",
    files=Files(read=read, suffixes=(".dice",)),
    metrics=Metrics(summary=summary),
)
register_env("DiceGen-v0", domain="dice")
