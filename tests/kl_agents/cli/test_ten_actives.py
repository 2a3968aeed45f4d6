"""Ten molecules of one's own: a prior goes on with them, and an agent with that prior."""

import json

import torch

import seqgen_envs.cli as cli
from helpers.commands import run
from helpers.paths import MOLECULES
from kl_agents.runs import RunSpec
from seqgen_envs import get_domain, load_prior_folder
from seqgen_envs.domains.molecule.corpus.entries import read_molecules


def mean_log_prob(prior, texts):
    """Mean log p of whole SMILES, in nats."""
    total = 0.0
    for text in texts:
        ids = torch.tensor([[*get_domain("molecule").to_ids(text), prior.vocabulary.end_id]])
        total += float(prior.sequence_log_probs(ids).gather(-1, ids[..., None]).sum())
    return total / len(texts)


def test_ten_actives_are_trained_on_to_an_agent(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    out, file = tmp_path / "X", MOLECULES / "ten-actives.smi"
    command = ("prior", "train", "molecule", "--data", file, "--initial", "zinc250k")
    result = run(*command, "--epochs", 2, "--jobs", 1, "--out", out)
    said = " ".join(result.stdout.split())
    assert "Nothing is held out, as there are fewer than 20 sequences: all 8 are trained on" in said
    assert "for 2 epochs, without validation" in said
    assert "validation nats" not in said
    training = json.loads((out / "prior" / "config.json").read_text())["training"]
    assert training["sequences"] == {"train": 8, "validation": 0, "test": 0}
    assert not [name for name in training if name.startswith(("validation", "test"))]
    texts = [entry.text for entry in read_molecules(file)]
    before = mean_log_prob(get_domain("molecule").load_prior("zinc250k"), texts)
    after = mean_log_prob(load_prior_folder(out / "prior"), texts)
    assert after > before + 5  # it has learned something of them
    agent = ("train", "psi", "MoleculeGen-v0", "--set", f"env_kwargs.prior={out / 'prior'}")
    app = cli.make_app()
    cli.add_plugins(app)
    small = ("--set", "n_envs=4", "--set", "env_kwargs.length=40", "--eval-episodes", 8)
    run(*agent, *small, "--steps", 200, "--out", tmp_path / "agent", app=app)
    assert str(out / "prior") in (tmp_path / "agent" / "config.json").read_text()


def test_a_run_has_the_length_of_its_prior(tmp_path):
    prior = get_domain("molecule").load_prior("moses")
    longer = type(prior)(prior.network, prior.vocabulary, {"max_tokens": 140})
    spec = RunSpec("psi", "MoleculeGen-v0", 1, env_kwargs={"prior": str(longer.save(tmp_path))})
    assert spec.env_kwargs["length"] == 140
    assert RunSpec("psi", "MoleculeGen-v0", 1).env_kwargs["length"] == 100
