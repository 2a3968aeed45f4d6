"""A page as one HTML file: style and script are in it, and it asks nothing of any network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from seqgen_envs.benchmark.page.blocks import Page
from seqgen_envs.benchmark.page.charts import swatch
from seqgen_envs.extras import require
from seqgen_envs.reporting.files import write_text

FOLDER = Path(__file__).parent
#: Everything is in the document: no address but those of its own data.
POLICY = (
    "default-src 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'none'; form-action 'none'"
)
_TEMPLATE, _STYLE, _SCRIPT = "page.html.j2", "page.css", "page.js"


def render(page: Page) -> str:
    """The document.

    Every text is escaped by jinja2; charts and pictures are markup that this package has built or
    cleaned. The document's own policy lets it load nothing from anywhere.

    Raises:
        ImportError: jinja2 is not installed (the extra ``bench``).
    """
    jinja2: Any = require("jinja2", "bench")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.globals["swatch"] = swatch
    script = (FOLDER / _SCRIPT).read_text(encoding="utf-8").strip()
    style = (FOLDER / _STYLE).read_text(encoding="utf-8").strip()
    document: str = environment.get_template(_TEMPLATE).render(
        page=page, script=script, style=style, policy=POLICY
    )
    return document.lstrip()


def slug(title: str) -> str:
    """A title as an element's id."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def write(page: Page, path: Path) -> None:
    """Write :func:`render` into a file, whole or not at all."""
    write_text(path, render(page))
