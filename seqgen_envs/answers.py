"""What users' functions of many things answer: molecules' SMILES, texts after their prompts.

What a function returns means one thing each:

============================================ =====================================================
answer                                       meaning
============================================ =====================================================
a list, tuple, iterator or generator, an     one value a thing, in order; flattened, so (N, 1) is
array, tensor or pandas Series of N values   as good as (N,)
a single number                              a list of one
a whole number, a truth value                that number; True is 1
``None``, NaN, infinity, a text (also        it failed on that thing
``"0.5"``), anything else that is no number
``None`` alone, a text, a dict, a set,       an error of the function: the run ends
another number of values
it raises, or calls ``sys.exit``             it is asked again for parts, to find the things on
                                             which it fails
============================================ =====================================================
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import Any, TypeVar

from seqgen_envs.rules import RuleError
from seqgen_envs.tracebacks import last_line, told

Thing = TypeVar("Thing")

#: Things of a batch that all fail, and none works, before a function counts as broken.
MANY = 8
#: What is no list of values, though it can be iterated over.
_NOT_LISTS = (str, bytes, Mapping, Set)


def values_of(answer: Any, n: int, name: str, things: str) -> list[Any]:
    """The N values of an answer, flattened; see this module.

    Args:
        answer: what the function returned.
        n: how many things it was given.
        name: the function's.
        things: what they are called, several of them.

    Raises:
        RuleError: it is no list of values, or of another number.
    """
    must = f"for {n} {things}; it must return one number each, in their order"
    if answer is None or isinstance(answer, _NOT_LISTS):
        raise RuleError(f"{name} returned {_shown(answer)} {must}")
    values = _flat(list(islice(answer, n + 1)) if isinstance(answer, Iterator) else answer)
    if len(values) != n:
        raise RuleError(f"{name} returned {len(values)} values {must}")
    return values


def _flat(answer: Any) -> list[Any]:
    """Its values in one list: arrays and nested lists come apart, texts and mappings do not."""
    if hasattr(answer, "detach"):  # a tensor
        answer = answer.detach().cpu()
    if not isinstance(answer, (str, bytes)) and hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, _NOT_LISTS) or not isinstance(answer, Iterable):
        return [answer]
    return [value for part in answer for value in _flat(part)]


def ask(
    score: Callable[[list[Thing]], list[Any]], things: list[Thing], name: str, kind: str
) -> list[tuple[float, str | None]]:
    """A finite number for each of ``things``, or NaN and what is wrong.

    They are given all at once; where that fails, the first by themselves and then the rest in
    halves.

    Args:
        score: gives one value each, of any kind.
        things: what is scored.
        name: the function's, for messages.
        kind: what the things are called, several of them.

    Raises:
        RuleError: it fails for each of the first :data:`MANY`; or no thing is to blame.
    """
    try:
        return [number_of(value) for value in score(things)]
    except (Exception, SystemExit) as error:
        found = failed(error)
    if len(things) == 1:
        return [found]
    answers = [answer for thing in things[:MANY] for answer in ask(score, [thing], name, kind)]
    if len(answers) == MANY and all(error is not None for _, error in answers):
        raise RuleError(
            f"{name} failed on a batch of {len(things)} {kind} and on each of the first {MANY} by "
            f"themselves, {things[0]} first, so it is not the {kind}: {last_line(answers[0][1])}"
        )
    return answers + _in_halves(score, things[MANY:])


def _in_halves(
    score: Callable[[list[Thing]], list[Any]], things: list[Thing]
) -> list[tuple[float, str | None]]:
    """Asks for all at once, and for each half where that fails."""
    if not things:
        return []
    try:
        return [number_of(value) for value in score(things)]
    except (Exception, SystemExit) as error:
        found = failed(error)
    if len(things) == 1:
        return [found]
    middle = len(things) // 2
    return _in_halves(score, things[:middle]) + _in_halves(score, things[middle:])


def failed(error: BaseException) -> tuple[float, str]:
    """NaN and the traceback, unless the error is the program's.

    Raises:
        RuleError: it is.
    """
    if isinstance(error, RuleError):
        raise error
    if isinstance(error, ImportError):
        raise RuleError(f"an objective needs what cannot be imported: {error}") from error
    return math.nan, told(error)


def number_of(value: Any) -> tuple[float, str | None]:
    """A value as a finite number; otherwise NaN and what is wrong with it."""
    number = math.nan
    with contextlib.suppress(Exception):  # what a stranger's class does when it is converted
        plain = value.item() if hasattr(value, "item") else value  # of an array of one, a tensor
        if hasattr(plain, "__float__"):
            number = float(plain)
    if math.isfinite(number):
        return number, None
    return math.nan, f"the objective returned {_shown(value)}, expected a finite number"


def _shown(value: Any) -> str:
    text = repr(value)
    if value is None or isinstance(value, float):
        return text
    short = text if len(text) <= 40 else f"{text[:37]}..."
    return f"{short} ({type(value).__name__})"
