"""``seqgen bench``: anybody's agents, one row each, whatever becomes of them."""

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

from helpers.commands import refused, run
from helpers.paths import ROOT
from seqgen_envs.benchmark.store import FAILED, FINISHED, Row, Store, merge
from seqgen_envs.benchmark.suites import BenchTask, load_suite
from seqgen_envs.benchmark.work import Job, perform

AGENTS = ROOT / "tests" / "helpers" / "contestants.py"
TOY = {
    "about": "small",
    "measure": "optimum",
    "headline": "kl_to_optimum",
    "higher_is_better": False,
    "metrics": ["kl_to_optimum", "objective"],
    "seeds": 1,
    "tasks": {"letters": {"env_id": "ToyGen-v0", "steps": 300, "episodes": 200}},
}
CALLS = {
    "about": "small",
    "measure": "calls",
    "headline": "auc_top10",
    "metrics": ["auc_top10", "calls"],
    "seeds": 1,
    "tasks": {"qed": {"env_id": "PMO-QED-v0", "steps": 3000, "calls": 25}},
}


#: Names of agents that are not functions of the file above.
BUNDLED = ("psi", "prior", "reinvent")


@pytest.fixture
def suite(tmp_path):
    def write(content, name="own-v1"):
        path = tmp_path / f"{name}.yml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def job(content, agent, seed=0, settings=None):
    """The one task of a suite, performed in this process."""
    (name, task) = next(iter(content["tasks"].items()))
    reference = f"{AGENTS}:{agent}" if agent.isidentifier() and agent not in BUNDLED else agent
    return perform(
        Job(content["measure"], BenchTask(name, **task), reference, seed, settings or {})
    )


def test_the_prior_is_as_far_from_the_optimum_as_its_log_z():
    found = job(
        TOY | {"tasks": {"letters": {**TOY["tasks"]["letters"], "episodes": 4000}}}, "prior"
    )
    metrics = found["metrics"]
    assert metrics["kl_to_prior"] == pytest.approx(0.0, abs=1e-5)
    gap = metrics["log_z"] - metrics["task_return"] / 0.5
    assert metrics["kl_to_optimum"] == pytest.approx(gap, abs=1e-3)
    assert len(found["samples"]) == 16


def test_an_agent_without_a_distribution_gets_what_can_be_known():
    metrics = job(TOY, "uniform")["metrics"]
    assert metrics["kl_to_optimum"] is None
    assert metrics["objective"] is None
    assert metrics["task_return"] < 4
    assert metrics["log_z"] == pytest.approx(4.965, abs=1e-3)


def test_the_environment_keeps_the_budget():
    found = job(TOY, "unbounded")
    assert found["steps"] == TOY["tasks"]["letters"]["steps"] + 1
    assert found["curve"][-1]["steps"] <= 301


def test_a_generator_spends_calls_and_is_sent_scores():
    found = job(CALLS, "generator")
    assert found["metrics"]["calls"] == 25
    assert [text for text, _ in found["history"][:2]] == ["CC", "CCC"]
    assert 0 < found["metrics"]["auc_top10"] < 0.5
    assert found["metrics"]["calls_outside"] == 0


@pytest.mark.parametrize("agent", ["sb3:PPO", "contrib:MaskablePPO", "sb3:DQN"])
def test_stable_baselines_agents_show_what_they_draw_from(agent):
    settings = {"n_envs": 4}
    settings |= {"learning_starts": 50} if agent == "sb3:DQN" else {"n_steps": 16, "batch_size": 64}
    metrics = job(TOY, agent, settings=settings)["metrics"]
    assert metrics["kl_to_optimum"] > 0
    assert metrics["objective"] == pytest.approx(metrics["log_z"] - metrics["kl_to_optimum"])
    if agent == "sb3:DQN":  # greedy: one sequence, whose log q is 0
        assert metrics["distinct"] == 1 / 200
        assert metrics["entropy"] == 0


