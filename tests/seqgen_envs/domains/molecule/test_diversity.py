"""Tasks that tire of what they have rewarded: scaffolds, neighbours, repeats."""

from __future__ import annotations

import copy
import itertools
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from rdkit import Chem
from rdkit.Chem.AllChem import GetMorganFingerprintAsBitVect
from rdkit.DataStructs import TanimotoSimilarity
from stable_baselines3.common.vec_env import DummyVecEnv

from helpers.agents import assert_equal_states
from helpers.episodes import augmenter_of, played
from helpers.molecules import atoms, tokens_of, totals
from helpers.paths import MOLECULES
from kl_agents import PsiLearning
from seqgen_envs import get_domain
from seqgen_envs.domains.molecule.smiles import (
    VOCABULARY,
    canonicalize,
    encode,
    parse,
    scaffold_of,
)
from seqgen_envs.domains.molecule.tasks import tasks as rules
from seqgen_envs.domains.molecule.tasks.diversity import DiverseTask
from seqgen_envs.domains.molecule.tasks.memory import KINDS, Diversity, Memory, topology_of
from seqgen_envs.domains.toy.prior import TabularPrior
from seqgen_envs.lanes import Lanes
from seqgen_envs.settings import LaneSettings
from seqgen_envs.vector_env import SequenceVectorEnv

MOLECULE = get_domain("molecule")
BROKEN = "C1CC("
#: Side chains on benzene, in no order of score.
BENZENES = ["Cc1ccccc1", "CCc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"]
#: Molecules of a handful of scaffolds, for the kinds to sort.
MANY = [
    *BENZENES, "c1ccncc1", "Cc1ccncc1", "C1CCCCC1", "O=C1CCCCC1", "CC1CCCCC1", "CCO", "CCCO",
    "CCCCO", "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Oc1ccccc1C(=O)N", "c1ccc2ccccc2c1",
    "Cc1ccc2ccccc2c1", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CN1C=NC2=C1C(=O)NC(=O)N2C",
    "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "C1CC1", "CC1CC1",
]  # fmt: skip


def task_of(**diversity):
    others = diversity.pop("others", {})
    objectives = {"size": rules.SmilesFunction(atoms)}
    return rules.scored_task(
        "t", objectives, diversity={"min_score": 0.1, **diversity} if diversity else None, **others
    )


def scores(task, smiles):
    """Task reward of each, all ending in one step."""
    tokens, lengths = tokens_of(smiles, horizon=40)
    finished = np.ones(len(smiles), dtype=bool)
    return task.score(tokens, lengths, finished, task.initial_state())[0].sum(axis=1)


def raw(smiles):
    return np.array([len(canonicalize(text) or "") / 10 for text in smiles])


# -- scaffolds ------------------------------------------------------------------------------------


def test_a_full_scaffold_scores_nothing():
    task = task_of(kind="scaffold", bucket_size=2)
    smiles = [*BENZENES, "Cc1ccncc1"]
    expected = raw(smiles) * [1, 1, 0, 0, 1]
    assert scores(task, smiles) == pytest.approx(expected)
    assert scores(task, ["CCCc1ccccc1", "c1ccncc1"]) == pytest.approx([0.0, 0.8])
    assert task.memory.scaled == 3
    assert task.buckets() == {
        "c1ccccc1": {"Cc1ccccc1": 0.9, "CCc1ccccc1": 1.0},
        "c1ccncc1": {"Cc1ccncc1": 0.9, "c1ccncc1": 0.8},
    }


def test_the_order_is_that_of_the_lanes():
    for order in itertools.permutations(range(3)):
        smiles = [BENZENES[i] for i in order]
        got = scores(task_of(kind="scaffold", bucket_size=1), smiles)
        assert got == pytest.approx(raw(smiles) * [1, 0, 0])


def test_batches_of_any_size_end_alike():
    """One after the other, as lanes that finish at different times, or all at once."""
    for kind in KINDS:
        size = {} if kind == "smiles" else {"bucket_size": 2}
        whole, single = task_of(kind=kind, **size), task_of(kind=kind, **size)
        smiles = MANY + MANY[::2]
        one_by_one = np.concatenate([scores(single, [text]) for text in smiles])
        assert scores(whole, smiles) == pytest.approx(one_by_one)
        assert whole.buckets() == single.buckets()
        assert 0 < whole.memory.scaled == single.memory.scaled


