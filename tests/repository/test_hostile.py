"""Files made to do harm, and files that were damaged: refused in a sentence, at once."""

import gzip
import io
import json
import random
import shutil
import time
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch

from helpers.agents import make_quick
from helpers.fuzz import fuzz
from helpers.fuzz_loaders import LOADERS, make_seeds, small_prior, xml_seeds
from helpers.hostile import members_of, reseal, rewritten, sealed
from kl_agents import PsiLearning
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.molecule.objectives.described import read_objective
from seqgen_envs.domains.toy.vocabulary import VOCABULARY
from seqgen_envs.pretrain import PriorTrainer, TrainingConfig
from seqgen_envs.prior import load_prior_folder
from seqgen_envs.recurrent import RecurrentConfig
from seqgen_envs.registration import get_domain

ZEROS = bytes(64 * 1024**2)


@pytest.fixture
def prior(tmp_path):
    return small_prior().save(tmp_path / "prior")


@pytest.fixture
def agent(tmp_path):
    make_quick(replay_capacity=16).learn(100).save(tmp_path / "a", include=["replay_buffer"])
    return tmp_path / "a.zip"


def refused_at_once(load, path, message):
    began = time.process_time()
    with pytest.raises((ValueError, OSError), match=message) as caught:
        load(path)
    assert time.process_time() - began < 1
    assert "\n" not in str(caught.value)


def one_line(error):
    return "\n" not in str(error)


def harmless_at_once(load, path):
    """It may be read; a second it has, and no more."""
    began = time.process_time()
    refusal = None
    try:
        load(path)
    except ValueError as error:
        refusal = error
    assert time.process_time() - began < 1
    assert refusal is None or one_line(refusal)


# -- bombs ----------------------------------------------------------------------------------------


def read_smiles(path):
    return [(entry.place, entry.text) for entry in get_domain("molecule").files.read_many(path)]


def test_gzip_bomb(tmp_path):
    (tmp_path / "a.smi.gz").write_bytes(gzip.compress(ZEROS))
    refused_at_once(read_smiles, tmp_path / "a.smi.gz", r"a\.smi\.gz is refused: its .* unpack to")


def test_mxl_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("a.xml", xml_seeds(tmp_path)[0] + ZEROS)
    refused_at_once(get_domain("melody").files.read, tmp_path / "a.mxl", "too large|at most|up to")


def test_agent_bomb(agent):
    members = members_of(agent)
    with zipfile.ZipFile(agent, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sealed({**members, "policy.safetensors": ZEROS}).items():
            archive.writestr(name, content)
    refused_at_once(PsiLearning.load, agent, "it is refused: its .* bytes unpack to")
    packed = io.BytesIO()
    np.savez_compressed(packed, tokens=np.zeros(len(ZEROS), np.uint8))
    with zipfile.ZipFile(agent, "w") as archive:
        for name, content in sealed({**members, "replay.npz": packed.getvalue()}).items():
            archive.writestr(name, content)
    refused_at_once(PsiLearning.load, agent, r"replay\.npz is refused: its .* bytes unpack to")


@pytest.mark.parametrize("name", ["hidden_size", "embedding_size", "vocabulary_size"])
def test_a_prior_or_an_agent_of_absurd_sizes(prior, agent, name):
    config = json.loads((prior / "config.json").read_text())
    config["architecture"][name] = 10**9
    (prior / "config.json").write_text(json.dumps(config))
    reseal(prior)
    refused_at_once(load_prior_folder, prior, r"for these sizes it must be torch\.float32 of shape")
    config = json.loads(members_of(agent)["config.json"])
    config["network"][name] = 10**9
    rewritten(agent, **{"config.json": json.dumps(config).encode()})
    refused_at_once(PsiLearning.load, agent, "for these sizes it must be")


def test_a_corpus_of_absurd_shape(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|i1", "fortran_order": False, "shape": (10**15,)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("tokens.npy", header.getvalue() + b"1234")
    refused_at_once(Corpus.load, tmp_path / "a.npz", r"declares the shape \(1000000000000000,\)")


LAUGHS = "a0: &a0 {property: qed}\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "stands for more than 100,000 values"),
        ("{arithmetic: [" * 1000, "more than 50 deep"),
        ('{"arithmetic": [' * 1000 + "1" + "]}" * 1000, "more than 50 deep"),
        ("count: '" + "[$(" * 3000 + "C" + ")]" * 3000 + "'", "recursive parts"),
        ("similarity: " + "C" * 5000, "has 5,000 atoms"),
        ("count: '" + ".".join(["C(C)(C)C"] * 8) + "'", "pieces"),
    ],
)
def test_objectives(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    refused_at_once(read_objective, tmp_path / "a.yaml", message)


def read_all_smiles(path):
    for _, found, *_ in read_smiles(path):
        get_domain("molecule").to_ids(found)


def test_episodes_of_absurd_length():
    with pytest.raises(ValueError, match="length must be at most 100,000"):
        gym.make("ToyGen-v0", length=10**9)


def test_smiles_of_5000_characters(tmp_path):
    for text, message in (
        ("C" * 5001, "it has 5,001 characters; SMILES with at most 5,000 are read"),
        ("C(" * 2500 + "C" + ")" * 2500, "it has 7,501 characters"),
        ("[" * 5000, r"unknown token '\['"),
    ):
        (tmp_path / "a.smi").write_text(text)
        refused_at_once(read_all_smiles, tmp_path / "a.smi", message)


def test_one_cell_of_fifty_million(tmp_path):
    (tmp_path / "a.csv").write_text("smiles\n" + "C" * 50_000_000)
    harmless_at_once(read_all_smiles, tmp_path / "a.csv")


@pytest.mark.parametrize(
    "body",
    ["C99999999999", "C999999999 D", "Z99999999", "(9:9:99999CDE", "x" * 10**6, "x" * 40_000],
)
def test_lengths_of_abc(tmp_path, body):
    (tmp_path / "a.abc").write_text(f"X:1\nT:t\nM:4/4\nL:1/8\nK:C\n{body}\n")
    harmless_at_once(get_domain("melody").files.read, tmp_path / "a.abc")


def test_ticks_of_midi(tmp_path):
    event = b"\xff\xff\xff\x7f\x90\x3c\x40" + b"\xff\xff\xff\x7f\x80\x3c\x40"
    track = event * 2000 + b"\x00\xff\x2f\x00"
    head = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60MTrk" + len(track).to_bytes(4, "big")
    (tmp_path / "a.mid").write_bytes(head + track)
    refused_at_once(get_domain("melody").files.read, tmp_path / "a.mid", r".")


# -- damage ---------------------------------------------------------------------------------------


def trainer(folder):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, VOCABULARY.size - 1, 6).astype(np.int8) for _ in range(40)]
    splits = np.array(["train"] * 30 + ["validation"] * 5 + ["test"] * 5)
    corpus = Corpus(sequences, [str(i) for i in range(40)], splits, "random", VOCABULARY)
    config = TrainingConfig(epochs=2, batch_tokens=64, seed=1)
    sizes = RecurrentConfig(VOCABULARY.size, "gru", 4, 8)
    return PriorTrainer(corpus, VOCABULARY, sizes, config, folder)


