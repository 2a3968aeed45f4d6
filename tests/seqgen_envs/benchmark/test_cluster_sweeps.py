"""``seqgen bench run --backend ray``: rows made on a cluster, whatever becomes of its workers."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from helpers.clusters import two_nodes, until
from helpers.commands import run
from helpers.paths import ROOT
from seqgen_envs.benchmark import runner
from seqgen_envs.benchmark.apart import Outcome
from seqgen_envs.benchmark.store import FINISHED, Store
from seqgen_envs.benchmark.suites import BenchTask
from seqgen_envs.benchmark.work import Job, perform
from seqgen_envs.cluster import Gone

pytestmark = pytest.mark.spawn

AGENTS = ROOT / "tests" / "helpers" / "contestants.py"
SUITE = {
    "about": "small",
    "measure": "optimum",
    "headline": "kl_to_optimum",
    "higher_is_better": False,
    "metrics": ["kl_to_optimum", "objective"],
    "seeds": 1,
    "tasks": {"letters": {"env_id": "ToyGen-v0", "steps": 300, "episodes": 200}},
}


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "own-v1.yml"
    path.write_text(yaml.safe_dump(SUITE))
    return path


def table(folder):
    """What decides the report, of all rows."""
    rows = Store(folder).rows()
    assert all(row.status == FINISHED for row in rows), [row.error for row in rows]
    return {row.key: (row.metrics, row.samples, row.curve, row.steps) for row in rows}


def test_a_row_is_the_local_one_and_made_again_where_its_worker_is_lost(cluster, suite, tmp_path):
    unlucky, marks = f"{AGENTS}:unlucky", tmp_path / "marks"
    marks.mkdir()
    settings = tmp_path / "settings.yml"
    settings.write_text(yaml.safe_dump({unlucky: {"marks": str(marks), "times": 1}}))
    run("bench", "run", "--suite", suite, "--agent", "prior", "--agent", unlucky,
        "--settings", settings, "--backend", "ray", "--out", tmp_path / "out")  # fmt: skip
    rows = {row.agent.rpartition(":")[2]: row for row in Store(tmp_path / "out").rows()}
    assert {row.status for row in rows.values()} == {FINISHED}
    assert len(list(marks.iterdir())) == 1
    (task,) = SUITE["tasks"].values()
    here = perform(Job(SUITE["measure"], BenchTask("letters", **task), "prior", 0))
    assert (rows["prior"].metrics, rows["prior"].samples) == (here["metrics"], here["samples"])


def test_a_row_whose_workers_are_always_lost_has_failed(suite, tmp_path, monkeypatch):
    """And one that fails by itself is told as ever."""
    outcomes = [(1, Gone("Ray lost it")), (0, Outcome(None, "out of luck", 1.0))]
    monkeypatch.setattr(runner, "results_of", lambda *a, **k: iter(outcomes))
    said = run("bench", "run", "--suite", suite, "--agent", "prior", "--agent", "psi",
               "--backend", "ray", "--out", tmp_path / "out", code=1)  # fmt: skip
    errors = {row.agent: row.error for row in Store(tmp_path / "out").rows()}
    assert errors == {"prior": "out of luck", "psi": "Ray lost it"}
    assert "2 rows failed" in said.stderr


def start(command, out):
    """A sweep in a process group of its own."""
    code = "from seqgen_envs.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command), "--out", str(out), "--backend", "ray"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def workers_of_rays(folder):
    """Workers of Ray's that have a row's process for a child whose files are in ``folder``: those
    of the test's own cluster, and nobody else's sweep on this machine.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().split(b"\0")
            files = [Path(os.fsdecode(word)) for word in command[-3:] if word]
            if b"seqgen_envs.benchmark.work" not in command:
                continue
            if not all(folder in file.parents for file in files):
                continue
            parent = (path.parent / "stat").read_text().rpartition(")")[2].split()[1]
            if Path(f"/proc/{parent}/cmdline").read_bytes().startswith(b"ray::"):
                found.append(int(parent))
    return found


def test_whose_workers_may_be_killed(tmp_path):
    """Not the parents of rows that another sweep makes: neither here nor in another folder."""
    code = "import time; time.sleep(30)"
    for folder in (tmp_path, tmp_path.parent):
        row = ["seqgen_envs.benchmark.work", str(folder / "a.job"), str(folder / "a.json")]
        decoy = subprocess.Popen([sys.executable, "-c", code, *row])
        try:
            assert workers_of_rays(tmp_path) == []
        finally:
            decoy.kill()
            decoy.wait()


@pytest.mark.slow
def test_a_sweep_whose_driver_and_worker_are_killed_ten_times(suite, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    rows = tmp_path / "rows"
    rows.mkdir()
    monkeypatch.setenv("TMPDIR", str(rows))  # of the cluster's workers: named in rows' commands
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # whose sockets' paths must be short
    rng = random.Random(0)
    agents = [part for name in ("prior", "best-of-n", "psi") for part in ("--agent", name)]
    command = ["bench", "run", "--suite", suite, *agents, "--seeds", 4]
    out, finished, lost = tmp_path / "killed", [], 0
    with two_nodes(join=False):
        began, process = time.monotonic(), start(command, out)
        assert until(lambda: Store(out).keys(), 300)
        first = time.monotonic() - began  # which sets the moments
        for _ in range(10):
            # a driver that has just started has none yet, and one that is done has none any more
            until(lambda: workers_of_rays(rows) or len(Store(out).keys()) == 12, 6 * first)
            if workers := workers_of_rays(rows):
                os.kill(rng.choice(workers), signal.SIGKILL)
                lost += 1
                time.sleep(first * rng.uniform(0, 0.3))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            finished.append(len(table(out)))
            process = start(command, out)
            time.sleep(first * rng.uniform(0.3, 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert start(command, out).wait() == 0
    run(*command, "--out", tmp_path / "whole", "--jobs", 2)
    assert len(table(out)) == 12
    assert table(out) == table(tmp_path / "whole")
    print(
        f"{lost} workers and 10 drivers killed; the first row took {first:.0f} s; {finished} rows"
    )
    assert lost >= 5
    assert sorted(finished) == finished
