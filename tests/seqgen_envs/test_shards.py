"""Parts of a list of work: disjoint, balanced, the same wherever they are asked for."""

import itertools
from collections import Counter

import pytest

from helpers.commands import refused, run
from seqgen_envs.benchmark import runner
from seqgen_envs.benchmark.agents import find_agent
from seqgen_envs.benchmark.store import FINISHED, Store
from seqgen_envs.benchmark.suites import load_suite
from seqgen_envs.cli import add_plugins, make_app
from seqgen_envs.shards import Shard


@pytest.mark.parametrize("n", [1, 2, 3, 5, 40])
def test_parts_are_a_split_that_is_fair_to_every_kind(n):
    items = [f"{agent}{seed}" for seed in range(7) for agent in "abcd"]
    parts = [Shard(k, n).of(items, lambda item: item) for k in range(1, n + 1)]
    assert sorted(itertools.chain(*parts)) == sorted(items)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    for agent in "abcd":
        shares = [sum(item[0] == agent for item in part) for part in parts]
        assert max(shares) - min(shares) <= 1
    assert all(part == [item for item in items if item in part] for part in parts)  # in order
    assert parts[0] == Shard.parse(f"1/{n}").of(items, lambda item: item)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "1/4/2", "-1/4"])
@pytest.mark.parametrize(
    "command",
    [["bench", "run", "--suite", "toy-v1", "--agent", "prior"], ["reproduce", "melody"]],
)
def test_a_part_that_there_is_not_is_named(command, text, tmp_path):
    app = make_app()
    add_plugins(app)
    result = run(*command, "--shard", text, "--out", tmp_path / "out", code=1, app=app)
    assert f"--shard {text} must be K/N, the K-th of N parts" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_the_rows_of_a_suite_are_dealt_to_all_parts():
    suite = load_suite("pmo-v1")
    agents = [find_agent(name) for name in ("prior", "psi")]
    parts = [runner.plans(suite, agents, 5, shard=Shard(k, 4)) for k in range(1, 5)]
    whole = runner.plans(suite, agents, 5)
    assert sorted(plan.name for part in parts for plan in part) == sorted(p.name for p in whole)
    for part in parts:
        by_agent = Counter(plan.agent.name for plan in part)
        assert max(by_agent.values()) - min(by_agent.values()) <= 1
        by_task = Counter(plan.task.name for plan in part)
        assert max(by_task.values()) <= min(by_task.values()) + len(agents)


def test_parts_with_a_store_each_merge_to_the_whole(tmp_path, monkeypatch):
    def carry_out(store, wanted, **others):
        for plan in wanted:
            store.add(plan.row(FINISHED))

    monkeypatch.setattr(runner, "carry_out", carry_out)
    command = ["bench", "run", "--suite", "toy-v1", "--agent", "prior", "--agent", "psi"]
    folders = [tmp_path / str(k) for k in range(1, 5)]
    for k, folder in enumerate(folders, 1):
        run(*command, "--shard", f"{k}/4", "--out", folder)
    run(*command, "--out", tmp_path / "whole")
    run("bench", "merge", *folders, "--out", tmp_path / "all")
    assert [len(Store(folder).rows()) for folder in folders] == [2, 2, 1, 1]
    assert Store(tmp_path / "all").rows() == Store(tmp_path / "whole").rows()


def test_an_address_is_for_ray(tmp_path):
    said = refused("bench", "run", "--suite", "toy-v1", "--agent", "prior", "--out", tmp_path / "o",
                   "--address", "auto")  # fmt: skip
    assert "add --backend ray" in said
