"""The vector environment is N single ones: step by step, in all three ways to reset."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from helpers.envs import ENV_IDS, MASKED_TOY, assert_same, kwargs_of, random_action
from seqgen_envs import SequenceEnv, SequenceVectorEnv, get_domain
from seqgen_envs.observations import KINDS

ATOL = 1e-5
SETTINGS = {**{i: kwargs_of(i) for i in ENV_IDS}, "masked": {"domain": MASKED_TOY}}


@pytest.fixture(params=SETTINGS)
def settings(request):
    """Arguments of every registered environment, and of one with an action mask."""
    return SETTINGS[request.param]


def twins(settings, n, mode, **kwargs):
    kwargs = settings | kwargs
    mine = SequenceVectorEnv(num_envs=n, autoreset_mode=mode, **kwargs)
    theirs = SyncVectorEnv([lambda: SequenceEnv(**kwargs)] * n, autoreset_mode=mode)
    return mine, theirs


def choose(infos, rng):
    return np.array([random_action(row, rng) for row in infos["action_mask"]])


def run_pair(mine, theirs, steps, rng):
    """Same actions to both; everything returned must agree. Returns how many episodes ended."""
    disabled = mine.autoreset_mode == AutoresetMode.DISABLED
    got, expected = mine.reset(seed=3), theirs.reset(seed=3)
    assert_same(got, expected, ATOL, "reset")
    infos, ended = got[1], 0
    for t in range(steps):
        actions = choose(infos, rng)
        got, expected = mine.step(actions), theirs.step(actions)
        assert_same(got, expected, ATOL, f"step {t}")
        finished = got[2]
        ended += int(finished.sum())
        infos = got[4]
        if disabled and finished.any():
            options = {"reset_mask": finished}
            got = mine.reset(options=dict(options))
            assert_same(got, theirs.reset(options=dict(options)), ATOL, f"reset {t}")
            fresh = finished[:, None]
            masks = np.where(fresh, got[1]["action_mask"], infos["action_mask"])
            infos = {"action_mask": masks}
    return ended


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("n", [1, 7])
def test_equals_gymnasiums_sync_vector_env(settings, n, mode):
    mine, theirs = twins(settings, n, mode)
    assert mine.metadata["autoreset_mode"] == mode
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    assert mine.single_observation_space == theirs.single_observation_space
    ended = run_pair(mine, theirs, 2 * mine.lanes.horizon + 5, np.random.default_rng(n))
    assert ended >= 2 * n


@pytest.mark.parametrize(
    "mode",
    [
        AutoresetMode.NEXT_STEP,
        *(
            pytest.param(mode, marks=pytest.mark.slow)  # in few lanes they are tested above
            for mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
        ),
    ],
)
def test_equals_sync_vector_env_at_256(env_id, mode):
    mine, theirs = twins(kwargs_of(env_id), 256, mode, length=9)
    assert run_pair(mine, theirs, 12, np.random.default_rng(0)) >= 256


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_equals_sync_vector_env_with_other_arguments(env_id, mode, kind):
    arguments = {"observation": kind, "primer": [0, 1], "length": 10, "c": 2.0, "prior_weight": 0.5}
    mine, theirs = twins(kwargs_of(env_id), 3, mode, **arguments)
    assert run_pair(mine, theirs, 25, np.random.default_rng(1)) >= 6


@pytest.mark.parametrize(
    "context", [pytest.param("spawn", marks=[pytest.mark.spawn, pytest.mark.slow]), "fork"]
)
def test_equals_gymnasiums_async_vector_env(env_id, context):
    kwargs = kwargs_of(env_id)
    mine = gym.make_vec(env_id, num_envs=2)
    mine.lanes.prior  # noqa: B018  loaded before the fork
    functions = [lambda: SequenceEnv(**kwargs) for _ in range(2)]
    theirs = AsyncVectorEnv(functions, context=context)
    try:
        steps = min(mine.lanes.horizon + 3, 20)
        run_pair(mine, theirs, steps, np.random.default_rng(0))
    finally:
        theirs.close(timeout=10)


@pytest.mark.parametrize("n", [1, 5])
def test_lanes_do_not_depend_on_their_neighbours(settings, n):
    """A lane's story is that of a lone environment, whatever the others do."""
    kwargs = settings
    vector = SequenceVectorEnv(num_envs=n, autoreset_mode="Disabled", **kwargs)
    single = SequenceEnv(**kwargs)
    rng = np.random.default_rng(2)
    _, infos = vector.reset()
    history = []
    going = True
    while going:
        actions = choose(infos, rng)
        observations, rewards, finished, _, infos = vector.step(actions)
        history.append((actions[-1], rewards[-1], observations["log_prior"][-1]))
        going = not finished[-1]
        if finished.any() and going:
            vector.reset(options={"reset_mask": finished})
            infos["action_mask"] = vector.action_masks()
    single.reset()
    for action, reward, log_prior in history:
        observation, alone, *_ = single.step(action)
        assert alone == pytest.approx(reward, abs=ATOL)
        np.testing.assert_allclose(observation["log_prior"], log_prior, atol=ATOL)


