"""Every registered id: both libraries' checkers, and the contract of a single environment."""

import copy
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from helpers.envs import ENV_IDS, MASKED_TOY, assert_same, play, random_action
from seqgen_envs import SequenceEnv, get_domain
from seqgen_envs.observations import KINDS

RNG_SEED = 7


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def episodes_of(env, count=2):
    rng = np.random.default_rng(RNG_SEED)
    return [play(env, rng, seed=5 if i == 0 else None) for i in range(count)]


@pytest.fixture
def env(env_id):
    return gym.make(env_id)


# -- the libraries' checkers, imports and registration --------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checker", [check_env, sb3_check_env])
def test_checkers_are_clean(env_id, kind, checker):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, observation=kind)
        checker(env.unwrapped)


def test_all_domains_have_an_id():
    import seqgen_envs

    domains = {gym.spec(i).kwargs["domain"] for i in ENV_IDS}
    assert domains == set(seqgen_envs.registered_domains())


def test_module_prefix_registers_in_a_fresh_process(env_id):
    code = f"import gymnasium; e = gymnasium.make('seqgen_envs:{env_id}'); print(e.spec.id)"
    assert run_python(code).strip() == env_id


def test_import_is_light():
    code = "import sys, seqgen_envs; print(*sys.modules)"
    loaded = set(run_python(code).split())
    assert "seqgen_envs.domain" in loaded
    heavy = {"torch", "music21", "rdkit", "matplotlib", "stable_baselines3", "pandas", "scipy"}
    assert not (heavy | {"tensorboard"}) & loaded


def test_making_an_environment_is_light():
    code = (
        "import sys, gymnasium, seqgen_envs\n"
        "env = gymnasium.make('MelodyGen-v0'); env.reset(seed=0); env.step(0)\n"
        "print(*sys.modules)"
    )
    loaded = set(run_python(code).split())
    assert "torch" in loaded
    heavy = {"music21", "rdkit", "matplotlib", "stable_baselines3", "pandas", "tensorboard"}
    assert not heavy & loaded


# -- rewards, infos, ends -------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "c"), [(1.0, 0.5), (0.0, 0.5), (0.3, 2.0)])
def test_reward_is_composed_as_documented(env_id, weight, c):
    env = gym.make(env_id, prior_weight=weight, c=c)
    totals = 0.0
    for (observation, _), steps in episodes_of(env, 4):
        for action, (following, reward, _, truncated, info) in steps:
            assert info["prior_log_prob"] == pytest.approx(float(observation["log_prior"][action]))
            expected = weight * info["prior_log_prob"] + info["task_reward"] / c
            assert reward == pytest.approx(expected, abs=1e-9)
            assert sum(info["reward_terms"].values()) == pytest.approx(info["task_reward"])
            assert tuple(info["reward_terms"]) == env.unwrapped.task.names
            assert type(reward) is float
            assert truncated is False
            totals += abs(info["task_reward"])
            observation = following
    assert totals > 0


def test_episode_ends_at_the_horizon_or_the_end_token(env):
    vocabulary, horizon = env.unwrapped.domain.vocabulary, env.unwrapped.lanes.horizon
    for _, steps in episodes_of(env, 6):
        actions = [action for action, _ in steps]
        ended = actions[-1] == vocabulary.end_id
        assert len(actions) == horizon or ended
        assert vocabulary.end_id not in actions[:-1]
        assert [result[2] for _, result in steps] == [False] * (len(steps) - 1) + [True]
        assert steps[-1][1][4]["sequence"] == env.unwrapped.domain.to_text(np.array(actions))
        assert not any(result[4]["sequence"] for _, result in steps[:-1])


def test_toy_ends_both_ways():
    endings = {len(steps) for _, steps in episodes_of(gym.make("ToyGen-v0"), 30)}
    assert len(endings) > 2


def test_tokens_grow_by_the_action(env):
    vocabulary, horizon = env.unwrapped.domain.vocabulary, env.unwrapped.lanes.horizon
    (observation, _), steps = episodes_of(env, 1)[0]
    assert (observation["tokens"] == vocabulary.pad_id).all()
    prefix = []
    for action, result in steps:
        prefix.append(action)
        padding = [vocabulary.pad_id] * (horizon - len(prefix))
        assert result[0]["tokens"].tolist() == prefix + padding
        total = np.exp(result[0]["log_prior"].astype(np.float64)).sum()
        if not result[2]:
            assert total == pytest.approx(1.0, abs=1e-4)