def test_stereochemistry_and_side_chains_make_no_scaffold():
    left, right = (Chem.MolFromSmiles(f"CC1C[{c}H](C)N1c1ccccc1") for c in ("C@", "C@@"))
    assert scaffold_of(left) == scaffold_of(right)
    assert "@" not in scaffold_of(left)
    assert scaffold_of(Chem.MolFromSmiles("CCO")) == topology_of(Chem.MolFromSmiles("CC=O")) == ""


def test_topologies_are_graphs():
    by_kind = {}
    smiles = ["c1ccncc1", "O=C1CCCCC1", "CC1CCCCC1", "c1ccccc1"]
    for kind in ("scaffold", "topological"):
        task = task_of(kind=kind)
        scores(task, smiles)
        by_kind[kind] = {name: len(bucket) for name, bucket in task.buckets().items()}
    assert by_kind["topological"] == {"C1CCCCC1": 4}
    assert by_kind["scaffold"] == {"c1ccncc1": 1, "O=C1CCCCC1": 1, "C1CCCCC1": 1, "c1ccccc1": 1}


def test_what_cannot_be_taken_apart_is_a_bucket_of_its_own():
    odd = canonicalize("C1CC2CCS123CCC3")  # five bonds within rings, which no carbon has
    with pytest.raises(ValueError, match="valence"):
        topology_of(Chem.MolFromSmiles(odd))
    memory = Memory(Diversity("topological", bucket_size=1))
    assert [memory.judge(smiles, 1.0).factor for smiles in (odd, "CCO", odd)] == [1.0, 1.0, 0.0]
    assert set(memory.buckets) == {odd, ""}


@pytest.mark.parametrize("kind", KINDS)
def test_a_canonical_smiles_that_rdkit_does_not_read_ends_nothing(kind):
    path = MOLECULES / "canonical-unreadable.smi"
    odd = path.read_text().split()[0]
    assert parse(canonicalize(odd)) is None
    memory = Memory(Diversity(kind))
    assert all(memory.judge(smiles, 1.0).factor == 1.0 for smiles in ("CCO", odd, "CCCO"))
    other = Memory(Diversity(kind))
    other.load_state_dict(memory.state_dict())
    assert other._fingerprints == memory._fingerprints
    for each in (memory, other):
        assert [each.judge(smiles, 1.0).factor for smiles in ("CCCCO", odd)] == [1.0, 0.0]
    assert other.state_dict() == memory.state_dict()


# -- neighbours -----------------------------------------------------------------------------------


def fingerprint(smiles):
    return GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(smiles), 2, 2048)


