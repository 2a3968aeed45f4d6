"""A domain small enough to enumerate: 3 letters, an end token, at most 5 tokens.

It exists to be checked against dynamic programming, and as the shortest example of a domain: a
vocabulary, a prior, a task, one :class:`~seqgen_envs.domain.Domain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen_envs.domain import Domain
from seqgen_envs.domains.toy.rules import letters_task
from seqgen_envs.domains.toy.vocabulary import HORIZON, VOCABULARY

if TYPE_CHECKING:
    from seqgen_envs.prior import Prior


def _default_prior() -> Prior:
    from seqgen_envs.domains.toy.prior import random_prior

    return random_prior(VOCABULARY, HORIZON, seed=0, spread=1.0)


DOMAIN = Domain(
    name="toy",
    vocabulary=VOCABULARY,
    priors={"default": _default_prior},
    tasks={"letters": letters_task},
    default_prior="default",
    default_task="letters",
    horizon=HORIZON,
)
