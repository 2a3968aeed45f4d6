"""What a policy is worth: KL-control's objective, its parts, and the domain's own table.

The objective J = E[R]/c - KL(q || p) is in nats and compares any two policies on one environment,
whoever trained them. A policy that shows its distribution (``distribution``, as
:class:`Distribution` asks) gets its KL to the prior exactly, state by state. Of one that only has
``predict`` log q is 0 where it is deterministic. Of another it is not known, nor is J; one that
says how large its KL is at most (``kl_at_most``) has a lower bound of J. ``Evaluation.why`` says
what is not known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.lanes import Lanes
from seqgen_envs.observations import observe
from seqgen_envs.rollout import (
    EpisodeRecorder,
    Episodes,
    Moment,
    Policy,
    Predicting,
    play,
    sample_rows,
)

CHUNK = 8192
#: Distinct sequences are counted among so many: their share falls with the number drawn.
DISTINCT_OF = 10_000
#: Smallest effective share of the episodes at which the bound of log Z says anything.
TRUSTED = 0.01
#: The same, of effective episodes: of few even one is a large share.
TRUSTED_EPISODES = 10
#: Independent parts of an evaluation whose bounds are averaged, for one that may be stored.
PARTS = 8
#: Standard errors between a mean and what may be stored.
CAUTION = 2.0


@runtime_checkable
class Distribution(Protocol):
    """A policy that shows what it draws from."""

    def distribution(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], Any]:
        """log pi(.|s) [N, V], and the state to pass next time."""
        ...


def shows_distribution(policy: Any) -> bool:
    """Whether log q is known of what a policy does.

    One that has the method but does something else says so by ``shows_distribution = False``.
    """
    return isinstance(policy, Distribution) and getattr(policy, "shows_distribution", True)


class ValuePolicy(Distribution, Protocol):
    """A policy that acts at a temperature of its own and has an idea of its worth."""

    c: float

    def start_value(self, log_prior: NDArray[Any], primer: NDArray[np.int64]) -> float:
        """V(s_0) at ``c``, in nats: log p of the next token is [V], the primer int64 [P]."""
        ...


@dataclass
class Evaluation:
    """Metrics of ``episodes`` episodes; means over episodes unless said. Nats are natural logs.

    Attributes:
        episodes: how many.
        seed: of the draws.
        c: temperature of ``objective`` and ``start_value``.
        task_return: sum of the task's rewards, R.
        task_return_std: its standard deviation over episodes.
        log_prior: log p(a|s), mean over *steps*.
        log_prior_total: log p of a sequence.
        kl_to_prior: sum over an episode of the exact KL(pi(.|s) || p(.|s)); None if not shown.
        entropy: sum over an episode of the policy's entropy; None if not shown.
        objective: J = task_return / c - kl_to_prior; None if the KL is.
        objective_error: its standard error.
        objective_discounted: the same with step t weighted by discount^t, which is what
            ``start_value`` estimates.
        discount: of ``objective_discounted``.
        start_value: V(s_0) as the policy's network has it; None if it has none.
        objective_sampled: J as the mean of R/c + log p(tau) - log q(tau): the same expectation,
            with a variance that vanishes as q nears the optimum; None as the KL.
        log_z: a lower bound of log Z, the largest J there is: log of the mean of the weights
            w = p(tau) exp(R/c) / q(tau) over the episodes (Burda et al. 2016); None as the KL.
        effective: effective sample size of those weights, (sum w)^2 / sum w^2, over the episodes.
        log_z_lower: the mean of such bounds over :data:`PARTS` parts of the episodes, less two
            standard errors: what may be stored (:mod:`seqgen_envs.bounds`).
        log_z_best: the largest lower bound of log Z that is known: ``log_z``, or a stored one.
        log_z_upper: an upper bound of log Z, where one is stored.
        kl_to_optimum: ``log_z_best`` - J, at most KL(q || q*), and equal to it where the bound is
            tight; None where ``effective`` is below :data:`TRUSTED`, or stands for fewer than
            :data:`TRUSTED_EPISODES`, and nothing is stored: it is not known then.
        kl_to_optimum_at_most: ``log_z_upper`` - J.
        objective_at_least: a lower bound of J, of a policy that only bounds its KL.
        why: why what is None is not known; "" where all is.
        distinct: share of different sequences among the first ``distinct_of``.
        distinct_of: 10,000, or fewer where fewer were drawn.
        terms: sum of each rule.
        summary: what the domain says of the sequences.
        seconds: how long it took.
    """

    episodes: int
    seed: int
    c: float
    task_return: float
    task_return_std: float
    log_prior: float
    log_prior_total: float
    kl_to_prior: float | None
    entropy: float | None
    objective: float | None
    objective_error: float | None
    objective_discounted: float | None
    discount: float
    distinct: float
    distinct_of: int
    terms: dict[str, float]
    summary: dict[str, float]
    seconds: float
    start_value: float | None = None
    objective_sampled: float | None = None
    log_z: float | None = None
    effective: float | None = None
    kl_to_optimum: float | None = None
    log_z_lower: float | None = None
    log_z_best: float | None = None
    log_z_upper: float | None = None
    kl_to_optimum_at_most: float | None = None
    objective_at_least: float | None = None
    why: str = ""
    examples: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """All but the examples, JSON-able; what is not a number is None."""
        return {name: _plain(value) for name, value in asdict(self).items() if name != "examples"}

    def metrics(self) -> dict[str, float]:
        """The numbers one would plot, by name; those that are None left out."""
        names = ("task_return", "log_prior", "kl_to_prior", "entropy", "objective", "log_z",
                 "kl_to_optimum", "kl_to_optimum_at_most", "start_value", "distinct")  # fmt: skip
        chosen = {name: getattr(self, name) for name in names}
        return {name: v for name, v in (chosen | self.summary).items() if v is not None}


def evaluate(
    policy: Policy | Distribution,
    lanes: Lanes,
    episodes: int,
    seed: int = 0,
    *,
    c: float | None = None,
    discount: float = 1.0,
    observation: str = "dict",
    deterministic: bool = False,
    bounds: tuple[float | None, float | None] = (None, None),
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Run ``episodes`` episodes of ``policy``.

    Args:
        policy: anything with ``predict``; with ``distribution`` too, draws are of ``seed`` alone
            and leave the policy's own random numbers as they were.
        lanes: where; reset here.
        episodes: how many, at least 1.
        seed: of the draws.
        c: temperature of the objective; None is that of ``lanes``.
        discount: of ``objective_discounted``.
        observation: the kind the policy was made for.
        deterministic: act by ``predict(deterministic=True)``: log q is 0 of what is done. So it is
            of a policy without ``distribution`` that has a true attribute ``deterministic``.
        bounds: lower and upper bound of log Z that are known (:mod:`seqgen_envs.bounds`).
        progress: called with the number of episodes of each part that is done.

    Raises:
        ValueError: ``episodes`` is below 1.
    """
    began = time.perf_counter()
    temperature = lanes.c if c is None else float(c)
    rng = np.random.default_rng(seed)
    lanes.seed(seed)
    deterministic = deterministic or (
        not shows_distribution(policy) and bool(getattr(policy, "deterministic", False))
    )
    parts, tokens = [], []
    for start in range(0, max(episodes, 1), CHUNK):
        size = min(CHUNK, episodes - start)
        drawn, divergence = _run(policy, lanes, size, rng, observation, discount, deterministic)
        tokens.append(drawn.tokens)
        parts.append(
            {
                "task_return": drawn.task_return,
                "log_prior": drawn.log_prior_total,
                "task_discounted": _discounted(drawn, discount),
                "steps": drawn.steps,
                "kl": divergence.kl,
                "kl_discounted": divergence.kl_discounted,
                "entropy": divergence.entropy,
                "log_policy": divergence.log_policy,
                **{f"term_{name}": total for name, total in drawn.term_totals().items()},
            }
        )
        if progress is not None:
            progress(size)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    result = _evaluation(lanes, columns, np.concatenate(tokens), seed, temperature, began)
    discounted = columns["task_discounted"] / temperature - columns["kl_discounted"]
    result.objective_discounted, result.discount = _number(discounted.mean()), discount
    _place(result, bounds)
    result.why = _why(policy, result)
    if result.objective is None and (at_most := getattr(policy, "kl_at_most", None)) is not None:
        result.objective_at_least = result.task_return / temperature - float(at_most)
    return result