@pytest.mark.parametrize("similarity", [0.2, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("size", [1, 3, 25])
def test_neighbours_against_all_pairs(similarity, size):
    memory = Memory(Diversity("similarity", bucket_size=size, similarity=similarity))
    remembered = []  # (SMILES, bucket)
    for smiles in map(canonicalize, MANY):
        near = [TanimotoSimilarity(fingerprint(smiles), fingerprint(s)) for s, _ in remembered]
        best = int(np.argmax(near)) if near else None
        close = best is not None and near[best] >= similarity
        bucket = remembered[best][1] if close else smiles
        known = any(s == smiles for s, _ in remembered)
        room = sum(b == bucket for _, b in remembered) < size
        assert memory.judge(smiles, 1.0).factor == (room and not known)
        if room and not known:
            remembered.append((smiles, bucket))
    assert {b: set(v) for b, v in memory.buckets.items()} == {
        b: {s for s, other in remembered if other == b} for _, b in remembered
    }
    assert max(map(len, memory.buckets.values())) <= size


# -- repeats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("repeats", "factor"), [(None, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_repeat_in_any_spelling_is_scaled(kind, repeats, factor):
    task = task_of(kind=kind, **({} if repeats is None else {"repeats": repeats}))
    assert scores(task, ["CCO", "OCC", "CCO"]) == pytest.approx([0.3, 0.3 * factor, 0.3 * factor])
    assert scores(task, ["C(O)C", "c1ccccc1"]) == pytest.approx([0.3 * factor, 0.8])
    assert task.memory.scaled == (0 if factor == 1.0 else 3)
    assert sum(map(len, task.buckets().values())) == 2


def test_of_kind_smiles_only_repeats_are_scaled():
    task = task_of(kind="smiles")
    assert scores(task, MANY) == pytest.approx(raw(MANY))
    assert scores(task, MANY) == pytest.approx(0.0)


# -- the score ------------------------------------------------------------------------------------


def test_scale_lets_a_share_through():
    task = task_of(kind="scaffold", bucket_size=1, scale=0.25)
    assert scores(task, BENZENES) == pytest.approx(raw(BENZENES) * [1, 0.25, 0.25, 0.25])


def test_molecules_below_the_least_score_are_neither_touched_nor_remembered():
    task = task_of(kind="scaffold", bucket_size=1, min_score=0.35)
    assert scores(task, ["CCO", "CCO", "CCCO", "CCCCO", "CCO"]) == pytest.approx(
        [0.3, 0.3, 0.4, 0.0, 0.3]
    )
    assert task.buckets() == {"": {"CCCO": 0.4}}


def test_invalid_smiles_are_untouched():
    task = task_of(kind="smiles", min_score=0.0, others={"invalid_penalty": 2.0})
    assert scores(task, [BROKEN, BROKEN, "CCO"]) == pytest.approx([-2.0, -2.0, 0.3])
    assert list(task.buckets()) == ["CCO"]


def test_the_score_is_the_sum_of_the_terms_at_the_end():
    """Each of them is scaled; what every step earns is not."""
    plain = MOLECULE.make_task({"name": "sequence-tutor", "max_run": 2})
    task = MOLECULE.make_task(
        {"name": "sequence-tutor", "max_run": 2, "diversity": {"kind": "smiles", "scale": 0.0}}
    )
    assert task.names == plain.names
    expected = totals(plain, ["CCCCC"] * 2)
    got = totals(task, ["CCCCC"] * 2)
    assert expected["carbon_run"].tolist() == [-3.0, -3.0]
    for name, values in expected.items():
        share = [1, 1] if name == "carbon_run" else [1, 0]
        assert got[name] == pytest.approx(values * share), name
    (bucket,) = task.buckets().values()
    assert bucket["CCCCC"] == pytest.approx(sum(v[0] for v in expected.values()) + 3.0)


def test_a_molecule_whose_objective_fails_is_not_remembered():
    def fails(molecule):
        raise ZeroDivisionError("never")

    task = rules.scored_task(
        "t", {"x": fails}, valid_reward=1.0, diversity={"kind": "smiles", "min_score": 0.0}
    )
    assert scores(task, ["CCO"]) == 0.0
    assert task.buckets() == {}


def test_the_oracle_is_asked_no_more_often():
    plain, task = task_of(), task_of(kind="scaffold")
    for each in (plain, task):
        scores(each, [*BENZENES, *BENZENES, BROKEN])
    assert vars(task.scorer).keys() == vars(plain.scorer).keys()
    for name in ("calls", "requests", "repeats"):
        assert getattr(task.scorer, name) == getattr(plain.scorer, name)


# -- whose memory it is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t)),
     lambda t: t.with_weights({"size": 2.0})],
    ids=["copy", "deepcopy", "pickle", "weights"],
)  # fmt: skip
def test_a_copy_starts_with_an_empty_memory(again):
    task = task_of(kind="scaffold", bucket_size=1)
    scores(task, BENZENES[:1])
    other = again(task)
    assert isinstance(other, DiverseTask)
    assert other.buckets() == {}
    weight = dict(zip(other.names, other.terms, strict=True))["size"].weight
    assert scores(other, BENZENES[1:]) == pytest.approx(raw(BENZENES[1:]) * [weight, 0, 0])
    assert list(task.buckets()["c1ccccc1"]) == BENZENES[:1]  # and the first keeps its own


def test_forgetting():
    task = task_of(kind="similarity", bucket_size=1)
    first = scores(task, MANY)
    task.forget()
    assert task.buckets() == {}
    assert task.memory.scaled == 0
    assert scores(task, MANY) == pytest.approx(first)


