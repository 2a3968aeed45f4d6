"""What an installation weighs: a fresh virtual environment for each extra, measured.

    python benchmarks/install_weight.py [--extras base,notation,...] [--out FOLDER]

Each environment is made from this checkout with pip, in a temporary folder that is deleted
afterwards. Needs the network, and minutes. Megabytes are 10^6 bytes of files under site-packages,
pip itself and compiled ``.pyc`` files left out; seconds depend on the network and on pip's cache.
"""

from __future__ import annotations

import argparse
import configparser
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MEGABYTE = 1e6
#: The installation without any extra.
BASE = "base"


def extras() -> list[str]:
    """The extras of setup.cfg, after :data:`BASE`."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return [BASE, *config["options.extras_require"]]


def packages(site: Path) -> dict[str, float]:
    """Megabytes of each entry of site-packages, by name."""
    sizes: dict[str, float] = {}
    for entry in site.iterdir():
        if entry.name.startswith(("pip", "_distutils")) or entry.name.endswith(".dist-info"):
            continue
        files = [entry] if entry.is_file() else entry.rglob("*")
        kept = (f for f in files if f.is_file() and f.suffix != ".pyc")
        sizes[entry.name] = sum(f.stat().st_size for f in kept) / MEGABYTE
    return sizes


def measure(extra: str, source: Path, folder: Path) -> dict[str, Any]:
    """Install one extra into a new environment: megabytes, distributions, seconds."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    wanted = str(source) if extra == BASE else f"{source}[{extra}]"
    start = time.perf_counter()
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-compile", wanted]
    subprocess.run(pip, check=True)
    seconds = time.perf_counter() - start
    site = next((folder / "lib").glob("python*/site-packages"))
    found = packages(site)
    return {
        "megabytes": sum(found.values()),
        "distributions": len(list(site.glob("*.dist-info"))) - len(list(site.glob("pip-*"))),
        "seconds": seconds,
        "largest": dict(sorted(found.items(), key=lambda item: -item[1])[:8]),
        "torch": next(p.stem.split("-")[1] for p in site.glob("torch-*.dist-info")),
    }


def known(path: Path) -> dict[str, Any]:
    """What an earlier run has measured of the extras that there still are."""
    if not path.exists():
        return {}
    measured = json.loads(path.read_text(encoding="utf-8"))["extras"]
    return {extra: row for extra, row in measured.items() if extra in extras()}


def table(report: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = {extra: report["extras"][extra] for extra in extras() if extra in report["extras"]}
    base = rows[BASE]
    lines = [
        f"Fresh environments, {report['date']}: {report['system']}, Python {report['python']}, "
        f"PyTorch {base['torch']}.",
        "",
        "| install | MB | more than without extras | distributions | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for extra, row in rows.items():
        name = "`pip install .`" if extra == BASE else f"`pip install '.[{extra}]'`"
        more = row["megabytes"] - base["megabytes"]
        added = "" if extra == BASE else f"{more:,.0f}"
        lines.append(
            f"| {name} | {row['megabytes']:,.0f} | {added} | {row['distributions']} "
            f"| {row['seconds']:.0f} |"
        )
    largest = ", ".join(f"{name} {size:,.0f}" for name, size in base["largest"].items())
    return "\n".join([*lines, "", f"The largest without extras, in MB: {largest}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--extras", default=",".join(extras()), help="with commas; others are kept as they are"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    arguments = parser.parse_args()
    wanted = arguments.extras.split(",")
    if unknown := sorted(set(wanted) - set(extras())):
        parser.error(f"setup.cfg has no extras {unknown}; it has {extras()[1:]}")
    report: dict[str, Any] = {
        "date": date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "extras": known(arguments.out / "install_weight.json"),
    }
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "seqgen"  # pip builds beside the source: not in the checkout
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "*.egg-info"))
        first = [] if BASE in report["extras"] else [BASE]  # what the others are compared with
        for extra in dict.fromkeys([*first, *wanted]):
            folder = Path(temporary) / extra
            report["extras"][extra] = measure(extra, source, folder)
            shutil.rmtree(folder)
            print(extra, report["extras"][extra], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1)
    (arguments.out / "install_weight.json").write_text(f"{text}\n", encoding="utf-8")
    (arguments.out / "install_weight.md").write_text(table(report), encoding="utf-8")


if __name__ == "__main__":
    main()
