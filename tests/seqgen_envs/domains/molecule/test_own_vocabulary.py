"""The vocabulary belongs to the prior: corpora, masks, scores and agents of other tokens."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

from helpers.commands import refused, run
from helpers.molecules import rare_lines
from helpers.paths import MOLECULES
from kl_agents import PsiLearning
from seqgen_envs import get_domain, load_prior_folder
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.molecule import make_domain
from seqgen_envs.domains.molecule.corpus.named import read_corpus
from seqgen_envs.domains.molecule.grammar import atoms
from seqgen_envs.domains.molecule.grammar.mask import PartialSmilesMask
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY, parse, tokenize, vocabulary_of
from seqgen_envs.domains.molecule.tasks import scored_task
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.vocabulary import Vocabulary

RARE = MOLECULES / "rare-elements.smi"
#: Tokens that the bundled vocabulary lacks.
FURTHER = [
    "B",
    "b",
    "p",
    "[Si]",
    "[SiH]",
    "[2H]",
    "[se]",
    "[Se]",
    "[13CH3]",
    "[13cH]",
    "[13c]",
    "[B-]",
    "[Si@@]",
    "[cH-]",
    "[As]",
    "[Na+]",
    "9",
    "0",
    "%10",
    "%11",
]


def test_tokens_are_bracket_atoms_and_ring_labels_of_any_kind():
    assert tokenize("[2H]%10[Si@@H]0[13CH3]9Br%99") == [
        "[2H]", "%10", "[Si@@H]", "0", "[13CH3]", "9", "Br", "%99",
    ]  # fmt: skip


def test_the_order_of_a_corpuss_own_tokens_is_fixed():
    vocabulary = vocabulary_of(["c1cc[se]c1", "B9CC9[2H]", "OC"])
    assert vocabulary.tokens == ("C", "c", "O", "1", "9", "B", "[2H]", "[se]", END)
    assert vocabulary == vocabulary_of(["CO", "c1cc[se]c1", "[2H]CB9CC9"])


def test_dropped_tokens_are_counted_by_token(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text(RARE.read_text() + "CCO\nC[Si](C)(C)OB(O)O\n")
    options = {"cache_dir": tmp_path, "n_jobs": 1, "progress": False}
    report = read_corpus(str(path), **options).report
    assert report.dropped == {"unknown token": 4}
    assert report.unknown == {"[Si]": 2, "B": 2, "[se]": 1}
    whole = read_corpus(str(path), vocabulary="corpus", **options)
    assert whole.report.unknown == whole.report.dropped == {}
    assert len(whole) == 5
    assert set(whole.vocabulary.tokens) >= {"B", "[Si]", "[se]", "C", END}
    with pytest.raises(ValueError, match="vocabulary must be 'corpus' or be left out, got 'mine'"):
        read_corpus(str(path), vocabulary="mine", **options)


def test_the_commands_take_a_corpuss_own_tokens(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "rare.npz"
    assert "would keep B (1), [Si] (1), [se] (1)" in refused(
        "data", RARE, "--out", out, "--jobs", "1"
    )
    shown = run("data", RARE, "--vocabulary", "corpus", "--out", out, "--jobs", "1").stdout
    assert "new ones: B [Si] [se]" in shown
    assert set(Corpus.load(out).vocabulary.tokens) >= {"B", "[Si]", "[se]"}
    train = ("prior", "train", "molecule", "--out", tmp_path / "run", "--vocabulary", "corpus")
    assert "is cleaned already: leave out --vocabulary" in refused(*train, "--data", out)
    assert "exclude each other" in refused(*train, "--data", RARE, "--initial", "zinc250k")
    melody = ("prior", "train", "melody", "--out", tmp_path / "m", "--vocabulary", "corpus")
    assert "have no option --vocabulary" in refused(*melody)


def test_melodies_are_no_molecules():
    with pytest.raises(ValueError, match="the vocabularies differ: domain 'molecule' has"):
        make_domain(get_domain("melody").vocabulary)


# -- the grammar ----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", sorted(set(atoms._table()) - {"I", "[o+]"}))
def test_what_rdkit_is_asked_agrees_with_the_table(token):
    """Of iodine and ``[o+]`` RDKit would allow more."""
    asked = atoms._aromatic if token.strip("[]")[0].islower() else atoms._aliphatic
    assert asked(token) == atoms.kind_of(token)


@pytest.mark.parametrize("token", ["[C@@", "1", "(", "=", "[Xx]", END, "~"])
def test_what_is_no_atom(token):
    assert atoms.kind_of(token) is None


@pytest.mark.parametrize("seed", range(2))
def test_masked_random_walks_end_in_molecules_whatever_the_tokens(seed):
    known = VOCABULARY.tokens[:-1]
    vocabulary = Vocabulary((*known, *FURTHER, END), end=END, joiner="")
    weights = np.where(np.isin(vocabulary.tokens, FURTHER), 3.0, 1.0)
    mask = PartialSmilesMask(vocabulary=vocabulary)
    rng, met = np.random.default_rng(seed), set()
    for _ in range(60):
        ids, horizon = np.full((1, 30), vocabulary.pad_id), 30
        for length in range(horizon):
            chances = mask(ids, np.array([length]))[0] * weights
            ids[0, length] = rng.choice(vocabulary.size, p=chances / chances.sum())
            if ids[0, length] == vocabulary.end_id:
                break
        text = vocabulary.to_text(ids[0])
        assert parse(text) is not None, text
        met.update(tokenize(text))
    assert len(met & set(FURTHER)) > 15


# -- a prior --------------------------------------------------------------------------------------


def trained_on(folder, n, *options):
    """The folder of a prior trained on ``n`` lines with B, Si and [2H]."""
    data = folder / "rare.smi"
    data.write_text("\n".join(rare_lines(n)))
    run(
        "prior", "train", "molecule", "--data", data, "--vocabulary", "corpus", "--jobs", "1",
        "--out", folder / "run", "--layers", "1", "--embedding", "16", "--learning-rate", "0.01",
        "--no-augment", "--patience", "50", "--seed", "0", *options,
    )  # fmt: skip
    return folder / "run" / "prior"


@pytest.fixture(scope="module")
def prior_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQGEN_CACHE", str(folder / "cache"))
        sizes = ("--hidden", "32", "--epochs", "8", "--batch-tokens", "400")
        return trained_on(folder, 200, *sizes)


def sampled(env, n=64):
    episodes = rollout(env.lanes, PriorPolicy(0), n)
    return [env.domain.to_text(ids) for ids in episodes.tokens], episodes


def hold(texts, token):
    return sum(token in tokenize(text) for text in texts)


def test_the_prior_carries_its_tokens(prior_folder):
    vocabulary = load_prior_folder(prior_folder).vocabulary
    known = [token for token in VOCABULARY.tokens[:-1] if token in vocabulary.tokens]
    assert vocabulary.tokens == (*known, "B", "[2H]", "[SiH]", "[Si]", END)


def test_environments_masks_and_scores_take_its_tokens(prior_folder):
    options = {"prior": str(prior_folder), "length": 40, "mask": "partial-smiles"}
    env = gym.make_vec("MoleculeGen-v0", num_envs=64, **options)
    size = load_prior_folder(prior_folder).vocabulary.size
    assert env.single_action_space.n == size
    texts, episodes = sampled(env)
    assert all(parse(text) is not None for text in texts)
    assert min(hold(texts, token) for token in ("B", "[2H]")) > 3
    assert hold(texts, "[Si]") + hold(texts, "[SiH]") > 3
    metrics = env.domain.metrics.each(episodes.tokens)
    assert metrics["valid"].all()
    column = env.task.names.index("qed")
    np.testing.assert_allclose(episodes.terms.sum(axis=1)[:, column], metrics["qed"], rtol=1e-12)


def test_a_task_of_ones_own_reads_its_tokens(prior_folder):
    asked = []

    def boron(molecule):
        asked.append(molecule)
        return float(sum(atom.GetSymbol() == "B" for atom in molecule.GetAtoms()))

    task = scored_task("boron", {"boron": boron})
    env = gym.make_vec(
        "MoleculeGen-v0", num_envs=32, prior=str(prior_folder), length=40, task=task,
        mask="partial-smiles",
    )  # fmt: skip
    texts, episodes = sampled(env)
    found = [tokenize(text).count("B") for text in texts]
    assert episodes.task_return.tolist() == pytest.approx(found)
    assert asked
    assert env.task.scorer is task.scorer


def test_its_domain_can_be_pickled(prior_folder):
    domain = get_domain("molecule").for_prior(load_prior_folder(prior_folder))
    copy = pickle.loads(pickle.dumps(domain))
    assert copy.vocabulary == domain.vocabulary != VOCABULARY
    text = "OB(O)c1ccc(C)cc1"
    assert copy.to_text(copy.to_ids(text)) == text
    assert copy.metrics.summary(copy.to_ids(text)[None])["valid"] == 1
    row = copy.make_mask("partial-smiles")(np.zeros((1, 4), int), np.array([1]))
    assert row.shape == (1, domain.vocabulary.size)
    spelled = copy.corpora.augment(copy.to_ids(text), np.random.default_rng(0))
    assert parse(copy.to_text(spelled)) is not None
    assert "valid" in copy.view.text(copy.to_ids(text))


def test_the_commands_use_it(prior_folder, tmp_path):
    file = tmp_path / "a.smi"
    file.write_text("OB(O)c1ccc(C)cc1 one\n[2H]OCCO two\n")
    shown = run("score", file, "--prior", prior_folder).stdout
    assert "OB(O)c1ccc(C)cc1" in shown
    options = ("--prior", prior_folder, "-n", "16", "--length", "40", "--mask", "partial-smiles")
    run("sample", "molecule", *options, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "molecules.smi").read_text().count("\n") == 16


def learns(prior_folder, steps):
    env = make_sb3_vec_env(
        "MoleculeGen-v0", num_envs=8, prior=str(prior_folder), length=40, task="qed",
        mask="partial-smiles",
    )  # fmt: skip
    arguments = {"episodes_per_round": 8, "batch_episodes": 4, "learning_rate": 1e-4}
    agent = PsiLearning("SequencePolicy", env, seed=0, **arguments)
    agent.learn(steps)
    return agent


def test_psi_learns_with_it(prior_folder):
    agent = learns(prior_folder, 400)
    assert agent.num_timesteps >= 400
    assert agent.policy.vocabulary_size == load_prior_folder(prior_folder).vocabulary.size
    assert agent.env.get_attr("task")[0].failures.count == 0


@pytest.mark.slow
def test_two_thousand_lines(tmp_path, monkeypatch):
    """The prior's own samples, without a mask, are molecules with B, Si and [2H]."""
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    sizes = ("--hidden", "128", "--epochs", "20", "--batch-tokens", "1000")
    folder = trained_on(tmp_path, 2000, *sizes)
    env = gym.make_vec("MoleculeGen-v0", num_envs=256, prior=str(folder), length=60)
    texts, _ = sampled(env, 256)
    valid = [text for text in texts if parse(text) is not None]
    assert len(valid) > 0.6 * len(texts)
    for token in ("B", "[Si]", "[2H]"):
        assert hold(valid, token) > 8
    assert learns(folder, 2000).num_timesteps >= 2000