def test_observation_kinds_tell_the_same_story(env_id):
    runs = {kind: episodes_of(gym.make(env_id, observation=kind)) for kind in KINDS}
    vocabulary = get_domain(gym.spec(env_id).kwargs["domain"]).vocabulary
    for stories in zip(*runs.values(), strict=True):
        story = dict(zip(runs, stories, strict=True))
        full, tokens, last, flat = (story[k] for k in ("dict", "tokens", "last_token", "flat"))
        assert full[0][0]["tokens"].tolist() == tokens[0][0].tolist()
        assert last[0][0] == vocabulary.pad_id
        assert_same(read_back(flat[0][0], vocabulary), full[0][0], 1e-4)
        for (action, a), (_, b), (_, c), (_, d) in zip(
            full[1], tokens[1], last[1], flat[1], strict=True
        ):
            assert_same(b[0], a[0]["tokens"])
            assert c[0] == action
            assert_same(read_back(d[0], vocabulary), a[0], 1e-4)
            for other in (b, c, d):
                assert_same(other[1:], a[1:])


def read_back(flat, vocabulary):
    """What a flat observation holds, as a dict."""
    assert flat.dtype == np.float32
    rows = flat.reshape(-1, vocabulary.size)
    assert set(rows[:-1].sum(1)) <= {0.0, 1.0}
    tokens = np.where(rows[:-1].any(1), rows[:-1].argmax(1), vocabulary.pad_id)
    return {"tokens": tokens, "log_prior": rows[-1] * np.float32(100)}


def test_info_has_the_same_keys_everywhere(env_id):
    for (observation, first), steps in episodes_of(gym.make(env_id), 3):
        assert not set(first) & set(observation)  # no name twice
        for info in (first, *(result[4] for _, result in steps)):
            assert list(info) == [
                "prior_log_prob", "task_reward", "reward_terms", "action_mask", "sequence"
            ]  # fmt: skip
            numbers = [info["prior_log_prob"], info["task_reward"], *info["reward_terms"].values()]
            assert {type(number) for number in numbers} == {np.float64}
            assert list(info["reward_terms"]) == list(first["reward_terms"])
            assert info["action_mask"].dtype == np.int8
            assert isinstance(info["sequence"], str)
        assert first["prior_log_prob"] == first["task_reward"] == 0.0
        assert not any(first["reward_terms"].values())
        assert first["sequence"] == ""


def test_c_can_be_set(env_id):
    env, twin = gym.make(env_id, c=0.5), gym.make(env_id, c=0.5)
    for e in (env, twin):
        e.reset()
        e.step(1)
    env.unwrapped.c = 0.1
    assert env.unwrapped.c == env.unwrapped.lanes.settings.c == 0.1
    reward, info = env.step(2)[1], twin.step(2)[4]
    assert reward == pytest.approx(info["prior_log_prob"] + info["task_reward"] / 0.1)
    for bad in (0, -1.0, float("nan"), "warm"):
        with pytest.raises(ValueError, match="c must be a finite number > 0"):
            env.unwrapped.c = bad
    assert env.unwrapped.c == 0.1


def test_same_seed_same_everything(env_id):
    assert_same(episodes_of(gym.make(env_id), 3), episodes_of(gym.make(env_id), 3))


def test_length_and_primer(env_id):
    plain = gym.make(env_id).unwrapped
    tokens = [i for i in range(plain.domain.vocabulary.size) if i != plain.domain.vocabulary.end_id]
    # as the domain cuts its text: some have several tokens for the same characters
    primer = plain.domain.to_ids(plain.domain.to_text(np.array(tokens[-2:]))).tolist()
    length = plain.domain.min_horizon + len(primer)
    primed = gym.make(env_id, length=length, primer=primer)
    by_text = gym.make(env_id, length=length, primer=plain.domain.to_text(np.array(primer)))
    assert primed.observation_space["tokens"].shape == (length,)
    start, steps = episodes_of(primed, 1)[0]
    assert start[0]["tokens"][: len(primer)].tolist() == primer
    assert len(steps) <= length - len(primer)
    assert_same(episodes_of(by_text), episodes_of(primed))
    walked = gym.make(env_id, length=length)
    walked.reset()
    for token in primer:
        observation, *_ = walked.step(token)
    assert_same(start[0], observation, atol=1e-6)
    action, result = steps[0]  # the primer counts for the rules' memory: same as having walked it
    assert_same(walked.step(action)[4], result[4], atol=1e-6)


def test_task_weights_scale_their_term(env_id):
    plain = gym.make(env_id)
    played = episodes_of(plain, 5)
    every = [result[4]["reward_terms"] for _, steps in played for _, result in steps]
    # the first that random play earns anything for
    term = next(t for t in plain.unwrapped.task.terms if any(terms[t.name] for terms in every))
    weighted = gym.make(env_id, task={"weights": {term.name: -3.0}})
    for (_, steps), (_, steps_weighted) in zip(played, episodes_of(weighted, 5), strict=True):
        for (_, a), (_, b) in zip(steps, steps_weighted, strict=True):
            terms, other = dict(a[4]["reward_terms"]), dict(b[4]["reward_terms"])
            assert other.pop(term.name) == pytest.approx(-3.0 / term.weight * terms.pop(term.name))
            assert other == terms


