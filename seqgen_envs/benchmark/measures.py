"""What is measured of an agent on one task, once it has learned.

``objective``
    Episodes of the trained agent in a fresh copy of the environment:
    :func:`~seqgen_envs.evaluation.evaluate`.
``optimum``
    The same, with the exact log Z of dynamic programming (or a stored one) in place of the bound:
    KL(q || q*) is log Z - J. J is the mean of R/c + log p - log q, whose variance vanishes at the
    optimum.
``calls``
    The accounts of the task's oracle: area under the best ten against calls (Gao et al. 2022).
``speed``
    Environment steps a second of the training, and of sampling the prior in the same environment.

An agent that shows no distribution has no log q: then what needs it is not known (None).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.benchmark.scores import auc_top, best_so_far
from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.bounds import known_bounds
from seqgen_envs.evaluation import Evaluation, evaluate
from seqgen_envs.exact import exact_graph
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, rollout

#: Lanes of an evaluation.
LANES = 256
#: Sequences kept to be looked at and listened to.
EXAMPLES = 16
#: How many of the best say how diverse they are.
BEST = 100
#: Points of a curve of calls.
LOOKS = 100

Numbers = dict[str, float | None]


class Measured(NamedTuple):
    """What one row of a benchmark says.

    Attributes:
        metrics: by name; None is not known.
        curve: points by their columns, of the training.
        samples: dicts with ``text``, ``tokens`` and what else is known of each.
        history: (text, score) of each sequence the oracle scored, in the order of first calls.
    """

    metrics: Numbers
    curve: list[dict[str, float]]
    samples: list[dict[str, Any]]
    history: list[tuple[str, float]]


def measure_objective(
    policy: Any, lanes: Lanes, task: BenchTask, seed: int, observation: str, optimum: bool
) -> Measured:
    """Metrics of fresh episodes; ``optimum``: against the exact log Z."""
    known = known_bounds(lanes)
    found = evaluate(policy, lanes, task.episodes, seed, observation=observation, bounds=known)
    metrics: Numbers = {**_numbers(found), **found.summary}
    if optimum:
        lower, upper = known
        log_z = lower if lower == upper else None
        if log_z is None:
            log_z = exact_graph(lanes.settings).log_z(lanes.c)
        metrics["log_z"] = log_z
        sampled = found.objective_sampled
        metrics["objective"] = sampled
        metrics["kl_to_optimum"] = None if sampled is None else log_z - sampled
    return Measured(metrics, [], examples(lanes, found), [])


def _numbers(found: Evaluation) -> Numbers:
    names = ("task_return", "log_prior", "kl_to_prior", "entropy", "objective", "objective_error",
             "objective_at_least", "log_z", "log_z_best", "log_z_upper", "effective",
             "kl_to_optimum", "kl_to_optimum_at_most", "distinct")  # fmt: skip
    return {name: getattr(found, name) for name in names} | {
        f"term_{name}": value for name, value in found.terms.items()
    }


def examples(lanes: Lanes, found: Evaluation) -> list[dict[str, Any]]:
    """The first few sequences of an evaluation."""
    rows = []
    for ids in found.examples[:EXAMPLES]:
        inside = ids[ids < lanes.domain.vocabulary.size]
        rows.append({"text": lanes.domain.to_text(inside), "tokens": inside.tolist()})
    return rows


def measure_calls(lanes: Lanes, task: BenchTask, steps: int) -> Measured:
    """The PMO benchmark's metrics, of the accounts of the lanes' own oracle."""
    assert task.calls is not None
    scorer = lanes.task.scorer  # type: ignore[attr-defined]
    history = [(text, _score(values[0])) for text, values in scorer.history]
    scores = [score for _, score in history]
    means = best_so_far(scores, 10)
    best = sorted(dict(history).items(), key=lambda item: -item[1])[:BEST]
    metrics: Numbers = {
        "auc_top10": auc_top(scores, budget=task.calls),
        "auc_top1": auc_top(scores, k=1, budget=task.calls),
        "top10": float(means[-1]) if len(means) else 0.0,
        "calls": float(scorer.calls),
        "requests": float(scorer.requests),
        "steps": float(steps),
        **_diversity(lanes, [text for text, _ in best]),
    }
    looks = np.unique(np.linspace(1, len(means), min(LOOKS, len(means)), dtype=int))
    curve = [{"calls": float(n), "top10": float(means[n - 1])} for n in looks if scores]
    samples = [{"text": text, "score": score} for text, score in best[:EXAMPLES]]
    return Measured(metrics, curve, samples, history)


def _score(value: float) -> float:
    """A failed molecule is worth nothing."""
    return float(value) if np.isfinite(value) else 0.0


def _diversity(lanes: Lanes, texts: Sequence[str]) -> Numbers:
    """Of the best sequences: scaffolds and internal diversity where the domain has such metrics."""
    tokens = [ids for text in texts if (ids := _ids(lanes, text)) is not None]
    if not tokens:
        return {"scaffolds_of_best": 0.0, "diversity_of_best": None}
    summary = lanes.domain.summary(lanes.domain.vocabulary.padded(tokens), lanes.prior)
    return {
        "scaffolds_of_best": summary.get("scaffolds"),
        "diversity_of_best": summary.get("internal_diversity"),
    }


def _ids(lanes: Lanes, text: str) -> NDArray[np.int64] | None:
    """Ids with the end token; None where the canonical text has tokens that the prior lacks."""
    try:
        ids = lanes.domain.to_ids(text)
    except ValueError:
        return None
    end = lanes.domain.vocabulary.end_id
    return ids if end is None else np.append(ids, end)


def measure_speed(lanes: Lanes, task: BenchTask, steps: int, seconds: float) -> Measured:
    """Steps a second of a training that took so long, and over those of the prior alone."""
    episodes = max(lanes.n, task.steps // lanes.horizon)
    policy = PriorPolicy(0)
    rollout(lanes, policy, lanes.n)  # the first round pays for what is made once
    began = time.perf_counter()
    drawn = rollout(lanes, policy, episodes)
    alone = float(drawn.steps.sum()) / (time.perf_counter() - began)
    own = steps / seconds
    metrics: Numbers = {
        "relative_speed": own / alone,
        "steps_per_second": own,
        "prior_steps_per_second": alone,
    }
    return Measured(metrics, [], [], [])
