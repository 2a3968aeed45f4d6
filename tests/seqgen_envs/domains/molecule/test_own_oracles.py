"""Oracles that users bring: what their answers mean, their processes, programs as oracles."""

import math
import os
import shlex
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

from helpers import oracles_faulty
from helpers.molecules import fails_on_rings, lengths_of, totals
from helpers.oracles_faulty import (
    BAD,
    DANGEROUS,
    DIES,
    ENDS,
    FAILS,
    FAULTY,
    HANGING,
    TIMEOUT,
    in_a_python_of_its_own,
    outcome,
)  # fmt: skip
from helpers.paths import ROOT
from seqgen_envs import get_domain
from seqgen_envs.answers import MANY, number_of
from seqgen_envs.domains.molecule.tasks import tasks
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction
from seqgen_envs.domains.molecule.tasks.scoring import Scorer
from seqgen_envs.loading import UntrustedCodeError, from_file, trusting
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import RuleError

#: A program that answers with the number of lines that it was given.
SIZES = "import sys; lines = list(sys.stdin); print(*[len(lines)] * len(lines), sep=chr(10))"
CHAINS = ["C" * n for n in range(1, 65)]


def make(name):
    return get_domain("molecule").make_task(name)


# -- what answers mean ----------------------------------------------------------------------------


@pytest.mark.parametrize("oracle", FAULTY, ids=lambda oracle: oracle.__name__)
def test_what_becomes_of_a_faulty_oracle(oracle):
    assert len(FAULTY) >= 28
    found, said = outcome(oracle.__name__, n_jobs=0)
    assert found == FAULTY[oracle]
    assert "\n" not in said
    assert bool(said) == (found in (ENDS, FAILS))


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [0, 1, 2])
@pytest.mark.parametrize("oracle", [*FAULTY, *DANGEROUS, *HANGING], ids=lambda o: o.__name__)
def test_the_whole_table(oracle, n_jobs):
    if n_jobs == 0 and oracle in HANGING:
        pytest.skip("nothing helps against it")
    options = {"n_jobs": n_jobs, **({"timeout": TIMEOUT} if oracle in HANGING else {})}
    said = in_a_python_of_its_own(oracle.__name__, **options)
    alone = n_jobs == 0 and oracle in DANGEROUS
    assert said.startswith(DIES if alone else {**FAULTY, **DANGEROUS, **HANGING}[oracle])
    assert "\n" not in said


@pytest.mark.parametrize("name", ["column", "tensor", "generator", "nested_lists", "whole_numbers"])
def test_every_list_of_n_values_means_the_same(name):
    scorer = Scorer({"x": SmilesFunction(getattr(oracles_faulty, name))})
    assert [verdict.values[0] for verdict in scorer.score(CHAINS)] == lengths_of(CHAINS)


class Series:
    """As of pandas: not in its index's order."""

    def to_numpy(self):
        return np.array([2.0, 1.0])


def test_a_series_is_read_by_position():
    verdicts = Scorer({"x": SmilesFunction(lambda smiles: Series())}).score(["C", "CC"])
    assert [verdict.values[0] for verdict in verdicts] == [2.0, 1.0]


@pytest.mark.parametrize("value", [True, 1, 1.0, np.float32(1), np.array([[1]]), np.bool_(True)])
def test_numbers(value):
    assert number_of(value) == (1.0, None)


@pytest.mark.parametrize(
    "value", ["1", b"1", None, math.nan, -math.inf, 1j, [1.0], {}, np.ones(2), 10**400, object()]
)
def test_what_is_no_number(value):
    number, why = number_of(value)
    assert math.isnan(number)
    assert "expected a finite number" in why


def test_an_objective_may_change_what_it_is_given():
    def ruins(molecule):
        for atom in molecule.GetAtoms():
            atom.SetAtomicNum(6)
        return 1.0

    def oxygens(molecule):
        return float(sum(atom.GetSymbol() == "O" for atom in molecule.GetAtoms()))

    mean = {"arithmetic": [ruins, oxygens]}
    task = tasks.objective_task(objective=mean)
    assert task.scorer.score(["OCO"])[0].values == (1.5,)
    verdicts = Scorer({"ruins": ruins, "oxygens": oxygens}).score(["OCO"])
    assert verdicts[0].values == (1.0, 2.0)


