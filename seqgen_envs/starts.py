"""How episodes start: primers as users give them, and what prior and rules make of them.

:func:`read_primers` turns texts, token ids and files into ids, :func:`check_mask` walks them
through an action mask, and :class:`Starts` keeps the state after each of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen_envs.bounded import read_bytes
from seqgen_envs.domain import ActionMask, Domain
from seqgen_envs.domain_groups import Entry, Template
from seqgen_envs.prior import Prior
from seqgen_envs.rules import Task, Values

Tokens = NDArray[np.int64]
Primer = tuple[int, ...]

#: Smallest log-probability ever shown or paid; also what a masked token has.
MIN_LOG_PROB = -100.0
_LEAST, _MOST = np.float32(MIN_LOG_PROB), np.float32(0.0)
#: Primers whose states are kept; the oldest go when there are more.
KEPT_STARTS = 1024
#: Bytes of a file of primers.
MAX_PRIMERS = 64 * 1024**2


def read_primers(primer: Any, domain: Domain, length: int) -> tuple[Primer | Template, ...]:
    """The primers that ``primer`` stands for, as token ids; one that is empty for None.

    A text with open places, such as a scaffold with attachment points, is a template.

    Args:
        primer: token ids or a text; a list of such; or a file's name, which the domain's
            ``files.read_beginnings`` reads if it knows files of that name, and which otherwise has
            a text a line. Where no token has a space and none is written between them, a line's
            first word is the text.
        domain: whose tokens they are.
        length: the horizon, which a primer must stay below.

    Raises:
        ValueError: it is none of these, or a primer is no beginning of a sequence.
    """
    if primer is None:
        return ((),)
    if isinstance(primer, Path) or (isinstance(primer, str) and os.path.isfile(primer)):
        return tuple(_lines(Path(primer), domain, length))
    if isinstance(primer, str) or _is_flat(primer):
        return (_read_one(primer, domain, length),)
    if not isinstance(primer, (Sequence, np.ndarray)) or len(primer) == 0:
        raise ValueError(_message(primer))
    return tuple(_read_one(one, domain, length) for one in primer)


def _is_flat(primer: Any) -> bool:
    """Whether ``primer`` is one list, of numbers."""
    if isinstance(primer, np.ndarray):
        return primer.ndim < 2
    return isinstance(primer, Sequence) and all(
        np.isscalar(i) and type(i) is not str for i in primer
    )


def _lines(path: Path, domain: Domain, length: int) -> Iterable[Primer | Template]:
    files = domain.files
    known = (*files.suffixes, *files.also)
    reads = files.read_beginnings is not None and path.name.lower().endswith(known)
    try:
        if reads and files.read_beginnings is not None:
            entries = files.read_beginnings(path)
        else:
            entries = list(_texts(path, domain))
    except (OSError, ValueError) as error:
        raise ValueError(f"the file of primers {str(path)!r} cannot be read: {error}") from error
    if not entries:
        raise ValueError(f"the file of primers {str(path)!r} is empty: give a text a line")
    for entry in entries:
        try:
            if entry.problem:
                raise ValueError(entry.problem)
            yield _read_one(entry.text, domain, length)
        except ValueError as error:
            raise ValueError(f"{entry.place} of {str(path)!r}: {error}") from error


def _texts(path: Path, domain: Domain) -> Iterable[Entry]:
    vocabulary = domain.vocabulary
    for number, line in enumerate(
        read_bytes(path, MAX_PRIMERS).decode("utf-8-sig").splitlines(), 1
    ):
        text = line.strip()
        if text:
            whole = vocabulary.joiner.isspace() or vocabulary.has_blanks
            yield Entry("", text if whole else text.split()[0], f"line {number}")
        elif vocabulary.has_blanks:  # its sequences are texts, and the empty one is one too
            problem = "it is empty, and each line is to be the beginning of a text"
            yield Entry("", "", f"line {number}", problem=problem)


def _message(primer: Any) -> str:
    return (
        "primer must be a list of token ids or a text, a list of such, or the name of a file with "
        f"a text a line, got {primer!r}"
    )


def _read_one(primer: Any, domain: Domain, length: int) -> Primer | Template:
    if isinstance(primer, str) and domain.templates.read is not None:
        template = domain.templates.read(primer.strip())
        if template is not None:
            if template.least > length:
                raise ValueError(
                    f"primer {primer!r} with its open places filled has {template.least} tokens "
                    f"at least, more than length = {length}"
                )
            return template
    vocabulary = domain.vocabulary
    ids = domain.to_ids(primer) if isinstance(primer, str) else np.asarray(primer)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(_message(primer))
    if np.any((ids < 0) | (ids >= vocabulary.size)):
        bad = next(int(i) for i in ids if not 0 <= i < vocabulary.size)
        raise ValueError(
            f"primer token {bad} is outside 0..{vocabulary.size - 1} of domain {domain.name!r}"
        )
    if len(ids) >= length:
        raise ValueError(
            f"primer has {len(ids)} tokens and must be shorter than length = {length}: give a "
            "greater length, or fewer tokens of the primer"
        )
    if vocabulary.end_id in ids:
        raise ValueError(f"primer holds the end token {vocabulary.end!r}")
    return tuple(int(i) for i in ids)


def beginning(primer: Primer | Template) -> Primer:
    """What sequences start with."""
    return primer.parts[0] if isinstance(primer, Template) else primer


def check_mask(
    primers: Sequence[Primer], mask: ActionMask | None, domain: Domain, horizon: int
) -> None:
    """Walk primers through an action mask.

    Raises:
        ValueError: it forbids a token of a primer, or all that may follow: it could keep none of
            its promises after that.
    """
    primers = [primer for primer in dict.fromkeys(primers) if primer]
    if mask is None or not primers:
        return
    whole = domain.vocabulary.padded(primers, horizon)
    lengths = np.fromiter(map(len, primers), np.int64)
    prefixes = np.full_like(whole, domain.vocabulary.pad_id)
    for t in range(int(lengths.max()) + 1):
        on = np.flatnonzero(lengths >= t)
        allowed = mask(prefixes[on], np.full(len(on), t)) != 0
        inside = lengths[on] > t
        following = np.where(inside, whole[on, min(t, horizon - 1)], 0)
        good = np.where(inside, allowed[np.arange(len(on)), following], allowed.any(axis=1))
        if not good.all():
            primer = primers[on[np.argmin(good)]]
            raise ValueError(_forbidden(primer, t, domain, horizon))
        prefixes[:, t : t + 1] = whole[:, t : t + 1]


def _forbidden(primer: Primer, t: int, domain: Domain, horizon: int) -> str:
    text = domain.to_text(np.array(primer, dtype=np.int64))
    what = (
        f"its token {domain.vocabulary.tokens[primer[t]]!r} at position {t}"
        if t < len(primer)
        else "every token that could follow it"
    )
    return (
        f"the mask forbids primer {text!r} at length = {horizon}: {what} is not allowed; give "
        "another primer, a greater length, or no mask"
    )


def as_shown(
    mask: ActionMask | None, log_probs: torch.Tensor, tokens: Tokens, lengths: Tokens
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What an agent sees of a prior: renormalised under a mask and bounded.

    Args:
        mask: the environment's, or None.
        log_probs: the prior's log p(.|s) [N, V].
        tokens: the prefixes s, int64 [N, T], padded.
        lengths: theirs, int64 [N].

    Returns:
        log p(.|s) float32 [N, V], masked tokens at :data:`MIN_LOG_PROB`, and the mask int8 [N, V].
    """
    if mask is None:
        allowed = np.ones(log_probs.shape, dtype=np.int8)
    else:
        allowed = mask(tokens, lengths)
        masked = log_probs.masked_fill(torch.from_numpy(allowed == 0), -torch.inf)
        log_probs = torch.log_softmax(masked, dim=-1)
    return bounded(log_probs), allowed


