"""Suites are files that say all that decides a result."""

import re

import gymnasium as gym
import pytest
import yaml
from rdkit import Chem

import seqgen_envs  # noqa: F401
from seqgen_envs.benchmark.suites import BenchTask, Suite, bundled, load_suite
from seqgen_envs.domains.molecule.objectives.oracles import MOLECULES
from seqgen_envs.registration import PMO_IDS
from seqgen_envs.rollout import PriorPolicy, rollout

#: Published: a change of what a suite measures needs a new version, not a new fingerprint here.
PUBLISHED = {
    "exact-v1": "b4a10709d70a3149",
    "melody-v1": "8e30fe20e4df07fd",
    "molecule-v1": "5253f6ff2f3a4954",
    "pmo-mini-v1": "8e0ddccc711c4d0c",
    "pmo-v1": "455acb54ce246022",
    "speed-v1": "b749629710ffe009",
    "text-v1": "71f76b8f7a2adc91",
    "toy-v1": "9bdf6be96d5ec446",
    "tuning-v1": "02e517c368de686e",
}


@pytest.mark.parametrize("name", bundled())
def test_every_task_is_an_environment(name):
    suite = load_suite(name)
    assert suite.name == name
    assert name.rpartition("-v")[2].isdigit()
    assert suite.about
    for task in suite.tasks.values():
        assert task.env_id in gym.registry


def test_what_is_published_does_not_change():
    assert {name: load_suite(name).fingerprint for name in bundled()} == PUBLISHED


@pytest.mark.parametrize(
    ("task", "smiles", "score"),
    [
        ("donepezil_rediscovery", "COc1cc2CC(CC3CCN(Cc4ccccc4)CC3)C(=O)c2cc1OC", 1.0),
        ("losartan_rediscovery", "CCCCc1nc(Cl)c(CO)n1Cc1ccc(cc1)-c1ccccc1-c1nnn[nH]1", 1.0),
        ("loratadine_similarity", "CCOC(=O)N1CCC(=C2c3ccc(Cl)cc3CCc3cccnc32)CC1", 1.0),
        # its TPSA is 86.3, its logP 4.6: exp(-(23.7 / 10) ** 2 / 2) and exp(-2.59 ** 2 / 2)
        ("imatinib_mpo", "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1", 0.128),
        # all of it but the scaffold that is to go
        ("gefitinib_hop", "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1", 2 / 3),
        ("omeprazole_isomer_mpo", "COc1ccc2[nH]c(nc2c1)S(=O)Cc1ncc(C)c(OC)c1C", 1.0),
    ],
)
def test_what_settings_are_tuned_on_scores_its_drugs_as_reckoned(task, smiles, score):
    task = load_suite("tuning-v1").tasks[task]
    scorer = gym.make(task.env_id, **task.env_kwargs).unwrapped.lanes.task.scorer
    assert scorer.score([smiles])[0].values[0] == pytest.approx(score, abs=0.02)


def test_nothing_is_tuned_on_what_is_reported():
    asked = str([task.env_kwargs for task in load_suite("tuning-v1").tasks.values()])
    drugs = {Chem.CanonSmiles(word) for word in re.findall(r"'similarity': '(\S+)'", asked)}
    assert len(drugs) == 7
    assert not drugs & {Chem.CanonSmiles(smiles) for smiles in MOLECULES.values()}


def test_pmo_has_the_23_oracles_within_10000_calls():
    suite = load_suite("pmo-v1")
    assert sorted(suite.tasks) == sorted(PMO_IDS.values())
    assert {task.calls for task in suite.tasks.values()} == {10_000}


#: How rows are read: the scale is as published as what is measured.
SCALES = {
    "melody-v1": {"recommended": (-114.0, 217.0), "rl-tuner": (-72.0, 45.0)},
}


#: Headlines that mean the same in every task.
UNITS = ("auc_top10", "relative_speed", "kl_to_optimum")


def test_headlines_of_several_tasks_have_one_scale():
    """Each of one task, or areas under scores from 0 to 1, a ratio, nats, or scaled."""
    for name in bundled():
        suite = load_suite(name)
        found = {task.name: (task.low, task.high) for task in suite.tasks.values()}
        one_unit = suite.headline in UNITS or len(suite.tasks) == 1
        assert found == (dict.fromkeys(suite.tasks, (None, None)) if one_unit else SCALES[name])


