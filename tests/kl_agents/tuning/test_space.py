"""What is searched: its file, what a learner has of it, and settings made of what was drawn."""

import pytest

from kl_agents.hyperparameters import load_hyperparams
from kl_agents.registry import ALGORITHMS
from kl_agents.tuning.space import Range, check_judged, for_learner, read_space, settings_of


def lowest(space):
    return {name: entry.values[0] for name, entry in space.items()}


def highest(space):
    return {name: entry.values[-1] for name, entry in space.items()}


def write(tmp_path, text):
    path = tmp_path / "space.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "reinvent-pmo"])
@pytest.mark.parametrize("ends", [lowest, highest])
def test_both_ends_of_the_bundled_space_are_settings_of_every_learner(algorithm, ends):
    space = for_learner(read_space(), algorithm, "ToyGen-v0", (), None)
    settings = settings_of(space, ends(space), 0.5)
    merged = load_hyperparams(algorithm, "ToyGen-v0", [settings])
    assert merged.arguments["c"]["end"] == 0.5
    assert merged.arguments["learning_rate"]["start"] == ends(space)["learning_rate.start"]


def test_a_learner_has_only_its_own_and_what_is_not_fixed():
    names = set(for_learner(read_space(), "psi", "ToyGen-v0", ("tau", "c"), None))
    assert {"lambda_", "huber_delta", "replay_ratio"} <= names
    assert not names & {"tau", "c.start", "c.fraction", "delta"}
    on_policy = set(for_learner(read_space(), "rloo", "ToyGen-v0", (), None))
    assert not on_policy & {"replay_ratio", "replay_capacity", "tau"}


def test_a_share_goes_with_what_it_is_a_share_of():
    space = for_learner(read_space(), "psi", "ToyGen-v0", ("learning_rate.start",), None)
    assert "learning_rate.end" not in space


def test_shares_are_multiplied_and_numbers_are_short():
    space = {
        "learning_rate.start": Range("log", (1e-4, 1e-2)),
        "learning_rate.end": Range("log", (0.01, 1.0), "learning_rate.start"),
        "c.start": Range("log", (1.0, 20.0), "c"),
        "policy_kwargs.scale": Range("float", (0.5, 4.0)),
    }
    drawn = {
        "learning_rate.start": 0.00123456,
        "learning_rate.end": 0.5,
        "c.start": 4.0,
        "policy_kwargs.scale": 1.23456,
    }
    assert settings_of(space, drawn, 0.1) == {
        "learning_rate": {"start": 0.001235, "end": 0.0006175},
        "c": {"start": 0.4, "end": 0.1, "shape": "exponential"},
        "policy_kwargs": {"scale": 1.235},
    }


@pytest.mark.parametrize("name", ["c", "c.end"])
def test_the_temperature_that_judges_is_not_searched(name):
    with pytest.raises(ValueError, match="cannot be searched: J is judged at it"):
        check_judged({name: Range("log", (0.1, 1.0))})


@pytest.mark.parametrize(
    "text",
    [
        "tau: 0.5",
        "tau: {log: [0, 1]}",
        "tau: {float: [1, 0]}",
        "tau: {float: [0, .inf]}",
        "tau: {int: [0.5, 2]}",
        "tau: {choice: []}",
        "tau: {float: [0, 1], log: [1, 2]}",
        "tau: {float: [0, 1], more: 2}",
        "[tau]",
        "tau: {float: [0, 1], times: sigma}",
    ],
)
def test_entries_of_another_form_are_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"space\.yml"):
        read_space(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_space(tmp_path / "none.yml")


def test_nothing_left_to_search():
    with pytest.raises(ValueError, match="has none of the settings to search: delta"):
        for_learner({"delta": Range("log", (1.0, 2.0))}, "psi", "ToyGen-v0", (), None)
