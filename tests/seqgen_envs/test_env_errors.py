"""What goes wrong, and how it is said: bad arguments, bad actions, and rules that fail."""

import dataclasses
import logging

import gymnasium as gym
import numpy as np
import pytest

import seqgen_envs
from seqgen_envs import SequenceEnv, SequenceVectorEnv, check_domain, get_domain, register_domain
from seqgen_envs.checks import DomainError
from seqgen_envs.domain_groups import Metrics, View
from seqgen_envs.domains.toy.prior import random_prior
from seqgen_envs.rules import ScanRule, Task, Term
from seqgen_envs.vocabulary import Vocabulary

OTHER = Vocabulary(("x", "y", "z", "."), end=".", joiner="")

# (environment's arguments, what the message must say: the mistake and the way out)
BAD_ARGUMENTS = {
    "prior name": ({"prior": "nobody"}, r"unknown prior 'nobody'.*neither one of \['\w+'"),
    "prior type": ({"prior": 3}, "prior must be a name, a folder or an object.*got int"),
    "vocabulary": ({"prior": random_prior(OTHER, 5, 0, 1.0)}, "vocabularies differ.*prior trained"),
    "c zero": ({"c": 0.0}, "c must be a finite number > 0, got 0.0"),
    "c negative": ({"c": -1}, "c must be a finite number > 0, got -1"),
    "c nan": ({"c": float("nan")}, "c must be a finite number > 0, got nan"),
    "c text": ({"c": "0.5"}, "c must be a finite number > 0, got '0.5'"),
    "length text": ({"length": "x"}, "length must be a whole number.*got 'x'"),
    "length nan": ({"length": float("nan")}, "length must be a whole number.*got nan"),
    "prior weight": ({"prior_weight": -0.1}, "prior_weight must be finite and >= 0, got -0.1"),
    "length": ({"length": 0}, "length must be a whole number >= [128] for domain"),
    "length fraction": ({"length": 9.5}, "length must be a whole number.*got 9.5"),
    "primer long": ({"primer": [1] * 12, "length": 12}, "primer has 12 tokens.*shorter.*12"),
    "primer id": ({"primer": [0, 9999]}, r"primer token 9999 is outside 0\.\.\d+ of domain"),
    "primer negative": ({"primer": [-1]}, r"primer token -1 is outside 0\.\."),
    "primer text": (
        {"primer": "€"},
        "(unknown token|lacks the characters) '€'.*; (the vocabulary|it) has",
    ),
    "primer type": ({"primer": [0.5]}, "primer must be a list of token ids or a text"),
    "no primers": ({"primer": np.zeros((0, 3), int)}, "primer must be a list of token ids"),
    "task": ({"task": "nothing"}, r"unknown task 'nothing' for domain.*tasks: \["),
    "task type": ({"task": 5}, "task must be a name, a dict .* or a Task; got int"),
    "task argument": ({"task": {"volume": 3}}, "does not take these arguments.*volume"),
    "term": ({"task": {"weights": {"loudness": 1}}}, r"has no term \['loudness'\]; terms: \["),
    "weight": ({"task": {"weights": {"KNOWN": float("inf")}}}, "weight must be finite, got inf"),
    "observation": (
        {"observation": "pixels"},
        r"one of \['dict', 'tokens', .*pixels",
    ),
    "render mode": ({"render_mode": "human"}, "render_mode must be one of .*ansi.*got 'human'"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
@pytest.mark.parametrize("entry", [SequenceEnv, SequenceVectorEnv])
def test_bad_arguments_are_explained(env_id, entry, case):
    kwargs, message = BAD_ARGUMENTS[case]
    registered = gym.spec(env_id).kwargs
    if case == "vocabulary" and registered["domain"] == "text":
        pytest.skip("a text is in the tokens of whatever prior there is")
    if case == "weight":  # a name that is right, so that the value is what is wrong
        first = get_domain(registered["domain"]).make_task().names[0]
        kwargs = {"task": {"weights": {first: float("inf")}}}
    with pytest.raises((ValueError, TypeError), match=message):
        entry(**(registered | kwargs)).reset()


def test_unknown_domain():
    with pytest.raises(ValueError, match=r"unknown domain 'poem'; registered: \['melody', "):
        SequenceEnv("poem")


def test_end_token_in_primer():
    with pytest.raises(ValueError, match=r"primer holds the end token '\.'"):
        SequenceEnv("toy", primer=[0, 3])


def test_shortest_melody():
    with pytest.raises(ValueError, match=r"length must be a whole number >= 8 .*'melody', got 7"):
        gym.make("MelodyGen-v0", length=7)
    assert gym.make("MelodyGen-v0", length=8).observation_space["tokens"].shape == (8,)


@pytest.mark.parametrize("action", [-1, 10_000, 0.5, None, "a", [0, 1], np.float32(1)])
def test_bad_actions_are_refused_and_change_nothing(env_id, action):
    env = gym.make(env_id).unwrapped
    env.reset()
    env.step(0)
    before = env.lanes.tokens.copy(), env.lanes.log_prior.copy()
    with pytest.raises(ValueError, match=r"action .*0\.\."):
        env.step(action)
    np.testing.assert_array_equal(env.lanes.tokens, before[0])
    np.testing.assert_array_equal(env.lanes.log_prior, before[1])
    assert env.lanes.lengths.tolist() == [1]


@pytest.mark.parametrize("action", [np.int64(1), np.array(1), np.array([1]), np.uint8(1), 1])
def test_whole_numbers_of_any_type_are_actions(action):
    env = SequenceEnv("toy")
    env.reset()
    assert env.step(action)[0]["tokens"][0] == 1


# -- rules that fail ------------------------------------------------------------------------------


def nan_on_bb(tokens, lengths):
    """1, but NaN for a second token b."""
    return np.where((lengths == 2) & (tokens[:, 1] == 1), np.nan, 1.0)


def raise_on_bb(tokens, lengths):
    if ((lengths == 2) & (tokens[:, 1] == 1)).any():
        raise RuntimeError("b is too much")
    return np.ones(len(tokens))


def frozen_nan(tokens, lengths):
    """Hands out an array nobody may write to."""
    values = nan_on_bb(tokens, lengths)
    values.flags.writeable = False
    return values


class ScanNaN(ScanRule):
    width = 1

    def initial_state(self):
        return np.zeros(1)

    def update(self, state, tokens, lengths):
        values = nan_on_bb(tokens, lengths)
        return values, state + 1


class ScanRaise(ScanNaN):
    def update(self, state, tokens, lengths):
        return raise_on_bb(tokens, lengths), state + 1


FAILING = [nan_on_bb, raise_on_bb, frozen_nan, ScanNaN(), ScanRaise()]


@pytest.mark.parametrize("rule", FAILING, ids=lambda r: getattr(r, "__name__", type(r).__name__))
def test_failing_rules_cost_their_sequence_only(rule, caplog):
    task = Task("fragile", [Term("steady", lambda _, lengths: lengths * 1.0), Term("bad", rule)])
    env = SequenceVectorEnv("toy", 3, task=task)
    env.reset()
    env.step([0, 0, 0])
    with caplog.at_level(logging.WARNING):
        *_, infos = env.step([0, 1, 1])
        *_, after = env.step([0, 0, 2])
    assert infos["task_reward"].tolist() == [3.0, 0.0, 0.0]  # steady 2 + bad 1; nothing; nothing
    assert after["task_reward"].tolist() == [4.0, 4.0, 4.0]
    assert np.isfinite(infos["prior_log_prob"]).all()
    assert task.failures.count == 2
    assert task.failures.by_term == {"bad": 2}
    assert "[0, 1]" in task.failures.first
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "'bad' failed on tokens [0, 1]" in warnings[0].getMessage()


def test_first_traceback_is_kept():
    task = Task("fragile", [Term("bad", raise_on_bb)])
    env = SequenceEnv("toy", task=task)
    env.reset()
    env.step(0)
    reward = env.step(1)[1]
    assert np.isfinite(reward)
    assert "RuntimeError: b is too much" in task.failures.first
    assert "raise_on_bb" in task.failures.first


# -- check_domain ---------------------------------------------------------------------------------


def mean_rule(tokens, lengths):
    """Judges a prefix by the others in the batch."""
    return np.full(len(tokens), float(tokens[:, 0].mean()))


def only_first_token(tokens, lengths):
    """A mask that forbids everything after token 0."""
    mask = np.zeros((len(tokens), 4), dtype=np.int8)
    mask[lengths == 0, 0] = 1
    return mask


class LoosePrior:
    """A prior whose probabilities sum to two, or whose steps differ from its sequences."""

    def __init__(self, break_sum):
        self._inner = random_prior(get_domain("toy").vocabulary, 5, 1, 1.0)
        self._break_sum = break_sum
        self.vocabulary, self.fingerprint = self._inner.vocabulary, "loose"

    def initial_state(self, batch_size):
        return self._inner.initial_state(batch_size)

    def step(self, tokens, state):
        log_probs, state = self._inner.step(tokens, state)
        return log_probs.flip(-1) if not self._break_sum else log_probs, state

    def sequence_log_probs(self, tokens):
        return self._inner.sequence_log_probs(tokens) + float(np.log(2.0)) * self._break_sum


def broken(**changes):
    return dataclasses.replace(get_domain("toy"), name="broken", **changes)


def with_rule(rule, **kwargs):
    task = Task("broken-task", [Term("offender", rule, **kwargs)])
    return broken(tasks={"letters": lambda: task})


def test_registered_domains_pass():
    for name in seqgen_envs.registered_domains():
        check_domain(name, episodes=4)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (with_rule(mean_rule), "'broken-task'.*scores differently alone"),
        (with_rule(lambda tokens, lengths: np.full(len(tokens), np.nan)), "'offender'.*nan"),
        (with_rule(lambda tokens, lengths: np.zeros((len(tokens), 1))), "'offender'.*shape"),
        (broken(priors={"default": lambda: LoosePrior(True)}), "do not sum to 1"),
        (broken(priors={"default": lambda: LoosePrior(False)}), "step and sequence_log_probs"),
        (broken(decode=lambda ids: "abc"), "is not read back as it was written"),
        (
            broken(view=View(image=lambda ids, horizon: np.zeros((4, 4)))),
            "view.image must give",
        ),
        (broken(masks={"m": lambda: only_first_token}), r"lets nothing follow the prefix \[0\]"),
        (
            broken(masks={"m": lambda: lambda tokens, lengths: np.ones((len(tokens), 4))}),
            "a mask gave float64",
        ),
        (broken(metrics=Metrics(each=lambda ids: {"m": np.zeros(2)})), "metric 'm' has shape"),
    ],
)
def test_check_domain_names_what_is_broken(domain, message):
    with pytest.raises((DomainError, ValueError), match=message):
        check_domain(domain)


