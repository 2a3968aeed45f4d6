"""A newcomer's path, timed: install, first sound, first trained agent, first leaderboard.

    python benchmarks/first_steps.py [--out FOLDER]

The commands are those of the README's quick starts, run one after the other in an empty virtual
environment, in a copy of this checkout. Needs the network, and minutes. Beside the wall's clock
stands the processors' time, which a busy machine does not lengthen as much.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: What is reached, and how.
STEPS = (
    ("installed", "pip install '.[notation,bench]'"),
    ("first sounds", "seqgen sample melody -n 16 --out melodies"),
    ("first trained agent", "seqgen train psi MelodyGen-v0 --out runs/psi"),
    (
        "first leaderboard",
        "seqgen bench run --suite toy-v1 --agent psi --agent examples/agent.py:make --jobs 2 "
        "--out results && seqgen bench report results --out report",
    ),
)


def timed(command: str, folder: Path, environment: Path) -> dict[str, float]:
    """Seconds of one command, ``environment`` first on the path: by the clock, of processors."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    start, before = time.perf_counter(), processor_seconds()
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    return {"clock": seconds, "processors": processor_seconds() - before}


def processor_seconds() -> float:
    """Of all processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        source, environment = Path(temporary) / "seqgen", Path(temporary) / "venv"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "*.egg-info"))
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        for reached, command in STEPS:
            seconds[reached] = timed(command, source, environment)
            print(f"{reached}: {seconds[reached]}", flush=True)
    lines = [
        f"{date.today().isoformat()}, {os.cpu_count()} cores, in an empty environment; load "
        f"average {load:.1f} at the start.",
        "",
        "| | command | seconds | of processors |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {reached} | `{command}` | {seconds[reached]['clock']:.0f} "
            f"| {seconds[reached]['processors']:.0f} |"
            for reached, command in STEPS
        ),
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "first_steps.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = {"date": date.today().isoformat(), "load": load, "seconds": seconds}
    text = json.dumps(report, indent=1)
    (arguments.out / "first_steps.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