def _place(result: Evaluation, bounds: tuple[float | None, float | None]) -> None:
    """Where J lies between what is known of log Z."""
    stored, result.log_z_upper = bounds
    own, objective = result.log_z, result.objective
    result.log_z_best = max((z for z in (own, stored) if z is not None), default=None)
    if objective is None or result.log_z_best is None:
        return
    share = result.effective or 0.0
    trusted = share >= TRUSTED and share * result.episodes >= TRUSTED_EPISODES
    if trusted or stored is not None:
        result.kl_to_optimum = result.log_z_best - objective
    if result.log_z_upper is not None:
        result.kl_to_optimum_at_most = result.log_z_upper - objective


def _why(policy: Any, result: Evaluation) -> str:
    """What is not known of a policy, and why."""
    if result.objective is None:
        bounded = getattr(policy, "kl_at_most", None)
        return (
            "the policy shows no action probabilities, so its KL to the prior, J and its distance "
            "to the optimum are not known"
            + ("" if bounded is None else f"; its KL to the prior is at most {bounded:.3f}")
        )
    if result.kl_to_optimum is None:
        return (
            f"the effective sample size is {result.effective or 0.0:.2%} of {result.episodes:,} "
            "episodes, and no bound of log Z is stored: the distance to the optimum is not known"
        )
    return ""