def test_make_vec_gives_the_native_environment(env_id):
    for name in (env_id, f"seqgen_envs:{env_id}"):
        env = gym.make_vec(name, num_envs=3, c=0.9, length=11)
        assert isinstance(env, SequenceVectorEnv)
        assert env.num_envs == 3
        assert env.c == 0.9
        assert env.spec.id == env_id
        assert env.single_observation_space["tokens"].shape == (11,)


def test_sequences_are_those_played(settings):
    env = SequenceVectorEnv(num_envs=4, autoreset_mode="SameStep", **settings)
    rng, vocabulary = np.random.default_rng(0), env.domain.vocabulary
    _, infos = env.reset()
    written = [[] for _ in range(4)]
    ended = 0
    for _ in range(2 * env.lanes.horizon):
        actions = choose(infos, rng)
        _, _, finished, _, infos = env.step(actions)
        for lane, action in enumerate(actions):
            written[lane].append(vocabulary.tokens[action])
            if finished[lane]:
                tokens = [token for token in written[lane] if token != vocabulary.end]
                text = vocabulary.joiner.join(tokens)
                assert infos["final_info"]["sequence"][lane] == text
                written[lane], ended = [], ended + 1
    assert ended >= 8


# -- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_continue_identically(env_id, copier, mode):
    env = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode.value)
    env.reset(seed=0)
    env.step(np.array([0, 1, 2]))
    twin = copier(env)
    rng = np.random.default_rng(0)
    for _ in range(env.lanes.horizon + 2):
        actions = rng.integers(0, env.single_action_space.n, 3)
        mine = env.step(actions)
        assert_same(twin.step(actions), mine)
        if mode == AutoresetMode.DISABLED and mine[2].any():
            mask = mine[2]
            assert_same(
                twin.reset(options={"reset_mask": mask}), env.reset(options={"reset_mask": mask})
            )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_what_was_returned_is_never_touched_again(env_id, mode, kind):
    env = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode.value, observation=kind)
    returned = [env.reset()]
    kept = [copy.deepcopy(returned[0])]
    rng = np.random.default_rng(0)
    for _ in range(env.lanes.horizon + 3):
        returned.append(env.step(rng.integers(0, env.single_action_space.n, 3)))
        kept.append(copy.deepcopy(returned[-1]))
    env.reset()
    assert_same(returned, kept)


def test_writing_to_what_was_returned_changes_nothing(env_id):
    env, twin = (gym.make_vec(env_id, num_envs=2) for _ in range(2))
    actions = np.zeros(2, dtype=np.int64)
    for e in (env, twin):
        result = e.reset()
        if e is env:
            for value in (*result[0].values(), result[1]["action_mask"]):
                value[:] = 1
    for _ in range(3):
        result = env.step(actions)
        assert_same(twin.step(actions), result)
        for value in (*result[0].values(), *result[1:4], result[4]["action_mask"]):
            value[:] = 1


# -- errors ---------------------------------------------------------------------------------------


