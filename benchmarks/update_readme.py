"""Put the tables of benchmarks/results/ into README.md.

    python benchmarks/update_readme.py [--check]

Between ``<!-- begin: NAME -->`` and ``<!-- end -->`` goes ``benchmarks/results/NAME.md``, so no
figure in the README is typed by hand. ``--check`` writes nothing and fails where they differ.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[\w/-]+) -->\n).*?(?P<end><!-- end -->)", re.S)


def updated(text: str, results: Path = RESULTS) -> str:
    """``text`` with every block's contents taken from its file; FileNotFoundError without one."""

    def fill(block: re.Match[str]) -> str:
        table = (results / f"{block['name']}.md").read_text(encoding="utf-8").strip()
        return f"{block['begin']}{table}\n{block['end']}"

    return BLOCK.sub(fill, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if README.md is out of date")
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if arguments.check and new != old:
        raise SystemExit("README.md is out of date: run python benchmarks/update_readme.py")
    if not arguments.check:
        README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
