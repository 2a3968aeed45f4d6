"""Sequences to see and to hear: pictures as clean SVG, sounds as small WAV files in addresses."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping
from math import gcd
from typing import Any
from xml.etree import ElementTree as ET

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain import Domain
from seqgen_envs.extras import require
from seqgen_envs.registration import check_id, get_domain

#: Samples a second of a sound: enough for a melody's line.
RATE = 8000
#: What a picture may hold; a domain may be anybody's: no scripts, links, styles, foreign content.
# fmt: off
_ELEMENTS = frozenset({
    "svg", "g", "path", "rect", "line", "circle", "ellipse", "polygon", "polyline", "text",
    "tspan", "title", "desc",
})
_ATTRIBUTES = frozenset({
    "viewBox", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "r", "rx", "ry", "cx", "cy",
    "width", "height", "points", "transform", "opacity", "fill", "fill-opacity", "stroke",
    "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "stroke-dasharray",
    "font-size", "font-family", "font-weight", "text-anchor", "dominant-baseline",
})
# fmt: on
#: Values that say nothing: RDKit writes them on every line.
_DEFAULTS = frozenset(
    {
        ("stroke-linecap", "butt"),
        ("stroke-linejoin", "miter"),
        ("stroke-opacity", "1"),
        ("fill-opacity", "1"),
        ("opacity", "1"),
        ("font-weight", "normal"),
    }
)  # fmt: skip


def domain_of(env_id: str) -> Domain | None:
    """The domain of an environment; None where it is not installed here."""
    try:
        check_id(env_id)
        return get_domain(gym.spec(env_id.rpartition(":")[2]).kwargs["domain"])
    except (ValueError, ImportError, KeyError):
        return None


def picture(domain: Domain | None, text: str) -> str:
    """The domain's picture of a sequence, cleaned; "" where it has none, or nothing is in it."""
    if domain is None or domain.view.svg is None:
        return ""
    drawn = clean(domain.view.svg(text))
    return drawn if drawn.count("<") > 2 else ""  # more than the element itself


def clean(svg: str) -> str:
    """An ``<svg>`` element with nothing in it but shapes and text.

    ``style`` is taken apart into attributes, since it may hold addresses.

    Raises:
        ValueError: it is not well-formed, or not an SVG.
    """
    try:
        root = ET.fromstring(svg)
    except ET.ParseError as error:
        raise ValueError(f"the domain's picture is no SVG: {error}") from error
    if _local(root.tag) != "svg":
        raise ValueError(f"the domain's picture is a <{_local(root.tag)}>, not an <svg>")
    kept = _kept(root)
    for name in ("width", "height", "x", "y"):  # the page decides
        kept.attrib.pop(name, None)
    kept.set("aria-hidden", "true")  # the text beside it says the same
    return ET.tostring(kept, encoding="unicode")


def _kept(element: ET.Element) -> ET.Element:
    pairs = (part.partition(":")[::2] for part in element.get("style", "").split(";"))
    given = {**element.attrib, **{name.strip(): value.strip() for name, value in pairs}}
    copy = ET.Element(
        _local(element.tag),
        {
            name: value
            for name, value in given.items()
            if name in _ATTRIBUTES and "url" not in value.lower() and (name, value) not in _DEFAULTS
        },
    )
    copy.text, copy.tail = element.text, element.tail
    copy.extend(_kept(child) for child in element if _local(child.tag) in _ELEMENTS)
    return copy


def _local(tag: Any) -> str:
    """A tag without its namespace; "" of a comment."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def sound(domain: Domain | None, sample: Mapping[str, Any]) -> str:
    """The address of a sequence's sound; "" where the domain has none, or it is silent."""
    if domain is None or domain.view.waveform is None:
        return ""
    ids = ids_of(domain, sample)
    if ids is None:
        return ""
    heard = np.asarray(domain.view.waveform(ids), dtype=np.float64)
    if not heard.size or not np.abs(heard).max() > 0:
        return ""
    return wav_address(heard, domain.view.sample_rate)


def ids_of(domain: Domain, sample: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """Token ids of a kept sequence; None where its text is no sequence of the domain."""
    if "tokens" in sample:
        return np.asarray(sample["tokens"], dtype=np.int64)
    try:
        return domain.to_ids(sample["text"])
    except ValueError:
        return None


def wav_address(samples: NDArray[np.float64], rate: int) -> str:
    """Samples in -1..1 as a mono 16-bit WAV of :data:`RATE` in a ``data:`` address."""
    common = gcd(RATE, rate)
    resample = require("scipy.signal", "bench").resample_poly
    heard = np.clip(resample(samples, RATE // common, rate // common), -1, 1)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(heard * 32767).astype("<i2").tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(content.getvalue()).decode()}"
