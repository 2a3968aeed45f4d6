"""Conformance checks that a plugged-in domain must pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch

from seqgen_envs.domain import Domain
from seqgen_envs.lanes import Lanes, LaneSettings, Step
from seqgen_envs.prior import Prior
from seqgen_envs.registration import get_domain
from seqgen_envs.rules import Task


class DomainError(AssertionError):
    """A domain broke its contract; the message says which part and how."""


def check_domain(domain: str | Domain, *, episodes: int = 16, seed: int = 0) -> None:
    """Check a domain's prior, tasks, texts and pictures against what environments rely on.

    Tasks that need an argument of the user's, or something that is not installed, are left out.

    Args:
        domain: a registered name or the object.
        episodes: random episodes a task is tried on.
        seed: of those episodes.

    Raises:
        DomainError: some part breaks the contract.
        Exception: whatever a rule itself raises (in an environment it would be counted instead).
    """
    domain = get_domain(domain)
    for name in domain.priors:
        _check_prior(domain, domain.load_prior(name), seed)
    for name, factory in domain.tasks.items():
        if not name.endswith(":") and not _needs_arguments(factory):
            with suppress(ImportError):
                _check_task(domain, domain.make_task(name), episodes, seed)


def _needs_arguments(factory: Callable[..., Task]) -> bool:
    parameters = inspect.signature(factory).parameters.values()
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in optional for p in parameters)


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise DomainError(message)


def _check_prior(domain: Domain, prior: Prior, seed: int) -> None:
    """Normalised, and the same one token at a time as over whole sequences."""
    size = domain.vocabulary.size
    length = min(domain.horizon, 16)
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(0, size, (3, length)))
    whole = prior.sequence_log_probs(tokens)
    _demand(
        tuple(whole.shape) == (3, length, size),
        f"sequence_log_probs returned {tuple(whole.shape)}, expected (3, {length}, {size})",
    )
    sums = whole.double().exp().sum(-1)
    _demand(
        bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4)),
        "the prior's probabilities do not sum to 1",
    )
    state = prior.initial_state(3)
    last = torch.full((3,), domain.vocabulary.start_id)
    for t in range(length):
        stepped, state = prior.step(last, state)
        error = (stepped - whole[:, t]).abs().max().item()
        _demand(error < 1e-4, f"step and sequence_log_probs differ by {error:.2g} at token {t}")
        last = tokens[:, t]


def _check_task(domain: Domain, task: Task, episodes: int, seed: int) -> None:
    """Finite values that depend on the prefix only and are the same in a batch and alone."""
    strict = Task(task.name, task.terms, on_error="raise")
    settings = LaneSettings(domain, task=strict)
    batch, alone = Lanes(episodes, settings), Lanes(1, settings)
    steps, actions = _random_episodes(batch, seed)
    for lane in range(min(episodes, 4)):
        alone.reset()
        for t, step in enumerate(steps):
            single = alone.step(actions[t, lane : lane + 1])
            worst = np.abs(single.terms[0] - step.terms[lane]).max()
            _demand(
                bool(worst < 1e-5),
                f"task {task.name!r}: lane {lane} scores differently alone (by {worst:.2g}, "
                f"step {t}); rules must judge each prefix by itself",
            )
            if single.finished[0]:
                break
    _check_views(domain, batch)


def _random_episodes(lanes: Lanes, seed: int) -> tuple[list[Step], np.ndarray]:
    """Random allowed actions until every lane has finished; those that have restart meanwhile."""
    rng = np.random.default_rng(seed)
    lanes.reset()
    ended = np.zeros(lanes.n, dtype=bool)
    steps, actions = [], []
    while not ended.all():
        chosen = np.array([rng.choice(np.flatnonzero(row)) for row in lanes.action_mask])
        step = lanes.step(chosen)
        steps.append(step)
        actions.append(chosen)
        ended |= step.finished
        if step.finished.any() and not ended.all():
            lanes.reset(step.finished)
    return steps, np.array(actions)


def _check_views(domain: Domain, lanes: Lanes) -> None:
    """Text both ways, and a picture of the right type."""
    for tokens in lanes.tokens[:4]:
        text = domain.to_text(tokens)
        ids = tokens[tokens < domain.vocabulary.size]
        if domain.vocabulary.end_id is not None:
            ids = ids[ids != domain.vocabulary.end_id]
        again = domain.to_ids(text) if text else ids[:0]
        _demand(np.array_equal(again, ids), f"{text!r} is not read back as it was written")
        if domain.view.image is not None:
            picture = domain.view.image(ids, lanes.horizon)
            _demand(
                picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3,
                f"view.image must give uint8 [H, W, 3], got {picture.dtype} {picture.shape}",
            )
    if domain.metrics.each is not None:
        for name, values in domain.metrics.each(lanes.tokens).items():
            _demand(
                np.shape(values) == (lanes.n,),
                f"metric {name!r} has shape {np.shape(values)}, expected ({lanes.n},)",
            )
