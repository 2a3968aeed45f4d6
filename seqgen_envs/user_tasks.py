"""Tasks that users name in text: a task, a rule, or a function that makes one of the two."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from seqgen_envs.loading import call_object
from seqgen_envs.rules import ScanRule, Task, Term

#: The parameters of a rule that is a function.
RULE_PARAMETERS = ("tokens", "lengths")


def task_from(
    found: Any, reference: str, *, weights: Mapping[str, float] | None = None, **arguments: Any
) -> Task:
    """The task that is, or is made of, the object a user named.

    Args:
        found: a :class:`~seqgen_envs.rules.Task`; a rule, which becomes a task of one term of the
            rule's name; or a function (a class too) that returns one of the two. What has the
            parameters ``tokens, lengths`` is a rule; under other names, where it cannot be called
            with ``arguments``.
        reference: what the user wrote, for messages.
        weights: of the task's terms.
        arguments: what the function is called with; for a rule ``weight`` and ``at``, as in
            :class:`~seqgen_envs.rules.Term`.

    Raises:
        ValueError: it is none of these, the function raises, or a weight is for no term.
        TypeError: arguments that it does not take.
    """
    made = found
    if _is_factory(found, arguments):
        made, arguments = call_object(found, f"task {reference!r}", **arguments), {}
    if isinstance(made, Task):
        if arguments:
            raise TypeError(f"a Task takes no arguments but weights, got {sorted(arguments)}")
        return made.with_weights(weights or {})
    if not (isinstance(made, ScanRule) or (callable(made) and _takes(made, None, None))):
        raise ValueError(
            f"task {reference!r} is of type {type(made).__name__}; expected a Task, a rule "
            "(tokens, lengths) -> values, or a function that returns one of the two"
        )
    name = getattr(made, "__name__", type(made).__name__)
    return Task(reference, [Term(name, made, **arguments)]).with_weights(weights or {})


def _is_factory(found: Any, arguments: Mapping[str, Any]) -> bool:
    if isinstance(found, type):
        return True
    if isinstance(found, (Task, ScanRule)) or not callable(found):
        return False
    if tuple(inspect.signature(found).parameters)[:2] == RULE_PARAMETERS:
        return False
    return _takes(found, **arguments) or not _takes(found, None, None)


def _takes(function: Callable[..., Any], *positional: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*positional, **named)
    except TypeError:
        return False
    return True
