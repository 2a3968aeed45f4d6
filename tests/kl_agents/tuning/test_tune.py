"""``seqgen tune`` with real trainings, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

import seqgen_envs.cli as cli
from helpers import commands
from helpers.commands import table
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.tuning import recipe as recipes
from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.space import read_space
from kl_agents.tuning.trial import Pruned, Work, perform
from kl_agents.tuning.workers import Processes

pytest.importorskip("optuna")


def run(*arguments, **more):
    app = cli.make_app()
    cli.add_plugins(app)
    return commands.run(*arguments, app=app, **more)


def refused(*arguments):
    """The last line on stderr of a command that is to fail."""
    return run(*arguments, code=1).stderr.strip().splitlines()[-1]


SMALL = ["--steps", 800, "--eval-episodes", 50, "--looks", 2, "--finalists", 1, "--confirm", 1]


def small_work(env_id="ToyGen-v0", algorithm="psi", **settings):
    recipe = Recipe(algorithm, (env_id,), settings, steps=3000, looks=3, episodes=50)
    return recipe.work({}, None)


def test_a_search_leaves_what_is_needed_to_train(tmp_path):
    out = tmp_path / "tuned"
    result = run("tune", "psi", "ToyGen-v0", "--trials", 2, "--out", out, *SMALL)
    assert "The finalists" in result.output
    rows = table(out / "trials.csv")
    assert [row["state"] for row in rows] == ["complete", "complete"]
    block = yaml.safe_load((out / "best.yml").read_text())
    assert block["extends"] == "ToyGen-v0.yml"
    merged = load_hyperparams("psi", "ToyGen-v0", source=out / "best.yml")
    assert merged.n_timesteps == 800
    assert merged.arguments["c"] == 0.5 or merged.arguments["c"]["end"] == 0.5
    summary = json.loads((out / "tuning.json").read_text())
    assert set(summary["confirmed"]) == {"shipped", str(summary["chosen"])} or (
        summary["chosen"] == "shipped"
    )
    assert (out / "importance.png").stat().st_size > 1000
    again = run("tune", "psi", "ToyGen-v0", "--trials", 2, "--out", out, *SMALL)
    assert "trial 1:" not in again.output  # nothing is done twice


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(tmp_path):
    main = "from seqgen_envs.cli import main; main()"
    command = [sys.executable, "-c", main, "tune", "psi", "ToyGen-v0", "--trials", "3", "--out",
               str(tmp_path), *map(str, SMALL)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    for line in process.stdout:
        if "trial 0" in line:
            break
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run("tune", "psi", "ToyGen-v0", "--trials", 3, "--out", tmp_path, *SMALL)
    rows = table(tmp_path / "trials.csv")
    assert sum(row["state"] == "complete" for row in rows) == 3


def test_a_worker_that_dies_fails_its_trial_alone():
    workers = Processes()
    try:
        workers.start("one", small_work())
        assert heard(workers)[1][0] == "look"
        workers._running["one"][0].kill()
        assert "ended with code -9" in heard(workers)[1][1]
        assert len(workers) == 0
        assert workers._idle == []  # the next trial gets another process
    finally:
        workers.close()


def heard(workers):
    while True:
        if found := workers.messages():
            return found[0]


def test_a_worker_looks_as_often_as_it_is_told_and_stops_when_told():
    looks = []
    worth = perform(small_work(), lambda look, value: looks.append((look, value)) or True)
    assert [look for look, _ in looks] == [1, 2]
    assert worth > 0
    with pytest.raises(Pruned):
        perform(small_work(), lambda look, value: False)


def test_several_environments_are_worth_their_mean():
    one = small_work()
    both = Work(one.specs * 2, one.looks, one.episodes)
    looks = []
    worth = perform(both, lambda look, value: looks.append(look) or True)
    assert looks == [1, 2, 3, 4, 5]
    assert worth == pytest.approx(perform(one, lambda look, value: True))


def test_a_task_with_a_budget_is_worth_its_area():
    recipe = Recipe("psi", ("PMO-QED-v0",), {"env_kwargs": {"task": {"budget": 150}}}, steps=2000)
    worth = perform(recipe.work({}, None), lambda look, value: True)
    assert 0.3 < worth < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense", "ToyGen-v0"], "nonsense"),
        (["psi", "NoGen-v0"], "NoGen-v0"),
        (["psi", "ToyGen-v0", "--set", "tua=1"], "did you mean 'tau'"),
        (["psi", "ToyGen-v0", "--address", "auto"], "add --backend ray"),
        (["psi", "ToyGen-v0", "--space", "none.yml"], "there is no file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path, arguments, message):
    assert message in refused("tune", *arguments, "--out", tmp_path / "t")
    assert not (tmp_path / "t" / "study.log").exists()


def test_environments_of_two_kinds_have_no_mean(monkeypatch):
    budgets = iter([None, 100])
    monkeypatch.setattr(
        recipes,
        "single_lane",
        lambda _: SimpleNamespace(task=SimpleNamespace(budget=next(budgets))),
    )
    with pytest.raises(ValueError, match="their mean has no meaning"):
        Recipe("psi", ("ToyGen-v0", "NameGen-v0")).check(read_space())


def test_c_in_a_space_is_refused_where_j_judges(tmp_path):
    (tmp_path / "space.yml").write_text("c: {log: [0.01, 1]}\n")
    said = refused("tune", "psi", "ToyGen-v0", "--space", tmp_path / "space.yml", "--out", tmp_path)
    assert "J is judged at it" in said
