"""Put the tables of benchmarks/results/ and the code of examples/ into README.md and docs/.

    python benchmarks/update_pages.py [--check]

Between ``<!-- begin: NAME -->`` and ``<!-- end -->`` goes ``benchmarks/results/NAME.md``, or, where
NAME is a Python file of the checkout, that file as a block of code. So no figure is typed by hand
and no code stands in two versions. ``--check`` writes nothing and fails where they differ.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[\w./-]+) -->\n).*?(?P<end><!-- end -->)", re.S)


def pages() -> list[Path]:
    """README.md and the pages under docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def updated(text: str, results: Path = RESULTS) -> str:
    """``text`` with every block's contents taken from its file; FileNotFoundError without one."""

    def fill(block: re.Match[str]) -> str:
        return f"{block['begin']}{contents(block['name'], results)}\n{block['end']}"

    return BLOCK.sub(fill, text)


def contents(name: str, results: Path) -> str:
    """A table as it is, Python as a block of code."""
    if not name.endswith(".py"):
        return (results / f"{name}.md").read_text(encoding="utf-8").strip()
    return f"```python\n{(ROOT / name).read_text(encoding='utf-8').strip()}\n```"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a page is out of date")
    arguments = parser.parse_args()
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = updated(old)
        if arguments.check and new != old:
            name = page.relative_to(ROOT)
            raise SystemExit(f"{name} is out of date: run python benchmarks/update_pages.py")
        if new != old:
            page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