@pytest.fixture
def trio():
    env = SequenceVectorEnv("toy", 3, autoreset_mode="Disabled")
    env.reset()
    return env


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 1], r"whole numbers of shape \(3,\), got int64 of shape \(2,\)"),
        (0, r"whole numbers of shape \(3,\)"),
        ([[0, 1, 2]], r"got int64 of shape \(1, 3\)"),
        ([[0], [1]], r"got int64 of shape \(2, 1\)"),
        ([0.0, 1.0, 2.0], "whole numbers.*got float64"),
        ([0, 4, 1], r"action 4 of lane 1 is outside the space: valid are 0\.\.3"),
        ([0, 1, -1], r"action -1 of lane 2 is outside the space"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(trio, actions, message):
    with pytest.raises(ValueError, match=message):
        trio.step(actions)
    assert trio.lanes.lengths.tolist() == [0, 0, 0]


def test_stepping_a_finished_lane_is_refused(trio):
    end = get_domain("toy").vocabulary.end_id
    trio.step([0, end, 1])
    with pytest.raises(ResetNeeded, match=r"lane 1 has ended.*reset it"):
        trio.step([0, 0, 0])
    trio.reset(options={"reset_mask": np.array([False, True, False])})
    trio.step([0, 0, 0])
    assert trio.lanes.lengths.tolist() == [2, 1, 2]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_stepping_before_reset_is_refused(mode):
    with pytest.raises(ResetNeeded, match=r"lane 0 has ended \(or never started\): reset"):
        SequenceVectorEnv("toy", 2, autoreset_mode=mode).step([0, 0])


def test_lanes_can_be_started_one_by_one():
    env = SequenceVectorEnv("toy", 2, autoreset_mode="Disabled")
    env.reset(options={"reset_mask": np.array([True, False])})
    assert env.lanes.finished.tolist() == [False, True]
    env.reset(options={"reset_mask": np.array([False, True])})
    env.step([0, 1])
    assert env.lanes.lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    "mask", [[True, False], np.zeros(3, dtype=bool), np.array([1, 0, 0]), "all"]
)
def test_bad_reset_masks_are_refused(trio, mask):
    with pytest.raises(ValueError, match=r"reset_mask'\] must be a bool array of shape \(3,\)"):
        trio.reset(options={"reset_mask": mask})


def test_bad_numbers_of_lanes_and_modes():
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        SequenceVectorEnv("toy", 0)
    with pytest.raises(ValueError, match="Sometimes"):
        SequenceVectorEnv("toy", 1, autoreset_mode="Sometimes")


def test_render_gives_one_a_lane():
    env = SequenceVectorEnv("toy", 3, render_mode="ansi")
    env.reset()
    env.step([0, 1, 2])
    assert env.render() == ("a", "b", "c")
    assert SequenceVectorEnv("toy", 3).render() is None


# -- limits, attributes, actions ------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3, 5, 9])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_time_limits_are_those_of_gymnasium(mode, kind, steps):
    """make_vec(max_episode_steps=K) natively, and over single environments in TimeLimit."""
    kwargs = {"num_envs": 4, "observation": kind, "primer": ["a", ""]}
    mine = gym.make_vec("ToyGen-v0", autoreset_mode=mode.value, max_episode_steps=steps, **kwargs)
    theirs = SyncVectorEnv(
        [lambda: gym.make("ToyGen-v0", observation=kind, primer=["a", ""], max_episode_steps=steps)]
        * 4,
        autoreset_mode=mode,
    )
    assert isinstance(mine, SequenceVectorEnv)
    rng, ended, cut = np.random.default_rng(0), 0, 0
    got, expected = mine.reset(seed=1), theirs.reset(seed=1)
    for t in range(30):
        assert_same(got, expected, ATOL, f"step {t}")
        actions = rng.integers(0, 4, 4)
        got, expected = mine.step(actions), theirs.step(actions)
        over = got[2] | got[3]
        ended, cut = ended + int(over.sum()), cut + int((got[3] & ~got[2]).sum())
        if mode == AutoresetMode.DISABLED and over.any():
            assert_same(got, expected, ATOL, f"end {t}")
            with pytest.raises(ResetNeeded):
                mine.step(actions)
            got, expected = (e.reset(options={"reset_mask": over}) for e in (mine, theirs))
    assert ended >= 10
    assert (cut > 0) == (steps < 5)