@pytest.mark.parametrize("task", load_suite("melody-v1").tasks.values(), ids=lambda task: task.name)
def test_the_low_end_of_a_scale_is_the_prior(task):
    lanes = gym.make_vec(task.env_id, num_envs=500, **task.env_kwargs).unwrapped.lanes
    returns = rollout(lanes, PriorPolicy(0), 3000).task_return / lanes.c
    assert task.low == pytest.approx(returns.mean(), abs=4 * returns.std() / len(returns) ** 0.5)


def test_a_melody_task_keeps_its_weights_whatever_is_recommended_later(monkeypatch):
    monkeypatch.setattr("seqgen_envs.domains.melody.tasks.RECOMMENDED_WEIGHTS", {"key": 100.0})
    task = load_suite("melody-v1").tasks["recommended"]
    made = gym.make(task.env_id, **task.env_kwargs).unwrapped.lanes.task
    assert {term.name: term.weight for term in made.terms}["key"] == 2.0


def test_the_fingerprint_is_of_what_decides_a_result():
    tasks = {"one": BenchTask("one", "ToyGen-v0")}
    suite = Suite("own-v1", "about", "optimum", "kl", tasks, metrics=("kl",))
    said_otherwise = Suite("own-v1", "other words", "optimum", "kl", tasks, metrics=("kl",))
    assert suite.fingerprint == said_otherwise.fingerprint
    more = {"one": BenchTask("one", "ToyGen-v0", steps=5)}
    changed = Suite("own-v1", "about", "optimum", "kl", more, metrics=("kl",))
    assert suite.fingerprint != changed.fingerprint
    scaled = {"one": BenchTask("one", "ToyGen-v0", low=1.8, high=0.0)}
    read_otherwise = Suite("own-v1", "about", "optimum", "j", scaled, metrics=("j", "kl"))
    assert suite.fingerprint == read_otherwise.fingerprint


def test_a_score_lies_between_the_prior_and_the_best_known():
    task = BenchTask("one", "ToyGen-v0", low=2.0, high=6.0)
    assert [task.score(x) for x in (2.0, 5.0, 6.0)] == [0.0, 0.75, 1.0]
    assert BenchTask("one", "ToyGen-v0").score(5.0) == 5.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"measure": "vibes"}, "measure must be one of"),
        ({"headline": "fame"}, "headline 'fame' is no metric"),
        ({"colour": "red"}, "unknown colour"),
        ({"tasks": {"one": {"env_id": "ToyGen-v0", "steps": 0}}}, "steps must be a whole number"),
        ({"tasks": {"one": {"id": "ToyGen-v0"}}}, "unknown id"),
        ({"tasks": {"one": {"env_id": "ToyGen-v0", "low": 1.0}}}, "both low and high"),
    ],
)
def test_a_suite_that_says_nonsense_is_refused(change, says, tmp_path):
    content = {
        "about": "own",
        "measure": "optimum",
        "headline": "kl",
        "metrics": ["kl"],
        "tasks": {"one": {"env_id": "ToyGen-v0"}},
    }
    path = tmp_path / "own-v1.yml"
    path.write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ValueError, match=says):
        load_suite(str(path))


def test_an_unknown_suite_names_those_there_are():
    with pytest.raises(ValueError, match="toy-v1"):
        load_suite("toy-v9")


@pytest.mark.parametrize(
    "task",
    [
        {"env_id": "wicked_module:ToyGen-v0"},
        {"env_id": "MoleculeGen-v0", "env_kwargs": {"task": "command: wicked"}},
        {"env_id": "MoleculeGen-v0", "env_kwargs": {"task": {"name": "custom:wicked.py:f"}}},
    ],
)
def test_a_suite_in_a_file_runs_no_code_without_trust(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("wicked_module.py", "wicked.py"):
        (tmp_path / name).write_text("open('ran', 'w').close()\nf = len\n")
    content = {"about": "own", "measure": "optimum", "headline": "kl", "metrics": ["kl"]}
    (tmp_path / "own-v1.yml").write_text(yaml.safe_dump({**content, "tasks": {"one": task}}))
    with pytest.raises(PermissionError, match="add --trust"):
        load_suite("own-v1.yml")
    assert not (tmp_path / "ran").exists()
