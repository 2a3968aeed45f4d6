"""Sampling and scoring in rows: one dict a sequence, of all that is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain import Domain
from seqgen_envs.lanes import Lanes
from seqgen_envs.prior import Prior
from seqgen_envs.reporting.console import progress, progress_bar
from seqgen_envs.rollout import Episodes, Policy, rollout
from seqgen_envs.rules import RuleFailures, Task
from seqgen_envs.settings import LaneSettings

CHUNK = 2048


def sample_chunks(
    lanes: Lanes, policy: Policy, n: int, observation: str = "dict"
) -> Iterator[Episodes]:
    """``n`` episodes, at most ``CHUNK`` at a time, with a progress bar."""
    lanes.reset()  # loads the prior: what is wrong with it is said before the bar appears
    with progress_bar(n, "sampling", lanes.domain.name) as bar:
        for start in range(0, n, CHUNK):
            episodes = rollout(lanes, policy, min(CHUNK, n - start), observation=observation)
            bar.update(len(episodes))
            yield episodes


def join(chunks: Sequence[Episodes]) -> Episodes:
    """Several batches of episodes as one."""
    arrays = {
        name: np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in ("tokens", "lengths", "primer_lengths", "log_prior", "terms")
    }
    return Episodes(**arrays, term_names=chunks[0].term_names)


class _Recital:
    """A policy that gives the tokens of N sequences, one after the other.

    Args:
        ids: int64 [N, T]; what stands after a sequence's end only has to be a token.
    """

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self.ids = ids

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], int]:
        at = state or 0
        return self.ids[:, at], at + 1


def complete(domain: Domain, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The whole episode of a finished sequence: with its end token, where there is one.

    Raises:
        ValueError: the sequence is longer than the domain's horizon where sequences end by a
            token, and shorter than its shortest where they do not.
    """
    end = domain.vocabulary.end_id
    if end is not None:
        if len(ids) > domain.horizon:
            raise ValueError(
                f"it has {len(ids):,} tokens; {domain.plural} have at most {domain.horizon}"
            )
        if end not in ids and len(ids) < domain.horizon:
            ids = np.append(ids, end)
    elif len(ids) < domain.min_horizon:
        raise ValueError(
            f"it has {len(ids)} tokens; {domain.plural} have at least {domain.min_horizon}"
        )
    return ids


def replay(domain: Domain, ids: NDArray[np.int64], prior: Prior, task: Task, c: float) -> Episodes:
    """A finished sequence as the episode that would have made it.

    Its horizon is the domain's where sequences end by a token, otherwise its own length.

    Raises:
        ValueError: see :func:`complete`.
    """
    ((_, episodes),) = replay_all(domain, [complete(domain, ids)], prior, task, c)
    return episodes


def replay_all(
    domain: Domain, sequences: Sequence[NDArray[np.int64]], prior: Prior, task: Task, c: float
) -> Iterator[tuple[list[int], Episodes]]:
    """:func:`replay` of many completed sequences, those of one horizon together.

    Yields:
        indices into ``sequences``, and their episodes in that order; at most ``CHUNK`` at a time.
    """
    ends = domain.vocabulary.end_id is not None
    by_horizon: dict[int, list[int]] = {}
    for i, ids in enumerate(sequences):
        by_horizon.setdefault(domain.horizon if ends else len(ids), []).append(i)
    with progress_bar(len(sequences), "scoring", domain.name) as bar:
        for horizon, indices in by_horizon.items():
            for start in range(0, len(indices), CHUNK):
                part = indices[start : start + CHUNK]
                padded = np.zeros((len(part), horizon), dtype=np.int64)
                for row, i in enumerate(part):
                    padded[row, : len(sequences[i])] = sequences[i]
                lanes = Lanes(len(part), LaneSettings(domain, prior, task, c, length=horizon))
                yield part, rollout(lanes, _Recital(padded), len(part))
                bar.update(len(part))


