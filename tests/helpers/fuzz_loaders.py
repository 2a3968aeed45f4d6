"""The thirteen loaders that are fuzzed: a small valid file each, and what reads it."""

import contextlib
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import yaml

from helpers import tunes
from helpers.hostile import reseal
from helpers.mutations import mutated, mutated_agent, mutated_json, mutated_zip
from kl_agents import PsiLearning
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.registry import load as load_agent
from kl_agents.runs import RunSpec, make_env, read_spec
from kl_agents.runs.folder import write_config
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.melody.reading.line import TuneError
from seqgen_envs.domains.melody.reading.tunes import read_tunes
from seqgen_envs.domains.molecule.objectives.described import read_objective
from seqgen_envs.domains.molecule.smiles import parse
from seqgen_envs.domains.names.files import read_names
from seqgen_envs.domains.text.copying import load_six_grams, save_six_grams
from seqgen_envs.domains.text.corpus.reading import read_prompts, read_records
from seqgen_envs.domains.toy.vocabulary import VOCABULARY
from seqgen_envs.prior import RecurrentPrior, load_prior_folder
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.registration import get_domain


@dataclass(frozen=True)
class Loader:
    """``seeds(folder)`` gives contents; ``write`` puts a spoilt one where ``load`` finds it."""

    seeds: Callable
    load: Callable
    write: Callable
    mutate: Callable = mutated


def make_seeds(name, folder):
    (folder / "seeds").mkdir(exist_ok=True)
    return LOADERS[name].seeds(folder / "seeds")


def to_file(*suffixes):
    def write(folder, content, rng):
        path = folder / f"spoilt{rng.choice(suffixes)}"
        path.write_bytes(content)
        return path

    return write


# -- melodies and molecules -----------------------------------------------------------------------


def read_music(path):
    """Every tune; then the file as a command reads it, which takes one tune only."""
    melody = get_domain("melody")
    lines = [tune.line for tune in read_tunes(path, part="highest")]
    if len(lines) == 1:
        with contextlib.suppress(ValueError):  # it may have several parts
            return melody.to_text(melody.files.read(path))
        return melody.to_text(melody.files.read(path, part="highest"))
    for line in lines:
        if not isinstance(line, TuneError) and line.notes:
            return line
    raise ValueError("no tune of it can be read")


def read_smiles(path):
    """Every molecule, to its tokens."""
    molecule, found = get_domain("molecule"), []
    for entry in molecule.files.read_many(path):
        if not entry.problem:
            with contextlib.suppress(ValueError):
                found.append(molecule.to_ids(entry.text))
    if not found:
        raise ValueError("no molecule of it can be read")
    return found


ABC = (
    b"%abc-2.1\nX:1\nT:One\nM:6/8\nL:1/8\nQ:1/4=120\nK:Dm clef=bass\n%%MIDI program 1\n"
    b"|: A2B c>d | (3efg {a}b2 | [V:1] [CE]G z2 :|\nw: la la\n+: more\n"
    b"s: * *\nW: end\n[1 C-C ~D .E !trill!F :|[2 G/2A//B3/4 |]\n\n"
    b"X:2\nT:Two\nK:G\nGABc dedB|dedB dedB:|\n",
    tunes.abc(tunes.SCALE * 4).encode(),
)


def midi_seeds(folder):
    notes = [(i / 2, 0.5, 60 + i % 12) for i in range(40)]
    plain = tunes.write_midi(folder / "a.mid", notes, key="G").read_bytes()
    two = tunes.write_midi(folder / "b.mid", notes, channels=[i % 2 for i in range(40)])
    riff = b"RIFF" + (len(plain) + 12).to_bytes(4, "little") + b"RMIDdata"
    return [plain, two.read_bytes(), riff + len(plain).to_bytes(4, "little") + plain]


def xml_seeds(folder):
    notes = "".join(tunes.xml_note("CDEFGAB"[i % 7], 4 + i % 2, 4) for i in range(24))
    tie = tunes.xml_note("C", 5, 4, '<tie type="start"/>') + tunes.xml_note("C", 5, 4)
    chord = tunes.xml_note("E", 4, 4, before="<chord/>")
    files = [(notes,), (notes + tie,), (notes + chord,), (notes, notes)]
    return [tunes.write_xml(folder / "a.xml", *parts).read_bytes() for parts in files]


