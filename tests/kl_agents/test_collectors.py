"""Collectors, as far as no Ray is needed: settings, refusals, which round is taken next."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from helpers.agents import make, native
from helpers.collector_tasks import Budget
from kl_agents import GRPO, BestOfN, PolicyGradient, PriorAgent, PsiLearning, Reinvent
from kl_agents.collection import Collected, Recorder
from kl_agents.collectors import (
    CollectorSettings,
    check_fits,
    collecting,
)
from kl_agents.remote_collection import judge_ends, takeable, without_ends
from kl_agents.runs import RunSpec
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.rules import ScanRule, Task, Term

# ---------------------------------------------------------------------- staleness


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_no_round_is_ever_older_than_the_bound(count, every, slack, seed):
    """Whichever of those that may be taken comes first, at the smallest bound too."""
    rng = np.random.default_rng(seed)
    bound = count + every - 1 + slack
    version, versions, oldest = 0, [0] * count, 0
    for now in range(60):
        if now - version >= every:
            version = now
        may = takeable(versions, now, bound)
        assert may
        taken = rng.choice(may)
        oldest = max(oldest, now - versions[taken])
        versions[taken] = version
    assert oldest <= bound


def test_any_round_may_be_taken_while_none_is_due():
    assert takeable([3, 1, 2], now=3, bound=10) == [1, 2, 0]
    assert takeable([3, 1, 2], now=3, bound=2) == [1]
    # the second oldest is due in its turn: one of the two must be next
    assert takeable([1, 1, 3], now=3, bound=3) == [0, 1]


def test_staleness_has_room_for_all_collectors():
    assert CollectorSettings(4).staleness == 8
    assert CollectorSettings(4, broadcast_every=3).staleness == 10
    assert CollectorSettings(4, 4).staleness == 4
    with pytest.raises(ValueError, match="staleness must be at least 6, got 5"):
        CollectorSettings(4, 5, 3)
    with pytest.raises(ValueError, match="collectors must be a whole number of at least 1"):
        CollectorSettings(0)
    with pytest.raises(ValueError, match="collectors has count, staleness, broadcast_every"):
        RunSpec("psi", "ToyGen-v0", 10, collectors={"number": 3})


def refused(*arguments):
    app = cli.make_app()
    cli.add_plugins(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    return result.stderr.strip().splitlines()[-1]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("algorithm", [Reinvent, PolicyGradient, GRPO, PriorAgent, BestOfN])
def test_learners_of_their_own_episodes_take_no_collectors(algorithm):
    agent = algorithm("SequencePolicy", native(), device="cpu", policy_kwargs={"init": "random"})
    with pytest.raises(ValueError, match=f"^{algorithm.__name__} learns from its policy's own"):
        check_fits(agent)


def test_other_environments_are_refused():
    single = gym.make("ToyGen-v0", observation="dict")
    with pytest.raises(ValueError, match="collectors make lanes of their own"):
        check_fits(make(env=single))
    agent = make()
    agent.collector.source.on_step = print
    with pytest.raises(ValueError, match="keeps account of every step"):
        check_fits(agent)


def test_a_memory_and_rules_that_scan_are_refused():
    class Scan(ScanRule):
        width = 1

        def initial_state(self):
            return np.zeros(1)

        def update(self, state, tokens, lengths):
            return np.zeros(len(tokens)), state

    task = Budget(5, Term("scan", Scan()))
    with pytest.raises(ValueError, match="could not share its memory"):
        check_fits(make(env=native(task=task)))


def test_options_of_collectors_need_collectors(tmp_path):
    line = refused("train", "psi", "ToyGen-v0", "--out", tmp_path / "a", "--staleness", 3)
    assert line == "Error: --staleness and --broadcast-every are for --collectors: give it too"
    line = refused(
        "train", "psi", "ToyGen-v0", "--out", tmp_path / "a", "--collectors", 4, "--staleness", 3
    )
    assert line.startswith("Error: staleness must be at least 4, got 3")
    line = refused("train", "rloo", "ToyGen-v0", "--out", tmp_path / "a", "--collectors", 2)
    assert line.startswith("Error: PolicyGradient learns from its policy's own episodes only")
    assert not (tmp_path / "a").exists()


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refused("train", "psi", "ToyGen-v0", "--out", tmp_path / "a", "--collectors", 2)
    assert line.endswith("pip install 'seqgen[cluster]'")
    assert not (tmp_path / "a").exists()


def test_nothing_imports_ray_before_it_is_asked_for():
    code = "import sys, kl_agents.runs, kl_agents.collectors; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_collectors_nothing_changes():
    agent = make(PsiLearning)
    own = agent.collector
    with collecting(agent, None):
        assert agent.collector is own


# ---------------------------------------------------------------------- tasks with a memory


def test_ends_judged_by_the_learner_are_those_of_its_lanes():
    """Of a task without a memory, where both ways are open: primer, mask and all."""
    env = native(16, task="letters", primer="a")
    lanes = env.lanes
    episodes = rollout(lanes, PriorPolicy(0), 50)
    at_end = [term.at == "end" for term in lanes.task.terms]
    assert any(at_end)
    first = int(episodes.primer_lengths[0])
    record = Recorder(50, lanes.horizon - first, lanes.domain.vocabulary.size, len(at_end), False)
    made = record.episodes
    made.tokens[:] = episodes.tokens[:, first:]
    made.lengths[:] = episodes.steps
    record.terms[:] = np.where(at_end, 0.0, episodes.terms.sum(axis=1))
    steps = np.where(at_end, 0.0, episodes.terms).sum(axis=2)
    made.task_reward[:] = steps[:, first:]
    collected = Collected(made, 0.0, 0.0, 0, record.terms)
    ends_only = Task("ends", [t for t in lanes.task.terms if t.at == "end"])
    lanes.task = ends_only
    collected.terms = collected.terms[:, at_end]
    judge_ends(lanes, collected)
    np.testing.assert_allclose(collected.terms, episodes.terms.sum(axis=1)[:, at_end])
    np.testing.assert_allclose(collected.episodes.task_return, episodes.task_return, rtol=1e-6)


def test_a_collectors_task_leaves_the_ends_to_the_learner():
    task = Task("two", [Term("step", lambda t, n: np.ones(len(t))), *Budget(3).terms])
    bare = without_ends(task)
    tokens, lengths = np.zeros((2, 3), dtype=np.int64), np.array([3, 3])
    values, _ = bare.score(tokens, lengths, np.array([True, True]), ())
    assert values.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert bare.names == task.names
