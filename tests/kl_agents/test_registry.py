"""The algorithms: ours and a third party's, by entry point and by reference."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import kl_agents
import seqgen_envs.cli as cli
from helpers.commands import run
from helpers.paths import ROOT
from kl_agents import ALGORITHMS, PsiLearning, load, registry
from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.reproduction.plan import Scale, load_plan, make_jobs
from kl_agents.runs import load_run, read_spec
from seqgen_envs.loading import UntrustedCodeError, trusting

GUEST = Path(__file__).parents[1] / "helpers" / "guest_agent.py"
ENTRY_POINTS = """
[seqgen.algorithms]
imitation = guest_agent:Imitation
broken = guest_broken:Thing
lost = guest_nowhere:Thing
number = guest_agent:torch
psi-too = kl_agents.psi_learning:PsiLearning
psi = guest_agent:Imitation
"""


def seqgen(*arguments, code=0):
    """A command, those of kl_agents included."""
    app = cli.make_app()
    cli.add_plugins(app)
    return run(*arguments, code=code, app=app)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of a third party, as pip would install it."""
    folder = tmp_path / "site"
    info = folder / "guest-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copy(GUEST, folder)
    (folder / "guest_broken.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(folder)
    registry._declared.cache_clear()
    yield folder
    registry._declared.cache_clear()
    for name in ("guest_agent", "guest_broken"):
        sys.modules.pop(name, None)


def test_the_entry_points_are_the_only_list_of_algorithms():
    """So the next one of ours needs its file, its entry point, its YAML block and its test."""
    names = set(ALGORITHMS)
    assert {"psi", "g", "q", "rl-only", "reinvent", "prior"} <= names
    for path in [*(ROOT / "kl_agents").rglob("*.py"), *(ROOT / "seqgen_envs").rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        assert sum(f'"{name}"' in source for name in ("rl-only", "reinvent", "psi")) < 2, path
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.__mro__[1] is SequenceAlgorithm, name
        assert getattr(kl_agents, algorithm.__name__) is algorithm


def test_ours_are_found_without_importing_the_others():
    code = (
        "import sys, kl_agents; print('torch' in sys.modules); kl_agents.PsiLearning;"
        "print('kl_agents.q_learning' in sys.modules); print(hasattr(kl_agents, 'NoLearning'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_an_installed_algorithm_is_one_of_all(installed):
    assert {"imitation", "broken", "psi", "g"} <= set(ALGORITHMS)
    assert issubclass(ALGORITHMS["imitation"], SequenceAlgorithm)
    assert ALGORITHMS["psi-too"] is PsiLearning
    assert not {"broken", "lost", "number", "psi"} & set(ALGORITHMS.working())
    assert {"imitation", "g", "q"} <= set(ALGORITHMS.working())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"^algorithm 'broken'.*guest_broken.*no_such_library"),
        ("lost", r"^algorithm 'lost'.*no module 'guest_nowhere'"),
        ("number", r"^algorithm 'number': guest_agent:torch is not a subclass of SequenceAlg"),
        ("psi", r"^two packages declare algorithm 'psi': name it by .* and "),
        ("imitatio", r"^unknown algorithm 'imitatio' \(did you mean 'imitation'\?\); there are "),
        ("guest_agent:Imitatio", r"did you mean 'Imitation'"),
        ("helpers.paths:ROOT", "is not a subclass of SequenceAlgorithm"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_sentence(installed, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        registry.get_algorithm(name)
    assert "\n" not in str(caught.value)
    assert load_hyperparams("g", "ToyGen-v0").arguments["tau"] == 0.05  # the others work


@pytest.mark.parametrize(
    "name", ["imitation", "guest_agent:Imitation", "site/guest_agent.py:Imitation"]
)
def test_a_guest_is_trained_evaluated_and_sampled(installed, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    settings = ["--set", "best=0.5", "--set", "n_envs=16", "--steps", 2000, "--no-progress"]
    seqgen("train", name, "ToyGen-v0", *settings, "--out", "run")
    monkeypatch.chdir("/")
    run = tmp_path / "run"
    trust = [] if name == "imitation" else ["--trust"]  # the run's files name code
    agent, spec = load_run(run, trust=bool(trust))
    assert (agent.settings.best, spec.algorithm) == (0.5, registry.absolute(spec.algorithm))
    assert agent._n_updates > 0
    seqgen("evaluate", run, "-n", 50, *trust)
    seqgen("sample", "toy", "--agent", run, "-n", 5, "--out", tmp_path / "sampled", *trust)
    again = ["train", spec.algorithm, "ToyGen-v0", "--out", tmp_path / "other"]
    message = seqgen(*again, "--set", "best=2", code=1).stderr.strip()
    assert message.endswith("Error: best must be a number in (0, 1], got 2")
    held = (
        load(run / "agent.zip")
        if name == "imitation"
        else load(run / "agent.zip", algorithm=spec.algorithm)
    )
    assert held.settings == agent.settings


def test_a_file_alone_makes_python_import_nothing_unknown(installed, tmp_path):
    reference = f"{installed}/guest_agent.py:Imitation"
    kind = registry.get_algorithm(reference)
    agent = kind("SequencePolicy", "ToyGen-v0", n_envs=2, policy_kwargs={"init": "random"})
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"not among the installed algorithms .*CLASS\.load"):
        load(tmp_path / "agent")
    assert type(load(tmp_path / "agent", algorithm=reference)) is kind
    assert type(kind.load(tmp_path / "agent")) is kind


def test_blocks_and_plans_take_guests(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(installed)
    path = tmp_path / "x.yml"
    blocks = {
        "default": {"best": 0.75, "tau": 0.1},
        "imitation": {"weight": 2},
        "guest_agent.py:Imitation": {"weight": 3},
    }
    path.write_text(yaml.safe_dump(blocks))
    assert load_hyperparams("imitation", "Any-v0", (), path).arguments == {
        "best": 0.75,
        "weight": 2,
    }
    by_file = load_hyperparams("guest_agent.py:Imitation", "Any-v0", (), path)
    assert by_file.arguments == {"best": 0.75, "weight": 3}
    assert by_file.algorithm == f"{installed}/guest_agent.py:Imitation"
    assert load_hyperparams("g", "Any-v0", (), path).arguments == {"tau": 0.1}
    plan = {
        "env_id": "ToyGen-v0",
        "blocks": {"b": {"title": "t", "about": "a", "kind": "table",
                         "agents": {"imitation": {"best": 0.5}, "guest_agent:Imitation": {}}}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(plan))
    with pytest.raises(UntrustedCodeError, match=r"x\.yml names code to run .*--trust"):
        load_plan("toy", path)
    with trusting():
        loaded = load_plan("toy", path)
        jobs = make_jobs(loaded, list(loaded.blocks.values()), Scale(seeds=1))
    best = {job.spec.algorithm: job.spec.arguments.get("best") for job in jobs}
    assert best == {"imitation": 0.5, "guest_agent:Imitation": None}


def test_a_run_of_a_guest_keeps_its_whole_path(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(installed)
    arguments = ["--set", "n_envs=4", "--steps", 50, "--no-progress", "--out", tmp_path / "run"]
    seqgen("train", "guest_agent.py:Imitation", "ToyGen-v0", *arguments)
    with pytest.raises(UntrustedCodeError, match=r"config\.json names code .*--trust"):
        read_spec(tmp_path / "run")
    with trusting():
        assert read_spec(tmp_path / "run").algorithm == f"{installed}/guest_agent.py:Imitation"
    resume = ["train", "--resume", "--no-progress", "--out", tmp_path / "run"]
    assert "guest_agent.py:Imitation'): add --trust" in seqgen(*resume, code=1).stderr
    seqgen(*resume, "--trust")
    # named here again, it is trusted as it was the first time
    seqgen("train", "./guest_agent.py:Imitation", "ToyGen-v0", *arguments, "--resume")


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_learner_is_at_most_two_classes_below_sb3(name):
    bases = [kind.__name__ for kind in ALGORITHMS[name].__mro__]
    assert bases.index("BaseAlgorithm") <= 2
