"""The environments' keyword ``mask``: further action masks of a domain, by name."""

import copy
import csv
import dataclasses
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

import seqgen_envs
from helpers.envs import MASKED_TOY, TOY, assert_same, no_repeats, play, random_action
from kl_agents import PsiLearning
from kl_agents.hyperparameters import valid_keys
from seqgen_envs import SequenceEnv, SequenceVectorEnv
from seqgen_envs.cli import make_app
from seqgen_envs.lanes import Lanes
from seqgen_envs.settings import LaneSettings
from seqgen_envs.starts import MIN_LOG_PROB

SIZE, END = TOY.vocabulary.size, TOY.vocabulary.end_id


class NotTwice:
    """Never a letter that the prefix already holds."""

    def __call__(self, tokens, lengths):
        mask = np.ones((len(tokens), SIZE), dtype=np.int8)
        for row, prefix, length in zip(mask, tokens, lengths, strict=True):
            row[prefix[:length]] = 0
        return mask


class Repeat:
    """Nothing but the token before again, which ``no_repeats`` never allows."""

    def __call__(self, tokens, lengths):
        mask = np.ones((len(tokens), SIZE), dtype=np.int8)
        for row, prefix, length in zip(mask, tokens, lengths, strict=True):
            if length:
                row[:] = 0
                row[prefix[length - 1]] = 1
        return mask


MASKS = {"not-twice": NotTwice, "repeat": Repeat}
OFFERING = dataclasses.replace(TOY, name="offering-toy", masks=MASKS)
BOTH = dataclasses.replace(MASKED_TOY, name="both-toy", masks=MASKS)


def test_without_the_keyword_a_domain_that_offers_masks_is_unmasked():
    _, steps = play(SequenceEnv(OFFERING), np.random.default_rng(0))
    assert all(result[4]["action_mask"].all() for _, result in steps)
    assert SequenceEnv(OFFERING).mask is None


def test_the_prior_is_renormalised_under_the_named_mask():
    free, masked = SequenceEnv(OFFERING), SequenceEnv(OFFERING, mask="not-twice")
    free.reset()
    masked.reset()
    expected = free.step(1)[0]["log_prior"].astype(float)
    observation, _, _, _, info = masked.step(1)
    assert info["action_mask"].tolist() == [int(i != 1) for i in range(SIZE)]
    expected[1] = -np.inf
    expected -= np.log(np.exp(expected).sum())
    np.testing.assert_allclose(observation["log_prior"], np.maximum(expected, MIN_LOG_PROB), 1e-5)
    assert observation["log_prior"][1] == MIN_LOG_PROB


def test_the_domains_own_mask_holds_as_well_and_wins_where_nothing_is_left():
    lanes = Lanes(1, LaneSettings(BOTH, mask="not-twice"))
    lanes.reset()
    assert lanes.action_mask[0, END] == 0  # no_repeats: too early
    lanes.step(np.array([0]))
    lanes.step(np.array([1]))
    assert lanes.action_mask[0].tolist() == [0, 0, 1, 1]  # not-twice takes 0, no_repeats 1
    clashing = Lanes(1, LaneSettings(BOTH, mask="repeat"))
    clashing.reset()
    clashing.step(np.array([2]))
    own = no_repeats(clashing.tokens, clashing.lengths)
    np.testing.assert_array_equal(clashing.action_mask, own)


@pytest.mark.parametrize("domain", [OFFERING, BOTH], ids=["offered", "both"])
def test_vector_and_single_agree(domain):
    rng = np.random.default_rng(3)
    vector = SequenceVectorEnv(domain, 5, mask="not-twice", autoreset_mode="Disabled")
    singles = [SequenceEnv(domain, mask="not-twice") for _ in range(5)]
    _, infos = vector.reset(seed=0)
    running = np.ones(5, dtype=bool)
    for env in singles:
        env.reset(seed=0)
    while running.all():
        actions = np.array([random_action(row, rng) for row in infos["action_mask"]])
        observation, reward, running_out, _, infos = vector.step(actions)
        for i, env in enumerate(singles):
            single, r, done, _, info = env.step(actions[i])
            assert_same({k: v[i] for k, v in observation.items()}, single, atol=1e-5)
            assert_same(infos["action_mask"][i], info["action_mask"])
            assert reward[i] == pytest.approx(r, abs=1e-5)
            assert running_out[i] == done
        running = ~running_out


