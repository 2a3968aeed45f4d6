"""Known actives in the replay before a training begins."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from helpers.runs import interrupt, molecule_spec, rows_of, same_parameters
from kl_agents.registry import get_algorithm
from kl_agents.runs import RunOptions, make_env, read_spec, resume_run, seeds_from, start_run
from kl_agents.seeding import seed_replay
from seqgen_envs import SequenceEnv
from seqgen_envs.domains.molecule.smiles import canonicalize
from seqgen_envs.loading import trusting
from seqgen_envs.reporting.files import bare_cell

QUIET = RunOptions(tensorboard=False)
ACTIVES = ["CCO", "Oc1ccccc1", "CC(=O)Nc1ccccc1", "CCN(CC)CC", "OCC(O)CO", "CCCl", "CC#N",
           "C1CCCCC1", "CCOCC", "CCS"]  # fmt: skip


def seeded_spec(tmp_path, lines=ACTIVES, **others):
    file = tmp_path / "actives.smi"
    file.write_text("\n".join(lines) + "\n")
    return replace(molecule_spec(steps=1_500, **others), seeds=seeds_from(file))


def new_model(spec, algorithm="psi", **arguments):
    arguments = dict(spec.arguments) | arguments
    return get_algorithm(algorithm)("SequencePolicy", make_env(spec), seed=0, **arguments)


def test_seeds_are_the_episodes_that_would_have_made_them(tmp_path):
    task = {"name": "custom:helpers.runs:letters", "n_jobs": 0, "budget": 100}
    spec = seeded_spec(tmp_path)
    spec = replace(spec, env_kwargs={**spec.env_kwargs, "task": task})
    model = new_model(spec)
    seeded = seed_replay(model, tmp_path / "actives.smi")
    assert seeded.skipped == ()
    episodes = model.replay.all()
    assert len(episodes) == len(ACTIVES)
    env = SequenceEnv("molecule", task=task, length=30)
    for row, smiles in enumerate(ACTIVES):
        observation, _ = env.reset()
        actions = episodes.tokens[row, : episodes.lengths[row]]
        for t, action in enumerate(actions):
            shown = observation["log_prior"]
            np.testing.assert_allclose(episodes.log_prior[row, t], shown, atol=1e-5)
            observation, _, ended, _, info = env.step(action)
            assert episodes.task_reward[row, t] == pytest.approx(info["task_reward"])
            assert episodes.log_behaviour[row, t] == pytest.approx(shown[action], abs=1e-5)
        assert ended
        assert info["sequence"] == smiles
    assert (episodes.task_return > 0).all()
    (scored,) = model.facts.tasks
    assert scored.scorer.calls == len(ACTIVES)  # of the budget


def test_what_does_not_fit_is_named_and_left_out(tmp_path):
    lines = [*ACTIVES, "CCO", "C" * 40, "c1ccccc1[Fe]", "CC(C"]
    seeded_spec(tmp_path, lines)
    seeded = seed_replay(new_model(molecule_spec()), tmp_path / "actives.smi")
    assert len(seeded.collected.episodes) == len(ACTIVES)
    long, iron, broken = seeded.skipped
    assert "line 12: it has 40 tokens, and episodes have at most 30" in long
    assert "line 13: unknown token '[Fe]'" in iron
    assert "line 14: it is not a valid SMILES" in broken


def test_primer_and_mask(tmp_path):
    file = tmp_path / "some.smi"
    file.write_text("CCO\nCCC\nCN\nCC\n")
    spec = molecule_spec()
    spec = replace(spec, env_kwargs={**spec.env_kwargs, "primer": "CC", "mask": "partial-smiles"})
    model = new_model(spec, augment=0.0)
    seeded = seed_replay(model, file)
    assert model.replay.all().lengths.tolist() == [2, 2, 1]
    assert "does not begin with the environment's primer 'CC'" in seeded.skipped[0]
    file.write_text("CC(\n")
    with pytest.raises(ValueError, match=r"no sequence of .* it is not a valid SMILES"):
        seed_replay(model, file)


def test_what_takes_no_seeds_says_so(tmp_path):
    spec = seeded_spec(tmp_path, budget=len(ACTIVES))
    file = tmp_path / "actives.smi"
    with pytest.raises(ValueError, match="spends the task's whole budget"):
        seed_replay(new_model(spec), file)
    with pytest.raises(ValueError, match="has 10 sequences, the replay takes 9"):
        seed_replay(new_model(spec, replay_capacity=9), file)
    common = {"replay_capacity": 64, "policy_kwargs": spec.arguments["policy_kwargs"]}
    for algorithm in ("reinvent", "prior"):
        model = get_algorithm(algorithm)("SequencePolicy", make_env(spec), **common)
        with pytest.raises(ValueError, match="learns from its own episodes only"):
            seed_replay(model, file)


def test_a_seeded_run_goes_on_exactly(tmp_path):
    with trusting():  # the task is code that config.json names
        goes_on_exactly(tmp_path)


def goes_on_exactly(tmp_path):
    spec = seeded_spec(tmp_path)
    whole = start_run(tmp_path / "whole", spec, QUIET)
    assert read_spec(tmp_path / "whole").seeds == dict(spec.seeds)
    table = (tmp_path / "whole" / "molecules.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1 : len(ACTIVES) + 1]] == [
        [smiles, "0"] for smiles in ACTIVES
    ]
    rows = rows_of(tmp_path / "whole" / "molecules.csv")  # seeds, episodes and bred ones
    found = {canonicalize(bare_cell(row["text"])) for row in rows} - {None}
    assert found == {text for text, _ in whole.facts.tasks[0].scorer.history}
    interrupt(tmp_path / "part", spec, after=2)
    part = resume_run(tmp_path / "part", QUIET)
    assert same_parameters(part, whole)
    assert (tmp_path / "part" / "molecules.csv").read_text().splitlines() == table
    unseeded = start_run(tmp_path / "unseeded", replace(spec, seeds=None), QUIET)
    assert not same_parameters(unseeded, whole)
    (tmp_path / "actives.smi").write_text("C\n")
    with pytest.raises(ValueError, match="is gone or has changed"):
        start_run(tmp_path / "other", spec)


def test_seeds_that_are_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: give a file of sequences"):
        seeds_from(tmp_path)


def test_from_the_command_line(tmp_path):
    file = tmp_path / "actives.smi"
    file.write_text("CCO\nCCN\n" + "C" * 200 + "\n")
    app = cli.make_app()
    cli.add_plugins(app)
    options = ["--steps", 0, "--out", tmp_path / "run", "--seed-molecules", file, "--no-progress"]
    small = ["--set", "n_envs=4", "--set", "env_kwargs.length=20", "--eval-episodes", 2]
    command = ["train", "psi", "MoleculeGen-QED-v0", *options, *small]
    result = CliRunner().invoke(app, [str(a) for a in command])
    assert result.exit_code == 0, result.output + result.stderr
    said = " ".join((result.output + result.stderr).split())
    assert "2 sequences of" in said
    assert "1 sequences are left out" in said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["run"]["seeds"] == seeds_from(file)
