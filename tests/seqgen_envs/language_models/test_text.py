"""A folder of transformers in the domain of texts: prompts, and rewards over what follows them."""

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra hf")

import seqgen_envs  # noqa: F401
from helpers.commands import refused, run, table
from helpers.language_models import folder_of, tokenizer_of
from seqgen_envs.rules import RuleError

PROMPTS = ["the cat", "the dog ran to"]
REWARD = """
def short_words(prompts, completions):
    assert len(prompts) == len(completions)
    return [sum(len(word) <= 3 for word in text.split()) / 4 for text in completions]

def after_the_dog(prompts, completions):
    return [float(prompt.startswith("the dog")) for prompt in prompts]

def one_too_few(prompts, completions):
    return [0.0] * (len(completions) - 1)

def nothing(prompts, completions):
    pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rewards(tmp_path_factory):
    file = tmp_path_factory.mktemp("rewards") / "reward.py"
    file.write_text(REWARD)
    return file


def written(env, text):
    """The reward of the task for an episode that goes on with a text, in nats, and its info."""
    vocabulary = env.unwrapped.domain.vocabulary
    for action in [*vocabulary.from_text(text), vocabulary.end_id]:
        _, reward, over, _, info = env.step(int(action))
    assert over
    return reward, info


def test_a_reward_is_of_the_prompt_and_what_follows_it(folder, rewards):
    options = {"prior": str(folder), "length": 20, "primer": PROMPTS, "c": 0.5}
    given = set()
    paid = gym.make("TextGen-v0", task=f"custom:{rewards}:short_words", **options)
    told = gym.make("TextGen-v0", task=f"custom:{rewards}:after_the_dog", **options)
    for seed in range(6):
        begun = paid.reset(seed=seed)[0]["tokens"]
        prompt = paid.unwrapped.domain.to_text(begun)
        given.add(prompt)
        _, info = written(paid, "sat in the tree")
        assert info["sequence"].startswith(prompt)
        assert info["task_reward"] == pytest.approx(3 / 4)  # sat, in, the
        told.reset(seed=seed)
        _, info = written(told, "sat")
        assert info["task_reward"] == prompt.startswith("the dog")
    assert given == set(PROMPTS)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("one_too_few", r"one_too_few returned 0 values for 1 completions; it must return one"),
        ("nothing", r"nothing returned None for 1 completions; it must return one number each"),
    ],
)
def test_rewards_of_the_wrong_length(folder, rewards, function, says):
    env = gym.make("TextGen-v0", prior=str(folder), task=f"custom:{rewards}:{function}", length=20)
    env.reset(seed=0)
    with pytest.raises(RuleError, match=says) as caught:
        written(env, "the cat")
    assert "\n" not in str(caught.value)


def test_each_lane_is_paid_for_its_own_text(folder, rewards):
    task = f"custom:{rewards}:short_words"
    envs = gym.make_vec(
        "TextGen-v0", num_envs=4, prior=str(folder), task=task, length=12, primer="the cat"
    )
    envs.reset(seed=0)
    rng, paid = np.random.default_rng(0), []
    for _ in range(40):
        actions = rng.choice([tokenizer_of().eos_token_id, *range(20, 50)], size=4)
        _, _, over, _, info = envs.step(actions)
        for row in np.flatnonzero(over):
            words = info["sequence"][row].removeprefix("the cat").split()
            assert info["task_reward"][row] == sum(len(word) <= 3 for word in words) / 4
            paid.append(info["task_reward"][row])
    assert len(set(paid)) > 2
    envs.close()


def test_commands_take_a_folder(folder, rewards, tmp_path):
    given = ["--prior", folder, "--task", f"custom:{rewards}:short_words", "--length", "12"]
    run("sample", "text", *given, "-n", 4, "--seed", 0, "--out", tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.csv")
    assert len(table(file)) == 4
    wrong = [*given[:3], f"custom:{rewards}:one_too_few", *given[4:]]
    line = refused("sample", "text", *wrong, "-n", 4, "--out", tmp_path / "wrong")
    assert "one_too_few returned 3 values for 4 completions" in line