def write_each(
    domain: Domain,
    sequences: Sequence[NDArray[np.int64]],
    names: Sequence[str],
    out: Path,
    prior: Prior,
    options: Mapping[str, Any],
) -> set[Path]:
    """Write the files of each of some sequences, if the domain has such; their paths.

    Args:
        domain: theirs.
        sequences: ids int64 [n] each.
        names: as many, or more.
        out: a folder that exists.
        prior: of the sequences.
        options: keywords of the domain's ``files.write``.
    """
    written: set[Path] = set()
    if domain.files.write is None:
        return written
    for i in progress(range(len(sequences)), "writing", domain.name):
        written |= set(domain.files.write(sequences[i], out, names[i], prior, **options))
    return written


class NamedFailures(RuleFailures):
    """What went wrong inside a task's rules, by sequence: for commands that name each."""

    def __init__(self) -> None:
        super().__init__()
        self.by_sequence: dict[bytes, dict[str, str]] = {}

    def add(self, term: str, sequence: NDArray[np.int64], what: str, short: str) -> None:
        """See :class:`~seqgen_envs.rules.RuleFailures`; whoever asked for the names says them."""
        self._tally(term)
        self.first = self.first or short
        self.by_sequence.setdefault(sequence.tobytes(), {})[term] = short

    def of(self, ids: NDArray[np.int64]) -> dict[str, str]:
        """What is wrong with a sequence int64 [n], at its end or before, by term."""
        found: dict[str, str] = {}
        for n in range(1, len(ids) + 1) if self.by_sequence else ():
            found |= self.by_sequence.get(ids[:n].tobytes(), {})
        return found

    def total(self, domain: Domain, n: int, rows: Sequence[Mapping[str, Any]]) -> str:
        """A sentence on how many of n sequences could not be scored; empty where all could."""
        failed = sum(math.isnan(row["task_return"]) for row in rows)
        if not failed:
            return ""
        terms = ", ".join(f"{name}: {count:,}" for name, count in self.by_term.items())
        return (
            f"{failed:,} of {n:,} {domain.plural} could not be scored ({terms}): their cells are "
            "nan"
        )


def score_rows(
    domain: Domain,
    episodes: Episodes,
    names: Sequence[str],
    c: float,
    failures: NamedFailures | None = None,
) -> list[dict[str, Any]]:
    """One row a sequence: name, tokens, text, log-prior, returns, terms and metrics.

    ``log_prior`` and the terms leave out the primer, which nobody chose; ``task_return`` is the
    sum of the ``term_*``, and ``return`` is ``log_prior + task_return / c``. Where only the horizon
    ends a sequence, so that one may be of any length, both are there per token too. They and the
    term are NaN where a rule failed, if ``failures`` says so.
    """
    returns = {
        "task_return": episodes.task_return,
        "return": episodes.log_prior_total + episodes.task_return / c,
    }
    numbers: dict[str, NDArray[np.float64]] = {
        "log_prior": episodes.log_prior_total,
        "log_prior_per_token": episodes.log_prior_total / episodes.steps,
    }
    for name, values in returns.items():
        numbers[name] = values
        if domain.vocabulary.end_id is None:
            numbers[f"{name}_per_token"] = values / episodes.steps
    numbers |= {f"term_{name}": total for name, total in episodes.term_totals().items()}
    if domain.metrics.each is not None:
        metrics = domain.metrics.each(episodes.tokens)
        numbers |= {f"metric_{name}": values for name, values in metrics.items()}
    rows = []
    for i, name in enumerate(names):
        ids = episodes.tokens[i, : episodes.lengths[i]]
        row = {"name": name, "length": len(ids), "text": domain.to_text(ids)}
        row["tokens"] = " ".join(map(str, ids.tolist()))
        row |= {column: float(values[i]) for column, values in numbers.items()}
        if failed := ({} if failures is None else failures.of(ids)):
            wrong = {"task_return", "return", *(f"term_{term}" for term in failed)}
            row |= {name: math.nan for name in row if name.removesuffix("_per_token") in wrong}
        rows.append(row)
    return rows


def row_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean of every column of log-priors, returns and terms; NaN, of failed rows, is left out."""
    wanted = [
        name
        for name in rows[0]
        if name.removesuffix("_per_token") in ("log_prior", "task_return", "return")
        or name.startswith("term_")
    ]
    known = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in wanted}
    return {f"mean {name}": float(np.mean(values)) for name, values in known.items() if values}
