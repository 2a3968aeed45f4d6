"""Melodies to look at: text, pixels, and plots.

:func:`render_text` and :func:`render_image` are the environment's render modes and need only numpy.
The ``write_*`` functions draw PNG plots with matplotlib's objects: no display, no global state.
Time runs to the right in sixteenths, pitch upwards.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqgen_envs.domains.melody.notes import Note, check_tokens, tokens_to_notes
from seqgen_envs.domains.melody.sheet import PLAIN, Sheet
from seqgen_envs.domains.melody.vocabulary import (
    FIRST_NOTE,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    SIZE,
    STEPS_PER_QUARTER,
    VOCABULARY,
    pitch_name,
)

#: Pixels of :func:`render_image`: the keyboard at the left, one pitch, and the widest step.
KEYBOARD_WIDTH = 24
ROW_HEIGHT = 8
STEP_WIDTH = 16

_BAR = 16
_BLACK_KEYS = (1, 3, 6, 8, 10)
_PITCHES = range(LOWEST_PITCH, HIGHEST_PITCH + 1)
_HEIGHT = ROW_HEIGHT * len(_PITCHES)

_WHITE_ROW, _BLACK_ROW = "#ffffff", "#eef0f4"
_STEP_LINE, _BEAT_LINE, _BAR_LINE = "#e8eaef", "#cfd4de", "#7c869b"
_NOTE, _ONSET = "#4c8bf5", "#1b3f8b"
_IVORY, _EBONY = "#fbfbf8", "#2b2f38"
_CHOSEN = "#d62728"


def render_text(tokens: ArrayLike | Sequence[Any], bar_length: int = _BAR) -> str:
    """The melody as text, a line a bar, beats apart.

    A pitch's name starts a note, ``-`` is no event (a hold), ``.`` a note off::

        1 | C4  -   -   -     E4  -   .   -     G4  -   -   -     C5  -   -   -   |

    Args:
        tokens: ids, shape [n].
        bar_length: sixteenths in a bar, at least 1.

    Raises:
        ValueError: a bad token or bar length.
    """
    names = VOCABULARY.decode(check_tokens(tokens))
    if bar_length < 1:
        raise ValueError(f"a bar of {bar_length} sixteenths is not at least 1")
    bars = [names[i : i + bar_length] for i in range(0, len(names), bar_length)] or [[]]
    digits = len(str(len(bars)))
    lines = []
    for number, bar in enumerate(bars, start=1):
        padded = [f"{name:<3}" for name in bar] + ["   "] * (bar_length - len(bar))
        beats = (padded[i : i + STEPS_PER_QUARTER] for i in range(0, bar_length, STEPS_PER_QUARTER))
        lines.append(f"{number:>{digits}} | " + "   ".join(" ".join(beat) for beat in beats) + " |")
    return "\n".join(lines)


def render_image(
    tokens: ArrayLike | Sequence[Any], length: int | None = None, bar_length: int = _BAR
) -> NDArray[np.uint8]:
    """The melody as a piano roll in pixels.

    A keyboard stands at the left; black keys' rows are shaded; beats and bars are ruled. A note's
    onset is darker than the rest of it. Steps not written yet are grey.

    Args:
        tokens: ids, shape [n]; may be padded.
        length: T, the steps drawn; None: as many as there are ids, pads included. The picture's
            size depends on T only.
        bar_length: sixteenths in a bar, at least 1.

    Returns:
        RGB pixels, shape [288, 24 + T * w, 3], the highest pitch first; w, the width of a step, is
        16 up to T = 128 and smaller after that, never under 2.

    Raises:
        ValueError: a bad token, or more tokens than ``length``.
    """
    checked = check_tokens(tokens)
    total = len(np.asarray(tokens)) if length is None else length
    if checked.size > total:
        raise ValueError(f"{checked.size} tokens do not fit in a picture of {total} steps")
    width = _step_width(total)
    image = _blank_roll(total, bar_length).copy()
    rest = image[:, KEYBOARD_WIDTH + checked.size * width :]
    rest -= rest // 6
    for note in tokens_to_notes(checked):
        top = (HIGHEST_PITCH - note.pitch) * ROW_HEIGHT
        rows = slice(top, top + ROW_HEIGHT)
        left = KEYBOARD_WIDTH + note.onset * width
        head = left + max(1, width // 4)
        image[rows, left : KEYBOARD_WIDTH + note.end * width] = _rgb(_NOTE)
        image[rows, left:head] = _rgb(_ONSET)
    return image


@lru_cache(maxsize=8)
def _blank_roll(total: int, bar_length: int) -> NDArray[np.uint8]:
    """The empty piano roll of ``total`` steps; callers copy it."""
    if bar_length < 1:
        raise ValueError(f"a bar of {bar_length} sixteenths is not at least 1")
    width = _step_width(total)
    image = np.empty((_HEIGHT, KEYBOARD_WIDTH + total * width, 3), dtype=np.uint8)
    keys, roll = image[:, :KEYBOARD_WIDTH], image[:, KEYBOARD_WIDTH:]
    keys[:] = _rgb(_IVORY)
    for row, pitch in enumerate(reversed(_PITCHES)):
        rows = slice(row * ROW_HEIGHT, (row + 1) * ROW_HEIGHT)
        black = pitch % 12 in _BLACK_KEYS
        roll[rows] = _rgb(_BLACK_ROW if black else _WHITE_ROW)
        if black:
            keys[rows, : KEYBOARD_WIDTH * 2 // 3] = _rgb(_EBONY)
        if pitch % 12 in (0, 5):  # the two places where white keys meet
            line = _BAR_LINE if pitch % 12 == 0 else _BEAT_LINE
            image[rows.stop - 1] = _rgb(line)
    for step in range(total):
        line = _step_line(step, bar_length)
        if line != _STEP_LINE or width >= 8:
            roll[:, step * width] = _rgb(line)
    return image


def _step_width(total: int) -> int:
    return max(2, min(STEP_WIDTH, 2048 // max(1, total)))


def _step_line(step: int, bar_length: int, pickup: int = 0) -> str:
    """The colour of the line at the left of a step."""
    in_bar = (step - pickup) % bar_length
    if in_bar == 0:
        return _BAR_LINE
    return _STEP_LINE if in_bar % STEPS_PER_QUARTER else _BEAT_LINE


@lru_cache(maxsize=32)
def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def write_piano_roll(
    tokens: ArrayLike | Sequence[Any],
    path: str | os.PathLike[str],
    title: str = "",
    sheet: Sheet = PLAIN,
) -> None:
    """Write a PNG plot of a melody: pitch names by bars, at least an octave high.

    Args:
        tokens: ids, shape [n].
        path: the PNG file to write.
        title: drawn above the plot.
        sheet: bars, upbeat and transposition.

    Raises:
        ValueError: a bad token.
        OSError: the file cannot be written.
    """
    checked = check_tokens(tokens)
    notes = sheet.written(tokens_to_notes(checked))
    low, high = pitch_range(notes)
    total = max(1, checked.size)
    figure, axes = _figure(total, (high - low + 1) * 0.16 + 1.0)
    black = [pitch for pitch in range(low, high + 1) if pitch % 12 in _BLACK_KEYS]
    across = axes.get_yaxis_transform()
    _boxes(axes, [(0, p, 1, 1.0) for p in black], color=_BLACK_ROW, transform=across, zorder=0)
    _rule_time(axes, total, sheet, offset=0.0)
    whole = [(note.onset, note.pitch, note.duration, 0.84) for note in notes]
    _boxes(axes, whole, color=_NOTE, edgecolor="white", linewidth=0.8, zorder=3)
    _boxes(axes, [(x, y, 0.22, h) for x, y, _, h in whole], color=_ONSET, zorder=4)
    axes.set_xlim(0, total)
    axes.set_ylim(low - 0.5, high + 0.5)
    named = [pitch for pitch in range(low, high + 1) if pitch % 12 not in _BLACK_KEYS]
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named], fontsize=7)
    axes.set_title(title, fontsize=10, loc="left")
    figure.savefig(path, format="png", dpi=150)


def _boxes(axes: Any, boxes: Sequence[tuple[float, float, float, float]], **style: Any) -> None:
    """Boxes (left edge, middle height, width, height) as one artist: one each is slow to draw."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(x, y - h / 2), (x + w, y - h / 2), (x + w, y + h / 2), (x, y + h / 2)]
        for x, y, w, h in boxes
    ]
    fill, edge = style.pop("color"), style.pop("edgecolor", "none")
    axes.add_collection(PolyCollection(corners, facecolor=fill, edgecolor=edge, **style))