def test_buckets_are_a_report_and_not_the_memory():
    task = task_of(kind="scaffold", bucket_size=2)
    scores(task, ["CCO", *BENZENES])
    report = task.buckets()
    assert list(report) == ["c1ccccc1", ""]  # the fullest first
    report["c1ccccc1"].clear()
    assert len(task.buckets()["c1ccccc1"]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_memory_goes_on_as_the_first(kind):
    size = {} if kind == "smiles" else {"bucket_size": 2}
    task, other = task_of(kind=kind, **size), task_of(kind=kind, **size)
    scores(task, MANY[:12])
    other.load_state_dict(json.loads(json.dumps(task.state_dict())))
    assert other.buckets() == task.buckets()
    assert scores(other, MANY) == pytest.approx(scores(task, MANY))
    assert other.state_dict() == task.state_dict()


def test_other_tasks_have_no_memory_to_load():
    task = task_of()
    assert task.state_dict() == {}
    task.load_state_dict({})
    with pytest.raises(ValueError, match="task 't' remembers nothing"):
        task.load_state_dict({"molecules": []})


# -- tasks by name, environments ------------------------------------------------------------------

ARGUMENTS = {
    "similarity:": "similarity:CCO", "scaffold:": "scaffold:c1ccccc1",
    "custom:": "custom:helpers.molecules:atoms", "command:": "command:cat",
}  # fmt: skip


@pytest.mark.parametrize("name", rules.TASKS)
def test_every_task_takes_a_diversity(name, tmp_path):
    path = tmp_path / "objective.json"
    path.write_text('{"property": "qed"}')
    wanted = {"objective:": f"objective:{path}", **ARGUMENTS}.get(name, name)
    needed = {"objective": {"objective": {"property": "qed"}}, "command": {"command": "cat"}}
    arguments = needed.get(name, {})
    diversity = {"kind": "scaffold", "bucket_size": 3, "min_score": 0.4}
    settings = json.loads(json.dumps({"name": wanted, "diversity": diversity, **arguments}))
    try:
        task = MOLECULE.make_task(settings)
    except ImportError:
        pytest.skip("its model is not here")
    assert isinstance(task, DiverseTask)
    assert task.diversity == Diversity("scaffold", 3, 0.4)
    assert task.names == MOLECULE.make_task({"name": wanted, **arguments}).names


@pytest.mark.parametrize(
    ("diversity", "message"),
    [
        ({}, "must be a dict with 'kind'"),
        ("scaffold", "must be a dict with 'kind'"),
        ({"kind": "scaffold", "size": 3}, "must be a dict with 'kind'"),
        ({"kind": "murcko"}, "kind must be one of"),
        ({"kind": "scaffold", "bucket_size": 0}, "bucket_size must be a whole number"),
        ({"kind": "scaffold", "bucket_size": 2.5}, "bucket_size must be a whole number"),
        ({"kind": "scaffold", "min_score": -1.0}, "min_score must be >= 0"),
        ({"kind": "scaffold", "min_score": float("nan")}, "min_score must be >= 0"),
        ({"kind": "scaffold", "scale": 1.5}, r"scale must be in \[0, 1\]"),
        ({"kind": "scaffold", "repeats": -0.5}, r"repeats must be in \[0, 1\]"),
        ({"kind": "scaffold", "similarity": 0.5}, "similarity is not for kind 'scaffold'"),
        ({"kind": "similarity", "similarity": 0.0}, "similarity must be above 0"),
        ({"kind": "smiles", "bucket_size": 3}, "bucket_size is not for kind 'smiles'"),
    ],
)
def test_bad_settings_are_named(diversity, message):
    with pytest.raises(ValueError, match=f"diversity.*{message}"):
        MOLECULE.make_task({"name": "qed", "diversity": diversity})


def chains(letters=("C", "O", "N"), horizon=6):
    """A prior of chains of a few atoms: every one is a molecule."""
    weights = np.full(VOCABULARY.size, 1e-6)
    weights[[VOCABULARY.tokens.index(letter) for letter in letters]] = 1.0
    weights[VOCABULARY.end_id] = 0.5
    table = np.tile(np.log(weights / weights.sum()), (horizon, VOCABULARY.size + 1, 1))
    return TabularPrior(table, VOCABULARY)


PRIOR = chains()


def lanes_of(n, **diversity):
    task = {"name": "custom:helpers.molecules:atoms", "n_jobs": 0,
            "diversity": {"kind": "smiles", "min_score": 0.0, **diversity}}  # fmt: skip
    return {"prior": PRIOR, "task": task, "length": 6}, n


def test_lanes_share_one_memory_that_changes_at_the_end_only():
    settings, n = lanes_of(3)
    env = gym.make_vec("MoleculeGen-v0", num_envs=n, autoreset_mode=AutoresetMode.SAME_STEP.value,
                       vectorization_mode="vector_entry_point", **settings)  # fmt: skip
    env.reset()
    task = env.unwrapped.task
    carbon, oxygen, end = (VOCABULARY.tokens.index(t) for t in ("C", "O", VOCABULARY.end))
    for actions in ([carbon, carbon, carbon], [oxygen, carbon, oxygen]):
        assert env.step(np.array(actions))[1].shape == (3,)
        assert task.buckets() == {}
    *_, infos = env.step(np.array([end, carbon, end]))
    assert list(task.buckets()) == ["CO"]
    terms = infos["final_info"]["reward_terms"]["custom"]
    assert terms[0] == pytest.approx(0.2)
    assert terms[2] == 0.0  # the same molecule, one lane further
    assert infos["final_info"]["task_reward"][2] == 0.0
    env.reset()
    assert list(task.buckets()) == ["CO"]  # episodes come and go


def test_single_environments_have_one_each():
    settings, _ = lanes_of(1)
    envs = [gym.make("MoleculeGen-v0", **settings).unwrapped for _ in range(2)]
    for env in envs:
        env.reset()
        for token in ("C", "O", VOCABULARY.end):
            _, _, _, _, info = env.step(VOCABULARY.tokens.index(token))
        assert info["reward_terms"]["custom"] == pytest.approx(0.2)
        assert list(env.task.buckets()) == ["CO"]


# -- agents ---------------------------------------------------------------------------------------


def agent_of(env, **settings):
    architecture = {"cell": "gru", "embedding_size": 8, "hidden_size": 16}
    return PsiLearning(
        "SequencePolicy", env, seed=0, device="cpu", batch_episodes=8,
        policy_kwargs={"init": "random", "scale": 1.0, "architecture": architecture}, **settings,
    )  # fmt: skip


def native_env():
    settings, n = lanes_of(8, kind="scaffold", bucket_size=20)
    return SequenceVectorEnv(MOLECULE, n, autoreset_mode=AutoresetMode.SAME_STEP, **settings)


def single_envs():
    settings, _ = lanes_of(1, kind="scaffold", bucket_size=20)
    return DummyVecEnv([lambda: gym.make("MoleculeGen-v0", **settings)] * 3)


@pytest.mark.parametrize("make_env", [native_env, single_envs])
def test_a_resumed_training_goes_on_with_the_memory(make_env, tmp_path):
    agent = agent_of(make_env(), augment=0.5, c=0.1, replay_sampling="rank").learn(150)
    agent.save(tmp_path / "agent", include=["replay_buffer"])
    remembered = [task.buckets() for task in agent.env.get_attr("task")]
    assert all(remembered)
    loaded = PsiLearning.load(tmp_path / "agent", env=make_env())
    assert [task.buckets() for task in loaded.env.get_attr("task")] == remembered
    for each in (agent, loaded):
        each.learn(150, reset_num_timesteps=False)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())
    after = [task.state_dict() for task in agent.env.get_attr("task")]
    assert [task.state_dict() for task in loaded.env.get_attr("task")] == after
    assert sum(memory["scaled"] for memory in after) > 0
    agent.save(tmp_path / "finished")  # no memory goes with an agent that is done
    fresh = PsiLearning.load(tmp_path / "finished", env=make_env())
    assert not any(task.buckets() for task in fresh.env.get_attr("task"))


