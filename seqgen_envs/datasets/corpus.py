"""A corpus of token sequences: what a prior is trained and validated on.

A sequence's split follows from its content alone (a hash of its tokens), so adding or removing
others never moves it from training to test.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.bounded import read_arrays
from seqgen_envs.documents import parse_json
from seqgen_envs.reporting.files import write_arrays
from seqgen_envs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from rich.table import Table

SPLITS = ("train", "validation", "test")
FRACTIONS = (0.9, 0.05, 0.05)
#: Sequences dropped that a report names; further ones are only counted.
MAX_NAMED = 100_000
_NAMES_SHOWN = 3
_TYPES_SHOWN = 6


@dataclass
class SkipReport:
    """What became of every sequence found: how many were kept, how many dropped and why.

    Args:
        kept: sequences kept.
        dropped: number dropped for each reason.
        items: [reason, name, detail] of the sequences dropped that were named, in their order: of
            the first ``MAX_NAMED``.
        unknown: how many dropped sequences hold each token that the vocabulary lacks.
        noted: how many of those kept each remark holds for, such as "rewritten".
        examples: some that are not kept as they were given: ``given -> kept``.
        hints: what can be done about some of those dropped, a sentence each.
        unread: names of files that were found and are of types that are not read: of the first
            ``MAX_NAMED``. What they hold is not known, so they count neither as kept nor dropped.
    """

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    items: list[list[str]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def drop(self, reason: str, name: str = "", detail: str = "") -> None:
        """Count one sequence as dropped, and keep its name and what is wrong with it."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        if name and len(self.items) < MAX_NAMED:
            self.items.append([reason, name, detail])

    @property
    def problems(self) -> list[str]:
        """One line for each sequence dropped that was named."""
        return [f"{name}: {_first_line(detail)}" for _, name, detail in self.items]

    def rows(self) -> list[dict[str, str]]:
        """What was dropped or not read, as rows of a table.

        A last row of those dropped counts the ones that are not named.
        """
        unnamed = self.n_dropped - len(self.items)
        more = ["not named", "", f"{unnamed:,} more; the first {len(self.items):,} are named above"]
        items = [[*one, detail.replace("\n", ": ")] for *one, detail in self.items]
        items += [more] if unnamed else []
        unread = "files of this type are not read"
        items = [*items, *(["type not read", name, unread] for name in self.unread)]
        return [dict(zip(("reason", "name", "detail"), item, strict=True)) for item in items]

    @property
    def n_dropped(self) -> int:
        """All sequences dropped, named or not."""
        return sum(self.dropped.values())

    @property
    def found(self) -> int:
        """All sequences found, kept and dropped."""
        return self.kept + self.n_dropped

    def table(self, title: str = "Corpus") -> Table:
        """Kept and dropped by reason, with shares of all found and the first dropped by name.

        A last row counts the files that were not read.
        """
        from rich.table import Table
        from rich.text import Text

        table = Table("", title=title)
        for column in ("sequences", "share"):  # long names must not take their place
            table.add_column(column, justify="right", no_wrap=True)
        if self.items or self.unread:
            table.add_column("the first of them", overflow="fold")
        by_count = sorted(self.dropped.items(), key=lambda item: -item[1])
        noted = [(f"- {remark}", n) for remark, n in self.noted.items()]
        dropped = [(f"dropped: {why}", n) for why, n in by_count]
        rows = [("kept", self.kept), *noted, *dropped]
        tokens = sorted(self.unknown.items(), key=lambda item: (-item[1], item[0]))
        rows += [(f"- with {token}", n) for token, n in tokens]
        first = {f"dropped: {why}": self._first_names(why) for why in self.dropped}
        for name, count in [*rows, ("found", self.found)]:
            cells = [name, f"{count:,}", f"{count / max(1, self.found):.1%}", first.get(name, "")]
            table.add_row(*(Text(cell) for cell in cells[: len(table.columns)]))
        if self.unread:
            title = f"files of types that are not read: {types_of(self.unread)}"
            names = ", ".join(self.unread[:_NAMES_SHOWN])
            table.add_row(*(Text(cell) for cell in (title, f"{len(self.unread):,}", "", names)))
        return table

    def _first_names(self, reason: str) -> str:
        names = (name for why, name, _ in self.items if why == reason)
        return ", ".join(islice(names, _NAMES_SHOWN))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return asdict(self)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def types_of(names: Iterable[str]) -> str:
    """How the names of files end, the most frequent first; some of them where there are many."""
    ends = Counter(PurePath(name).suffix.lower() or "(none)" for name in names).most_common()
    more = [f"{len(ends) - _TYPES_SHOWN} more"] if len(ends) > _TYPES_SHOWN else []
    return ", ".join([*(end for end, _ in ends[:_TYPES_SHOWN]), *more])


