"""Spoilt files for every loader, in processes that are held to ten seconds and a gigabyte.

The seconds are those of the processor, so that other programs of a busy machine do not count; what
waits for something without working is given :data:`WALL`.

    PYTHONPATH=tests:. python -m helpers.fuzz -n 20000

What a loader may do with a file is read it or refuse it with one sentence (the errors that the
commands show as such). Anything else is a traceback; and no file takes more time or memory.
"""

import argparse
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from helpers.fuzz_loaders import LOADERS, make_seeds
from seqgen_envs.cli.common import EXPECTED

SECONDS, MEMORY = 10, 1024**3
WALL = 300.0


def verdict(load, path):
    """``"read"``, ``"refused"``, ``"memory"``, or what went wrong."""
    try:
        load(path)
    except MemoryError:
        return "memory"
    except EXPECTED as error:
        if isinstance(error, OSError) and error.errno == 12:
            return "memory"
        message = str(error)
        if "MemoryError" in message or "bad_alloc" in message:
            return "memory"
        return f"traceback: {message!r}" if not message or "\n" in message else "refused"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        return f"traceback: {type(error).__name__} at {place}: {str(error)[:200]}"
    return "read"


def _work(name, connection, folder):
    """Judge the files whose names come, within the memory."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.dup2(silent, 1)
    os.chdir(folder)
    while (path := connection.recv()) is not None:
        began = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(began + SECONDS), -1))
        found = verdict(LOADERS[name].load, Path(path))
        connection.send((found, time.process_time() - began))


class Worker:
    """A process for one loader, begun anew when it dies or has to be killed."""

    def __init__(self, name, folder):
        self.name, self.folder, self.process = name, folder, None

    def judge(self, path):
        """The verdict and the seconds it took."""
        if self.process is None:
            context = multiprocessing.get_context("fork")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_work, args=(self.name, theirs, self.folder))
            self.process.start()
            theirs.close()
        self.pipe.send(str(path))
        try:
            if self.pipe.poll(WALL):
                return self.pipe.recv()
            found = "hang"
        except EOFError:
            self.process.join()
            killed = self.process.exitcode == -signal.SIGXCPU
            found = "hang" if killed else "memory"  # nothing else here ends a process
        self.end()
        return found, float(SECONDS)

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


@dataclass
class Result:
    """What became of a loader's inputs; ``bad`` has a few of each kind, with their files."""

    counts: Counter = field(default_factory=Counter)
    bad: dict = field(default_factory=dict)
    slowest: float = 0.0


def fuzz(name, count, first=0, keep=None):
    """Give ``count`` spoilt files to one loader.

    Args:
        name: of the loader.
        count: files.
        first: number of the first; a file follows from its number alone.
        keep: a folder for the files that went wrong.
    """
    loader, result = LOADERS[name], Result()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        seeds = make_seeds(name, folder)
        worker = Worker(name, folder)
        for number in range(first, first + count):
            rng = random.Random(f"{name} {number}")
            path = loader.write(folder, loader.mutate(rng, seeds), rng)
            found, seconds = worker.judge(path)
            result.slowest = max(result.slowest, seconds)
            result.counts[found.partition(":")[0]] += 1
            if found not in ("read", "refused"):
                _note(result, found, name, number, path, keep)
        worker.end()
    return result


def _note(result, found, name, number, path, keep):
    kind = found[:120]
    if kind in result.bad:
        return
    result.bad[kind] = number
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        target = keep / f"{name}-{number}{path.suffix}"
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20_000, help="inputs over all loaders")
    parser.add_argument("--loaders", nargs="*", default=list(LOADERS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    each = -(-given.n // len(given.loaders))
    total = Counter()
    print("| loader | read | refused | traceback | hang | memory | slowest, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in given.loaders:
        result = fuzz(name, each, given.first, given.keep)
        total += result.counts
        kinds = ("read", "refused", "traceback", "hang", "memory")
        cells = " | ".join(str(result.counts[kind]) for kind in kinds)
        print(f"| {name} | {cells} | {result.slowest:.2f} |", flush=True)
        for kind, number in result.bad.items():
            print(f"    {number}: {kind}", flush=True)
    print(dict(total))


if __name__ == "__main__":
    main()