def load_checkpoint(path):
    made = trainer(path.parent)
    made.load_checkpoint()
    return {**made.network.state_dict(), "step": torch.tensor(made.progress.step)}


def load_prior(path):
    load_prior_folder.__globals__["_load_cached"].cache_clear()
    found = load_prior_folder(path.parent)
    return {**found.network.state_dict(), "vocabulary": found.vocabulary.fingerprint}


def load_agent(path):
    return PsiLearning.load(path, env=gym.make_vec("ToyGen-v0", num_envs=2)).policy.state_dict()


def without_effect(load, path, expected):
    found = load(path)
    return found.keys() == expected.keys() and all(
        torch.equal(found[k], v) if isinstance(v, torch.Tensor) else found[k] == v
        for k, v in expected.items()
    )


@pytest.mark.parametrize("what", ["model.safetensors", "config.json", "checkpoint.pt", "a.zip"])
@pytest.mark.parametrize("flips", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_flipped_bits_are_refused_or_without_effect(what, flips, tmp_path, request):
    if what == "a.zip":
        path, load = request.getfixturevalue("agent"), load_agent
    elif what == "checkpoint.pt":
        trainer(tmp_path).train()
        path, load = tmp_path / what, load_checkpoint
    else:
        path, load = request.getfixturevalue("prior") / what, load_prior
    whole, expected, rng = path.read_bytes(), load(path), random.Random(what)
    refused = harmless = 0
    for _ in range(flips):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            harmless += without_effect(load, path, expected)
        except (ValueError, OSError) as error:
            refused += one_line(error)
    assert refused + harmless == flips
    assert refused > flips / 2
    path.write_bytes(whole)
    assert without_effect(load, path, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value, tmp_path, agent):
    broken = small_prior()
    with torch.no_grad():
        broken.network.head.bias[1] = value
    broken.save(tmp_path / "broken")
    with pytest.raises(ValueError, match=r"1 of the numbers in head\.bias are not finite"):
        load_prior_folder(tmp_path / "broken")
    made = PsiLearning.load(agent)
    with torch.no_grad():
        made.policy.network.trunk.head.bias[1] = value
    made.save(tmp_path / "b")
    with pytest.raises(ValueError, match=r"in network\.trunk\.head\.bias are not finite"):
        PsiLearning.load(tmp_path / "b")


def test_a_prior_says_what_has_changed(prior, tmp_path):
    config = json.loads((prior / "config.json").read_text())
    for change, message in (
        ({"training": {"corpus": "another"}}, r"config\.json has changed since it was written"),
        ({"sha256": None}, r"config\.json lacks the sha256"),
    ):
        shutil.copytree(prior, tmp_path / "copy", dirs_exist_ok=True)
        (tmp_path / "copy" / "config.json").write_text(json.dumps({**config, **change}))
        refused_at_once(load_prior, tmp_path / "copy" / "config.json", message)


# -- chance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADERS)
def test_every_loader_reads_its_files_as_they_are(name, tmp_path):
    """Otherwise spoilt ones would all be refused for the same reason."""
    loader, seeds = LOADERS[name], make_seeds(name, tmp_path)
    for content in [tuple(seeds)] if name == "prior" else seeds:
        path = loader.write(tmp_path, content, random.Random(0))
        assert loader.load(path) is not None


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("count", [15, pytest.param(1540, marks=pytest.mark.slow)])
def test_spoilt_files_are_read_or_refused(name, count):
    result = fuzz(name, count)
    assert result.bad == {}
    assert sum(result.counts.values()) == count