def mxl_seeds(folder):
    packed = []
    for content in xml_seeds(folder)[:2]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            root = '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
            archive.writestr("META-INF/container.xml", root)
            archive.writestr("a.xml", content)
        packed.append(buffer.getvalue())
    return packed


SMILES = ("CC(=O)Oc1ccccc1C(=O)O aspirin", "C[C@H](N)C(=O)O.Cl", "[Na+].CC([O-])=O acetate",
          "c1ccc2[nH]ccc2c1", "F/C=C/F", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C caffeine")  # fmt: skip


def smi_seeds(folder):
    text = "\n".join(SMILES).encode()
    return [text, text.decode().encode("utf-16")]


def csv_seeds(folder):
    rows = [f"{i},{line.split()[0]},name {i}" for i, line in enumerate(SMILES)]
    text = "\n".join(["id,smiles,name", *rows])
    quoted = text.replace("caffeine", '"a ""quoted"", name"')
    return [text.encode(), quoted.replace(",", ";").encode(), gzip.compress(text.encode(), mtime=0)]


def names_seeds(folder):
    return [b"Anna\nO'Neill\nBob\n", b'id,name\n1,Anna\n2,"Bob, jr"\n']


def text_seeds(folder):
    return [b"the day\nis long\n\nand so\nam i\n", b'name,text\na,"the day\nis"\n',
            b'{"text": "the day", "work": "a"}\n{"prompt": "so", "text": "it"}\n']  # fmt: skip


def write_texts(folder, content, rng):
    """By what it begins with, as a file of one kind is no file of another."""
    kind = {b"{": ".jsonl", b"n": ".csv"}.get(content[:1], ".txt")
    return to_file(kind)(folder, content, rng)


def read_texts(path):
    return read_records(path), read_prompts(path)


def runs_seeds(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return [save_six_grams(np.arange(0, 2**32, 2**28, dtype=np.uint32), folder).read_bytes()]


def write_runs(folder, content, rng):
    (folder / "reference.npz").write_bytes(content)
    return folder / "reference.npz"


def sdf_seeds(folder):
    from rdkit import Chem

    blocks = []
    for line in SMILES[:3]:
        block = Chem.MolToMolBlock(Chem.MolFromSmiles(line.split()[0]))
        blocks.append(f"{block}> <NAME>\n{line}\n\n$$$$\n")
    return ["".join(blocks).encode(), blocks[0].encode()]


# -- our own formats ------------------------------------------------------------------------------


def corpus_seeds(folder):
    sequences = [np.array([0, 1, 2, 3][: 1 + i % 4], np.int8) for i in range(12)]
    splits = np.array(["train"] * 8 + ["validation"] * 2 + ["test"] * 2)
    names = [f"name {i}" for i in range(12)]
    Corpus(sequences, names, splits, "seed", VOCABULARY).save(folder / "c.npz")
    return [(folder / "c.npz").read_bytes()]


def small_prior():
    torch.manual_seed(0)
    return RecurrentPrior(
        RecurrentNetwork(RecurrentConfig(VOCABULARY.size, "gru", 4, 8)), VOCABULARY
    )


def prior_seeds(folder):
    small_prior().save(folder)
    return [(folder / "model.safetensors").read_bytes(), (folder / "config.json").read_bytes()]


def mutated_prior(rng, seeds):
    """One of the two files, the other as it is."""
    weights, config = seeds
    if rng.random() < 0.5:
        return mutated(rng, [weights]), config
    return weights, mutated_json(rng, [config])


def write_prior(folder, content, rng):
    path = folder / f"prior{rng.random()}"
    path.mkdir()
    (path / "model.safetensors").write_bytes(content[0])
    (path / "config.json").write_bytes(content[1])
    if rng.random() < 0.7:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            reseal(path)
    return path


def read_prior(path):
    prior = load_prior_folder(path)
    return prior.step(torch.tensor([prior.vocabulary.start_id]), prior.initial_state(1))


def agent_seeds(folder):
    small = {"init": "random", "architecture": {"cell": "gru", "hidden_size": 8}}
    env = get_toy(2)
    agent = PsiLearning("SequencePolicy", env, seed=0, policy_kwargs=small, replay_capacity=8,
                        batch_episodes=4, episodes_per_round=4).learn(60)  # fmt: skip
    agent.save(folder / "a", include=["replay_buffer"])
    return [(folder / "a.zip").read_bytes()]


def get_toy(n):
    from gymnasium.vector import AutoresetMode

    from seqgen_envs.vector_env import SequenceVectorEnv

    return SequenceVectorEnv("toy", n, autoreset_mode=AutoresetMode.SAME_STEP)


def read_agent(path):
    load_agent(path, device="cpu")
    return load_agent(path, env=get_toy(2), device="cpu")


def run_seeds(folder):
    contents = []
    for env_id, kwargs in (
        ("ToyGen-v0", {"c": 0.5}),
        ("MoleculeGen-QED-v0", {"task": {"name": "objective", "objective": {"property": "qed"}}}),
    ):
        spec = RunSpec("psi", env_id, 100, 1, 2, kwargs, {"c": {"start": 2.0, "end": 1.0}})
        write_config(folder, spec, "0" * 16, "seqgen train")
        contents.append((folder / "config.json").read_bytes())
    return contents


def write_run(folder, content, rng):
    path = folder / "run"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_bytes(content)
    return path


def read_run(path):
    spec = read_spec(path)
    if spec.n_envs <= 1000:  # as many lanes as asked for take as much memory as they take
        make_env(spec)
    return spec


def hyper_seeds(folder):
    blocks = {
        "default": {"c": {"start": 5.0, "end": 0.5}, "n_envs": 4, "replay_capacity": 100},
        "psi": {"tau": 0.01, "policy_kwargs": {"scale": 2}, "env_kwargs": {"length": 8}},
    }
    text = "a: &a {c: 0.5}\ndefault: *a\npsi:\n  <<: *a\n  learning_rate: 1e-3\n".replace(
        "a: &a", "g: &a"
    )
    return [yaml.safe_dump(blocks).encode(), text.encode(), json.dumps(blocks).encode()]


def objective_seeds(folder):
    tree = {
        "geometric": [
            {"property": "logp", "modifier": {"max_gaussian": {"mu": 7, "sigma": 1}}},
            {"similarity": "COc1ccccc1OCC(O)CN", "fingerprint": "AP"},
            {"arithmetic": [{"count": "c1ccccc1"}, {"substructure": "C=O", "inverse": True}]},
            {"isomer": "C7H8N2O2"},
        ],
        "weights": [1, 2, 1, 1],
    }
    return [json.dumps(tree).encode()]


def mutated_text_or_json(rng, seeds):
    change = mutated if rng.random() < 0.5 else mutated_json
    return change(rng, [seeds[-1]] if change is mutated_json else seeds)


def read_objective_file(path):
    return read_objective(path)(parse("CC(=O)Oc1ccccc1C(=O)O"))


LOADERS = {
    "abc": Loader(lambda folder: list(ABC), read_music, to_file(".abc")),
    "midi": Loader(midi_seeds, read_music, to_file(".mid", ".midi")),
    "musicxml": Loader(xml_seeds, read_music, to_file(".xml", ".musicxml")),
    "mxl": Loader(mxl_seeds, read_music, to_file(".mxl"), mutated_zip),
    "smi": Loader(smi_seeds, read_smiles, to_file(".smi", ".txt")),
    "csv": Loader(csv_seeds, read_smiles, to_file(".csv", ".tsv", ".csv.gz")),
    "sdf": Loader(sdf_seeds, read_smiles, to_file(".sdf")),
    "names": Loader(names_seeds, read_names, to_file(".txt", ".csv")),
    "text": Loader(text_seeds, read_texts, write_texts),
    "runs": Loader(runs_seeds, lambda path: load_six_grams(path.parent), write_runs, mutated_zip),
    "corpus": Loader(corpus_seeds, Corpus.load, to_file(".npz"), mutated_zip),
    "prior": Loader(prior_seeds, read_prior, write_prior, mutated_prior),
    "agent": Loader(agent_seeds, read_agent, to_file(".zip"), mutated_agent),
    "run": Loader(run_seeds, read_run, write_run, mutated_json),
    "hyperparameters": Loader(
        hyper_seeds,
        lambda path: load_hyperparams("psi", "ToyGen-v0", (), path),
        to_file(".yml"),
        mutated_text_or_json,
    ),
    "objective": Loader(
        objective_seeds, read_objective_file, to_file(".yaml"), mutated_text_or_json
    ),
}