def test_other_spellings_cost_neither_budget_nor_room():
    """Molecules re-spelled in a replay keep what the end brought, whatever the memory says now."""
    task = MOLECULE.make_task(
        {"name": "sequence-tutor", "max_run": 2, "budget": 4,
         "diversity": {"kind": "scaffold", "bucket_size": 1, "min_score": 0.0}}
    )  # fmt: skip
    lanes = Lanes(1, LaneSettings(MOLECULE, PRIOR, task, length=24))
    smiles = ["CCCCOc1ccccc1", "CCCCc1ccccc1C", "CCCCOC(C)C", BROKEN]
    before = played(lanes, [np.append(encode(s), VOCABULARY.end_id) for s in smiles])
    calls, memory = task.scorer.calls, task.state_dict()
    assert memory["scaled"] == 1  # the second benzene
    augmenter = augmenter_of(MOLECULE, task, PRIOR, horizon=24)
    plain = MOLECULE.make_task({"name": "sequence-tutor", "max_run": 2})
    share, moved = np.array([1, 0, 1, 1]), False
    for seed in range(5):
        after, count = augmenter.respell(before, 1.0, np.random.default_rng(seed))
        assert count >= 2
        texts = [MOLECULE.to_text(row) for row in after.tokens]
        assert [canonicalize(t) for t in texts] == [canonicalize(s) for s in smiles]
        assert texts[3] == BROKEN
        expected = np.zeros(len(smiles))
        for name, values in totals(plain, texts, horizon=24).items():
            expected += values * (1 if name == "carbon_run" else share)
            moved |= name == "carbon_run" and len(set(values.tolist())) > 1
        assert after.task_return == pytest.approx(expected, abs=1e-5)
    assert moved
    assert task.scorer.calls == calls
    assert task.state_dict() == memory