def test_check_domain_lets_a_task_raise():
    def fails():
        raise ValueError("no such weight")

    with pytest.raises(ValueError, match="no such weight"):
        check_domain(broken(tasks={"letters": fails}))


def test_check_domain_lets_a_rule_raise():
    def fails(tokens, lengths):
        raise KeyError("no such note")

    with pytest.raises(KeyError, match="no such note"):
        check_domain(with_rule(fails))


def test_names_are_registered_once():
    toy = get_domain("toy")
    register_domain("toy", toy)
    register_domain("toy", "seqgen_envs.domains.toy:DOMAIN")
    with pytest.raises(ValueError, match="'toy' is already registered"):
        register_domain("toy", broken())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"default_prior": "best"}, "its default prior 'best' is not among"),
        ({"default_task": "best"}, "its default task 'best' is not among"),
        ({"min_horizon": 9}, "need 1 <= min_horizon <= horizon, got 9 and 5"),
    ],
)
def test_domains_are_checked_when_made(changes, message):
    with pytest.raises(ValueError, match=message):
        broken(**changes)


def test_tasks_of_environments_do_not_share_failures():
    a, b = SequenceEnv("toy"), SequenceEnv("toy")
    a.task.failures.add("balance", np.array([0]), "test", "test")
    assert b.task.failures.count == 0