@pytest.mark.parametrize("limit", [0, -1, 2.5, "many"])
def test_bad_time_limits_are_refused(limit):
    with pytest.raises(ValueError, match=r"max_episode_steps must be a whole number >= 1, got"):
        gym.make_vec("ToyGen-v0", num_envs=2, max_episode_steps=limit)


def test_attributes_are_read_as_from_sync_vector_env():
    mine, theirs = twins({"domain": "toy", "c": 0.7}, 3, AutoresetMode.NEXT_STEP)
    for env in (mine, theirs):
        env.reset(seed=0)
        env.step(np.array([0, 1, 2]))
    for name in ("c", "action_space", "observation_space", "render_mode"):
        assert mine.get_attr(name) == theirs.get_attr(name)
    assert_same(mine.call("action_masks"), theirs.call("action_masks"))
    assert [domain.name for domain in mine.get_attr("domain")] == ["toy"] * 3
    assert mine.get_attr("prior") == (mine.prior,) * 3
    drawn, single = twins({"domain": "toy", "render_mode": "ansi"}, 3, AutoresetMode.NEXT_STEP)
    for env in (drawn, single):
        env.reset()
        env.step(np.array([0, 1, 2]))
    assert drawn.call("render") == single.call("render") == ("a", "b", "c")
    with pytest.raises(AttributeError, match="colour"):
        mine.get_attr("colour")
    for name in ("reset", "step"):
        with pytest.raises(ValueError, match=rf"call {name}\(\) of the vector environment"):
            mine.call(name)


@pytest.mark.parametrize("values", [0.1, [0.1, 0.1, 0.1], (0.1,) * 3])
def test_c_can_be_set_for_all_lanes(values):
    mine, theirs = twins({"domain": "toy"}, 3, AutoresetMode.SAME_STEP)
    for env in (mine, theirs):
        env.reset()
        env.set_attr("c", values)
    assert mine.get_attr("c") == theirs.get_attr("c") == (0.1,) * 3
    assert_same(mine.step(np.array([0, 1, 2])), theirs.step(np.array([0, 1, 2])), ATOL)
    mine.c = 0.3
    assert mine.lanes.c == 0.3
    with pytest.raises(
        ValueError, match=r"the lanes share 'c': give one value for all, got \[1, 2"
    ):
        mine.set_attr("c", [1, 2, 3])
    with pytest.raises(ValueError, match="give one value or 3 for 'c', not 2"):
        mine.set_attr("c", [1, 1])
    with pytest.raises(ValueError, match="c must be a finite number > 0, got 0"):
        mine.set_attr("c", 0)
    assert mine.c == 0.3


@pytest.mark.parametrize(
    "actions",
    [
        [0, 1, 2],
        (0, 1, 2),
        np.array([[0], [1], [2]]),
        np.array([0, 1, 2], dtype=np.uint8),
        np.array([0, 1, 2], dtype=np.int32),
        np.array([0, 1, 2], dtype=np.uint64),
    ],
    ids=str,
)
def test_whole_numbers_of_any_type_and_shape_are_actions(trio, actions):
    trio.step(actions)
    assert trio.lanes.tokens[:, 0].tolist() == [0, 1, 2]


def test_infos_have_the_same_keys_everywhere(settings):
    env = SequenceVectorEnv(num_envs=3, **settings)
    rng = np.random.default_rng(0)
    observation, infos = env.reset(seed=[1, 2, 3])
    keys, terms = list(infos), list(infos["reward_terms"])
    assert set(keys) == {
        prefix + name
        for name in ("prior_log_prob", "task_reward", "reward_terms", "action_mask", "sequence")
        for prefix in ("", "_")
    }
    assert not set(keys) & set(observation)
    for _ in range(env.lanes.horizon + 2):
        *_, infos = env.step(choose(infos, rng))
        assert (list(infos), list(infos["reward_terms"])) == (keys, terms)
        assert infos["_sequence"].all()


def test_seeds_are_one_or_a_list():
    env = SequenceVectorEnv("toy", 3)
    for seed in (3, np.int64(3), [1, None, 2]):
        env.reset(seed=seed)
    with pytest.raises(ValueError, match="a list of seeds must have 3, got 2"):
        env.reset(seed=[1, 2])