def test_a_row_made_again_is_the_same():
    first, second = (job(TOY, "psi", seed=3) for _ in range(2))
    assert first["metrics"] == second["metrics"]
    assert first["samples"] == second["samples"]


@pytest.mark.parametrize(
    ("agent", "error", "says"),
    [
        ("raises", RuntimeError, "out of luck"),
        ("illegal", ValueError, "action 99"),
        ("nan", ValueError, "actions must be whole numbers"),
        ("nothing", TypeError, "expected an object with learn"),
    ],
)
def test_what_is_wrong_with_an_agent_is_said(agent, error, says):
    with pytest.raises(error, match=says):
        job(TOY, agent)


@pytest.mark.spawn
def test_whatever_an_agent_does_the_others_go_on(suite, tmp_path):
    bad = {"raises": "RuntimeError: out of luck", "killed": "SIGKILL", "hangs": "longer than"}
    given = [part for name in (*bad, "uniform") for part in ("--agent", f"{AGENTS}:{name}")]
    out = tmp_path / "results"
    asked = ["bench", "run", "--suite", suite(TOY), *given, "--out", out, "--jobs", 2]
    said = run(*asked, "--timeout", 14, code=1)
    rows = {row.agent.partition(":")[2]: row for row in Store(out).rows()}
    assert rows["uniform"].status == FINISHED, rows["uniform"].error
    assert {name for name, row in rows.items() if row.status == FINISHED} == {"uniform"}
    for name, words in bad.items():
        assert rows[name].status == FAILED
        assert words.lower() in rows[name].error.lower()
    assert rows["raises"].error.splitlines()[-1] == bad["raises"]
    assert f"seed 0: failed: {bad['raises']}\n" in said.stderr
    assert "3 rows failed" in said.stderr
    assert "Traceback" not in said.stderr


def start(command, out, log):
    """A sweep in a process group of its own, which says in ``log`` what it has finished."""
    code = "from seqgen_envs.cli import main; main()"
    with open(log, "wb") as said:
        return subprocess.Popen(
            [sys.executable, "-u", "-c", code, *command, "--out", str(out), "--jobs", "2"],
            start_new_session=True,
            stdout=said,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(log.parent)},  # named in its rows' commands
        )


def kill(process, folder):
    """The sweep at once; its rows in flight end with it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while rows_in_flight(folder):
        assert time.monotonic() < until, "rows go on without their sweep"
        time.sleep(0.1)


def rows_in_flight(folder):
    """Processes whose command names the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes()
            if b"benchmark.work" in command and str(folder).encode() in command:
                found.append(path)
    return found


def table(folder):
    """All rows that have finished."""
    rows = Store(folder).rows()
    assert all(row.status == FINISHED for row in rows)
    return {row.key: (row.metrics, row.samples, row.curve, row.steps) for row in rows}


def kill_and_resume(command, folder, waits):
    """Kill a sweep after each wait, let it end, and hold it to one that was never killed."""
    out, log, kept = folder / "killed", folder / "log", {}
    for wait in waits:
        process = start(command, out, log)
        time.sleep(wait)
        kill(process, folder)
        before, kept = kept, table(out)
        assert {key: kept[key] for key in before} == before
        told = sum(", seed " in line for line in log.read_text().splitlines())
        assert len(kept) - len(before) >= told  # what it has said is kept
    run(*command, "--out", out, "--jobs", 2)
    run(*command, "--out", folder / "whole", "--jobs", 2)
    assert table(out) == table(folder / "whole")
    return len(kept)


@pytest.mark.spawn
def test_a_killed_sweep_goes_on_where_it_was(suite, tmp_path):
    """At most the rows in flight are lost, and the table is the same in the end."""
    command = ["bench", "run", "--suite", suite(TOY), "--agent", "prior"]
    command += ["--agent", f"{AGENTS}:uniform"]
    kill_and_resume(command, tmp_path, [6 + random.random()])
    assert "2 of 2 rows have finished; 0 to make" in run(
        *command, "--out", tmp_path / "killed"
    ).stdout  # fmt: skip


