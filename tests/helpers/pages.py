"""README.md and the pages under docs/: their blocks of code, their links."""

import re
from typing import NamedTuple

from helpers.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Pages that docs/hooks.py makes when the site is built.
MADE = {
    "docs/reference/command-line.md",
    "docs/contributing.md",
    "docs/changelog.md",
}
BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^>]+) -->\n)?```(?P<language>sh|python)\n(?P<text>.*?)^```",
    re.S | re.M,
)


class Block(NamedTuple):
    """A block of code: the comment right above it, ``sh`` or ``python``, its text and its line."""

    marker: str
    language: str
    text: str
    line: int


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks_of(page):
    """The blocks that are to run, in order."""
    text = text_of(page)
    return [
        Block(
            found["marker"] or "",
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("text")) + 1,
        )
        for found in BLOCK.finditer(text)
    ]


def command(name):
    """The shell command under the README's marker of that name."""
    found = [b.text.strip() for b in blocks_of(ROOT / "README.md") if b.marker == f"{name}-command"]
    assert len(found) == 1
    return found[0]