def bounded(log_probs: torch.Tensor) -> NDArray[np.float32]:
    """log p [N, V] within :data:`MIN_LOG_PROB` and 0, float32, in an array of its own."""
    shown: NDArray[np.float32] = np.maximum(log_probs.float().numpy(), _LEAST)
    return np.minimum(shown, _MOST, out=shown)


@dataclass(frozen=True)
class Start:
    """States after P primers, a row each.

    Attributes:
        tokens: int64 [P, T], padded.
        lengths: int64 [P].
        log_prior: float32 [P, V], of the next token.
        mask: int8 [P, V].
        prior_state, task_state: [P, ...] each.
    """

    tokens: Tokens
    lengths: Tokens
    log_prior: NDArray[np.float32]
    mask: NDArray[np.int8]
    prior_state: tuple[torch.Tensor, ...]
    task_state: tuple[Values, ...]


class Starts:
    """Computes the state after each primer once and keeps it, up to :data:`KEPT_STARTS`."""

    def __init__(
        self, domain: Domain, prior: Prior, task: Task, mask: ActionMask | None, horizon: int
    ) -> None:
        self.domain, self.prior, self.task, self.mask = domain, prior, task, mask
        self.horizon = horizon
        self._kept: dict[Primer, Start] = {}

    def after(self, primers: Sequence[Primer]) -> Start:
        """The states after ``primers``, in their order."""
        missing = [p for p in dict.fromkeys(primers) if p not in self._kept]
        if missing:
            self._kept |= zip(missing, self._compute(missing), strict=True)
        found = [self._kept[primer] for primer in primers]
        for primer in list(self._kept)[: max(len(self._kept) - KEPT_STARTS, 0)]:
            del self._kept[primer]
        return found[0] if len(found) == 1 else _joined(found)

    @torch.inference_mode()
    def _compute(self, primers: Sequence[Primer]) -> list[Start]:
        """Feed the start token and the primers; the rules scan a primer but do not judge it."""
        vocabulary = self.domain.vocabulary
        tokens = vocabulary.padded(primers, self.horizon)
        lengths = np.fromiter(map(len, primers), np.int64)
        found: dict[int, Start] = {}
        rows, n = np.arange(len(primers)), len(primers)
        log_probs, state = self.prior.step(
            torch.full((n,), vocabulary.start_id), self.prior.initial_state(n)
        )
        task_state = tuple(np.repeat(s[None], n, axis=0) for s in self.task.initial_state())
        for t in range(int(lengths.max()) + 1):
            if t:
                log_probs, state = self.prior.step(torch.from_numpy(tokens[rows, t - 1]), state)
                nobody = np.zeros(len(rows), dtype=bool)
                length = np.full(len(rows), t)
                _, task_state = self.task.score(tokens[rows], length, nobody, task_state)
            for at in np.flatnonzero(lengths[rows] == t):
                row, one = slice(rows[at], rows[at] + 1), slice(at, at + 1)
                shown = as_shown(self.mask, log_probs[one], tokens[row], lengths[row])
                after = tuple(s[one].clone() for s in state)
                begun = self.task.begin(tuple(s[one] for s in task_state), lengths[row])
                found[int(rows[at])] = Start(tokens[row], lengths[row], *shown, after, begun)
            going = lengths[rows] > t
            if not going.all():
                rows, kept = rows[going], torch.from_numpy(going)
                state = tuple(s[kept] for s in state)
                task_state = tuple(s[going] for s in task_state)
        return [found[row] for row in range(n)]


def _joined(starts: Sequence[Start]) -> Start:
    """The rows of all ``starts``."""
    columns: dict[str, Any] = {
        field.name: [getattr(start, field.name) for start in starts] for field in fields(Start)
    }
    for name, join in (("prior_state", torch.cat), ("task_state", np.concatenate)):
        columns[name] = tuple(join(parts) for parts in zip(*columns[name], strict=True))
    for name in ("tokens", "lengths", "log_prior", "mask"):
        columns[name] = np.concatenate(columns[name])
    return Start(**columns)
