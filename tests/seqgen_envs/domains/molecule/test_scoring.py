"""The scorer: once a molecule, never an exception, PMO's accounts; and the tasks that read it."""

import copy
import json
import math
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from rdkit import Chem

from helpers.molecules import fails_on_rings, lengths_of, tokens_of, totals
from helpers.paths import MOLECULES
from kl_agents import PsiLearning
from kl_agents.runs import RunSpec, evaluate_agent, start_run
from seqgen_envs import get_domain
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.domains.molecule import smiles as smiles_module
from seqgen_envs.domains.molecule.metrics.summary import summarize
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES, logp
from seqgen_envs.domains.molecule.output.broken import sketch
from seqgen_envs.domains.molecule.smiles import canonicalize, compound_of, parse
from seqgen_envs.domains.molecule.tasks import tasks
from seqgen_envs.domains.molecule.tasks.calling import score_all
from seqgen_envs.domains.molecule.tasks.own import SmilesFunction
from seqgen_envs.domains.molecule.tasks.rules import MoleculeTask
from seqgen_envs.domains.molecule.tasks.scoring import Scorer, Verdict
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import RuleError, score_sequences

ETHANOL, ETHANOL_AGAIN, BENZENE, BROKEN = "CCO", "OCC", "c1ccccc1", "C1CC("


