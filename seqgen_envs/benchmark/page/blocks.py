"""What a page is made of: plain data, which the template and the Markdown are written from.

Texts are plain text; whoever writes them into a format escapes them. Only ``svg`` is markup: it
comes from :mod:`~seqgen_envs.benchmark.page.charts` and :mod:`~seqgen_envs.benchmark.page.pictures`
alone, which escape what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from seqgen_envs.reporting.tables import format_number


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: what is read.
        value: what the column sorts by; None: the cell is not known and sorts last.
        note: a second, smaller line.
    """

    text: str
    value: float | str | None = None
    note: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it is set to the right."""
        return isinstance(self.value, (int, float)) or (self.value is None and self.text == "-")


def number(value: float | None, note: str = "") -> Cell:
    """A cell with a number, ``-`` where it is not known."""
    return Cell(format_number(value), value, note)


def text(content: str, note: str = "") -> Cell:
    """A cell with a text."""
    return Cell(content, content, note)


@dataclass(frozen=True)
class Table:
    """A table whose columns can be sorted by; the first cell of a row is its heading.

    Args:
        title: its caption.
        columns: their headings.
        rows: cells.
        note: below the caption.
        sorted_by: number of the column that the rows are sorted by, and whether from the top down.
        folded: shown only when it is opened.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    sorted_by: tuple[int, bool] | None = None
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart, and the same in a table for who does not see it.

    Args:
        title: its caption.
        svg: the markup of one ``<svg>`` element.
        about: one sentence: what is drawn, over what.
        data: its numbers.
    """

    title: str
    svg: str
    about: str
    data: Table


@dataclass(frozen=True)
class Charts:
    """Charts side by side, with one legend.

    Args:
        title: their heading.
        note: how they are to be read.
        legend: names of the series by their numbers.
        charts: see :class:`Chart`.
    """

    kind: ClassVar[str] = "charts"
    title: str
    note: str
    legend: Mapping[int, str]
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Bar:
    """A number as a bar: it begins at ``left`` and is ``width`` wide, in percent of its cell."""

    value: float | None
    left: float
    width: float

    @property
    def text(self) -> str:
        """The number."""
        return format_number(self.value)


@dataclass(frozen=True)
class Bars:
    """A table of bars, all on one scale.

    Args:
        title: its caption.
        note: what a bar is.
        columns: headings, the first one that of the rows' names.
        rows: a name and its bars.
        zero: where 0 is in each cell, in percent.
    """

    kind: ClassVar[str] = "bars"
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Bar]]]
    zero: float


def bars(
    title: str, note: str, columns: Sequence[str], rows: Mapping[str, Sequence[float | None]]
) -> Bars:
    """Bars of the numbers ``rows``, from the smallest (or 0) to the largest (or 0) of them."""
    known = [value for values in rows.values() for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    scale = 100 / (high - low) if high > low else 0.0

    def bar(value: float | None) -> Bar:
        if value is None:
            return Bar(None, 0, 0)
        return Bar(value, (min(value, 0.0) - low) * scale, abs(value) * scale)

    drawn = [(name, [bar(value) for value in values]) for name, values in rows.items()]
    return Bars(title, note, columns, drawn, -low * scale)


@dataclass(frozen=True)
class Sample:
    """One sequence.

    Args:
        text: what is copied.
        caption: whose it is, and what is known of it.
        svg: its picture, "" where there is none.
        sound: a ``data:`` address of a WAV, "" where there is none.
    """

    text: str
    caption: str
    svg: str = ""
    sound: str = ""


@dataclass(frozen=True)
class Samples:
    """Sequences to see, hear and copy, in groups with a heading each."""

    kind: ClassVar[str] = "samples"
    title: str
    note: str
    groups: Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Failures:
    """Runs that failed: what each was, in one line, and its traceback."""

    kind: ClassVar[str] = "failures"
    title: str
    note: str
    failures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Terms and what they are, such as the versions, or what the columns mean."""

    kind: ClassVar[str] = "facts"
    title: str
    facts: Mapping[str, str]
    folded: bool = False


Block = Table | Charts | Bars | Samples | Failures | Facts


@dataclass(frozen=True)
class Section:
    """A part of the page: one suite, or one run."""

    title: str
    about: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Page:
    """The whole.

    Args:
        title: of the page.
        about: one sentence.
        sections: in their order.
        facts: at the end: command, date, versions.
    """

    title: str
    about: str
    sections: Sequence[Section]
    facts: Mapping[str, str] = field(default_factory=dict)