def evaluate_policy_network(
    policy: ValuePolicy, lanes: Lanes, episodes: int, seed: int = 0, **others: Any
) -> Evaluation:
    """:func:`evaluate` at the policy's own temperature, with V(s_0): its mean over the primers."""
    result = evaluate(policy, lanes, episodes, seed, c=policy.c, **others)
    values = []
    for primer in lanes.settings.primers:
        log_prior = lanes.starts.after([primer]).log_prior[0]
        values.append(policy.start_value(log_prior, np.array(primer, dtype=np.int64)))
    result.start_value = float(np.mean(values))
    return result


class _Drawing:
    """An actor that draws from a policy's distribution."""

    def __init__(
        self, policy: Distribution, lanes: Lanes, rng: np.random.Generator, observation: str
    ) -> None:
        self.policy, self.lanes, self.rng, self.observation = policy, lanes, rng, observation
        self._state: Any = None

    def __call__(self, first: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        masks = self.lanes.action_mask.astype(bool)
        seen = observe(self.observation, self.lanes)
        log_policy, self._state = self.policy.distribution(seen, self._state, first, masks)
        return sample_rows(log_policy, self.rng), log_policy


class _Divergence:
    """KL to the prior, entropy and log q of every episode, [N]; NaN where they are not shown.

    ``certain``: what is done is all that could have been; log q is 0.
    """

    def __init__(self, episodes: int, shown: bool, discount: float, certain: bool) -> None:
        self.certain = certain
        empty = np.full(episodes, 0.0 if shown or certain else np.nan)
        self.kl, self.kl_discounted, self.entropy = empty, empty.copy(), empty.copy()
        self.log_policy = empty.copy()
        self.discount, self._weight = discount, np.ones(episodes)

    def note(self, moment: Moment) -> None:
        if self.certain:
            rows, taken = moment.episodes, moment.actions[moment.live]
            kl = -moment.log_prior[moment.live, taken].astype(np.float64)
            self.kl[rows] += kl
            self.kl_discounted[rows] += self._weight[rows] * kl
            self._weight[rows] *= self.discount
            return
        if moment.log_policy is None:
            return
        rows, chosen = moment.episodes, moment.log_policy[moment.live].astype(np.float64)
        probability = np.exp(chosen)
        entropy = -(probability * chosen).sum(axis=1)
        cross = (probability * moment.log_prior[moment.live]).sum(axis=1)
        kl = np.maximum(-entropy - cross, 0.0)  # rounding can leave it below 0
        self.entropy[rows] += entropy
        taken = moment.actions[moment.live]
        self.log_policy[rows] += chosen[np.arange(len(taken)), taken]
        self.kl[rows] += kl
        self.kl_discounted[rows] += self._weight[rows] * kl
        self._weight[rows] *= self.discount


def _run(
    policy: Any,
    lanes: Lanes,
    episodes: int,
    rng: np.random.Generator,
    observation: str,
    discount: float,
    deterministic: bool,
) -> tuple[Episodes, _Divergence]:
    shown = shows_distribution(policy) and not deterministic
    act = (
        _Drawing(policy, lanes, rng, observation)
        if shown
        else Predicting(policy, lanes, observation, deterministic)
    )
    size = max(episodes, 0)
    record = EpisodeRecorder(lanes, size)
    divergence = _Divergence(size, shown, discount, certain=deterministic)
    for moment in play(lanes, act, episodes):
        record.note(moment)
        divergence.note(moment)
    return record.episodes, divergence


def _discounted(drawn: Episodes, discount: float) -> NDArray[np.float64]:
    """Task return with step t weighted by discount^t, [N]."""
    steps = np.arange(drawn.terms.shape[1]) - drawn.primer_lengths[:, None]
    weights = np.where(steps >= 0, discount ** np.maximum(steps, 0).astype(np.float64), 0.0)
    discounted: NDArray[np.float64] = (drawn.terms.sum(axis=2) * weights).sum(axis=1)
    return discounted


def _evaluation(
    lanes: Lanes,
    columns: dict[str, NDArray[np.float64]],
    tokens: NDArray[np.int64],
    seed: int,
    c: float,
    began: float,
) -> Evaluation:
    task_return, log_prior, kl = (columns[k] for k in ("task_return", "log_prior", "kl"))
    objective = task_return / c - kl
    log_weights = task_return / c + log_prior - columns["log_policy"]
    log_z, effective = bound_of_log_z(log_weights)
    n = len(tokens)
    first = tokens[:DISTINCT_OF]
    return Evaluation(
        episodes=n,
        seed=seed,
        c=c,
        task_return=float(task_return.mean()),
        task_return_std=float(task_return.std()),
        log_prior=float(log_prior.sum() / columns["steps"].sum()),
        log_prior_total=float(log_prior.mean()),
        kl_to_prior=_number(kl.mean()),
        entropy=_number(columns["entropy"].mean()),
        objective=_number(objective.mean()),
        objective_error=_number(objective.std() / math.sqrt(n)),
        objective_discounted=_number(objective.mean()),
        discount=1.0,
        distinct=len({row.tobytes() for row in first}) / len(first),
        distinct_of=len(first),
        terms={k[5:]: float(v.mean()) for k, v in columns.items() if k.startswith("term_")},
        summary=lanes.domain.summary(tokens, lanes.prior, lanes.task),
        seconds=time.perf_counter() - began,
        objective_sampled=_number(log_weights.mean()),
        log_z=log_z,
        effective=effective,
        log_z_lower=lower_bound(log_weights),
        examples=tokens[:16],
    )


def bound_of_log_z(log_weights: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """A lower bound of log Z and the effective share of the K samples it rests on.

    Args:
        log_weights: log w = log p(tau) + R(tau)/c - log q(tau) of K independent samples of q, [K].

    Returns:
        log (1/K) sum w, whose expectation is at most log Z and rises to it with K (Burda et al.
        2016), and (sum w)^2 / (K sum w^2); None twice where a weight is not known (NaN).
    """
    if np.isnan(log_weights).any():
        return None, None
    total = np.logaddexp.reduce(log_weights)
    squares = np.logaddexp.reduce(2 * log_weights)
    count = len(log_weights)
    return float(total - math.log(count)), float(np.exp(2 * total - squares) / count)


def lower_bound(log_weights: NDArray[np.float64]) -> float | None:
    """A bound of log Z from below, off log w of independent episodes of one policy, [K].

    None where the weights are not known, and of one episode alone.
    """
    if len(log_weights) < 2:
        return None
    parts = [
        bound_of_log_z(part)[0]
        for part in np.array_split(log_weights, min(PARTS, len(log_weights)))
    ]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return float(np.mean(known)) - CAUTION * float(np.std(known, ddof=1)) / math.sqrt(len(known))


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
