"""Conformance checks that a plugged-in domain must pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import torch

from seqgen_envs.domain import Domain
from seqgen_envs.lanes import Lanes, Step
from seqgen_envs.prior import Prior
from seqgen_envs.registration import get_domain
from seqgen_envs.rules import MissingArgumentError, Task
from seqgen_envs.settings import LaneSettings
from seqgen_envs.vocabulary import Vocabulary


class DomainError(ValueError):
    """A domain broke its contract; the message says which part and how."""


def check_domain(
    domain: str | Domain,
    *,
    episodes: int = 16,
    seed: int = 0,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Check a domain's priors, tasks, masks, texts and pictures against what environments rely on.

    Tasks that need an argument of the user's, or something that is not installed, are left out.

    Args:
        domain: a name or reference, or the object.
        episodes: random episodes a task is tried on.
        seed: of those episodes.
        say: is told of every check that has passed or was left out, in a line.

    Raises:
        DomainError: some part breaks the contract (a ValueError).
        Exception: whatever a rule itself raises (in an environment it would be counted instead).
    """
    domain = get_domain(domain)
    for name in domain.priors:
        _check_prior(domain.for_prior(name), domain.for_prior(name).load_prior(name), seed)
        say(f"prior {name!r}: sums to 1, and is the same token by token as over whole sequences")
    for name, factory in domain.tasks.items():
        if name.endswith(":") or _needs_arguments(factory):
            say(f"task {name!r}: left out, it needs an argument")
            continue
        try:
            task = domain.make_task(name)
        except (ImportError, MissingArgumentError) as error:
            say(f"task {name!r}: left out, {error}")
            continue
        _check_task(domain, task, episodes, seed)
        say(f"task {name!r}: finite, and the same alone as in a batch ({', '.join(task.names)})")
    for name in domain.masks:
        _random_episodes(Lanes(episodes, LaneSettings(domain, mask=name)), seed)
        say(f"mask {name!r}: lets some token follow wherever it has led")
    if domain.of_vocabulary is not None:
        _check_other_vocabulary(domain)
        say("of_vocabulary: gives the domain with the vocabulary asked for")


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


def _check_other_vocabulary(domain: Domain) -> None:
    """The same tokens in another order are a vocabulary that every domain can be made for."""
    ours = domain.vocabulary
    asked = Vocabulary(ours.tokens[::-1], ours.end, ours.joiner)
    _demand(
        domain.with_vocabulary(asked).name == domain.name,
        f"of_vocabulary returned a domain of another name than {domain.name!r}",
    )


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
        _check_mask_rows(lanes)
        chosen = np.array([rng.choice(np.flatnonzero(row)) for row in lanes.action_mask])
        step = lanes.step(chosen)
        steps.append(step)
        actions.append(chosen)
        ended |= step.finished
        if step.finished.any() and not ended.all():
            lanes.reset(step.finished)
    return steps, np.array(actions)


def _check_mask_rows(lanes: Lanes) -> None:
    """What the mask, if there is one, says of lanes that have not finished."""
    if lanes.mask is None:
        return
    expected = lanes.n, lanes.domain.vocabulary.size
    mask = lanes.mask(lanes.tokens, lanes.lengths)
    _demand(
        mask.dtype == np.int8 and mask.shape == expected,
        f"a mask gave {mask.dtype} {mask.shape}, expected int8 {expected}",
    )
    stuck = np.flatnonzero(~mask.any(axis=1))
    if len(stuck):
        prefix = lanes.tokens[stuck[0], : lanes.lengths[stuck[0]]]
        raise DomainError(f"a mask lets nothing follow the prefix {prefix.tolist()}")


def _check_views(domain: Domain, lanes: Lanes) -> None:
    """Text both ways, pictures and metrics of the right types."""
    for tokens in lanes.tokens[:4]:
        text = domain.to_text(tokens)
        ids = tokens[tokens < domain.vocabulary.size]
        if domain.vocabulary.end_id is not None:
            ids = ids[ids != domain.vocabulary.end_id]
        again = domain.to_ids(text) if text else ids[:0]
        same = np.array_equal(again, ids) or (
            domain.vocabulary.is_ambiguous
            and domain.vocabulary.to_text(again) == domain.vocabulary.to_text(ids)
        )
        _demand(same, f"{text!r} is not read back as it was written")
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
