"""Primers: in all their forms, drawn or given, walked through masks, computed once."""

import copy
import dataclasses
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from helpers.envs import MASKED_TOY, assert_same, random_action
from kl_agents import PsiLearning
from seqgen_envs import SequenceEnv, SequenceVectorEnv, get_domain, starts
from seqgen_envs.evaluation import evaluate
from seqgen_envs.exact import PrefixTree
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.settings import LaneSettings
from seqgen_envs.starts import read_primers

SEVERAL = ["a", "bc", "", "cab"]
IDS = ((0,), (1, 2), (), (2, 0, 1))


def of_toy(primer):
    return read_primers(primer, get_domain("toy"), 5)


def with_lines(folder, *lines):
    path = folder / "primers.txt"
    path.write_text("\n".join(lines))
    return path


# -- what users may give ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("primer", "ids"),
    [
        (None, ((),)),
        ("", ((),)),
        ([], ((),)),
        ("ab", ((0, 1),)),
        ([0, 1], ((0, 1),)),
        ((0, 1), ((0, 1),)),
        (np.array([0, 1], dtype=np.uint8), ((0, 1),)),
        (["ab", "c"], ((0, 1), (2,))),
        ([[0, 1], [2]], ((0, 1), (2,))),
        (["ab", [2]], ((0, 1), (2,))),
        (np.array([[0, 1], [2, 1]]), ((0, 1), (2, 1))),
        (["a", "a"], ((0,), (0,))),
    ],
)
def test_one_or_several_as_text_or_ids(primer, ids):
    assert of_toy(primer) == ids
    assert of_toy(ids) == ids  # what was read may be given again
    assert LaneSettings("toy", primer=primer).primers == ids


def test_files_have_a_text_a_line(tmp_path):
    path = with_lines(tmp_path, "ab", "", "  c ", "a some molecule's name")
    assert of_toy(path) == of_toy(str(path)) == ((0, 1), (2,), (0,))
    melody = get_domain("melody")
    notes = with_lines(tmp_path, "C4 - E4", "G4")
    assert read_primers(notes, melody, 32) == tuple(
        tuple(melody.to_ids(text).tolist()) for text in ("C4 - E4", "G4")
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a", "?"], r"line 2 of '.*primers.txt': unknown token '\?'"),
        (["", " "], r"the file of primers '.*' is empty: give a text a line"),
        (["abcab"], r"line 1 of .*primer has 5 tokens and must be shorter than length = 5"),
    ],
)
def test_bad_files_are_named_with_the_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        of_toy(with_lines(tmp_path, *lines))
    with pytest.raises(ValueError, match=r"the file of primers 'nowhere' cannot be read"):
        of_toy(Path("nowhere"))


@pytest.mark.parametrize("primer", [3, [0.5], ["a", 0.5], [["a"]], {"a": 1}, [None]])
def test_other_things_are_refused(primer):
    with pytest.raises(ValueError, match="primer must be a list of token ids or a text, a list of"):
        of_toy(primer)


# -- drawn and given -------------------------------------------------------------------------------


def begun(env, episodes, seed=None):
    """Primers of so many episodes of a single environment, as ids."""
    found = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        tokens = observation["tokens"]
        found.append(tuple(tokens[tokens < 4].tolist()))
    return found


def test_each_episode_draws_a_primer_by_np_random():
    env = gym.make("ToyGen-v0", primer=SEVERAL)
    drawn = begun(env, 400, seed=1)
    counts = np.array([drawn.count(ids) for ids in IDS])
    assert counts.sum() == 400
    assert (np.abs(counts - 100) < 4 * np.sqrt(400 * 3 / 16)).all()
    assert begun(env, 400, seed=1) == drawn
    assert begun(env, 400, seed=2) != drawn
    env.reset(seed=1)
    twin = copy.deepcopy(env)
    assert begun(twin, 20) == begun(env, 20)


def test_a_primer_given_at_the_reset():
    env = gym.make("ToyGen-v0", primer="b")
    observation, info = env.reset(options={"primer": "ca"})
    known = gym.make("ToyGen-v0", primer=[2, 0])
    assert_same((observation, info), known.reset())
    assert_same(env.step(1), known.step(1))
    assert env.reset()[0]["tokens"][0] == 1  # for that episode alone
    assert env.reset(options={})[0]["tokens"][0] == 1
    with pytest.raises(ValueError, match=r"options\['primer'\] must be one primer, got 2"):
        env.reset(options={"primer": ["a", "b"]})
    with pytest.raises(ValueError, match="unknown token"):
        env.reset(options={"primer": "ax"})


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("seed", [4, [9, None, 2, 2, 7]])
def test_vector_lanes_draw_as_single_environments(mode, seed):
    kwargs = {"domain": "toy", "primer": SEVERAL}
    mine = SequenceVectorEnv(num_envs=5, autoreset_mode=mode, **kwargs)
    theirs = SyncVectorEnv([lambda: SequenceEnv(**kwargs)] * 5, autoreset_mode=mode)
    for lane in range(5):  # where the seed is None, both must go on from the same
        mine.lanes.rngs[lane], theirs.envs[lane].np_random = (
            np.random.default_rng(lane) for _ in range(2)
        )
    rng, seen = np.random.default_rng(0), set()
    got, expected = mine.reset(seed=seed), theirs.reset(seed=seed)
    for t in range(40):
        assert_same(got, expected, 1e-5, f"step {t}")
        seen |= set(mine.lanes.primer_lengths.tolist())
        actions = rng.integers(0, 4, 5)
        got, expected = mine.step(actions), theirs.step(actions)
        if mode == AutoresetMode.DISABLED and got[2].any():
            mask = got[2]
            got, expected = (e.reset(options={"reset_mask": mask}) for e in (mine, theirs))
    assert seen == {0, 1, 2, 3}


