"""What is known of log Z of an environment: the absolute scale of its objective, in nats.

J(q) = log Z - KL(q || q*), so every policy bounds log Z from below, and the best bound that anybody
ever reached is everybody's yardstick. It is kept under the environment's fingerprint (prior, task,
length, primer, mask and c), in ``bounds.json`` of the user's cache folder, beside what comes with
the package.

From below: log (1/K) sum w of K episodes, w = p(tau) exp(R/c) / q(tau) (Burda et al. 2016). Its
*expectation* is a bound; what is stored is the mean of such bounds over independent batches, less
two standard errors, so that luck is no bound.

From above, where R is at most a known M: episodes of the prior are kept with probability
exp((R - M)/c), which makes them samples of q* (rejection), and E_q*[log w] = log Z + KL(q* || q)
bounds log Z for any q; stored is the mean plus two standard errors. The share that is kept is
exp(log Z - M/c) in the mean, so c must not be small.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.datasets.cache import cache_folder
from seqgen_envs.documents import read_json
from seqgen_envs.evaluation import CAUTION
from seqgen_envs.lanes import Lanes
from seqgen_envs.observations import observe
from seqgen_envs.reporting.files import write_json
from seqgen_envs.rollout import PriorPolicy, rollout

logger = logging.getLogger(__name__)

FILE = "bounds.json"
BUNDLED = Path(__file__).with_name(FILE)
#: Fewer samples of q* bound nothing.
FEWEST = 30


@dataclass(frozen=True)
class Bound:
    """What is known of log Z of one environment.

    Attributes:
        environment: what it is, for people.
        lower, upper: bounds of log Z in nats; None: not known.
        lower_by, upper_by: who reached them, and when.
    """

    environment: str
    lower: float | None = None
    upper: float | None = None
    lower_by: str = ""
    upper_by: str = ""

    def __post_init__(self) -> None:
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(
                f"the bounds of log Z of {self.environment} cross: {self.lower:.4f} from below "
                f"({self.lower_by}), {self.upper:.4f} from above ({self.upper_by})"
            )


def fingerprint(lanes: Lanes) -> str:
    """Of all that decides log Z: prior, task, length, primers, mask and c."""
    settings, task = lanes.settings, lanes.task
    terms = [[t.name, t.weight, t.at, _said(t.rule)] for t in task.terms]
    content = {
        "domain": lanes.domain.name,
        "prior": lanes.prior.fingerprint,
        "task": [task.name, terms, _said(task.facts)],
        "length": lanes.horizon,
        "primers": [list(primer) for primer in settings.primers],
        "mask": settings.mask,
        "c": lanes.c,
    }
    text = json.dumps(content, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _said(thing: Any) -> Any:
    """What a rule is, the same in every process: values by their names, code by where it is."""
    if is_dataclass(thing) and not isinstance(thing, type):
        return [
            type(thing).__qualname__,
            {f.name: _said(getattr(thing, f.name)) for f in fields(thing)},
        ]
    if isinstance(thing, Mapping):
        return {str(name): _said(value) for name, value in thing.items()}
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [
            _said(value)
            for value in (sorted(thing) if isinstance(thing, (set, frozenset)) else thing)
        ]
    if thing is None or isinstance(thing, (str, int, float, bool)):
        return thing
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def stored(folder: Path | None = None) -> dict[str, Bound]:
    """All bounds, by fingerprint: those of the package and, over them, of the cache folder."""
    found: dict[str, Bound] = {}
    for path in (BUNDLED, (folder or cache_folder()) / FILE):
        if path.is_file():
            try:
                entries = {name: Bound(**entry) for name, entry in read_json(path).items()}
            except (ValueError, TypeError, AttributeError) as error:
                logger.warning("%s holds no bounds of log Z and is left out: %s", path, error)
                continue
            for name, bound in entries.items():
                found[name] = better(found[name], bound) if name in found else bound
    return found


def known_bounds(lanes: Lanes, folder: Path | None = None) -> tuple[float | None, float | None]:
    """The best lower and upper bound of log Z that are stored for an environment."""
    bound = stored(folder).get(fingerprint(lanes))
    return (None, None) if bound is None else (bound.lower, bound.upper)


def better(old: Bound, new: Bound) -> Bound:
    """The best of both on either side.

    Raises:
        ValueError: they contradict each other.
    """
    higher = old.lower is None or (new.lower is not None and new.lower > old.lower)
    lower = old.upper is None or (new.upper is not None and new.upper < old.upper)
    return Bound(
        new.environment,
        new.lower if higher else old.lower,
        new.upper if lower else old.upper,
        new.lower_by if higher else old.lower_by,
        new.upper_by if lower else old.upper_by,
    )


def store(lanes: Lanes, bound: Bound, folder: Path | None = None) -> Bound:
    """Keep a bound if it is better than what is stored; returns what is stored now.

    Raises:
        ValueError: it contradicts what is stored.
    """
    path, name = (folder or cache_folder()) / FILE, fingerprint(lanes)
    known = stored(folder)
    best = better(known[name], bound) if name in known else bound
    own = read_json(path) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**own, name: asdict(best)})
    return best


@dataclass(frozen=True)
class Rejection:
    """Samples of q* off the prior.

    Attributes:
        tokens: int64 [N, T], what was kept.
        log_prior, task_return: theirs, [N].
        drawn: of how many.
    """

    tokens: NDArray[np.int64]
    log_prior: NDArray[np.float64]
    task_return: NDArray[np.float64]
    drawn: int


def reject(lanes: Lanes, maximum: float, episodes: int, seed: int) -> Rejection:
    """Draw episodes of the prior and keep each with probability exp((R - M)/c).

    Args:
        lanes: where.
        maximum: M, which no task return exceeds.
        episodes: to draw.
        seed: of the draws.

    Raises:
        ValueError: a return exceeds ``maximum``.
    """
    drawn = rollout(lanes, PriorPolicy(seed), episodes)
    highest = float(drawn.task_return.max())
    if highest > maximum + 1e-9:
        raise ValueError(f"the task return is said to be at most {maximum}, and one is {highest}")
    chance = np.exp((drawn.task_return - maximum) / lanes.c)
    kept = np.random.default_rng([seed, 1]).random(episodes) < chance
    totals = drawn.log_prior_total[kept], drawn.task_return[kept]
    return Rejection(drawn.tokens[kept], *totals, drawn=episodes)


def upper_bound(
    lanes: Lanes, samples: Rejection, policy: Any = None, observation: str = "dict"
) -> float | None:
    """A bound of log Z from above by samples of q*: E[log p + R/c - log q] of any policy's q.

    Args:
        lanes: the environment.
        samples: of q*.
        policy: with ``distribution``; None: the prior, whose log w is R/c.
        observation: the kind it was made for.

    Returns:
        None where the samples are fewer than :data:`FEWEST`.
    """
    if len(samples.tokens) < FEWEST:
        return None
    log_weights = samples.task_return / lanes.c
    if policy is not None:
        log_q = sequence_log_probs(policy, lanes, samples.tokens, observation)
        log_weights = log_weights + samples.log_prior - log_q
    error = float(log_weights.std(ddof=1)) / math.sqrt(len(log_weights))
    return float(log_weights.mean()) + CAUTION * error


def sequence_log_probs(
    policy: Any, lanes: Lanes, tokens: NDArray[np.int64], observation: str = "dict"
) -> NDArray[np.float64]:
    """log q(tau) of given finished sequences (int64 [N, T], padded; the primer included), [N]."""
    found, size = np.zeros(len(tokens)), lanes.n
    for begin in range(0, len(tokens), size):
        part = np.resize(tokens[begin : begin + size], (size, tokens.shape[1]))
        count = len(tokens[begin : begin + size])
        found[begin : begin + count] = _recited(policy, lanes, part, observation)[:count]
    return found


def _recited(
    policy: Any, lanes: Lanes, tokens: NDArray[np.int64], observation: str
) -> NDArray[np.float64]:
    """log q of one sequence a lane."""
    total, state = np.zeros(lanes.n), None
    first, rows = np.ones(lanes.n, dtype=bool), np.arange(lanes.n)
    lanes.reset()
    while not lanes.finished.all():
        live = ~lanes.finished
        at = np.minimum(lanes.lengths, lanes.horizon - 1)
        actions = np.where(live, tokens[rows, at], 0)
        seen, masks = observe(observation, lanes), lanes.action_mask.astype(bool)
        log_policy, state = policy.distribution(seen, state, first, masks)
        total[live] += log_policy[rows, actions][live]
        first = np.zeros(lanes.n, dtype=bool)
        lanes.step(actions, idle=~live, later=True)
    return total
