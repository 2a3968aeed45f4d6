"""Settings: checked once, by annotation; the arguments, the docstring and the file of a learner."""

import dataclasses
import inspect
import json
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
import pytest

from helpers.agents import make
from helpers.guest_agent import Imitation, ImitationSettings
from kl_agents import ALGORITHMS, PsiLearning, QLearning
from kl_agents.algorithm import SequenceAlgorithm
from kl_agents.checking import OneOf, Within, checked
from kl_agents.schedules import Schedule
from kl_agents.settings import SequenceSettings, SoftValueSettings


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, float, 1.0),
        (np.float32(0.5), Annotated[float, Within(0, 1)], 0.5),
        (16.0, int, 16),
        (None, Annotated[int | None, Within(1)], None),
        (3, Annotated[int | None, Within(1)], 3),
        ("b", Annotated[str, OneOf(("a", "b"))], "b"),
        (False, bool, False),
        ({"any": "thing"}, dict, {"any": "thing"}),
    ],
)
def test_what_fits_is_taken(value, annotation, expected):
    found = checked("x", value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("abc", float, "x must be a number, got 'abc'"),
        (True, float, "x must be a number, got True"),
        (float("nan"), Annotated[float, Within(0)], "x must be a number of at least 0, got nan"),
        (0, Annotated[float, Within(0, above=True)], "x must be a number above 0, got 0"),
        (2, Annotated[float, Within(0, 1)], "x must be a number in [0, 1], got 2"),
        (1.5, int, "x must be a whole number, got 1.5"),
        (float("inf"), int, "x must be a whole number, got inf"),
        ("a", Annotated[int | None, Within(1)],
         "x must be a whole number of at least 1, or null, got 'a'"),
        ("c", Annotated[str, OneOf(("a", "b"))], "x must be one of a, b, got 'c'"),
        (["a"], Annotated[str, OneOf(("a", "b"))], "x must be one of a, b, got ['a']"),
        (1, str, "x must be a text, got 1"),
        (0, bool, "x must be true or false, got 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_sentence(value, annotation, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        checked("x", value, annotation)
    assert str(caught.value) == message


def test_settings_are_json_and_themselves_again():
    settings = SoftValueSettings(c=Schedule(5.0, 0.5), epsilon={"start": 1, "end": 0}, tau=1)
    again = SoftValueSettings(**json.loads(json.dumps(dataclasses.asdict(settings))))
    assert again == settings
    assert settings.c == dataclasses.asdict(Schedule(5.0, 0.5))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.tau = 0.5


def test_an_unknown_argument_is_named_with_the_nearest():
    with pytest.raises(TypeError, match=r"^PsiLearning has no argument 'lambd' .*'lambda_'\?\)$"):
        make(lambd=0.5)
    with pytest.raises(TypeError, match=r"^QLearning has no argument 'n_env' .*'n_envs'\?\)$"):
        make(QLearning, n_env=5)
    with pytest.raises(TypeError, match=r"^QLearning has no argument 'lambda_'"):
        make(QLearning, lambda_=0.5)


def test_the_learning_rate_may_come_third():
    agent = PsiLearning("SequencePolicy", "ToyGen-v0", 0.125, n_envs=1,
                        policy_kwargs={"init": "random"})  # fmt: skip
    assert agent.settings.learning_rate == 0.125
    assert agent.settings.c == agent.facts.c  # None is the environment's


@pytest.mark.parametrize("algorithm", [*ALGORITHMS.values(), Imitation], ids=lambda a: a.__name__)
def test_docstrings_list_every_argument(algorithm):
    text = algorithm.__doc__
    for f in fields(algorithm.settings_class):
        assert f"\n    {f.name}: " in text
        assert f"Default: {f.default}." in text
    arguments = inspect.signature(SequenceAlgorithm.__init__).parameters
    for name in set(arguments) - {"self", "settings", "_init_setup_model"}:
        assert name in text
    assert text.index("Args:") < text.index("Raises:")
    assert "see its class" not in text or algorithm is Imitation  # by is not described there


def test_limits_of_a_learners_own():
    with pytest.raises(ValueError, match=r"best must be a number in \(0, 1\], got 0"):
        ImitationSettings(best=0)
    with pytest.raises(ValueError, match="weight must be a number, got 'x'"):
        ImitationSettings(weight="x")
    with pytest.raises(ValueError, match="by must be one of return, length, got 'x'"):
        ImitationSettings(by="x")

    @dataclass(frozen=True, kw_only=True)
    class Sparse(SequenceSettings):
        replay_capacity: Annotated[int, Within(5)] = 5

    assert Sparse().replay_capacity == 5
    with pytest.raises(ValueError, match="replay_capacity must be a whole number of at least 5"):
        Sparse(replay_capacity=1)