def write_probability_heatmap(
    tokens: ArrayLike | Sequence[Any],
    log_probs: ArrayLike,
    path: str | os.PathLike[str],
    title: str = "",
    sheet: Sheet = PLAIN,
) -> None:
    """Write a PNG plot of a model's next-token probabilities along a melody.

    Colour is probability on a square-root scale, so that small ones show; rings mark the tokens
    that were chosen.

    Args:
        tokens: ids, shape [n].
        log_probs: natural logs, shape [T, 38], T >= n: row t is the distribution that token t was
            drawn from. Rows past the melody are drawn unmarked. -inf is probability 0.
        path: the PNG file to write.
        title: drawn above the plot.
        sheet: bars and upbeat; tokens are shown as they are, not transposed.

    Raises:
        ValueError: a bad token, ``log_probs`` of another shape, NaN or positive.
        OSError: the file cannot be written.
    """
    checked = check_tokens(tokens)
    probabilities = _probabilities(log_probs, checked.size)
    total = len(probabilities)
    figure, axes = _figure(total, 6.4, left=0.75, right=1.05)
    _rule_time(axes, total, sheet, offset=-0.5)
    axes.axhline(FIRST_NOTE - 0.5, color=_BAR_LINE, linewidth=0.8)
    from matplotlib.colors import PowerNorm

    picture = axes.imshow(
        probabilities.T, origin="lower", aspect="auto", interpolation="nearest",
        cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0),
    )  # fmt: skip
    axes.scatter(
        np.arange(checked.size), checked, s=26, facecolors="none", edgecolors=_CHOSEN,
        linewidths=1.2, zorder=4, label="chosen",
    )  # fmt: skip
    labels = ["note off", "hold", *VOCABULARY.tokens[FIRST_NOTE:]]
    axes.set_yticks(range(SIZE), labels, fontsize=6.5)
    axes.set_ylim(-0.5, SIZE - 0.5)
    axes.set_title(title, fontsize=10, loc="left")
    width, height = figure.get_size_inches()
    beside = figure.add_axes(
        (1 - 0.9 / width, _BELOW / height, 0.2 / width, 1 - (_BELOW + _ABOVE) / height)
    )
    bar = figure.colorbar(picture, cax=beside)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.tick_params(labelsize=7)
    bar.set_label("probability (ring: the token chosen)", fontsize=8)
    figure.savefig(path, format="png", dpi=150)


