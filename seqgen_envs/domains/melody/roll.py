"""A melody as a small piano roll in SVG, for pages: no library, a kilobyte or two."""

from __future__ import annotations

from seqgen_envs.domains.melody.notes import tokens_to_notes
from seqgen_envs.domains.melody.render import pitch_range
from seqgen_envs.domains.melody.vocabulary import STEPS_PER_QUARTER, encode, pitch_name

_STEP, _ROW = 10, 6
_LEFT, _BAR = 26, 16
_BLACK_KEYS = (1, 3, 6, 8, 10)


def draw_svg(text: str) -> str:
    """The melody of ``text`` as one ``<svg>`` element: time to the right, pitch upwards.

    Black keys' rows are shaded, beats and bars ruled, each note's onset is darker. The lowest and
    the highest row are named. Text that holds an unknown token is an empty picture.
    """
    try:
        tokens = encode(text)
    except ValueError:
        return '<svg viewBox="0 0 346 78"></svg>'
    notes = tokens_to_notes(tokens)
    low, high = pitch_range(notes)
    width, height = _LEFT + _STEP * max(len(tokens), 1), _ROW * (high - low + 1)
    parts = [f'<svg viewBox="0 0 {width} {height + 2}">']
    for pitch in range(low, high + 1):
        if pitch % 12 in _BLACK_KEYS:
            parts.append(_rect(_LEFT, _ROW * (high - pitch), width - _LEFT, _ROW, "#e8ebf1"))
    for step in range(0, len(tokens) + 1, STEPS_PER_QUARTER):
        colour = "#c9cfda" if step % _BAR else "#8d96a8"
        parts.append(_rect(_LEFT + _STEP * step - 0.5, 0, 1, height, colour))
    for note in notes:
        x, y = _LEFT + _STEP * note.onset, _ROW * (high - note.pitch)
        parts.append(_rect(x + 0.5, y, _STEP * note.duration - 1, _ROW, "#4c8bf5", 1.5))
        parts.append(_rect(x + 0.5, y, 2.5, _ROW, "#1b3f8b", 1))
    for pitch, y in ((high, 8), (low, height)):
        parts.append(f'<text x="0" y="{y}" font-size="9" fill="#4a5263">{pitch_name(pitch)}</text>')
    return "".join([*parts, "</svg>"])


def _rect(x: float, y: float, width: float, height: float, fill: str, radius: float = 0) -> str:
    rounded = f' rx="{radius:g}"' if radius else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{rounded} fill="{fill}"/>'
    )
