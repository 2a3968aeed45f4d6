"""``n_jobs="ray"``: molecules scored on the nodes of a cluster, whatever becomes of those."""

import math
import os
import signal
import threading
import time

import gymnasium as gym
import numpy as np
import pytest

from helpers.clusters import CORES, GPUS, until
from seqgen_envs.domains.molecule.tasks import tasks
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import RuleError

pytestmark = pytest.mark.spawn

CHAINS = ["C" * n for n in range(1, 41)]
#: Writes down each call, with its process and that process's parent, Ray's worker.
LOGGED = """
import os, time
def oracle(smiles):
    with open({log!r}, "a") as log:
        for text in smiles:
            print(os.getpid(), os.getppid(), text, file=log, flush=True)
    {body}
    return [float(len(text)) for text in smiles]
def weigh(molecule):
    return float(molecule.GetNumAtoms())
"""


@pytest.fixture
def oracle(tmp_path, monkeypatch):
    """``oracle(body, **options)``: a task of ``o.py`` in the current folder; and its log."""
    monkeypatch.chdir(tmp_path)
    made, log = [], tmp_path / "log"

    def make(body="pass", **options):
        (tmp_path / "o.py").write_text(LOGGED.format(log=str(log), body=body))
        made.append(tasks.custom_task("o.py:oracle", n_jobs="ray", **options))
        return made[-1]

    make.calls = lambda: [line.split() for line in log.read_text().splitlines()]
    yield make
    for task in made:
        task.close()


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def values(task, smiles):
    return [verdict.values[0] for verdict in task.scorer.score(smiles)]


def test_molecules_are_scored_in_order_by_processes_that_end_with_the_task(cluster, oracle):
    task = oracle("time.sleep(.02 * len(smiles))")
    task.prepare()
    os.remove("o.py")  # as on a node that does not have it
    assert values(task, CHAINS) == [float(len(text)) for text in CHAINS]
    calls = oracle.calls()
    assert sorted(text for *_, text in calls) == sorted(CHAINS)
    pids = {int(pid) for pid, _, _ in calls}
    assert 2 <= len(pids) <= 2 * CORES
    assert os.getpid() not in pids | {int(parent) for _, parent, _ in calls}
    assert task.scorer.calls == len(CHAINS)
    task.close()
    assert until(lambda: not [pid for pid in pids if running(pid)], 10)
    assert values(task, ["CCO"]) == [3.0]  # and others begin


#: Fails where another call is busy, or where it has not been given the node's GPU.
ALONE = """
    os.close(os.open("busy", os.O_CREAT | os.O_EXCL))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    os.remove("busy")
"""


def test_an_oracle_that_takes_a_gpu_has_it_alone_in_a_process_that_is_kept(cluster, oracle):
    task = oracle(ALONE, num_gpus=GPUS, num_cpus=0.25)  # of a core there is room for four
    assert values(task, CHAINS) == [float(len(text)) for text in CHAINS]
    assert len({pid for pid, _, _ in oracle.calls()}) == 1
    with pytest.raises(RuleError, match=r"has num_cpus=1 and num_gpus=2 for a molecule"):
        oracle(num_gpus=GPUS + 1).prepare()


def test_a_part_of_a_described_objective_is_carried_too(cluster, oracle, tmp_path):
    oracle()  # writes the file
    described = {"arithmetic": [{"property": "qed"}, f"{tmp_path}/o.py:weigh"]}
    task = tasks.objective_task(objective=described, n_jobs="ray")
    here = tasks.objective_task(objective=described, n_jobs=0)
    try:
        task.prepare()
        (tmp_path / "o.py").rename(tmp_path / "elsewhere.py")
        found = values(task, ["CCO", "c1ccccc1"])
        (tmp_path / "elsewhere.py").rename(tmp_path / "o.py")
        assert found == pytest.approx(values(here, ["CCO", "c1ccccc1"]))
    finally:
        task.close()


def test_a_function_that_only_this_script_knows_goes_by_value(cluster):
    names = {"__name__": "__main__"}
    exec("def doubled(smiles):\n    return [2.0 * len(text) for text in smiles]", names)
    task = tasks.function_task(names["doubled"], n_jobs="ray")
    try:
        assert values(task, ["C", "CC"]) == [2.0, 4.0]
    finally:
        task.close()