def test_vector_lanes_take_one_primer_or_one_each():
    env = SequenceVectorEnv("toy", 3, autoreset_mode="Disabled")
    theirs = SyncVectorEnv([lambda: SequenceEnv("toy")] * 3, autoreset_mode="Disabled")
    for primer in ("ab", [1, 2]):
        options = {"primer": primer}
        assert_same(env.reset(options=options), theirs.reset(options=dict(options)), 1e-5)
    observation, _ = env.reset(options={"primer": ["a", "", [1, 2]]})
    assert observation["tokens"][:, :2].tolist() == [[0, 4], [4, 4], [1, 2]]
    assert env.lanes.primer_lengths.tolist() == [1, 0, 2]
    mask = np.array([True, False, True])
    observation, infos = env.reset(options={"primer": ["cc", "b", "c"], "reset_mask": mask})
    assert observation["tokens"][:, :2].tolist() == [[2, 2], [4, 4], [2, 4]]
    assert infos["_sequence"].tolist() == mask.tolist()
    for lane, text in enumerate(("cc", "", "c")):
        alone = SequenceEnv("toy", primer=text).reset()[0]
        np.testing.assert_allclose(observation["log_prior"][lane], alone["log_prior"], atol=1e-6)
    with pytest.raises(ValueError, match=r"must be one primer or 3, one a lane, got 2"):
        env.reset(options={"primer": ["a", "b"]})


def test_lanes_can_be_started_one_by_one_with_several_primers():
    env = SequenceVectorEnv("toy", 3, primer=SEVERAL, autoreset_mode="Disabled")
    env.reset(seed=0, options={"reset_mask": np.array([False, True, True])})
    assert env.lanes.finished.tolist() == [True, False, False]
    env.reset(options={"reset_mask": np.array([True, False, False])})
    env.step([0, 0, 0])


# -- states ----------------------------------------------------------------------------------------


class Counted:
    """A prior that notes how many rows each of its steps had."""

    def __init__(self, prior):
        self.prior, self.rows = prior, []
        self.vocabulary, self.fingerprint = prior.vocabulary, "counted"
        self.initial_state = prior.initial_state

    def step(self, tokens, state):
        self.rows.append(len(tokens))
        return self.prior.step(tokens, state)

    def sequence_log_probs(self, tokens):
        return self.prior.sequence_log_probs(tokens)


def test_the_state_after_a_primer_is_computed_once(monkeypatch):
    prior = Counted(get_domain("toy").load_prior())
    lanes = Lanes(6, LaneSettings("toy", prior, primer=SEVERAL))
    given = [lanes.settings.primers[i] for i in (3, 1, 0, 1, 3, 2)]
    lanes.reset(primers=given)
    assert prior.rows == [4, 3, 2, 1]  # the start token, then those that are longer
    for _ in range(5):
        lanes.reset(primers=given[::-1])
    assert prior.rows == [4, 3, 2, 1]
    monkeypatch.setattr(starts, "KEPT_STARTS", 2)
    lanes.reset(primers=[(0, 0)])
    assert len(lanes.starts._kept) == 2
    lanes.reset(primers=given)  # more than are kept, yet all right
    assert lanes.lengths.tolist() == [3, 2, 1, 2, 3, 0]


def test_the_states_of_several_primers_are_those_of_each_alone():
    lanes = Lanes(4, LaneSettings("melody", primer=["C4 - E4", "G4", "", "C4 C4 C4 C4 C4"]))
    primers = lanes.settings.primers
    lanes.reset(primers=primers)
    moves = np.random.default_rng(0).integers(0, 38, (6, 4))
    steps = [lanes.step(row) for row in moves]
    for lane, primer in enumerate(primers):
        alone = Lanes(1, LaneSettings("melody", primer=primer))
        alone.reset()
        for row, step in zip(moves, steps, strict=True):
            single = alone.step(row[lane : lane + 1])
            assert step.reward[lane] == pytest.approx(single.reward[0], abs=1e-5)
            np.testing.assert_allclose(step.terms[lane], single.terms[0], atol=1e-6)
        np.testing.assert_allclose(lanes.log_prior[lane], alone.log_prior[0], atol=1e-5)