@pytest.mark.slow
@pytest.mark.spawn
def test_a_sweep_killed_at_20_random_moments(suite, tmp_path):
    """From before its first row to after several: the first row's time sets the moments."""
    command = ["bench", "run", "--suite", suite(TOY), "--seeds", "15", "--agent", "prior"]
    command += ["--agent", f"{AGENTS}:uniform"]
    began, process = time.monotonic(), start(command, tmp_path / "first", tmp_path / "said")
    while not Store(tmp_path / "first").keys():
        time.sleep(0.1)
    first = time.monotonic() - began
    kill(process, tmp_path)
    rng = random.Random(0)
    waits = [first * rng.uniform(0.2, 2.0) for _ in range(20)]
    kept = kill_and_resume(command, tmp_path, waits)
    print(
        f"20 kills; {kept} of 30 rows were kept before the last run, the first took {first:.1f} s"
    )
    assert kept >= 5


def test_submitted_results_can_be_scored_again(suite, tmp_path, monkeypatch):
    monkeypatch.setattr("seqgen_envs.benchmark.suites.FOLDER", tmp_path)
    suite(CALLS)
    found = job(CALLS, "generator")
    store = Store(tmp_path / "results")
    chosen = load_suite("own-v1")
    store.add(
        Row("own-v1", chosen.fingerprint, "mine", "f", "qed", 0, "mine", FINISHED,
            metrics=found["metrics"], history=found["history"])
    )  # fmt: skip
    run("bench", "submit", tmp_path / "results", "--out", tmp_path / "submitted")
    assert "holds" in run("bench", "verify", tmp_path / "submitted").stdout
    file = tmp_path / "submitted" / "own-v1" / "mine" / "qed" / "0.csv"
    text = file.read_text()
    file.write_text(text.replace("CC,0.3", "CC,0.9"))
    assert file.read_text() != text
    assert "CC scores 0.3" in refused("bench", "verify", tmp_path / "submitted")


def test_merging_keeps_what_has_finished(tmp_path):
    def row(status, agent="a"):
        return Row("s", "f", agent, "g", "t", 0, "r", status)

    one, two, both = (Store(tmp_path / name) for name in ("one", "two", "both"))
    one.add(row(FAILED))
    two.add(row(FINISHED))
    two.add(row(FAILED, "b"))
    assert merge(both, [one, two]) == 3
    assert [r.status for r in both.rows()] == [FINISHED, FAILED]
    assert merge(both, [one]) == 0
    run("bench", "merge", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "third")
    assert len(Store(tmp_path / "third").rows()) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--suite", "toy-v9", "--agent", "psi"], "there is no suite 'toy-v9'"),
        (["--suite", "toy-v1", "--agent", "psy"], "there is no agent 'psy'"),
        (["--suite", "toy-v1", "--agent", "sb3:PPPO"], "no algorithm 'PPPO'"),
        (["--suite", "toy-v1", "--agent", "psi", "--task", "words"], "no task 'words'"),
        (["--suite", "toy-v1", "--agent", "psi", "--agent", "psi"], "two agents are called 'psi'"),
    ],
)
def test_mistakes_are_named(arguments, says, tmp_path):
    assert says in refused("bench", "run", *arguments, "--out", tmp_path / "out")


def test_a_saved_stable_baselines_file_needs_trust_and_is_judged_as_it_is(tmp_path):
    from stable_baselines3 import PPO

    from seqgen_envs.adapters.sb3 import make_sb3_vec_env

    model = PPO("MlpPolicy", make_sb3_vec_env("ToyGen-v0", 4, observation="flat"), n_steps=16)
    model.save(tmp_path / "ppo.zip")
    zipped = str(tmp_path / "ppo.zip")
    asked = ["bench", "run", "--suite", "toy-v1", "--agent", zipped, "--out", tmp_path / "out"]
    assert "add --trust" in refused(*asked)
    found = job(TOY, zipped)
    assert found["steps"] == 0
    assert found["metrics"]["kl_to_optimum"] > 0
