"""Agents to files and back, without pickle; see :mod:`kl_agents.storage` for what is in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from gymnasium import spaces

from kl_agents.storage import (
    SavedAgent,
    copied,
    load_optimizer_tensors,
    optimizer_tensors,
    read_agent,
    write_agent,
)
from seqgen_envs._version import __version__
from seqgen_envs.bounded import PathOrFile
from seqgen_envs.observations import single_space

if TYPE_CHECKING:
    from kl_agents.algorithm import SequenceAlgorithm
    from kl_agents.policy import SequencePolicy

_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "_training_debt",
             "_iteration", "_current_progress_remaining", "_temperature")  # fmt: skip
Agent = TypeVar("Agent", bound="SequenceAlgorithm")


def save(agent: SequenceAlgorithm, path: PathOrFile, replay: bool = False) -> None:
    """Write ``agent.state()``; with ``replay`` all a resumed run needs."""
    write_agent(path, agent.state(replay))


def load(
    algorithm: type[Agent],
    path: PathOrFile,
    env: Any = None,
    policy_class: type[SequencePolicy] | None = None,
    **arguments: Any,
) -> Agent:
    """The agent in a file written by :func:`save`.

    Args:
        algorithm: its class.
        path: the file.
        env: to go on training, or None to predict only.
        policy_class: of an agent with a policy class of your own.
        arguments: of the constructor, to replace; with ``c`` it acts at the new one at once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, holds another algorithm or needs a policy class, or
            the environment's prior is not the one the agent was trained against.
    """
    saved = read_agent(path)
    config = saved.config
    held = config["algorithm"].rpartition(":")[2]
    if held != algorithm.__qualname__:
        raise ValueError(f"{path} holds a {held}, not a {algorithm.__qualname__}")
    if policy_class is None and config["policy"] not in algorithm.policy_aliases:
        raise ValueError(
            f"{path} was made with the policy class {config['policy']!r}: pass "
            "custom_objects={'policy_class': ...}"
        )
    known = {f.name for f in fields(algorithm.settings_class)}
    if unknown := sorted(set(config["settings"]) - known):
        raise ValueError(f"{path} has settings that a {held} does not know: {', '.join(unknown)}")
    kept = {**config["settings"], "policy_kwargs": config["policy_kwargs"], "seed": config["seed"]}
    model = algorithm(
        policy_class or config["policy"], env, **{**kept, **arguments}, _init_setup_model=False
    )
    with _naming(path):
        model.set_state(saved)
    if "c" in arguments:
        model.policy.c = model.c_schedule(model._current_progress_remaining)
    return model


@contextmanager
def _naming(path: PathOrFile) -> Iterator[None]:
    """What is wrong with a file's content, as one sentence that names the file."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, OverflowError) as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"{path} holds no whole agent ({message})") from error


def state_of(agent: SequenceAlgorithm, replay: bool) -> SavedAgent:
    """See :meth:`kl_agents.SequenceAlgorithm.state`."""
    config: dict[str, Any] = {
        "algorithm": f"{type(agent).__module__}:{type(agent).__qualname__}",
        "package_version": __version__,
        "policy": agent.policy_name,
        "settings": asdict(agent.settings),
        "policy_kwargs": agent.policy_kwargs,
        "seed": agent.seed,
        "environment": agent.environment,
        "network": agent.policy.network.description(),
        "spaces": {
            "vocabulary_size": agent.policy.vocabulary_size,
            "horizon": len(agent.observation_space["tokens"].nvec),  # type: ignore[index]
        },
        "prior": agent.prior_record(),
        **_position(agent),
    }
    stored = None
    if replay and agent.replay is not None and agent.facts is not None:
        stored = {name: array.copy() for name, array in agent.replay.state_dict().items()}
        config["tasks"] = [task.state_dict() for task in agent.facts.tasks]
    optimizer = optimizer_tensors(agent.policy.optimizer)
    return SavedAgent(config, copied(agent.policy.state_dict()), copied(optimizer), stored)