def test_episodes_say_how_long_their_primers_were():
    lanes = Lanes(5, LaneSettings("toy", primer=SEVERAL, c=0.8))
    lanes.seed(3)
    result = rollout(lanes, PriorPolicy(1), 23)
    assert set(result.primer_lengths.tolist()) == {0, 1, 2, 3}
    assert (result.steps >= 1).all()
    env = SequenceEnv("toy", c=0.8)
    for row in range(23):
        first, end = int(result.primer_lengths[row]), int(result.lengths[row])
        primer = result.tokens[row, :first].tolist()
        assert tuple(primer) in IDS
        assert not result.log_prior[row, :first].any()
        env.reset(options={"primer": primer})
        for t in range(first, end):
            *_, terminated, _, info = env.step(result.tokens[row, t])
            assert result.log_prior[row, t] == pytest.approx(info["prior_log_prob"], abs=1e-6)
            assert result.terms[row, t].sum() == pytest.approx(info["task_reward"])
        assert terminated
    lanes.seed(3)
    np.testing.assert_array_equal(rollout(lanes, PriorPolicy(1), 23).tokens, result.tokens)


def test_an_evaluation_draws_primers_by_its_seed():
    def judged(seed):
        lanes = Lanes(8, LaneSettings("toy", primer=SEVERAL))
        return evaluate(PriorPolicy(0), lanes, 64, seed)

    same, other = judged(0), judged(1)
    assert judged(0).task_return == same.task_return != other.task_return
    assert same.objective is None
    assert same.log_prior < 0


# -- masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [SequenceEnv, SequenceVectorEnv])
def test_a_primer_that_the_mask_forbids_is_refused(entry):
    with pytest.raises(ValueError, match=r"forbids primer 'abb' at length = 5: its token 'b' at"):
        entry(MASKED_TOY, primer=["ab", "abb"])
    entry(MASKED_TOY, primer=["ab", "aba"])
    env = entry(MASKED_TOY)
    with pytest.raises(ValueError, match=r"forbids primer 'aa'.*another primer"):
        env.reset(options={"primer": "aa"})


@pytest.mark.parametrize(
    ("primer", "length"),
    [("CC)", 20), ("C(C)(C)(C)(C)C", 40), ("c1ccc(C(", 9), ("C1CC2CC(", 9)],
)
def test_a_mask_of_molecules_is_not_switched_off(primer, length):
    with pytest.raises(ValueError, match=rf"the mask forbids primer .* at length = {length}: "):
        gym.make("MoleculeGen-v0", primer=primer, length=length, mask="partial-smiles")
    gym.make("MoleculeGen-v0", primer=primer, length=length)  # without a mask, as you like


def test_a_mask_after_which_nothing_may_follow_is_refused():
    def nothing_after_b(tokens, lengths):
        last = tokens[np.arange(len(tokens)), np.maximum(lengths - 1, 0)]
        return np.where((last == 1)[:, None], 0, np.ones((len(tokens), 4))).astype(np.int8)

    domain = dataclasses.replace(MASKED_TOY, name="stuck", action_mask=nothing_after_b)
    with pytest.raises(ValueError, match="every token that could follow it is not allowed"):
        SequenceEnv(domain, primer="ab")


def test_molecules_begun_with_scaffolds_end_valid(tmp_path):
    from rdkit import Chem

    scaffolds = tmp_path / "scaffolds.smi"
    scaffolds.write_text("c1ccc( benzene\nC1CCN( piperidine\nO=C( acyl\n")
    env = gym.make(
        "MoleculeGen-v0", primer=str(scaffolds), length=40, mask="partial-smiles", task="qed"
    )
    rng, begun_with = np.random.default_rng(0), set()
    for episode in range(12):
        _, info = env.reset(seed=0 if episode == 0 else None)
        terminated = False
        while not terminated:
            *_, terminated, _, info = env.step(random_action(info["action_mask"], rng))
        smiles = info["sequence"]
        assert Chem.MolFromSmiles(smiles) is not None
        begun_with.add(next(s for s in ("c1ccc(", "C1CCN(", "O=C(") if smiles.startswith(s)))
    assert len(begun_with) == 3


# -- who needs one primer --------------------------------------------------------------------------


def test_those_who_need_one_primer_say_so():
    with pytest.raises(ValueError, match=r"an exact tree needs one primer.*has 4"):
        PrefixTree.build(LaneSettings("toy", primer=SEVERAL))
    for env in (
        SequenceVectorEnv("toy", 4, primer=SEVERAL),
        gym.make("ToyGen-v0", primer=SEVERAL),
    ):
        with pytest.raises(ValueError, match="an agent that learns needs one primer"):
            PsiLearning("SequencePolicy", env).learn(50)