# -- who is to blame ------------------------------------------------------------------------------


def counting(fails):
    """A function that raises where ``fails(text)`` of any, and what it was asked for."""
    asked = []

    def function(smiles):
        asked.append(len(smiles))
        if any(map(fails, smiles)):
            raise RuntimeError("down")
        return lengths_of(smiles)

    return function, asked


def test_a_batch_that_fails_as_a_whole_is_not_asked_again_one_by_one():
    function, asked = counting(lambda text: True)
    with pytest.raises(
        RuleError, match=r"failed on a batch of 64 .* it is not the molecules: .*down"
    ):
        Scorer({"x": SmilesFunction(function)}).score(CHAINS)
    assert asked == [64, *[1] * MANY]


def test_the_one_to_blame_is_found_in_halves():
    function, asked = counting(lambda text: text == CHAINS[40])
    verdicts = Scorer({"x": SmilesFunction(function)}).score(CHAINS)
    assert [v.canonical for v in verdicts if v.error] == [CHAINS[40]]
    assert len(asked) <= 1 + MANY + 2 * 6 + 1


# -- the value of a failed molecule ---------------------------------------------------------------


def test_a_failed_molecule_is_never_better_than_an_invalid_one():
    def task(**others):
        return tasks.scored_task(
            "t", {"x": fails_on_rings}, valid_reward=1.0, invalid_penalty=5.0, **others
        )

    for made, expected in ((task(), -5.0), (task(failed=-7.0), -7.0)):
        got = totals(made, ["CCO", BAD, "C1CC("])
        assert got["validity"].tolist() == [1.0, expected, -5.0]
        assert got["x"].tolist() == [1.0, 0.0, 0.0]
    for wrong in (-4.0, 0.0, math.nan, "a"):
        with pytest.raises(ValueError, match="failed must be at most -5"):
            task(failed=wrong)
    assert make({"name": "penalized-logp", "failed": -6}).names == ("penalized_logp", "validity")


def test_terms_of_every_step_stay_where_a_molecule_fails():
    task = tasks.sequence_tutor_task(max_run=2)
    task.board.scorer.objectives["qed"] = fails_on_rings
    got = totals(task, ["C1CCCC1CCC"])
    assert got["carbon_run"].tolist() == [-3.0 * tasks.TUTOR_WEIGHTS["carbon_run"]]
    assert got["validity"].tolist() == [-1.0]


# -- a round is scored together -------------------------------------------------------------------


@pytest.mark.parametrize("task", ["qed", {"name": "qed", "diversity": {"kind": "scaffold"}}])
def test_a_round_is_scored_together_as_if_step_by_step(task, monkeypatch):
    def lanes():
        return gym.make_vec("MoleculeGen-QED-v0", num_envs=4, task=task).unwrapped.lanes

    batches = []
    together, apart = lanes(), lanes()
    score = together.task.scorer.score
    together.task.scorer.score = lambda smiles: batches.append(len(smiles)) or score(smiles)
    found = rollout(together, PriorPolicy(0), 12)
    assert batches == [12]
    step = apart.step
    monkeypatch.setattr(apart, "step", lambda *a, later, **k: step(*a, **k))
    expected = rollout(apart, PriorPolicy(0), 12)
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)
    assert (found.task_return > 0).any()


# -- processes ------------------------------------------------------------------------------------


def test_a_timeout_is_a_number_of_seconds():
    for wrong in (0, -1, math.inf, "a"):
        with pytest.raises(ValueError, match="timeout must be a number of seconds above 0"):
            Scorer({"x": lengths_of}, timeout=wrong)


@pytest.mark.spawn
def test_code_that_text_names_does_not_take_python_with_it():
    task = make("custom:helpers.molecules:fatal")
    try:
        verdicts = task.scorer.score(["C", "CBr", "CCC"])
    finally:
        task.close()
    assert [verdict.values[0] for verdict in verdicts[::2]] == [1.0, 3.0]
    assert "exit status 3" in verdicts[1].error