def test_step_after_the_end_needs_a_reset(env):
    _, steps = play(env, np.random.default_rng(0))
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.unwrapped.step(steps[0][0])
    env.reset()
    env.step(steps[0][0])


def test_step_before_reset_needs_a_reset(env):
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(0)


# -- masks ----------------------------------------------------------------------------------------


def test_action_masks_in_info_and_method_agree(env):
    _, info = env.reset()
    assert env.action_space.contains(random_action(info["action_mask"], np.random.default_rng(0)))
    assert env.get_wrapper_attr("action_masks")().tolist() == info["action_mask"].tolist()
    assert info["action_mask"].dtype == np.int8
    assert info["action_mask"].shape == (env.action_space.n,)


def test_masked_domain_renormalises_the_prior():
    env = SequenceEnv(MASKED_TOY)
    free = SequenceEnv(get_domain("toy"))
    hidden = 0
    for (observation, info), steps in episodes_of(env, 10):
        free_observation, _ = free.reset()
        for action, (following, *_, after) in steps:
            mask = info["action_mask"].astype(bool)
            hidden += (~mask).sum()
            inside = np.exp(free_observation["log_prior"][mask])
            shown = np.exp(observation["log_prior"][mask])
            np.testing.assert_allclose(shown, inside / inside.sum(), atol=1e-6)
            assert (observation["log_prior"][~mask] == -100.0).all()
            observation, info = following, after
            free_observation, *_ = free.step(action)
    assert hidden > 20


class PlainModule(torch.nn.Module):
    """A prior as anyone would write it: float64, with gradients."""

    fingerprint = "plain"
    vocabulary = MASKED_TOY.vocabulary

    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRUCell(self.vocabulary.size + 1, 4, dtype=torch.float64)

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, 4, dtype=torch.float64),)

    def step(self, tokens, state):
        one_hot = torch.nn.functional.one_hot(tokens, self.vocabulary.size + 1).double()
        hidden = self.cell(one_hot, state[0])
        return torch.log_softmax(hidden, dim=-1), (hidden,)

    def sequence_log_probs(self, tokens):
        raise NotImplementedError


def test_priors_may_track_gradients_and_have_any_precision():
    env = gym.make("ToyGen-v0", prior=PlainModule())
    env.reset()
    with torch.enable_grad():
        observation = env.step(0)[0]
    assert observation["log_prior"].dtype == np.float32
    assert np.exp(observation["log_prior"]).sum() == pytest.approx(1)


def test_finished_sequences_show_a_full_mask():
    for _, steps in episodes_of(SequenceEnv(MASKED_TOY), 5):
        assert steps[-1][1][4]["action_mask"].all()


# -- copies, specs, rendering ---------------------------------------------------------------------


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_continue_identically(env_id, copier):
    env = gym.make(env_id)
    rng = np.random.default_rng(1)
    _, info = env.reset(seed=3)
    for _ in range(2):
        *_, terminated, _, info = env.step(random_action(info["action_mask"][:2], rng))
        assert not terminated
    twin = copier(env)
    for _ in range(2):
        action = random_action(info["action_mask"], rng)
        mine = env.step(action)
        assert_same(twin.step(action), mine)
        if mine[2]:
            break
        info = mine[4]
    a, b = episodes_of(env), episodes_of(twin)
    assert_same(a, b)


def test_copy_does_not_share_its_sequence(env):
    env.reset()
    before = env.step(0)
    kept = copy.deepcopy(before)
    twin = copy.deepcopy(env)
    twin.step(1)
    assert env.unwrapped.lanes.lengths.tolist() == [1]
    env.step(1)
    assert_same(before, kept)  # nor do later steps touch what was returned


def test_spec_survives_json(env_id):
    env = gym.make(env_id, c=0.7, length=12, observation="tokens", prior_weight=0.5)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space
    assert_same(episodes_of(again), episodes_of(env))
    different = episodes_of(gym.make(env_id, length=12, observation="tokens"))
    with pytest.raises(AssertionError):
        assert_same(different, episodes_of(env))


def test_render(env_id):
    env = gym.make(env_id, render_mode="ansi")
    env.reset()
    empty = env.render()
    env.step(1)
    assert isinstance(empty, str)
    assert env.render() != empty
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset()
    blank = env.render()
    env.step(env.action_space.n - 1)
    picture = env.render()
    assert picture.shape == blank.shape
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert (picture != blank).any()
    with pytest.warns(UserWarning, match="render_mode='ansi' or 'rgb_array'"):
        assert gym.make(env_id).unwrapped.render() is None