def test_finished_lanes_are_not_asked_for():
    asked = []

    def spy(tokens, lengths):
        asked.append(len(tokens))
        return np.ones((len(tokens), SIZE), dtype=np.int8)

    lanes = Lanes(3, LaneSettings(dataclasses.replace(TOY, masks={"spy": lambda: spy}), mask="spy"))
    lanes.reset()
    lanes.step(np.array([END, 0, 1]))
    assert asked == [1, 2]  # the start once for all, then the two that go on
    assert lanes.action_mask[0].all()
    assert not lanes.log_prior[0].any()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_go_on_alike(clone):
    env = SequenceEnv(OFFERING, mask="not-twice")
    env.reset(seed=0)
    env.step(2)
    other = clone(env)
    assert_same(other.step(0)[4]["action_mask"], env.step(0)[4]["action_mask"])
    assert other.action_masks().tolist() == [0, 1, 0, 1]


def test_the_spec_is_json_and_makes_the_same_environment():
    spec = gym.make("MoleculeGen-v0", mask="partial-smiles").spec
    again = gym.spec(spec.id).from_json(spec.to_json())
    assert json.loads(spec.to_json())["kwargs"]["mask"] == "partial-smiles"
    assert type(gym.make(again).unwrapped.mask) is type(gym.make(spec).unwrapped.mask)


def test_what_is_wrong_with_a_mask_is_said():
    with pytest.raises(ValueError, match=r"unknown mask 'x' for domain 'offering-toy'; masks: \["
                       r"'not-twice', 'repeat'\]"):  # fmt: skip
        SequenceEnv(OFFERING, mask="x")
    with pytest.raises(ValueError, match=r"masks: \[\]"):
        gym.make_vec("ToyGen-v0", num_envs=2, mask="x")
    with pytest.raises(TypeError, match="mask must be a name or None; got function"):
        SequenceVectorEnv(OFFERING, 2, mask=no_repeats)


def test_every_bundled_mask_can_be_named():
    for name in seqgen_envs.registered_domains():
        domain = seqgen_envs.get_domain(name)
        for mask in domain.masks:
            assert domain.make_mask(mask) is not None
    assert "partial-smiles" in seqgen_envs.get_domain("molecule").masks


def test_the_command_samples_under_a_mask(tmp_path):
    command = ["sample", "molecule", "-n", "3", "--task", "logp", "--length", "20",
               "--max-files", "0", "--out", str(tmp_path)]  # fmt: skip
    run = CliRunner().invoke
    assert run(make_app(), [*command, "--mask", "partial-smiles"]).exit_code == 0
    with open(tmp_path / "molecules.csv", newline="", encoding="utf-8") as file:
        assert [float(row["metric_valid"]) for row in csv.DictReader(file)] == [1.0] * 3
    failed = run(make_app(), [*command, "--mask", "nope"])
    assert failed.exit_code == 1
    assert "unknown mask 'nope' for domain 'molecule'; masks: ['partial-smiles']" in failed.stderr


def test_a_training_takes_a_mask_as_an_argument_of_its_environment():
    assert "mask" in valid_keys("psi")["env_kwargs"]
    env = SequenceVectorEnv(OFFERING, 4, mask="not-twice")
    agent = PsiLearning("SequencePolicy", env, seed=0, policy_kwargs={"init": "random"})
    agent.learn(40)
    assert agent.env.get_attr("mask")[0] is not None
    with_pads = [row[row < SIZE].tolist() for row in agent.replay.sample(8, agent.rng).tokens]
    assert all(len(set(tokens)) == len(tokens) for tokens in with_pads)