@pytest.mark.spawn
def test_a_process_that_dies_or_hangs_takes_one_molecule_with_it():
    """The killer is named by an element of its own; one pool for all."""
    fates = {
        "CBr": "exit status 3", "CCl": "SIGSEGV", "CF": "exit status 0", "CP": "SIGKILL",
        "CS": "no answer within timeout=1 s", "CN": "RuntimeError: the server is down",
    }  # fmt: skip
    batch = ["C", "CC", "CBr", "CCC", "CCl", "CF", "CO", "CS", "CP", "CN", "CCO"]
    task = make({"name": "custom:helpers.molecules:fatal", "n_jobs": 2, "timeout": 1})
    try:
        verdicts = dict(zip(batch, task.scorer.score(batch), strict=True))
    finally:
        task.close()
    for text, verdict in verdicts.items():
        if text in fates:
            assert fates[text] in verdict.error
            assert math.isnan(verdict.values[0])
        else:
            assert verdict.values == (float(len(text)),)


@pytest.mark.spawn
@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("custom:helpers.molecules:sizes_of_batches", [10, 8, 6, 4, 4, 4, 4]),
        ("command:" + shlex.join([sys.executable, "-c", SIZES]), [20, 20]),
    ],
)
def test_the_parts_of_a_batch(text, sizes):
    """A function's shrink, so that processes end together; a program is started once a process."""
    task = make({"name": text, "n_jobs": 2})
    try:
        verdicts = task.scorer.score(CHAINS[:40])
    finally:
        task.close()
    assert [verdict.values[0] for verdict in verdicts] == [n for n in sizes for _ in range(n)]


