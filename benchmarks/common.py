"""What the timed programs share: their options, the machine's description, the two result files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import seqgen_envs
from seqgen_envs.rules import Task, Term

RESULTS = Path(__file__).parent / "results"


def parse_options(doc: str, repeats: int, parts: Sequence[str] = ()) -> argparse.Namespace:
    """``--threads``, ``--repeats``, ``--quick``, ``--out``; PyTorch's threads are set.

    Where a program measures in ``parts``, ``--only`` names some.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch threads")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; rough")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    if parts:
        told = "measure this alone, and keep the rest of the results (may be repeated)"
        parser.add_argument("--only", action="append", choices=parts, help=told)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def clock() -> float:
    """Seconds: the process's CPU time on one thread, the wall's on several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def circumstances(load: float) -> dict[str, Any]:
    """What every report begins with; ``load`` is the machine's load average at the start."""
    return {
        "date": date.today().isoformat(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "load_average": load,
    }


def write_results(folder: Path, name: str, report: dict[str, Any], markdown: str) -> None:
    """``NAME.json`` and ``NAME.md``; the latter is printed too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown, encoding="utf-8")
    print(markdown)


def run_program(
    doc: str,
    name: str,
    repeats: int,
    measure: Callable[[int], dict[str, Any]],
    to_markdown: Callable[[dict[str, Any]], str],
) -> None:
    """A program whose only size is how often it measures: once with ``--quick``."""
    options = parse_options(doc, repeats)
    load = os.getloadavg()[0]
    wanted = 1 if options.quick else options.repeats
    report = circumstances(load) | {"repeats": wanted, **measure(wanted)}
    write_results(options.out, name, report, to_markdown(report))


def seqgen(*arguments: str, fails: bool = False) -> None:
    """Run the command; ``fails``: it may say by its exit status that something has failed."""
    program = "from seqgen_envs.cli import main; main()"
    code = subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode
    if code and not (fails and code == 1):
        raise SystemExit(code)


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    packages = ("seqgen", "gymnasium", "numpy", "torch")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in packages},
    }


def _version(package: str) -> str:
    return seqgen_envs.__version__ if package == "seqgen" else version(package)


def conditions(report: dict[str, Any]) -> str:
    """The date, the machine and the versions of a report, in words."""
    where = report["machine"]
    return (
        f"{report['date']}: {where['processor']}, {where['cores']} cores, {report['threads']} "
        f"PyTorch thread(s), Python {where['versions']['python']}, PyTorch "
        f"{where['versions']['torch']}"
    )


def _nothing(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.zeros(len(tokens))


def unpaid_task() -> Task:
    """A task that pays nothing, and costs as good as nothing."""
    return Task("nothing", [Term("nothing", _nothing, at="end")])


def multinomial(log_probs: Tensor) -> Tensor:
    """A token a row."""
    return torch.multinomial(log_probs.exp(), 1)[:, 0]


def race(log_probs: Tensor) -> Tensor:
    """A token a row, by an exponential race: the fastest way we know."""
    return log_probs.exp().div_(torch.empty_like(log_probs).exponential_()).argmax(dim=1)
