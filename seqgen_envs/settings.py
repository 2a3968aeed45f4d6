"""The arguments of an environment, checked."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from seqgen_envs.domain import Domain
from seqgen_envs.domain_groups import Template
from seqgen_envs.prior import Prior
from seqgen_envs.registration import get_domain
from seqgen_envs.rules import Task
from seqgen_envs.starts import Primer, beginning, read_primers

#: Longest episode, in tokens: memory is taken for it at once.
MAX_LENGTH = 100_000


@dataclass(frozen=True)
class LaneSettings:
    """The arguments of an environment, checked.

    Args:
        domain: a name or reference (see :func:`~seqgen_envs.registration.get_domain`), or a
            :class:`~seqgen_envs.domain.Domain`. The attribute is the Domain, with the prior's
            vocabulary.
        prior: a bundled prior's name, a folder, or an object; None is the domain's default.
        task: a task's name or ``"module:attribute"``, ``{"name": ..., **arguments}``, or a Task;
            None is the default (see :meth:`~seqgen_envs.domain.Domain.make_task`).
        c: temperature of the task reward (c > 0): reward = w log p(a|s) + r_T(s, a) / c.
        prior_weight: w (0: the task alone).
        length: horizon T in tokens, primer included; None is the domain's.
        primer: what episodes start with: token ids or a text; or several, as a list of such or as
            a file with a text a line, of which each episode draws one. A text may have open places
            that generation fills, where the domain knows such (``"c1ccccc1C(=O)N[*]"``).
        mask: a name of the domain's ``masks``, or None: its ``action_mask`` alone, if it has one.

    Attributes:
        primers: the primers as ids, one at least; it is empty where episodes start with nothing.
        templates: those among them that have open places.

    Raises:
        ValueError: a value is out of its range; the message gives the range.
    """

    domain: str | Domain
    prior: str | Path | Prior | None = None
    task: str | Mapping[str, Any] | Task | None = None
    c: float = 0.5
    prior_weight: float = 1.0
    length: int | None = None
    primer: Any = None
    mask: str | None = None
    primers: tuple[Primer, ...] = field(init=False, repr=False, compare=False)
    templates: tuple[Template, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        domain = get_domain(self.domain).for_prior(self.prior)
        check_c(self.c)
        if not (is_finite(self.prior_weight) and self.prior_weight >= 0):
            raise ValueError(f"prior_weight must be finite and >= 0, got {self.prior_weight!r}")
        length = domain.horizon if self.length is None else self.length
        if not is_finite(length) or int(length) != length or length < domain.min_horizon:
            raise ValueError(
                f"length must be a whole number >= {domain.min_horizon} for domain "
                f"{domain.name!r}, got {length!r}"
            )
        if length > MAX_LENGTH:
            raise ValueError(f"length must be at most {MAX_LENGTH:,}, got {length!r}")
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "length", int(length))
        primers = read_primers(self.primer, domain, int(length))
        object.__setattr__(self, "primers", tuple(map(beginning, primers)))
        templates = tuple(primer for primer in primers if isinstance(primer, Template))
        object.__setattr__(self, "templates", templates)

    def at(self, c: float) -> LaneSettings:
        """The same at another temperature."""
        check_c(c)
        settings = copy.copy(self)
        object.__setattr__(settings, "c", c)
        return settings

    def only_primer(self, who: str) -> Primer:
        """The one primer.

        Raises:
            ValueError: there are several; the message says that ``who`` needs one.
        """
        if len(self.primers) != 1:
            raise ValueError(
                f"{who} needs one primer, and this environment has {len(self.primers)}"
            )
        return self.primers[0]


def check_c(c: Any) -> float:
    """``c``, if it is a temperature.

    Raises:
        ValueError: it is no finite number above 0.
    """
    if not (is_finite(c) and c > 0):
        raise ValueError(f"c must be a finite number > 0, got {c!r}")
    return float(c)


def is_finite(value: Any) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, Real) and math.isfinite(value)
