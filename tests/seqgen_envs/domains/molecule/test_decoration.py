"""Scaffolds with attachment points: how they are written, and that every sample holds them."""

import pickle

import numpy as np
import pytest
from rdkit import Chem

from helpers.commands import refused, run, table
from seqgen_envs import SequenceEnv
from seqgen_envs.domains.molecule.grammar.scaffold import read_template
from seqgen_envs.domains.molecule.smiles import VOCABULARY, parse
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, rollout, sample_rows
from seqgen_envs.settings import LaneSettings

AMIDE = "c1ccc(cc1)C(=O)N[*]"
STEROID = "C[C@]12CC[C@H]3[C@@H](CCc4cc([*])ccc34)[C@@H]1CC[C@@H]2[*]"
BENZIMIDAZOLE = "[*:1]c1ccc2c(c1)nc([*:2])n2[*:3]"
BETAINE = "C[N+](C)([*])CC(=O)O[*]"
SCAFFOLDS = (AMIDE, STEROID, BENZIMIDAZOLE, BETAINE, "O=C1NC(=O)C(=[*])S1")


class Uniform:
    """Any token that the mask allows: no prior helps it to be valid."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=False,
                action_masks=None):  # fmt: skip
        return sample_rows(np.where(action_masks, 0.0, -np.inf), self.rng), None


def parts_of(text):
    parts = read_template(text, VOCABULARY).parts
    return ["".join(VOCABULARY.tokens[i] for i in part) for part in parts]


def query_of(scaffold):
    """The scaffold, with any atom but hydrogen at its points."""
    settings = Chem.AdjustQueryParameters.NoAdjustments()
    settings.makeDummiesQueries = True
    return Chem.AdjustQueryProperties(Chem.MolFromSmiles(scaffold), settings)


def samples(scaffold, n, policy, length=60):
    settings = LaneSettings(
        "molecule", task="qed", primer=scaffold, mask="partial-smiles", length=length
    )
    lanes = Lanes(n, settings)
    episodes = rollout(lanes, policy, n)
    return [lanes.domain.to_text(ids) for ids in episodes.tokens], episodes, lanes


def assert_all_hold(scaffold, texts):
    query = query_of(scaffold)
    lost = [t for t in texts if (m := parse(t)) is None or not m.HasSubstructMatch(query)]
    assert lost == []


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_all_samples_hold_the_scaffold(scaffold):
    least = read_template(scaffold, VOCABULARY).least
    texts, episodes, lanes = samples(scaffold, 24, PriorPolicy(0))
    assert_all_hold(scaffold, texts)
    assert_all_hold(scaffold, samples(scaffold, 24, Uniform())[0])
    assert_all_hold(scaffold, samples(scaffold, 8, Uniform(), least + 1)[0])
    assert set(episodes.primer_lengths) == {len(lanes.settings.primers[0])}


@pytest.mark.slow
@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_all_of_a_thousand_samples_hold_the_scaffold(scaffold):
    assert_all_hold(scaffold, samples(scaffold, 1_000, PriorPolicy(1), 100)[0])
    assert_all_hold(scaffold, samples(scaffold, 1_000, Uniform(), 100)[0])


def test_forced_tokens_have_log_p_0():
    _, episodes, lanes = samples(BETAINE, 8, PriorPolicy(0))
    (template,) = lanes.settings.templates
    forced = "".join(VOCABULARY.tokens[i] for i in template.parts[1][1:])
    for row in range(len(episodes)):
        tokens = [lanes.domain.vocabulary.tokens[i] for i in episodes.tokens[row] if i < 63]
        at = "".join(tokens).rindex(forced)
        first = next(i for i in range(len(tokens)) if len("".join(tokens[:i])) == at)
        inside = slice(first, first + len(template.parts[1]) - 1)
        assert (episodes.log_prior[row, inside] == 0).all()


def test_how_scaffolds_are_written():
    assert parts_of(AMIDE) == ["c1ccc(cc1)C(=O)N"]
    assert parts_of("c1ccccc1-[*:7]") == ["c1ccccc1"]
    assert parts_of(BETAINE) == ["C[N+](C)(", ")CC(=O)O"]
    assert parts_of("*NC(=O)c1ccccc1") == parts_of("C1=CC=CC=C1C(=O)N[*]")  # both anew
    (renewed,) = parts_of("*NC(=O)c1ccccc1")
    assert Chem.CanonSmiles(f"{renewed}C") == Chem.CanonSmiles("CNC(=O)c1ccccc1")
    assert read_template("c1ccccc1", VOCABULARY) is None


def test_stereo_stays():
    def with_methyls(parts):
        return Chem.CanonSmiles("C".join([*parts, ""]))

    assert with_methyls(parts_of(STEROID)) == Chem.CanonSmiles(STEROID.replace("[*]", "C"))
    assert with_methyls(parts_of("*/C=C/*")) == Chem.CanonSmiles("C/C=C/C")
    assert with_methyls(parts_of("O=C1N[C@@H]([*])CS1")) == Chem.CanonSmiles("O=C1N[C@@H](C)CS1")


def test_one_point_needs_no_mask():
    env = SequenceEnv("molecule", task="qed", primer=AMIDE)
    env.reset()
    assert (
        "".join(env.lanes.domain.vocabulary.tokens[i] for i in env.lanes.tokens[0, :15])
        == ("c1ccc(cc1)C(=O)N"[:15])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"primer": BETAINE}, "2 open places.*give mask='partial-smiles'"),
        ({"primer": "C[*]C", "mask": "partial-smiles"}, "bonded to one atom"),
        ({"primer": "*", "mask": "partial-smiles"}, "bonded to one atom"),
        ({"primer": "C(C[*]", "mask": "partial-smiles"}, "not a valid SMILES"),
        ({"primer": "C=[NH2]C[*]", "mask": "partial-smiles"}, "not a valid SMILES"),
        ({"primer": "[CH3][CH][*]", "mask": "partial-smiles"}, "unknown token"),
        ({"primer": "[Fe]CN[*]", "mask": "partial-smiles"}, "unknown token"),
        ({"primer": AMIDE, "length": 16}, "17 tokens at least"),
        ({"primer": ["CN[*]", "CNC[*]"], "mask": "partial-smiles"}, "spell one of them another"),
    ],
)
def test_what_cannot_be_kept_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SequenceEnv("molecule", task="qed", **arguments)


def test_a_scaffold_cannot_come_by_a_reset():
    env = SequenceEnv("molecule", task="qed", mask="partial-smiles")
    with pytest.raises(ValueError, match="where the environment is made"):
        env.reset(options={"primer": AMIDE})


def test_the_mask_is_a_pure_function_that_pickles():
    _, _, lanes = samples(BENZIMIDAZOLE, 4, PriorPolicy(0))
    again = pickle.loads(pickle.dumps(lanes.mask))
    for length in range(1, 20):
        lengths = np.minimum(lanes.lengths, length)
        assert (again(lanes.tokens, lengths) == lanes.mask(lanes.tokens, lengths)).all()


def test_a_file_of_scaffolds_from_the_command_line(tmp_path):
    file = tmp_path / "scaffolds.smi"
    file.write_text(f"{AMIDE}\n{BETAINE}\n")
    command = ["sample", "molecule", "--out", tmp_path, "--mask", "partial-smiles", "-n", 12]
    run(*command, "--primer", file, "--max-files", 0, "--task", "qed")
    texts = [row["text"] for row in table(tmp_path / "molecules.csv")]
    queries = [query_of(scaffold) for scaffold in (AMIDE, BETAINE)]
    held = [[parse(text).HasSubstructMatch(query) for query in queries] for text in texts]
    assert all(map(any, held))
    assert np.array(held).any(axis=0).all()
    assert "cannot cut" in refused(*command, "--primer", AMIDE, "--primer-length", 3)