_WATCHED = """
import os
with open({log!r}, "a") as log:
    print(os.getpid(), file=log)
def oracle(smiles):
    {body}
    return [1.0] * len(smiles)
def weigh(molecule):
    return 1.0
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid):
    """Whether it ends: what is killed dies when it is next run."""
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.spawn
@pytest.mark.parametrize(
    "task",
    [
        {"name": "custom:o.py:oracle", "n_jobs": 2},
        {"name": "objective", "objective": {"arithmetic": [{"property": "qed"}, "o.py:weigh"]}},
    ],
)
def test_nothing_of_an_oracle_runs_here_and_its_processes_end_with_the_environment(
    tmp_path, task, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    (tmp_path / "o.py").write_text(_WATCHED.format(log=str(log), body="pass"))
    env = gym.make("MoleculeGen-QED-v0", task=task)
    env.unwrapped.task.prepare()
    env.unwrapped.task.scorer.score(["C", "CC"])
    pids = set(map(int, log.read_text().split()))
    assert pids  # of one or both: who is ready first may have done it all
    assert os.getpid() not in pids
    assert all(map(alive, pids))
    env.close()
    assert not any(map(alive, pids))


_SCRIPT = """
from seqgen_envs.domains.molecule.tasks.tasks import custom_task, function_task
def oracle(smiles):
    return [1.0] * len(smiles)
{call}
"""
_NAMED = 'custom_task("{}/o.py:oracle", n_jobs=2).scorer.score(["C", "CC"])'


def script(tmp_path, call):
    (tmp_path / "script.py").write_text(_SCRIPT.format(call=call))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], stderr=subprocess.PIPE, env=environment, text=True
    )


@pytest.mark.spawn
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_of_a_script_that_is_stopped(tmp_path, number):
    log = tmp_path / "log"
    body = "import ctypes; ctypes.PyDLL(None).sleep(1000)  # with Python's lock in its hands"
    (tmp_path / "o.py").write_text(_WATCHED.format(log=str(log), body=body))
    running = script(tmp_path, _NAMED.format(tmp_path))
    until = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().split()) == 2) and time.monotonic() < until:
        time.sleep(0.05)
    pids = list(map(int, log.read_text().split()))
    time.sleep(0.3)
    sent = time.monotonic()
    running.send_signal(number)
    running.communicate(timeout=30)
    took = time.monotonic() - sent
    assert took < 5, took  # within a second where the machine has nothing else to do
    assert all(map(gone, pids))


@pytest.mark.spawn
def test_a_script_without_its_guard_is_told_so(tmp_path):
    running = script(tmp_path, 'function_task(oracle, n_jobs=2).scorer.score(["C", "CC"])')
    said = running.communicate(timeout=120)[1].strip().splitlines()
    assert running.returncode == 1
    assert "RuleError" in said[-1]
    assert "if __name__ == '__main__':" in said[-1]
    assert sum(line.startswith("Traceback") for line in said) == 1  # ours alone


@pytest.mark.spawn
def test_a_function_that_is_not_there_is_told_when_its_process_starts(tmp_path):
    (tmp_path / "o.py").write_text("def oracle(smiles):\n    return 1\n")
    task = make(f"custom:{tmp_path}/o.py:oracel")
    with pytest.raises(RuleError, match="no attribute 'oracel'; did you mean 'oracle'"):
        task.prepare()
    with pytest.raises(ValueError, match="there is no file"):
        make({"name": f"custom:{tmp_path}/none.py:oracle", "n_jobs": 2})


# -- programs -------------------------------------------------------------------------------------


def program(tmp_path, body):
    path = tmp_path / "dock.py"
    lines = "import sys", "smiles = sys.stdin.read().split()", body
    path.write_text("\n".join(lines))
    return f"command:'{sys.executable}' '{path}'"


EACH = "for s in smiles: print({})"


def test_a_program_is_an_oracle(tmp_path):
    task = make(program(tmp_path, EACH.format("len(s) if s != 'CO' else 'nan'")))
    verdicts = task.scorer.score(["CCC", "CO", "OC", "C1CC("])
    assert [v.values[0] for v in verdicts[::3]] == [3.0, 0.0]
    assert math.isnan(verdicts[1].values[0])
    assert "the objective returned nan" in verdicts[1].error
    assert totals(make("command:awk '{print length($0)}'"), ["CCO"])["command"].tolist() == [3.0]
    given = {"name": "command", "command": "awk '{print 2}'", "invalid_penalty": 1}
    assert totals(make(given), ["CCO", "C1CC("])["validity"].tolist() == [0.0, -1.0]


def test_the_molecule_that_a_program_ends_on_is_found(tmp_path):
    body = "if 'CO' in smiles: sys.exit('no oxygen here')\n" + EACH.format("len(s)")
    good, bad = make(program(tmp_path, body)).scorer.score(["CCC", "CO"])
    assert good.values == (3.0,)
    assert "ended with status 1; it said: no oxygen here" in bad.error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print(1)", r"wrote 1 lines for 2 SMILES, '1' first; it must write one number a line"),
        ("print('Vina 1.2')\n" + EACH.format("1"), "wrote 3 lines for 2 SMILES, 'Vina 1.2' first"),
        (EACH.format("'x'"), r"failed on each of 2 .* the objective returned 'x' \(str\)"),
        ("sys.exit('licence expired')", "status 1; it said: licence expired"),
    ],
)
def test_a_program_that_does_not_work_ends_the_run(tmp_path, body, message):
    with pytest.raises(RuleError, match=message):
        make(program(tmp_path, body)).scorer.score(["C", "CC"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("command:no_such_program -x", "there is no program 'no_such_program'"),
        ({"name": "command", "command": " "}, "command is empty"),
        ("command:cat 'x", "No closing quotation"),
    ],
)
def test_a_program_that_is_not_there(name, message):
    with pytest.raises(ValueError, match=message):
        make(name)


@pytest.mark.parametrize(
    "task", [{"name": "command:cat"}, {"name": "custom:helpers.molecules:lengths_of", "n_jobs": 2}]
)
def test_code_that_a_file_names_needs_trust(task):
    with from_file("config.json"), pytest.raises(UntrustedCodeError, match="--trust"):
        make(task)
    with from_file("config.json"), trusting():
        assert make(task).names[1] == "validity"


def test_a_program_that_is_given_up_ends_with_what_it_started(tmp_path):
    """As Ctrl-C or SIGTERM do it: an exception while the program is waited for."""
    task = make(f"command:sh -c 'sleep 1000 & echo $! >{tmp_path}/pid; wait'")

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            task.scorer.score(["CCC"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.spawn
def test_a_program_that_hangs_is_ended_with_its_process(tmp_path):
    body = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    body += "if 'CO' in smiles: time.sleep(1000)\n" + EACH.format("len(s)")
    task = make({"name": program(tmp_path, body), "timeout": 2.0})
    try:
        verdicts = task.scorer.score(["CCC", "CO"])
    finally:
        task.close()
    assert verdicts[0].values == (3.0,)
    assert "no answer within timeout=2 s" in verdicts[1].error
    assert gone(int((tmp_path / "pid").read_text()))
