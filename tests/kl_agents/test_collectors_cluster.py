"""Collectors on Ray: what they learn, what is counted, and what becomes of dead ones."""

import logging
import os
import signal
from dataclasses import replace

import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from helpers import learning
from helpers.agents import make_quick, native
from helpers.collector_tasks import Budget, broken, deadly, task_of
from helpers.commands import table
from helpers.runs import interrupt, toy_spec
from kl_agents import PsiLearning, remote_collection
from kl_agents.collectors import CollectorSettings, collecting
from kl_agents.runs import RunOptions, resume_run
from kl_agents.runs.folder import read_config
from seqgen_envs.rules import RuleError

pytest.importorskip("ray")
from seqgen_envs.cluster import connect

STEPS = 13_000


@pytest.fixture(scope="module", autouse=True)
def ray():
    module = connect()
    yield module
    module.shutdown()


class Rounds(BaseCallback):
    """Keeps what is logged of every round; kills a collector after the third."""

    def __init__(self, ray=None):
        super().__init__()
        self.rounds, self.steps, self.ray = [], 0, ray

    def _on_step(self):
        self.steps += len(self.locals["dones"])
        return True

    def _on_rollout_end(self):
        self.rounds.append(self.locals["collected"])
        if len(self.rounds) == 3 and self.ray is not None:
            actor = self.model.collector._slots[0].actor
            number = self.ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
            os.kill(number, signal.SIGKILL)

    def logged(self, name):
        return [collected.logged[f"collectors/{name}"] for collected in self.rounds]


@pytest.fixture(scope="module")
def trained(ray):
    """An agent whose collectors are up to five rounds behind, and one of which is killed."""
    agent, rounds = learning.make(PsiLearning), Rounds(ray)
    agent.set_logger(configure(None, []))
    own, records = agent.collector, []
    handler = logging.Handler()
    handler.emit = records.append
    remote_collection.logger.addHandler(handler)
    with collecting(agent, CollectorSettings(2, staleness=5, broadcast_every=4)):
        agent.learn(STEPS, callback=rounds)
    remote_collection.logger.removeHandler(handler)
    assert agent.collector is own
    return agent, rounds, [record.getMessage() for record in records]


def test_stale_rounds_lead_to_the_optimum(trained):
    agent, rounds, _ = trained
    assert 3 <= max(rounds.logged("staleness")) <= 5
    assert learning.kl_of(agent) < learning.BAR


def test_steps_episodes_and_updates_are_those_of_one_process(trained):
    agent, rounds, _ = trained
    assert agent.num_timesteps == rounds.steps
    assert agent.num_timesteps == sum(r.environment_steps for r in rounds.rounds)
    assert STEPS <= agent.num_timesteps < STEPS + rounds.rounds[-1].environment_steps
    assert agent._episode_num == sum(len(r.episodes) for r in rounds.rounds)
    trained_on = agent.settings.replay_ratio * sum(r.episodes.lengths.sum() for r in rounds.rounds)
    longest = agent.settings.batch_episodes * agent.facts.horizon
    assert trained_on <= agent._n_updates * longest < 1.5 * trained_on


def test_a_dead_collector_is_replaced_and_named(trained):
    _, rounds, messages = trained
    assert rounds.logged("replaced")[0] == 0
    assert rounds.logged("replaced")[-1] == 1
    (message,) = messages
    assert message.startswith("a collector has died and is replaced (")


def test_collectors_draw_differently(trained):
    """Two rounds of one version of the weights are not the same."""
    _, rounds, _ = trained
    first, second = (collected.episodes.tokens for collected in rounds.rounds[:2])
    assert (first != second).any()


def test_a_budget_is_kept_by_the_learner():
    task = Budget(40)
    agent, rounds = make_quick(env=native(16, task=task)), Rounds()
    agent.set_logger(configure(None, []))

    class Spent(BaseCallback):
        def _on_step(self):
            return not task.spent

    with collecting(agent, CollectorSettings(1)):
        agent.learn(100_000, callback=[rounds, Spent()])
    assert len(task.known) == 40
    assert agent.num_timesteps < 5_000
    paid = sum(r.episodes.task_return.sum() for r in rounds.rounds)
    assert 0 < paid <= sum(ids[0] % 2 == 0 for ids in task.known)


@pytest.mark.slow
def test_a_run_with_collectors_is_interrupted_and_goes_on(tmp_path):
    """A run folder: nothing is lost but the rounds under way, and nothing is there twice."""
    task = "helpers.collector_tasks:failing"
    spec = toy_spec(steps=2_000, env_kwargs={"task": task})
    spec = replace(spec, collectors={"count": 1, "broadcast_every": 2})
    interrupt(tmp_path / "run", spec, after=4)
    agent = resume_run(tmp_path / "run", RunOptions(eval_every=500, eval_episodes=16), trust=True)
    assert agent.num_timesteps >= 2_000
    assert read_config(tmp_path / "run")["run"]["collectors"]["staleness"] == 3
    rows = [row for row in table(tmp_path / "run" / "progress.csv") if row["collectors/staleness"]]
    steps = [float(row["time/total_timesteps"]) for row in rows]
    assert steps == sorted(set(steps))
    assert len(rows) == agent._iteration  # no round is missing, and none is there twice
    assert max(float(row["collectors/staleness"]) for row in rows) <= 3
    # what rules fail on in a collector is known to the run
    assert float(rows[-1]["rollout/failures"]) == agent.facts.tasks[0].failures.count > 0
    assert "rule 'odd_one' failed" in (tmp_path / "run" / "failures.txt").read_text()


def test_an_error_of_a_rule_ends_the_run_in_its_own_words():
    agent = make_quick(env=native(4, task=task_of(broken)))
    with (
        pytest.raises(RuleError, match="rule 'broken' has a fault"),
        collecting(agent, CollectorSettings(1)),
    ):
        agent.learn(100)


def test_collectors_that_always_die_end_the_run(monkeypatch):
    monkeypatch.setattr(remote_collection, "DEATHS", 0)
    agent = make_quick(env=native(4, task=task_of(deadly)))
    with (
        pytest.raises(ChildProcessError, match="has died 1 times without delivering a round"),
        collecting(agent, CollectorSettings(1)),
    ):
        agent.learn(100)
