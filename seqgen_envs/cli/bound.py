"""``seqgen bound``: what is known of log Z of an environment, the scale of its objective."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    LengthOption,
    MaskOption,
    PriorOption,
    SeedOption,
    TaskOption,
    ThreadsOption,
    TrustOption,
    parse_task,
    set_threads,
    set_trust,
)
from seqgen_envs.reporting.console import say
from seqgen_envs.reporting.machine import now

if TYPE_CHECKING:
    from seqgen_envs.bounds import Bound
    from seqgen_envs.lanes import Lanes
    from seqgen_envs.vector_env import SequenceVectorEnv

LANES = 256


def bound(
    ctx: typer.Context,
    env: Annotated[str, typer.Argument(help="An environment's id, such as MelodyGen-v0.")],
    agent: Annotated[
        Path | None,
        typer.Option(help="A trained agent's file or folder, to bound log Z by; else the prior."),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=16, help="Episodes of each.")] = 10_000,
    maximum: Annotated[
        float | None,
        typer.Option(help="What no task return exceeds: then there is a bound from above too."),
    ] = None,
    c: Annotated[
        float | None, typer.Option(help="Temperature (default: the environment's).")
    ] = None,
    prior: PriorOption = None,
    task: TaskOption = None,
    length: LengthOption = None,
    primer: Annotated[
        str | None, typer.Option(help="What every sequence starts with, as text.")
    ] = None,
    mask: MaskOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    trust: TrustOption = False,
) -> None:
    """Bound log Z, the largest J there is, and keep the best bounds for all reports.

    Exactly where all states can be enumerated; otherwise from below by an agent's episodes, and
    from above by rejection sampling where a maximum of the task return is given. They are kept in
    the user's cache folder under the environment's fingerprint.
    """
    from seqgen_envs.bounds import store

    set_threads(threads)
    set_trust(ctx, trust, env, parse_task(task))
    given = {
        "prior": prior, "task": parse_task(task), "length": length, "primer": primer,
        "mask": mask, "c": c,
    }  # fmt: skip
    made = _make(env, {name: value for name, value in given.items() if value is not None})
    lanes = made.lanes
    lanes.task = lanes.task.for_evaluation()
    found = _exact(env, lanes)
    if found is None:
        policy = None if agent is None else _agent(agent, made, seed)
        found = _sampled(env, lanes, policy, str(agent or "the prior"), n, maximum, seed)
    best = store(lanes, found)
    say(f"log Z of {env} at c = {lanes.c:g}: {_interval(best)}")
    for side, by in (("below", best.lower_by), ("above", best.upper_by)):
        say(f"  from {side}: {by or 'not known'}")


def _make(env_id: str, given: dict[str, Any]) -> SequenceVectorEnv:
    import gymnasium as gym

    from seqgen_envs.registration import check_id
    from seqgen_envs.vector_env import SequenceVectorEnv

    check_id(env_id)
    made = gym.make_vec(env_id, num_envs=LANES, **given).unwrapped
    if not isinstance(made, SequenceVectorEnv):
        raise ValueError(f"{env_id} is not an environment of sequences (`seqgen envs`)")
    return made


def _exact(env_id: str, lanes: Lanes) -> Bound | None:
    """Where all states can be enumerated."""
    from seqgen_envs.bounds import Bound
    from seqgen_envs.exact import exact_graph

    try:
        graph = exact_graph(lanes.settings)
    except ValueError as error:
        say(f"not by dynamic programming: {error}")
        return None
    log_z, by = graph.log_z(lanes.c), f"dynamic programming over {len(graph):,} states, {now()}"
    return Bound(env_id, log_z, log_z, by, by)


def _agent(path: Path, env: SequenceVectorEnv, seed: int) -> Any:
    """Raises: ValueError if the agent shows no action probabilities."""
    from seqgen_envs.agents import find_loader
    from seqgen_envs.evaluation import shows_distribution

    policy = find_loader(path).load(path, env, seed)
    if not shows_distribution(policy):
        raise ValueError(
            f"the agent at {path} shows no action probabilities, so its episodes bound nothing"
        )
    return policy


def _sampled(
    env_id: str,
    lanes: Lanes,
    policy: Any,
    name: str,
    n: int,
    maximum: float | None,
    seed: int,
) -> Bound:
    """From episodes, and from samples of the optimum."""
    from seqgen_envs.bounds import Bound, reject, upper_bound
    from seqgen_envs.evaluation import evaluate, lower_bound
    from seqgen_envs.rollout import PriorPolicy, rollout

    when = f"{n:,} episodes, seed {seed}, {now()}"
    if policy is None:
        lower = lower_bound(rollout(lanes, PriorPolicy(seed), n).task_return / lanes.c)
    else:
        lower = evaluate(policy, lanes, n, seed).log_z_lower
    if maximum is None:
        return Bound(env_id, lower, None, f"{name}, {when}")
    samples = reject(lanes, maximum, n, seed + 1)
    say(f"rejection kept {len(samples.tokens):,} of {n:,} episodes of the prior")
    candidates = [upper_bound(lanes, samples), policy and upper_bound(lanes, samples, policy)]
    upper = min((value for value in candidates if value is not None), default=None)
    if upper is None:
        say("too few for a bound from above: draw more, or c is too small for it")
        return Bound(env_id, lower, None, f"{name}, {when}")
    by = f"{len(samples.tokens):,} samples of the optimum by rejection, {name}, {when}"
    return Bound(env_id, lower, upper, f"{name}, {when}", by)


def _interval(best: Bound) -> str:
    if best.lower is not None and best.lower == best.upper:
        return f"{best.lower:.4f} nats, exactly"
    low, high = ("not known" if x is None else f"{x:.4f}" for x in (best.lower, best.upper))
    return f"between {low} and {high} nats"