def restore(agent: SequenceAlgorithm, state: SavedAgent) -> None:
    """See :meth:`kl_agents.SequenceAlgorithm.set_state`; an agent without a policy gets one."""
    config = state.config
    if agent.facts is not None:
        check_prior(config["prior"], agent.facts.prior)
    agent._saved = config
    agent.environment = agent.environment or config["environment"]
    if agent.facts is None:
        size, horizon = config["spaces"]["vocabulary_size"], config["spaces"]["horizon"]
        agent.observation_space = single_space("dict", size, horizon)
        agent.action_space = spaces.Discrete(size)
        agent.n_envs = 1
    if not hasattr(agent, "policy"):
        agent._setup_model()
    put_weights(agent.policy, state.policy)
    load_optimizer_tensors(agent.policy.optimizer, state.optimizer)
    _put_position(agent, config)
    if state.replay is not None and agent.replay is not None and agent.facts is not None:
        agent.replay.load_state_dict(state.replay)
        # as many as there are, where the number of environments is another
        for task, saved in zip(agent.facts.tasks, config.get("tasks", []), strict=False):
            task.load_state_dict(saved)


@contextmanager
def undone_on_error(agent: SequenceAlgorithm) -> Iterator[None]:
    """Where something is raised in the block, which collects episodes, the agent's counters and
    generators, and what its tasks remember, are again as they were before.
    """
    position = _position(agent)
    tasks = [] if agent.facts is None else agent.facts.tasks
    memories = [(task, task.state_dict(), task.failures.state_dict()) for task in tasks]
    try:
        yield
    except BaseException:
        _put_position(agent, position)
        for task, remembered, failures in memories:
            task.load_state_dict(remembered)
            task.failures.load_state_dict(failures)
        raise


def _position(agent: SequenceAlgorithm) -> dict[str, Any]:
    return {
        "c_now": agent.policy.c,
        "counters": {name: getattr(agent, name) for name in _COUNTERS},
        "generators": {
            "collection": agent.rng.bit_generator.state,
            "policy": agent.policy.rng.bit_generator.state,
        },
    }


def _put_position(agent: SequenceAlgorithm, position: Mapping[str, Any]) -> None:
    for name, value in position["counters"].items():
        setattr(agent, name, value)
    agent.rng.bit_generator.state = position["generators"]["collection"]
    agent.policy.rng.bit_generator.state = position["generators"]["policy"]
    agent.policy.c = position["c_now"]


def record_of(prior: Any) -> dict[str, Any]:
    """By which a prior is known again: its name and its fingerprint."""
    source = getattr(prior, "source", None)
    return {"fingerprint": prior.fingerprint, "name": source.name if source else None}


def check_prior(recorded: Mapping[str, Any] | None, prior: Any) -> None:
    """Raise a ValueError unless ``prior`` is the one recorded."""
    actual = prior.fingerprint
    if recorded is not None and recorded["fingerprint"] != actual:
        raise ValueError(
            f"the agent was trained against prior {recorded['name']!r} "
            f"({recorded['fingerprint']}), the environment has another one ({actual}): make "
            "it with the same prior"
        )


def put_weights(policy: SequencePolicy, weights: Mapping[str, Any], strict: bool = True) -> None:
    """The weights of another policy's ``state_dict`` in place of its own.

    Raises:
        ValueError: they are of another shape; a name is missing or unknown (with ``strict``).
    """
    try:
        policy.load_state_dict(weights, strict=strict)
    except RuntimeError as error:
        raise ValueError(
            "the weights are not of this agent's shape: give the vocabulary and the policy_kwargs "
            f"they were trained with ({' '.join(str(error).split())})"
        ) from error
    policy.weights_changed()


def set_parameters(policy: SequencePolicy, given: Any, exact_match: bool = True) -> None:
    """Put the parameters of a file of :func:`save`, or of a dictionary, into a policy.

    Raises:
        ValueError: a name is missing or unknown (with ``exact_match``).
    """
    if isinstance(given, dict):
        unknown = set(given) - {"policy", "policy.optimizer"}
        if unknown or (exact_match and len(given) < 2):
            raise ValueError(
                f"expected parameters of policy and policy.optimizer, got {sorted(given)}"
            )
        if "policy.optimizer" in given:
            policy.optimizer.load_state_dict(given["policy.optimizer"])
        if "policy" in given:
            put_weights(policy, given["policy"], exact_match)
    else:
        saved = read_agent(given)
        put_weights(policy, saved.policy, exact_match)
        load_optimizer_tensors(policy.optimizer, saved.optimizer)


def differences(
    recorded: Mapping[str, Any], asked: Mapping[str, Any], within: str = ""
) -> list[str]:
    """``"tau is 0.1, asked for 0.2"`` for each entry that differs, with dotted names."""
    found = []
    for name in dict.fromkeys([*asked, *recorded]):
        mine, theirs = recorded.get(name), asked.get(name)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            found += differences(mine, theirs, f"{within}{name}.")
        elif mine != theirs:
            found.append(f"{within}{name} is {mine!r}, asked for {theirs!r}")
    return found
