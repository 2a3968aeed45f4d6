"""Verse to look at: stress marks over the syllables of each line, as text and as SVG."""

from __future__ import annotations

import re
from html import escape

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.text.scansion import marked
from seqgen_envs.vocabulary import Vocabulary

#: Lines and characters of a line that are drawn; what goes on beyond them is no verse.
MAX_LINES, MAX_WIDTH = 40, 120
_FONT, _ADVANCE, _ROW = 12, 7.3, 17
_CONTROLS = re.compile(r"[^\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def marks(text: str) -> list[tuple[str, str]]:
    """For each line of a text its stress marks and its words.

    See :func:`~seqgen_envs.domains.text.scansion.marked`.
    """
    return [marked(line) for line in text.split("\n")] if text else []


def render_text(ids: NDArray[np.int64], vocabulary: Vocabulary) -> str:
    """A text with stress marks over it: ``x`` weak, ``/`` strong.

    Args:
        ids: int [n], padded or not.
        vocabulary: of the ids.
    """
    rows = [row for pair in marks(vocabulary.to_text(ids)) for row in pair]
    return "\n".join(rows)


def draw_svg(text: str) -> str:
    """The first lines of a text as one ``<svg>`` element, stress marks over the syllables."""
    lines = _CONTROLS.sub(" ", text).split("\n")[:MAX_LINES]
    rows = [row[:MAX_WIDTH] for line in lines for row in marked(line[:MAX_WIDTH])]
    width = _ADVANCE * max([20, *map(len, rows)])
    parts = [f'<svg viewBox="0 0 {width:g} {_ROW * len(rows) + 4}">']
    for number, row in enumerate(rows):
        fill = "#1b1f27" if number % 2 else "#4a5fd0"
        y = _ROW * (number + 1) - (3 if number % 2 else 0)
        # each word has its place: runs of blanks are one blank in SVG
        for word in re.finditer(r"\S+", row):
            parts.append(
                f'<text x="{_ADVANCE * word.start():g}" y="{y}" font-size="{_FONT}" '
                f'font-family="monospace" fill="{fill}">{escape(word.group())}</text>'
            )
    return "".join([*parts, "</svg>"])
