"""A training that is killed at random moments ends where one that was left alone does."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from helpers.runs import (
    KILLED,
    keep_running,
    letters,
    molecule_spec,
    rows_of,
    same_parameters,
    scalars_of,
)
from kl_agents.runs import Stopped, evaluate_agent, load, resume_run, start_run
from kl_agents.runs.lock import locked
from kl_agents.writers import read_progress
from seqgen_envs.loading import trusting

pytestmark = pytest.mark.spawn
CLOCKS = ("time/fps", "time/time_elapsed")
SEQGEN = (sys.executable, "-c", "from seqgen_envs.cli import main; main()")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["kl_agents.runs", "helpers.runs"])


@pytest.fixture(autouse=True)
def trusted():
    """The task is code that config.json names."""
    with trusting():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody touches, and how long it took."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    began = time.perf_counter()
    start_run(folder, molecule_spec(), KILLED)
    return folder, time.perf_counter() - began


@pytest.mark.parametrize("wanted", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_change_nothing(wanted, whole, tmp_path):
    reference, seconds = whole
    folder, rng = tmp_path / "run0", random.Random(time.time_ns())
    kills, finished, resumed_from = 0, 0, set()
    while kills < wanted:
        began = time.time_ns()
        process = begin(folder)
        if kills % 4 != 3:  # let it get somewhere; the others may die while they load
            wait_for(folder / "checkpoint.zip", began, process)
        time.sleep(rng.uniform(0, seconds / 4))
        if process.exitcode is not None:  # it came to its end: begin another
            assert process.exitcode == 0
            assert_same_run(folder, reference)
            finished += 1
            folder = tmp_path / f"run{finished}"
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        if (folder / "checkpoint.zip").exists():
            resumed_from.add(load(folder / "checkpoint.zip").num_timesteps)
    keep_running(folder, molecule_spec(), KILLED)
    assert_same_run(folder, reference)
    print(f"{kills} kills, {finished + 1} runs, resumed at {sorted(resumed_from)}")
    assert len(resumed_from) >= wanted // 3, "the kills came too early to test anything"


def begin(folder):
    process = CONTEXT.Process(target=keep_running, args=(folder, molecule_spec(), KILLED))
    process.start()
    return process


def wait_for(path, since, process):
    """Until the process has written a file, or has ended."""
    while process.exitcode is None:
        if path.exists() and path.stat().st_mtime_ns > since:
            return
        time.sleep(0.005)


def assert_same_run(folder, reference):
    ours, theirs = load(folder), load(reference)
    assert ours.num_timesteps == theirs.num_timesteps
    assert same_parameters(ours, theirs)
    rows, expected = (read_progress(f / "progress.csv") for f in (folder, reference))
    for row in rows + expected:
        for name in CLOCKS:
            row.pop(name, None)
    assert rows == expected
    assert scalars_of(folder / "tb") == scalars_of(reference / "tb")
    for name in ("molecules.csv", "failures.txt"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes()
    task, other = (model.env.get_attr("task")[0] for model in (ours, theirs))
    assert task.failures.count == other.failures.count
    results = [evaluate_agent(m, molecule_spec(), 64, 1).to_dict() for m in (ours, theirs)]
    assert results[0] | {"seconds": 0} == results[1] | {"seconds": 0}


def test_a_signal_while_an_oracle_is_waited_for_ends_at_once(whole, tmp_path, monkeypatch):
    asked = []

    def slow(smiles):
        asked.append(len(smiles))
        if len(asked) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(600)
        return letters(smiles)

    monkeypatch.setattr("helpers.runs.letters", slow)
    folder = tmp_path / "run"
    # a suite in a shell's background has it ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(Stopped, match=r"SIGINT after [1-9]\S* steps, with a checkpoint"):
        start_run(folder, molecule_spec(), replace(KILLED, checkpoint_rounds=None))
    signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    resume_run(folder, KILLED)
    assert_same_run(folder, whole[0])


def test_the_run_tests_what_it_should(whole):
    """Budget, diversity, augmentation and failures all had something to do."""
    folder = whole[0]
    last = read_progress(folder / "progress.csv")[-1]
    assert last["rollout/failures"] > 0
    assert any(row.get("train/augmented", 0) > 0 for row in read_progress(folder / "progress.csv"))
    rows = rows_of(folder / "molecules.csv")
    assert list(rows[0]) == ["text", "step", "task_return", "term_custom", "term_validity",
                             "bucket", "factor"]  # fmt: skip
    assert len({row["text"] for row in rows}) == len(rows) > 100
    assert {row["factor"] for row in rows} == {"0.0", "1.0"}
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    assert steps[-1] <= last["time/total_timesteps"]
    assert (folder / "failures.txt").read_text().startswith("rule 'custom' failed on tokens [")


def test_a_spent_budget_ends_a_run_that_goes_on(tmp_path):
    spec = molecule_spec(budget=40)
    model = start_run(tmp_path / "run", spec, KILLED)
    assert model.num_timesteps < spec.total_timesteps
    (tmp_path / "run" / "agent.zip").unlink()  # as if it had been killed just before its end
    again = resume_run(tmp_path / "run", KILLED)
    assert again.num_timesteps == model.num_timesteps
    assert same_parameters(again, model)


@pytest.mark.slow
def test_a_second_process_is_refused(tmp_path):
    folder = tmp_path / "run"
    first = begin(folder)
    wait_for(folder / "progress.csv", 0, first)
    second = subprocess.run(
        [*SEQGEN, "train", "--resume", "--trust", "--out", folder], capture_output=True, text=True
    )
    assert second.returncode == 1
    assert f"is in use: process {first.pid} on " in second.stderr
    assert "Traceback" not in second.stderr
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    with locked(folder):  # the dead hold nothing
        pass
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(number, tmp_path):
    folder = tmp_path / "my run"
    arguments = ["train", "psi", "ToyGen-v0", "--steps", "10000000", "--out", str(folder)]
    process = subprocess.Popen(
        [*SEQGEN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a suite in a shell's background has it ignored, and what is ignored is inherited
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not ((folder / "progress.csv").exists() and len(read_progress(folder / "progress.csv"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    steps = load(folder / "checkpoint.zip").num_timesteps
    assert f"stopped by {number.name} after {steps:,} steps" in errors
    assert f"go on with: seqgen train --resume --out '{folder}'" in errors
    assert "Traceback" not in errors
