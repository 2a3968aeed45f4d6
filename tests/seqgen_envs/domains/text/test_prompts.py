"""Prompts that are drawn an episode, and rewards over prompts and completions."""

import gymnasium as gym
import numpy as np
import pytest

from seqgen_envs import get_domain
from seqgen_envs.prompted import PromptedTask
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import RuleError

TEXT = get_domain("text")
PROMPTS = ("shall i compare thee", "the day\nand the")


def lengths(prompts, completions):
    return [len(p) + 100 * len(c) for p, c in zip(prompts, completions, strict=True)]


def of_completions(completions, **others):
    return [float(len(c)) for c in completions]


def one_short(prompts, completions):
    return [0.0] * (len(completions) - 1)


def fails_on_the_first(prompts, completions):
    if any(p == PROMPTS[0] for p in prompts):
        raise KeyError(prompts[0])
    return [1.0] * len(completions)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("".join(p.replace("\n", "\\n") + "\n" for p in PROMPTS))
    return path


def played(file, function, episodes=16, **others):
    task = PromptedTask(function)
    env = gym.make_vec(
        "TextGen-v0", num_envs=4, task=task, primer=str(file), length=16, **others
    ).unwrapped
    return rollout(env.lanes, PriorPolicy(seed=0), episodes)


def test_prompts_are_drawn_an_episode(file):
    env = gym.make("TextGen-v0", primer=str(file))

    def drawn(seed):
        first = env.reset(seed=seed)[0]["tokens"]
        return [TEXT.to_text(ids) for ids in (first, *(env.reset()[0]["tokens"] for _ in range(9)))]

    assert set(drawn(0)) == set(PROMPTS)
    assert drawn(1) == drawn(1) != drawn(0)


def test_a_reward_reads_prompts_and_completions(file):
    episodes = played(file, lengths)
    begun = set()
    for ids, value in zip(episodes.tokens, episodes.task_return, strict=True):
        text = TEXT.to_text(ids)
        prompt = next(p for p in PROMPTS if text.startswith(p))
        begun.add(prompt)
        assert value == len(prompt) + 100 * (len(text) - len(prompt))
    assert begun == set(PROMPTS)


def test_a_reward_may_read_completions_alone(file):
    episodes = played(file, of_completions)
    for ids, value in zip(episodes.tokens, episodes.task_return, strict=True):
        text = TEXT.to_text(ids)
        assert value == len(text) - len(next(p for p in PROMPTS if text.startswith(p)))


def test_a_task_of_verse_takes_reward_functions_too(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def score(prompts, completions):\n    return [len(p) for p in prompts]\n"
    )
    task = {"name": "custom:mine.py:score", "form": "couplet"}
    env = gym.make_vec("TextGen-v0", num_envs=4, task=task, primer=str(file)).unwrapped
    assert env.lanes.task.names[-1] == "custom"
    totals = rollout(env.lanes, PriorPolicy(0), 8).term_totals()
    assert set(totals["custom"]) <= {float(len(p)) for p in PROMPTS}
    assert (totals["lines"] <= 1).all()


def test_a_completion_that_fails_is_one_failure(file):
    episodes = played(file, fails_on_the_first)
    first = [TEXT.to_text(ids).startswith(PROMPTS[0]) for ids in episodes.tokens]
    np.testing.assert_array_equal(episodes.task_return, np.where(first, 0.0, 1.0))


def test_a_reward_of_the_wrong_length_ends_the_run(file):
    with pytest.raises(RuleError, match=r"one_short returned \d+ values for \d+ completions"):
        played(file, one_short)


def test_a_reward_of_other_arguments_is_refused():
    with pytest.raises(ValueError, match=r"<lambda>' must take \(prompts, completions\)"):
        PromptedTask(lambda text: [0.0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"shall i\n\nday\n", "line 2 of .* is empty: give a prompt in every line"),
        (b"shall i\nday 5\n", "line 2 of .* lacks the characters '5'"),
        (b"shall i " * 30, "line 1 of .* must be shorter than length = 40"),
        (b"shall\n\xff", "not UTF-8: byte 0xff in line 2"),
        (b"", "."),
    ],
)
def test_bad_prompts_are_refused(content, message, tmp_path):
    (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        gym.make("TextGen-v0", primer=str(tmp_path / "prompts.txt"))
    assert "\n" not in str(error.value)