def _probabilities(log_probs: ArrayLike, steps: int) -> NDArray[np.float64]:
    """exp of ``log_probs``, checked, shape [T, 38]."""
    logs = np.asarray(log_probs, dtype=np.float64)
    if logs.ndim != 2 or logs.shape[1] != SIZE or len(logs) < max(1, steps):
        raise ValueError(
            f"log_probs must be [T, {SIZE}] with T at least {max(1, steps)} (the tokens), "
            f"got {list(logs.shape)}"
        )
    if np.isnan(logs).any() or logs.max() > 1e-4:
        raise ValueError("log_probs must be natural log probabilities: none NaN, none above 0")
    return np.exp(np.minimum(logs, 0.0))


def pitch_range(notes: Sequence[Note]) -> tuple[int, int]:
    """Lowest and highest pitch to draw: the notes and one semitone, at least an octave."""
    pitches = [note.pitch for note in notes] or [60, 72]
    low, high = min(pitches) - 1, max(pitches) + 1
    missing = max(0, 12 - (high - low))
    return low - missing // 2, high + (missing + 1) // 2


#: Inches of a picture below and above its axes.
_BELOW, _ABOVE = 0.5, 0.35


def _figure(steps: int, height: float, left: float = 0.55, right: float = 0.15) -> tuple[Any, Any]:
    """The figure, made ``height`` inches high and as wide as the number of steps, and its axes.

    ``left`` and ``right`` are inches beside the axes: a layout that fits itself draws all twice.
    """
    figure = _sheet_of_paper()
    figure.clear()
    width = min(30.0, max(6.0, 1.2 + 0.24 * steps))
    figure.set_size_inches(width, height)
    axes = figure.add_axes(
        (left / width, _BELOW / height, 1 - (left + right) / width, 1 - (_BELOW + _ABOVE) / height)
    )
    return figure, axes


@cache
def _sheet_of_paper() -> Any:
    """The one figure that all pictures are drawn on and saved from, one after the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    return figure


def _rule_time(axes: Any, total: int, sheet: Sheet, offset: float) -> None:
    """Draw beat and bar lines and number the bars; step t's left edge is at t + offset.

    An upbeat is bar 0.
    """
    from matplotlib.collections import LineCollection

    length, upbeat = sheet.bar_length, sheet.upbeat
    colours = [_step_line(step, length, upbeat) for step in range(total + 1)]
    ruled = [(step + offset, colour) for step, colour in enumerate(colours) if colour != _STEP_LINE]
    lines = LineCollection(
        [[(x, 0.0), (x, 1.0)] for x, _ in ruled], colors=[colour for _, colour in ruled],
        linewidths=0.8, zorder=2, transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    axes.add_collection(lines)
    starts = {start: number for number, start in enumerate(range(upbeat, total, length), 1)}
    starts |= {0: 0} if upbeat else {}
    axes.set_xticks([step + offset for step in starts], list(map(str, starts.values())), fontsize=8)
    axes.set_xlabel("bar (thin lines: beats)", fontsize=8)
    axes.tick_params(length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
