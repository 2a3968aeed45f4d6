"""Without Ray nothing asks for it; what needs it names the extra. With it, where it is joined."""

import subprocess
import sys

import gymnasium as gym
import pytest

import seqgen_envs.cli as cli
from helpers.commands import run
from helpers.paths import ROOT
from seqgen_envs.rules import RuleError

NEEDS = "this needs the optional package 'ray': pip install 'seqgen[cluster]'"
#: What is imported and made in a process where nobody can import it.
ELSE = """
import sys
sys.modules["ray"] = None
import gymnasium as gym, seqgen_envs, kl_agents, kl_agents.cli
import seqgen_envs.benchmark.runner, kl_agents.reproduction.work
from seqgen_envs.cli import main
env = gym.make("MoleculeGen-QED-v0", task={"name": "qed", "n_jobs": 1})
env.reset(seed=0)
env.step(0)
gym.make_vec("ToyGen-v0", num_envs=2).reset(seed=0)
sys.argv = ["seqgen", "--help"]
main()
"""


def test_without_ray_all_else_works(tmp_path):
    done = subprocess.run([sys.executable, "-c", ELSE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: seqgen" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "run", "--suite", "toy-v1", "--agent", "prior", "--backend", "ray", "--out", "o"],
        ["reproduce", "melody", "--quick", "--blocks", "paper", "--backend", "ray", "--out", "o"],
        ["score", "one.smi", "--task", '{"name": "qed", "n_jobs": "ray"}'],
    ],
)
def test_what_needs_ray_names_the_extra(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.smi").write_text("CCO\n")
    app = cli.make_app()
    cli.add_plugins(app)
    assert NEEDS in run(*command, code=1, app=app).stderr


def test_an_environment_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    env = gym.make("MoleculeGen-QED-v0", task={"name": "qed", "n_jobs": "ray"})
    with pytest.raises(RuleError, match="optional package 'ray'"):
        env.unwrapped.task.prepare()


def test_a_cluster_that_does_not_answer_is_said_at_once():
    pytest.importorskip("ray")
    code = (
        "from seqgen_envs.cluster import connect\n"
        "try:\n    connect('127.0.0.1:9')\n"
        "except ConnectionError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert "no Ray cluster answers at 127.0.0.1:9" in done.stdout, done.stderr