@dataclass(frozen=True)
class Corpus:
    """Token sequences with their names and splits.

    Args:
        sequences: token ids, one array of shape [length] each, int8 or int16.
        names: one for each sequence, without the character NUL.
        splits: 'train', 'validation' or 'test' for each sequence, shape [n].
        source: where the sequences come from.
        vocabulary: of the ids.
        report: what was kept and dropped on the way here.
        max_tokens: the longest sequence that was allowed; 0 where there was no limit.

    Raises:
        ValueError: names or splits do not match the sequences, or a split is unknown.
    """

    sequences: list[NDArray[np.integer]]
    names: list[str]
    splits: NDArray[np.str_]
    source: str
    vocabulary: Vocabulary
    report: SkipReport = field(default_factory=SkipReport)
    max_tokens: int = 0

    def __post_init__(self) -> None:
        n = len(self.sequences)
        if len(self.names) != n or self.splits.shape != (n,):
            raise ValueError(
                f"{n} sequences need as many names and splits, "
                f"got {len(self.names)} names and splits of shape {self.splits.shape}"
            )
        unknown = sorted(set(self.splits.tolist()) - set(SPLITS))
        if unknown:
            raise ValueError(f"unknown splits {unknown}; the splits are {', '.join(SPLITS)}")

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def n_tokens(self) -> int:
        """Tokens of all sequences together."""
        return sum(len(sequence) for sequence in self.sequences)

    def split(self, name: str) -> list[NDArray[np.integer]]:
        """The sequences of one split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in SPLITS:
            raise ValueError(f"there is no split {name!r}; the splits are {', '.join(SPLITS)}")
        return [self.sequences[i] for i in np.flatnonzero(self.splits == name)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one .npz file, whole or not at all; missing folders are made."""
        lengths = [len(sequence) for sequence in self.sequences]
        write_arrays(
            path,
            tokens=np.concatenate([np.zeros(0, np.int8), *self.sequences]),
            offsets=np.cumsum([0, *lengths], dtype=np.int64),
            # one long name would make an array of texts as wide for all of them
            names=np.frombuffer("\0".join(self.names).encode(), np.uint8),
            splits=np.array([SPLITS.index(name) for name in self.splits], np.uint8),
            source=np.array(self.source),
            vocabulary=np.array(json.dumps(asdict(self.vocabulary))),
            report=np.array(json.dumps(self.report.to_dict(), ensure_ascii=False)),
            max_tokens=np.array(self.max_tokens),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], vocabulary: Vocabulary | None = None) -> Corpus:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no corpus, or its ids are not those of ``vocabulary``.
        """
        try:
            data = read_arrays(path, "it")
            corpus = cls(
                sequences=_cut(data["tokens"], data["offsets"]),
                names=data["names"].tobytes().decode().split("\0") if len(data["splits"]) else [],
                splits=np.array(SPLITS)[data["splits"]],
                source=str(data["source"]),
                vocabulary=Vocabulary(**parse_json(str(data["vocabulary"]))),
                report=_report(**parse_json(str(data["report"]))),
                max_tokens=int(data["max_tokens"]),
            )
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"{path} is not a corpus file, as Corpus.save writes them ({error})"
            ) from error
        if vocabulary is not None and corpus.vocabulary.fingerprint != vocabulary.fingerprint:
            raise ValueError(
                f"{path} holds ids of another vocabulary ({corpus.vocabulary.size} tokens where "
                f"{vocabulary.size} are expected); build the corpus again"
            )
        tokens, size = data["tokens"], corpus.vocabulary.size
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < size:
            raise ValueError(f"{path} is damaged: it holds ids outside 0..{size - 1}")
        return corpus


def _cut(tokens: NDArray[Any], offsets: NDArray[Any]) -> list[NDArray[np.integer]]:
    """The sequences that lie end to end in ``tokens`` [n], each from one offset to the next."""
    whole = tokens.ndim == 1 and np.issubdtype(tokens.dtype, np.integer)
    rising = offsets.ndim == 1 and np.issubdtype(offsets.dtype, np.integer) and len(offsets) > 0
    if not (whole and rising and offsets[0] == 0 and offsets[-1] == len(tokens)):
        raise ValueError("its offsets are not those of its tokens")
    if (np.diff(offsets) < 0).any():
        raise ValueError("its offsets go backwards")
    return [tokens[start:end] for start, end in itertools.pairwise(offsets)]


def _report(**stored: Any) -> SkipReport:
    report = SkipReport(**stored)
    counts = {"kept": report.kept, **report.dropped, **report.unknown}
    if not all(isinstance(count, int) for count in counts.values()):
        raise ValueError("its report's counts are not whole numbers")
    return report


def split_of(tokens: ArrayLike, fractions: Sequence[float] = FRACTIONS) -> str:
    """The split of a sequence: 'train', 'validation' or 'test', from its content alone.

    Args:
        tokens: ids, shape [length].
        fractions: expected shares of the three splits; they sum to 1.

    Raises:
        ValueError: the fractions are not three shares that sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be three shares that sum to 1, got {tuple(fractions)}")
    content = np.asarray(tokens).astype("<i2").tobytes()
    place = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
    train, validation, _ = fractions
    if place < train:
        return "train"
    return "validation" if place < train + validation else "test"
