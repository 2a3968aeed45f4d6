"""Charts as SVG elements: lines with bands, and points.

They are written here, once, and not drawn in the page by a library: so they are there without
JavaScript, take the page's colours in light and dark, print, and are read as one picture with a
text beside it. What is interactive in the page (dimming series) goes by their ``data-series``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from seqgen_envs.benchmark.page.blocks import Chart, Table
from seqgen_envs.reporting.tables import format_number

WIDTH, HEIGHT = 440, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 12, 44
#: Colours and shapes that the page has; series beyond that take them again, with other dashes.
COLOURS = 8
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_SIZE = 5.0


@dataclass(frozen=True)
class Series:
    """Numbers of one name.

    Args:
        name: in the legend.
        number: decides its colour and shape, the same in every chart of a section.
        x, y: of the points, equally many.
        low, high: of a band around a line; empty for none.
    """

    name: str
    number: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Axis:
    """What is along an edge: its label, and the numbers from ``low`` to ``high`` it spans."""

    label: str
    low: float
    high: float

    @classmethod
    def over(cls, label: str, values: Sequence[float], margin: float = 0.0) -> Axis:
        """An axis over all values, with so much of their range free at either end."""
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        room = (high - low) * margin
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            room = abs(high) * 0.1 or 1.0
        return cls(label, low - room, high + room)

    @property
    def ticks(self) -> list[float]:
        """Round numbers inside, about five."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]

    def share(self, value: float) -> float:
        """Where a value is: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def lines(title: str, about: str, x: str, y: str, series: Sequence[Series], data: Table) -> Chart:
    """A chart of lines; a series of one point is drawn as a point."""
    across = Axis.over(x, [value for one in series for value in one.x])
    heights = [v for one in series for values in (one.y, one.low, one.high) for v in values]
    frame = _Frame(title, about, across, Axis.over(y, heights, 0.05))
    for one in series:
        frame.band(one)
    for one in series:
        frame.line(one)
    return Chart(title, frame.markup(), about, data)


def points(
    title: str,
    about: str,
    x: str,
    y: str,
    series: Sequence[Series],
    data: Table,
    bound: tuple[str, float] | None = None,
) -> Chart:
    """A chart of points; ``bound``: a level line across, and what it is called."""
    across = Axis.over(x, [value for one in series for value in one.x], 0.08)
    heights = [value for one in series for value in one.y]
    frame = _Frame(title, about, across, Axis.over(y, heights + ([bound[1]] if bound else []), 0.1))
    if bound:
        frame.level(*bound)
    for one in series:
        frame.points(one)
    return Chart(title, frame.markup(), about, data)


class _Frame:
    """An ``<svg>`` with axes, to be drawn into."""

    def __init__(self, title: str, about: str, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        self.svg = ET.Element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
        self.svg.set("aria-label", f"{title}. {about}")
        for tick in x.ticks:
            at = self._across(tick)
            _add(self.svg, "line", "grid", x1=at, x2=at, y1=_TOP, y2=HEIGHT - _BOTTOM)
            _text(self.svg, "tick middle", at, HEIGHT - _BOTTOM + 16, _short(tick))
        for tick in y.ticks:
            at = self._up(tick)
            _add(self.svg, "line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at)
            _text(self.svg, "tick end", _LEFT - 6, at + 4, _short(tick))
        _text(self.svg, "label middle", (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, x.label)
        middle = (_TOP + HEIGHT - _BOTTOM) / 2
        side = _text(self.svg, "label middle", 0, 0, y.label)
        side.set("transform", f"translate(12 {middle:g}) rotate(-90)")

    def _across(self, value: float) -> float:
        return round(_LEFT + self.x.share(value) * (WIDTH - _LEFT - _RIGHT), 1)

    def _up(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - self.y.share(value) * (HEIGHT - _TOP - _BOTTOM), 1)

    def _group(self, one: Series) -> ET.Element:
        group = _add(self.svg, "g", f"series c{one.number % COLOURS}")
        group.set("data-series", str(one.number))
        _add(group, "title", "").text = one.name
        return group

    def _path(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self._across(a):g},{self._up(b):g}" for a, b in zip(x, y, strict=True))

    def band(self, one: Series) -> None:
        """The area between ``low`` and ``high``."""
        if len(one.low):
            there = self._path(one.x, one.low)
            back = self._path(list(one.x)[::-1], list(one.high)[::-1])
            _add(self._group(one), "polygon", "band", points=f"{there} {back}")

    def line(self, one: Series) -> None:
        """The line through the points."""
        if len(one.x) == 1:
            self.points(one)
            return
        dash = dash_of(one.number)
        drawn = _add(self._group(one), "polyline", "line", points=self._path(one.x, one.y))
        if dash:
            drawn.set("stroke-dasharray", dash)

    def points(self, one: Series) -> None:
        """A mark at each point."""
        group = self._group(one)
        for x, y in zip(one.x, one.y, strict=True):
            mark = _add(group, "path", "mark", d=shape_of(one.number))
            mark.set("transform", f"translate({self._across(x):g} {self._up(y):g})")
            said = f"{one.name}: {format_number(x)}, {format_number(y)}"
            _add(mark, "title", "").text = said

    def level(self, name: str, value: float) -> None:
        """A line across at a value, named above it."""
        at = self._up(value)
        _add(self.svg, "line", "bound", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at)
        _text(self.svg, "label end", WIDTH - _RIGHT - 2, at - 5, name)

    def markup(self) -> str:
        """The element as text, everything in it escaped."""
        return ET.tostring(self.svg, encoding="unicode")


def dash_of(number: int) -> str:
    """The dashes of a series' line: "" for a whole one."""
    return _DASHES[number // COLOURS % len(_DASHES)]


def shape_of(number: int) -> str:
    """The outline of a series' mark around (0, 0): each of the colours has its own shape."""
    s = _SIZE
    shapes = (
        f"M{-s} 0a{s} {s} 0 1 0 {2 * s} 0a{s} {s} 0 1 0 {-2 * s} 0z",
        f"M{-s} {-s}h{2 * s}v{2 * s}h{-2 * s}z",
        f"M0 {-s * 1.2}L{s * 1.2} {s}H{-s * 1.2}z",
        f"M0 {-s * 1.4}L{s * 1.4} 0L0 {s * 1.4}L{-s * 1.4} 0z",
        f"M0 {s * 1.2}L{s * 1.2} {-s}H{-s * 1.2}z",
        "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
        f"M{-s * 1.2} 0L{s} {-s * 1.2}V{s * 1.2}z",
        f"M{s * 1.2} 0L{-s} {-s * 1.2}V{s * 1.2}z",
    )
    return shapes[number % COLOURS]


def swatch(number: int) -> str:
    """What stands for a series in a legend."""
    kind = f"swatch c{number % COLOURS}"
    svg = ET.Element("svg", {"viewBox": "-16 -8 32 16", "class": kind, "aria-hidden": "true"})
    line = _add(svg, "line", "line", x1=-15, x2=15, y1=0, y2=0)
    if dash_of(number):
        line.set("stroke-dasharray", dash_of(number))
    _add(svg, "path", "mark", d=shape_of(number))
    return ET.tostring(svg, encoding="unicode")


def _add(parent: ET.Element, tag: str, kind: str, **attributes: float | str) -> ET.Element:
    given = {k: v if isinstance(v, str) else f"{v:g}" for k, v in attributes.items()}
    return ET.SubElement(parent, tag, {**({"class": kind} if kind else {}), **given})


def _text(parent: ET.Element, kind: str, x: float, y: float, content: str) -> ET.Element:
    element = _add(parent, "text", kind, x=x, y=y)
    element.text = content
    return element


def _short(value: float) -> str:
    """A tick: 20000 is 20k."""
    if abs(value) < 1e-12:
        return "0"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