def test_a_process_that_dies_or_hangs_takes_one_molecule_with_it(cluster):
    """As on one machine, whatever else its task of Ray's was to score."""
    fates = {
        "CBr": "exit status 3", "CCl": "SIGSEGV", "CS": "no answer within timeout=1 s",
        "CN": "RuntimeError: the server is down",
    }  # fmt: skip
    batch = ["C", "CC", "CBr", "CCC", "CCl", "CO", "CS", "CN", "CCO", "CCCC", "CCCCC"]
    task = tasks.custom_task("helpers.molecules:fatal", n_jobs="ray", timeout=1)
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


def test_what_rays_own_worker_ends_with_is_scored_again_so_many_times(cluster, oracle):
    """Ethanol ends not its process but the worker of Ray's: the rest of its part goes on."""
    task = oracle("'CCO' in smiles and os.kill(os.getppid(), 9)", retries=1)
    verdicts = task.scorer.score([*CHAINS[:20], "CCO"])
    assert [verdict.values[0] for verdict in verdicts[:-1]] == list(map(float, range(1, 21)))
    assert math.isnan(verdicts[-1].values[0])
    assert "Ray lost what scored it 2 times" in verdicts[-1].error
    assert task.scorer.calls == 21


def test_a_lost_nodes_molecules_are_scored_elsewhere_and_counted_once(cluster, oracle):
    node = cluster.add_node(num_cpus=CORES)
    task = oracle("time.sleep(.1 * len(smiles))", budget=1000)

    def remove():
        until(lambda: len({pid for pid, _, _ in oracle.calls()}) > 2 * CORES)
        cluster.remove_node(node, allow_graceful=False)

    smiles = [f"{text}O" for text in CHAINS] + CHAINS
    removing = threading.Thread(target=remove)
    try:
        task.prepare()
        task.scorer.score(["CCN"])  # there is a log
        removing.start()
        assert values(task, smiles) == [float(len(text)) for text in smiles]
    finally:
        removing.join()
    scored = [text for *_, text in oracle.calls()]
    assert set(scored) >= set(smiles)
    assert len(scored) > len(smiles) + 1  # some were begun twice
    assert task.scorer.calls == len(smiles) + 1  # and none counted twice
    assert len({text for text, _ in task.scorer.history}) == task.scorer.calls
    nodes = [one for one in task.scorer._dispatcher._workers._calls.ray.nodes() if one["Alive"]]
    assert len(nodes) == 2


def test_a_stop_ends_what_runs(cluster, oracle):
    task = oracle("time.sleep(100)")
    task.prepare()
    threading.Thread(
        target=lambda: until(lambda: os.path.exists("log")) and os.kill(os.getpid(), signal.SIGINT)
    ).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        task.scorer.score(["C", "CC"])
    assert time.monotonic() - began < 20
    pids = [int(pid) for pid, _, _ in oracle.calls()]
    assert until(lambda: not [pid for pid in pids if running(pid)], 10)


def test_an_environment_earns_the_same(cluster):
    def lanes(n_jobs):
        task = {"name": "custom:helpers.molecules:atoms", "n_jobs": n_jobs}
        return gym.make_vec("MoleculeGen-QED-v0", num_envs=4, task=task).unwrapped.lanes

    there, here = lanes("ray"), lanes(0)
    try:
        found, expected = (rollout(one, PriorPolicy(0), 12) for one in (there, here))
    finally:
        there.task.close()
    for name, kept in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), kept, err_msg=name)
    assert (found.task_return != 0).any()


@pytest.mark.slow  # parts follow what molecules took, which a busy machine falsifies
def test_a_cheap_oracle_does_not_pay_a_task_a_molecule(cluster):
    task = tasks.custom_task("helpers.molecules:sizes_of_batches", n_jobs="ray")
    try:
        task.scorer.score(CHAINS)
        sizes = values(task, [f"{text}O" for text in CHAINS])
    finally:
        task.close()
    assert min(sizes) >= len(CHAINS) / (2 * CORES)


def test_what_cannot_be_kept_is_refused(cluster, tmp_path):
    (tmp_path / "o.py").write_text("import nothing_of_that_name\n")
    for options, says in (
        ({"num_gpus": 3}, r"no node of the Ray cluster has num_cpus=1 and num_gpus=3"),
        ({}, "No module named 'nothing_of_that_name'"),
    ):
        task = tasks.custom_task(f"{tmp_path}/o.py:oracle", n_jobs="ray", **options)
        with pytest.raises(RuleError, match=says):
            task.prepare()