class Counting:
    """An objective that remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, molecule):
        self.asked.append(Chem.MolToSmiles(molecule))
        return float(molecule.GetNumAtoms())


def nan_on_rings(molecule):
    return math.nan if molecule.GetRingInfo().NumRings() else 1.0


def fails_always(molecule):
    raise KeyError("key")


def nan_always(molecule):
    return math.nan


def raises_on_rings(smiles):
    if any("1" in text for text in smiles):
        raise RuntimeError("the server is down")
    return [2.0] * len(smiles)


def too_few(smiles):
    return [1.0] * (len(smiles) - 1)


# -- the scorer -----------------------------------------------------------------------------------


def test_each_molecule_is_scored_once_whatever_its_spelling():
    objective = Counting()
    scorer = Scorer({"atoms": objective})
    batch = [ETHANOL, BENZENE, ETHANOL_AGAIN, BROKEN, ETHANOL]
    first, second = scorer.score(batch), scorer.score(batch)
    assert first == second
    assert [v.canonical for v in first] == ["CCO", "c1ccccc1", "CCO", None, "CCO"]
    assert [v.values for v in first] == [(3.0,), (6.0,), (3.0,), (0.0,), (3.0,)]
    assert objective.asked == ["CCO", "c1ccccc1"]
    assert (scorer.calls, scorer.requests, scorer.repeats) == (2, 10, 5)


def test_values_do_not_depend_on_the_spelling():
    spellings = ["CC(=O)Nc1ccc(O)cc1", "c1cc(O)ccc1NC(C)=O", "Oc1ccc(NC(=O)C)cc1"]
    names = ["logp", "qed", "sa", "tpsa", "bertz"]
    objectives = {name: PROPERTIES[name] for name in names}
    verdicts = [Scorer(objectives).score([text])[0] for text in spellings]
    assert verdicts[0] == verdicts[1] == verdicts[2]


@pytest.mark.parametrize(
    "objective", [fails_on_rings, nan_on_rings, SmilesFunction(raises_on_rings)]
)
def test_what_fails_is_nan_and_says_why(objective):
    good, bad, invalid = Scorer({"x": objective, "logp": logp}).score([ETHANOL, BENZENE, BROKEN])
    assert good.error is None
    assert np.isfinite(good.values).all()
    assert math.isnan(bad.values[0])
    assert bad.values[1] == logp(Chem.MolFromSmiles(BENZENE))  # the others are kept
    assert "no rings" in bad.error or "server is down" in bad.error or "finite" in bad.error
    assert invalid == Verdict(None, (0.0, 0.0), None)


def test_a_smiles_function_gets_canonical_smiles_in_one_batch():
    asked = []

    def note(smiles):
        asked.append(list(smiles))
        return lengths_of(smiles)

    verdicts = Scorer({"n": SmilesFunction(note)}).score([ETHANOL_AGAIN, BENZENE])
    assert asked == [["CCO", "c1ccccc1"]]
    assert [v.values for v in verdicts] == [(3.0,), (8.0,)]


def test_a_smiles_function_of_the_wrong_length_is_named():
    with pytest.raises(RuleError, match="too_few returned 0 values for 1 SMILES; it must"):
        Scorer({"n": SmilesFunction(too_few)}).score([ETHANOL])


def test_one_bad_molecule_of_many_costs_one_call(smiles_sample):
    """A batch of 512 is scored by one call of the scorer, the bad molecule by itself."""
    asked = []

    def counted(smiles):
        asked.append(len(smiles))
        return [math.nan if text == "c1ccccc1" else 1.0 for text in smiles]

    batch = [*smiles_sample[:400], *("C" * n for n in range(1, 112)), BENZENE]
    task = tasks.scored_task("t", {"x": SmilesFunction(counted), "logp": logp}, valid_reward=1.0)
    scores = []
    score = task.scorer.score
    task.scorer.score = lambda smiles: scores.append(len(smiles)) or score(smiles)
    tokens, lengths = tokens_of(batch, horizon=130)
    values, _ = task.score(tokens, lengths, np.ones(512, dtype=bool), ())
    assert (scores, asked) == ([512], [512])
    assert (values[:511, 0] == 1.0).all()
    assert values[511].tolist() == [0.0, 0.0, 0.0]
    assert task.failures.by_term == {"x": 1}


def raises_import(molecule):
    raise ImportError("no module named docking")


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (fails_always, "'x' failed on each of 2 molecules, CCO first, .*: KeyError: 'key'"),
        (SmilesFunction(fails_always), "'x' failed on each of 2 molecules"),
        (nan_always, "the objective returned nan, expected a finite number"),
        (raises_import, "what cannot be imported: no module named docking"),
    ],
)
def test_an_error_of_the_program_ends_the_run(objective, message):
    task = tasks.scored_task("t", {"x": objective})
    with pytest.raises(RuleError, match=message):
        totals(task, [ETHANOL, "CCN"])  # they end at the same step


def test_an_objective_that_never_works_is_found_out_one_by_one():
    scorer = Scorer({"x": fails_always})
    for n in range(1, 8):
        assert math.isnan(scorer.score(["C" * n])[0].values[0])
    with pytest.raises(RuleError, match="KeyError"):
        scorer.score([ETHANOL])


def test_a_single_molecule_or_a_few_may_fail():
    """One may be to blame; of an objective that has worked, so may a few at once."""
    scorer = Scorer({"x": fails_on_rings})
    assert math.isnan(scorer.score([BENZENE])[0].values[0])
    scorer.score([ETHANOL])
    rings = [f"C1CC1{'C' * n}" for n in range(8)]
    assert all(math.isnan(verdict.values[0]) for verdict in scorer.score(rings[:7]))
    assert scorer.explain(BENZENE).startswith("on c1ccccc1: Traceback")
    with pytest.raises(RuleError, match="failed on each of 8 molecules"):
        scorer.score([f"C1CCC1{'C' * n}" for n in range(8)])


def test_an_objective_that_no_process_can_be_given():
    scorer = Scorer({"x": lambda molecule: 1.0}, n_jobs=2)
    with pytest.raises(RuleError, match=r"cannot be pickled .*n_jobs=0"):
        scorer.score(["C" * n for n in range(1, 40)])


def test_a_molecule_whose_canonical_smiles_rdkit_does_not_read():
    """It is scored from the molecule that was parsed."""
    path = MOLECULES / "canonical-unreadable.smi"
    smiles = path.read_text().split()[0]
    assert parse(canonicalize(smiles)) is None
    for name in ("logp", "sa", "pmo/sitagliptin_mpo", "pmo/deco_hop"):
        task = get_domain("molecule").make_task(name)
        (verdict,) = task.scorer.score([smiles])
        assert verdict.error is None
        assert np.isfinite(verdict.values).all()
    (parallel,) = score_all([logp], [pickle.loads(pickle.dumps(compound_of(smiles)))])
    assert parallel.values == pytest.approx((logp(parse(smiles)),))
    assert summarize(tokens_of([smiles], horizon=90)[0])["logp"] == parallel.values[0]


def test_a_molecule_is_parsed_and_measured_once(monkeypatch):
    """Scores, metrics and pictures ask the same compound."""
    parsed, measured = [], []
    monkeypatch.setattr(smiles_module, "parse", lambda s: parsed.append(s) or parse(s))
    monkeypatch.setitem(PROPERTIES, "qed", lambda m: measured.append(m) or 0.5)
    fresh = ["CCOc1ccccc1CCCCCCCCCF", "FCCCCCCCCCc1ccccc1OCC"]
    tokens, lengths = tokens_of(fresh, horizon=40)
    task = tasks.sequence_tutor_task()
    score_sequences(task, tokens, lengths)
    summarize(tokens)
    assert sketch(fresh[0]).valid
    assert [text for text in parsed if text in fresh] == fresh
    assert len(measured) == 1


def test_forgotten_molecules_are_parsed_again_but_not_measured():
    calls = []

    def measured(molecule):
        calls.append(molecule.GetNumAtoms())
        return float(molecule.GetNumAtoms())

    compound = compound_of("FCCCOCCCCCCCCBr")
    assert compound_of("BrCCCCCCCCOCCCF") is compound
    first = compound.molecule
    assert compound.take(measured) == 14.0
    compound.take(lambda molecule: [molecule])
    smiles_module._live_of.cache_clear()
    assert compound.take(measured) == 14.0
    assert calls == [14]
    again = compound.molecule
    assert again is not first
    assert [a.GetSymbol() for a in again.GetAtoms()] == [a.GetSymbol() for a in first.GetAtoms()]
    assert logp(again) == logp(first)


def test_the_caches_forget_what_was_used_least_recently():
    objective = Counting()
    scorer = Scorer({"atoms": objective}, cache_size=2)
    for text in ("C", "CC", "C", "CCC", "C", "CC"):
        scorer.score([text])
        assert len(scorer._scored) <= 2
        assert len(scorer._canonical) <= 2
    assert objective.asked == ["C", "CC", "CCC", "CC"]


@pytest.mark.parametrize("text", ["", "C" * 1_000_000, "(", "\x00", "[Xx]", "c1ccccc", "🧪", "C.C"])
def test_no_string_raises(text):
    (verdict,) = Scorer({"logp": logp}).score([text])
    assert (verdict.canonical is None) == (text != "C.C")


@pytest.mark.spawn
def test_processes_give_the_same(smiles_sample):
    objectives = {"logp": logp, "length": SmilesFunction(lengths_of), "rings": fails_on_rings}
    batch = [*smiles_sample[:40], BROKEN, ETHANOL]
    alone = Scorer(objectives).score(batch)
    scorer = Scorer(objectives, n_jobs=2)
    try:
        together = scorer.score(batch)
    finally:
        scorer.close()
    for one, other in zip(alone, together, strict=True):
        assert one.canonical == other.canonical
        np.testing.assert_array_equal(one.values, other.values)
        assert (one.error is None) == (other.error is None)


@pytest.mark.spawn
def test_processes_begin_with_a_round_while_it_is_written():
    """What comes of it is the same, and nothing is measured a second time here."""

    def lanes(n_jobs):
        task = {"name": "sequence-tutor", "n_jobs": n_jobs}
        return gym.make_vec("MoleculeGen-QED-v0", num_envs=8, task=task).unwrapped.lanes

    alone, together = lanes(0), lanes(2)
    expected = rollout(alone, PriorPolicy(0), 60)
    compounds = [compound_of(alone.domain.to_text(row)) for row in expected.tokens]
    compounds = [compound for compound in compounds if compound is not None]
    for compound in compounds:
        compound._small.clear()
    begun = []
    scorer = together.task.scorer
    score = scorer.score
    scorer.score = lambda smiles: begun.extend(scorer._dispatcher._begun) or score(smiles)
    try:
        found = rollout(together, PriorPolicy(0), 60)
        assert [len(part) for part in begun] == [16] * (len(compounds) // 16)
        for name, values in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)
        assert all(compound.known(PROPERTIES["qed"]) is not None for compound in compounds)
        asked = vars(scorer)["calls"], scorer.requests, scorer.repeats
        assert asked == (alone.task.scorer.calls, 60, 0)
        scorer.expect(["C" * n for n in range(1, 20)])  # a round that is given up
        assert len(score(["CCO"])) == 1
        assert scorer.calls == asked[0] + 17
    finally:
        scorer.close()


def test_nothing_is_begun_with_that_may_never_be_asked_for():
    objectives = {"logp": logp}
    assert Scorer(objectives, n_jobs=2).ahead
    for others in ({"n_jobs": 1}, {"n_jobs": 0}, {"budget": 9}, {"timeout": 1.0}):
        assert not Scorer(objectives, **{"n_jobs": 2, **others}).ahead
    scorer = Scorer(objectives, n_jobs=2, budget=9)
    scorer.expect(["C" * n for n in range(1, 40)])
    assert scorer._dispatcher._workers is None


@pytest.mark.spawn
def test_an_objective_that_breaks_ahead_ends_the_run_and_nothing_is_left():
    scorer = Scorer({"x": fails_always}, n_jobs=2)
    batch = ["C" * n for n in range(1, 40)]
    try:
        scorer.expect(batch)
        with pytest.raises(RuleError, match="'x' failed on each of 39 molecules, C first"):
            scorer.score(batch)
        assert scorer._dispatcher.score([]) == {}
    finally:
        scorer.close()


@pytest.mark.parametrize("how", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_starts_anew(how):
    scorer = Scorer({"logp": logp}, budget=5)
    scorer.score([ETHANOL])
    twin = how(scorer)
    assert (twin.calls, twin.history, twin.budget) == (0, [], 5)
    assert twin.score([ETHANOL]) == Scorer({"logp": logp}).score([ETHANOL])


@pytest.mark.parametrize(
    "wrong", [{"n_jobs": -1}, {"cache_size": 0}, {"budget": 0}, {"budget": "9"}]
)
def test_bad_numbers(wrong):
    with pytest.raises(ValueError, match=r"must be a whole number of at least [01], got '?[-09]"):
        Scorer({"logp": logp}, **wrong)
    with pytest.raises(ValueError, match="n_jobs=0 forbids them"):
        Scorer({"logp": logp}, n_jobs=0, timeout=1.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_jobs": "rai"}, "n_jobs must be a whole number or 'ray', got 'rai'"),
        ({"num_cpus": 2}, "num_cpus are for n_jobs='ray', and n_jobs is 1"),
        ({"n_jobs": 2, "num_gpus": 1, "retries": 1}, "num_gpus, retries are for n_jobs='ray'"),
        ({"n_jobs": "ray", "num_cpus": 0}, "num_cpus must be a number above 0, got 0"),
        ({"n_jobs": "ray", "num_gpus": -1}, "num_gpus must be a number of at least 0, got -1"),
        ({"n_jobs": "ray", "num_gpus": True}, "num_gpus must be a number of at least 0, got True"),
        ({"n_jobs": "ray", "retries": 1.5}, "retries must be a whole number of at least 0"),
        ({"n_jobs": "ray", "timeout": 0}, "timeout must be a number of seconds above 0"),
    ],
)
def test_what_is_for_ray_alone_is_refused_elsewhere(options, says):
    with pytest.raises(ValueError, match=says):
        Scorer({"logp": logp}, **options)


def test_no_objectives():
    with pytest.raises(ValueError, match="at least one objective"):
        Scorer({})


# -- the budget -----------------------------------------------------------------------------------


def test_only_distinct_valid_molecules_cost():
    scorer = Scorer({"atoms": Counting()}, budget=2)
    scorer.score([ETHANOL, ETHANOL_AGAIN, BROKEN, ETHANOL])
    assert scorer.calls == 1
    assert not scorer.exhausted


def test_the_budget_ends_within_a_batch_and_then_all_is_0():
    objective = Counting()
    scorer = Scorer({"atoms": objective}, budget=2)
    verdicts = scorer.score(["C", "CC", "CCC", "C"])
    assert [v.values for v in verdicts] == [(1.0,), (2.0,), (0.0,), (1.0,)]
    assert scorer.exhausted
    assert scorer.history == [("C", (1.0,)), ("CC", (2.0,))]
    assert [v.values for v in scorer.score(["C", "CCCC", BROKEN])] == [(0.0,)] * 3
    assert objective.asked == ["C", "CC"]
    assert scorer.calls == 2


def test_accounts_go_on_where_they_were_kept():
    objective, later = Counting(), Counting()
    scorer = Scorer({"atoms": objective, "fails": fails_on_rings}, budget=3)
    scorer.score(["CC", BENZENE, BROKEN, "CC"])
    kept = json.loads(json.dumps(scorer.state_dict()))
    other = Scorer({"atoms": later, "fails": fails_on_rings}, budget=3)
    other.load_state_dict(kept)
    assert (other.calls, other.requests) == (2, 4)
    for each in (scorer, other):
        verdicts = each.score([BENZENE, "CC", "CCC", "CCCC"])
        assert [v.values[0] for v in verdicts] == [6.0, 2.0, 3.0, 0.0]
        assert math.isnan(verdicts[0].values[1])
        assert "no rings here" in verdicts[0].error
        assert each.exhausted
    assert later.asked == ["CCC"]  # what was scored before is not again
    assert other.state_dict()["scored"] == scorer.state_dict()["scored"]
    assert Scorer({"logp": logp}).state_dict() == {}
    with pytest.raises(ValueError, match="give the task one"):
        Scorer({"logp": logp}).load_state_dict(kept)
    with pytest.raises(ValueError, match=r"of \['atoms', 'fails'\], not of \['logp'\]"):
        Scorer({"logp": logp}, budget=3).load_state_dict(kept)


@pytest.mark.slow
def test_a_resumed_training_has_the_budget_that_was_left(tmp_path):
    def env():
        task = {"name": "qed", "budget": 12}
        return make_sb3_vec_env("MoleculeGen-QED-v0", num_envs=4, task=task)

    arguments = {"episodes_per_round": 4, "batch_episodes": 2, "learning_rate": 1e-5}
    agent = PsiLearning("SequencePolicy", env(), seed=0, **arguments)
    agent.learn(200)
    agent.save(tmp_path / "agent", include=["replay_buffer"])
    loaded = PsiLearning.load(tmp_path / "agent", env=env())
    before, after = (each.env.get_attr("task")[0].scorer for each in (agent, loaded))
    assert 0 < before.calls < 12
    assert (after.calls, after.history) == (before.calls, before.history)
    kept = after.calls
    for each in (agent, loaded):
        each.learn(800, reset_num_timesteps=False)
    assert kept < before.calls
    assert after.history == before.history
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], tensor), name


def test_a_run_ends_with_its_budget_and_is_judged_without_one(tmp_path):
    task = {"name": "qed", "budget": 12}
    arguments = {"episodes_per_round": 4, "batch_episodes": 2, "learning_rate": 1e-5}
    spec = RunSpec("psi", "MoleculeGen-QED-v0", 5000, 0, 4, {"task": task}, arguments)
    model = start_run(tmp_path / "run", spec)
    assert model.num_timesteps < 5000
    trained = model.env.get_attr("task")[0]
    assert trained.spent
    evaluation = evaluate_agent(model, spec, 60, seed=0, num_envs=20)
    assert evaluation.summary["valid"] * 60 > 12
    assert evaluation.task_return > 0.4
    assert trained.scorer.calls == 12


def test_two_scorers_share_nothing():
    one, other = Scorer({"logp": logp}, budget=1), Scorer({"logp": logp}, budget=1)
    one.score([ETHANOL])
    assert one.exhausted
    assert not other.exhausted
    assert other.history == []


# -- the tasks ------------------------------------------------------------------------------------


def test_sequence_tutor_is_what_it_says():
    task = tasks.sequence_tutor_task()
    got = totals(task, [BENZENE, BROKEN])
    benzene = Chem.MolFromSmiles(BENZENE)
    weights = tasks.TUTOR_WEIGHTS
    assert got["logp"] == pytest.approx([weights["logp"] * PROPERTIES["logp"](benzene), 0.0])
    easy = (10 - PROPERTIES["sa"](benzene)) / 9
    assert got["sa"] == pytest.approx([weights["sa"] * easy, 0.0])
    assert got["qed"] == pytest.approx([weights["qed"] * PROPERTIES["qed"](benzene), 0.0])
    assert got["ring_penalty"] == pytest.approx([0.0, 0.0])
    assert got["validity"].tolist() == [1.0, -1.0]
    assert totals(task, ["C1CCCCCCCC1"])["ring_penalty"] == pytest.approx([-3.0])


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [("CCCCCC", 0.0), ("CCCCCCC", -1.0), ("CCCCCCCCC", -3.0), ("CCCCCCOCCCCCC", 0.0),
     ("CCCC(CCCC)CCC", 0.0), ("cccccccc", -2.0), ("NNNNNNNNNN", 0.0)],
)  # fmt: skip
def test_carbon_run(smiles, expected):
    task = tasks.sequence_tutor_task(max_run=6)
    assert totals(task, [smiles])["carbon_run"].tolist() == [expected]


def test_carbon_run_is_paid_as_it_goes():
    task = tasks.sequence_tutor_task(max_run=2)
    steps = score_sequences(task, *tokens_of(["CCCC"], horizon=6))
    column = task.names.index("carbon_run")
    assert steps[0, :, column].tolist() == [0.0, 0.0, -1.0, -1.0, 0.0, 0.0]


def test_a_sequence_cut_off_by_the_horizon_is_judged_as_it_stands():
    got = totals(tasks.TASKS["qed"](), [ETHANOL, BROKEN], end=False)
    assert got["qed"][0] > 0
    assert got["qed"][1] == 0


def test_invalid_penalty_and_valid_reward():
    task = tasks.TASKS["qed"](invalid_penalty=2.0, valid_reward=0.5)
    assert totals(task, [ETHANOL, BROKEN])["validity"].tolist() == [0.5, -2.0]
    with pytest.raises(ValueError, match="invalid_penalty must be >= 0"):
        tasks.TASKS["qed"](invalid_penalty=-1.0)


def test_a_failing_oracle_is_counted_and_ends_nothing():
    task = tasks.scored_task("t", {"x": fails_on_rings, "logp": logp}, valid_reward=1.0)
    got = totals(task, [ETHANOL, BENZENE])
    assert got["x"].tolist() == [1.0, 0.0]
    assert got["logp"][1] == got["validity"][1] == 0.0  # scores as invalid
    assert got["validity"][0] == 1.0
    assert task.failures.by_term == {"x": 1}
    assert "no rings here" in task.failures.first
    assert "c1ccccc1" in task.failures.first


def test_terms_share_one_scorer():
    task = tasks.sequence_tutor_task()
    totals(task, [ETHANOL, BENZENE])
    assert (task.scorer.calls, task.scorer.requests) == (2, 2)


def test_with_weights_keeps_scorer_and_kind():
    task = tasks.sequence_tutor_task()
    heavier = task.with_weights({"qed": 4.0})
    assert isinstance(heavier, MoleculeTask)
    assert heavier.scorer is task.scorer
    assert totals(heavier, [BENZENE])["qed"] == 4 * totals(task, [BENZENE])["qed"]


def test_a_pickled_task_still_shares_its_scorer():
    task = pickle.loads(pickle.dumps(tasks.sequence_tutor_task()))
    totals(task, [ETHANOL])
    assert task.scorer.calls == 1


def test_penalized_logp_plain_and_standardized():
    benzene = Chem.MolFromSmiles(BENZENE)
    for standardized, name in [(False, "penalized_logp"), (True, "penalized_logp_standardized")]:
        task = tasks.penalized_logp_task(standardized=standardized)
        expected = PROPERTIES[name](benzene)
        assert totals(task, [BENZENE])["penalized_logp"] == pytest.approx([expected])


@pytest.mark.parametrize(
    ("name", "term", "good", "bad"),
    [
        ("similarity:c1ccccc1", "similarity", BENZENE, ETHANOL),
        ("scaffold:c1ccccc1", "scaffold", "Cc1ccccc1", "C1CCCCC1"),
        ({"name": "custom:helpers.molecules:lengths_of", "n_jobs": 0}, "custom", BENZENE, "C"),
        ("qed", "qed", BENZENE, "CCCCCCCCCCCC"),
        ("sa", "sa", "CCO", "C1CC2CC1C2"),
        ("logp", "logp", BENZENE, ETHANOL),
        ("pmo/isomers_c7h8n2o2", "isomers_c7h8n2o2", "Nc1ccc(C(=O)O)cc1N", ETHANOL),
    ],
)
def test_named_tasks_prefer_what_they_should(name, term, good, bad):
    got = totals(get_domain("molecule").make_task(name), [good, bad])[term]
    assert got[0] > got[1]


def test_an_objective_from_json():
    description = {"geometric": [{"property": "qed"}, {"property": "sa", "modifier": "x"}]}
    with pytest.raises(ValueError, match="x"):
        get_domain("molecule").make_task({"name": "objective", "objective": description})
    task = get_domain("molecule").make_task(
        {"name": "objective", "objective": {"property": "qed"}, "n_jobs": 1}
    )
    expected = PROPERTIES["qed"](Chem.MolFromSmiles(BENZENE))
    assert totals(task, [BENZENE])["objective"] == pytest.approx([expected])


@pytest.mark.parametrize("kind", ["objective", "custom"])
def test_a_function_in_a_file_of_the_current_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    lines = "def objective(molecule):", "    return molecule.GetNumAtoms()"
    lines += "def custom(smiles):", "    return [float(len(text)) for text in smiles]"
    (tmp_path / "sizes.py").write_text("\n".join(lines))
    task = {"name": "custom:sizes.py:custom"}
    if kind == "objective":
        task = {"name": "objective", "objective": {"arithmetic": ["sizes.py:objective"]}}
    made = get_domain("molecule").make_task({**task, "n_jobs": 0})
    assert totals(made, ["CCO"])[kind] == [3.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("similarity:notasmiles", "notasmiles"),
        ("scaffold:[", r"\["),
        ("custom:math", "custom task 'math' must have the form"),
        ("pmo/everything", "unknown task 'pmo/everything'"),
        ("nonsense", "similarity:"),
        ({"name": "qed", "valid_reward": "a"}, "valid_reward must be a number, got 'a'"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(ValueError, match=message):
        get_domain("molecule").make_task(name)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("math:pi", "'math:pi' is no function: 3.14"),
        ("math:sine", "math has no attribute 'sine'; did you mean 'sin'"),
    ],
)
def test_code_that_is_not_there_is_told_before_it_is_called(reference, message):
    make = get_domain("molecule").make_task
    mean = {"name": "objective", "objective": {"arithmetic": [reference]}}
    for settings in ({"name": f"custom:{reference}"}, mean):
        task = make({**settings, "n_jobs": 0})
        for way in (task.prepare, lambda task=task: totals(task, ["CCO"])):
            with pytest.raises(RuleError, match=message):
                way()
