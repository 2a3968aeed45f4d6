"""The search itself, with workers that answer at once what a function says."""

import os
import subprocess
import sys

import pytest

from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.search import OWNER, SHIPPED, Search, open_study, winner
from kl_agents.tuning.space import Range

pytest.importorskip("optuna")

SPACE = {"tau": Range("float", (0.01, 0.5))}
RECIPE = Recipe("psi", ("ToyGen-v0",), steps=1000, looks=3)


class Answering:
    """Workers whose trials are worth what ``worth(tau)`` says, at every look."""

    def __init__(self, worth, looks=3, kinds=None):
        self.worth, self.looks = worth, looks
        self.kinds = dict(kinds or {})
        self.started, self.running, self.waiting = [], {}, []

    def __len__(self):
        return len(self.running)

    def start(self, key, work):
        tau = work.specs[0]["arguments"]["tau"]
        self.started.append((key, tau))
        self.running[key] = tau
        self.waiting.append((key, self.first(key, tau)))

    def first(self, key, tau):
        if kinds := self.kinds.get(key):
            return kinds
        return ("look", 1, self.worth(tau)) if isinstance(key, int) else ("done", self.worth(tau))

    def messages(self):
        found, self.waiting = self.waiting, []
        for key, message in found:
            if message[0] != "look":
                del self.running[key]
        return found

    def answer(self, key, go_on):
        tau = self.running[key]
        last = ("done", self.worth(tau)) if go_on else ("pruned",)
        self.waiting.append((key, last))

    def close(self):
        self.running.clear()


def search(tmp_path, workers, recipe=RECIPE, space=SPACE, jobs=1, prune=True, said=None):
    study = open_study(tmp_path, "s", None, 0, prune, recipe.looks)
    made = Search(study, recipe, space, workers, jobs, ([] if said is None else said).append)
    made.check_recipe()
    return made


def near(tau):
    return -abs(tau - 0.3)


def test_it_comes_near_the_best(tmp_path):
    made = search(tmp_path, Answering(near), prune=False)
    made.run(40)
    assert len(made.study.trials) == 40
    assert made.study.best_params["tau"] == pytest.approx(0.3, abs=0.03)
    best = [made.study.trials[number].value for number in made.best(3)]
    assert best == sorted(best, reverse=True)
    assert best[0] == made.study.best_value


def test_what_is_below_the_median_is_pruned(tmp_path):
    said = []
    made = search(tmp_path, Answering(near), said=said)
    made.run(30)
    states = [trial.state.name for trial in made.study.trials]
    assert states[:5] == ["COMPLETE"] * 5
    assert "PRUNED" in states
    assert any("pruned" in line for line in said)
    assert len(states) == 30


def test_it_goes_on_where_it_was_with_other_settings_than_before(tmp_path):
    search(tmp_path, Answering(near)).run(4)
    again = Answering(near)
    made = search(tmp_path, again)
    made.run(6)
    assert len(again.started) == 2
    taus = [trial.params["tau"] for trial in made.study.trials]
    assert len(set(taus)) == 6
    made.run(6)
    assert len(made.study.trials) == 6


def test_a_trial_of_a_process_that_is_gone_is_tried_again_with_its_settings(tmp_path):
    over = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    first = search(tmp_path, Answering(near))
    trial = first.study.ask()
    tau = trial.suggest_float("tau", 0.01, 0.5)
    trial.set_user_attr(OWNER, {"host": os.uname().nodename, "pid": int(over.stdout), "seen": 0})
    made = search(tmp_path, Answering(near))
    made.run(1)
    states = [(t.state.name, t.params["tau"]) for t in made.study.trials]
    assert states == [("FAIL", tau), ("COMPLETE", tau)]


def test_a_trial_of_a_process_that_lives_is_left_alone_and_counts(tmp_path):
    first = search(tmp_path, Answering(near))
    trial = first.study.ask()
    trial.set_user_attr(OWNER, {"host": os.uname().nodename, "pid": os.getppid(), "seen": 0})
    made = search(tmp_path, Answering(near))
    made.run(2)
    assert [t.state.name for t in made.study.trials] == ["RUNNING", "COMPLETE"]


def test_a_lost_trial_is_begun_again_but_not_for_ever(tmp_path):
    lost = dict.fromkeys(range(3), ("lost", "its node is gone"))
    workers = Answering(near, kinds=lost)
    made = search(tmp_path, workers)
    made.run(1)
    taus = [tau for _, tau in workers.started]
    assert taus[0] == taus[1] == taus[2]
    assert [t.state.name for t in made.study.trials] == ["FAIL", "FAIL", "FAIL", "COMPLETE"]


def test_failed_trials_are_told_and_count(tmp_path):
    said = []
    made = search(tmp_path, Answering(near, kinds={1: ("failed", "J is nan")}), said=said)
    made.run(3)
    assert [t.state.name for t in made.study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "trial 1 failed: J is nan" in said


def test_where_nothing_works_it_ends_with_the_reason(tmp_path):
    failing = dict.fromkeys(range(10), ("failed", "no such oracle"))
    made = search(tmp_path, Answering(near, kinds=failing))
    with pytest.raises(ValueError, match=r"first 5 trials all failed.*no such oracle"):
        made.run(10)


def test_finalists_are_judged_with_fresh_seeds_once(tmp_path):
    workers = Answering(near, kinds={("1", 1): ("failed", "diverged")})
    made = search(tmp_path, workers, prune=False)
    made.run(3)
    confirmed = made.confirm(3, 2)
    assert set(confirmed) == {SHIPPED, "0", "1", "2"}
    assert confirmed["1"][1] == float("-inf")
    before = len(workers.started)
    assert made.confirm(3, 2) == confirmed
    assert len(workers.started) == before
    assert winner(confirmed) != "1"


def test_the_shipped_settings_win_where_they_are_best(tmp_path):
    made = search(tmp_path, Answering(lambda tau: -abs(tau - 0.05)), prune=False)
    made.run(2)
    assert winner(made.confirm(2, 2)) == SHIPPED  # ToyGen's tau is 0.05


def test_another_search_in_the_same_study_is_refused(tmp_path):
    search(tmp_path, Answering(near))
    with pytest.raises(ValueError, match="has another steps: give the same command"):
        search(tmp_path, Answering(near), recipe=Recipe("psi", ("ToyGen-v0",), steps=2, looks=3))
    with pytest.raises(ValueError, match="has another space"):
        search(tmp_path, Answering(near), space={"tau": Range("float", (0.1, 0.5))})


def test_a_storage_that_cannot_be_opened(tmp_path):
    with pytest.raises(ValueError, match=r"--storage nosuch://x cannot be opened"):
        open_study(tmp_path, "s", "nosuch://x", 0, True, 3)


def test_several_may_share_a_database(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    one, two = (open_study(tmp_path, "s", storage, seed, True, 3) for seed in (0, 1))
    Search(one, RECIPE, SPACE, Answering(near), 1, print).run(2)
    Search(two, RECIPE, SPACE, Answering(near), 1, print).run(3)
    assert len(one.trials) == 3
