"""``seqgen reproduce --backend ray``, and in parts that share a folder."""

import json

import pytest

import seqgen_envs.cli as cli
from helpers.commands import run

PLAN = """
env_id: MelodyGen-v0
blocks:
  small:
    title: A small table
    about: The prior.
    kind: table
    settings: {c: 1.5}
    agents: {prior: {}}
"""


@pytest.mark.slow
def test_parts_on_ray_are_one_reproduction(cluster, tmp_path):
    plan, out = tmp_path / "plan.yml", tmp_path / "out"
    plan.write_text(PLAN)
    app = cli.make_app()
    cli.add_plugins(app)
    command = ["reproduce", "melody", "--quick", "--plan", plan, "--out", out, "--seeds", 2]
    said = run(*command, "--shard", "1/2", "--backend", "ray", app=app).stdout
    assert said.count("task return") == 1
    assert "--report-only" in said
    assert not (out / "report.md").exists()
    run(*command, "--shard", "2/2", "--backend", "ray", app=app)
    run(*command, "--report-only", app=app)
    assert "2 of 2 runs have finished" in (out / "report.md").read_text()
    found = [
        json.loads((out / "runs" / "small" / f"prior-c1.5-seed{seed}/evaluation.json").read_text())
        for seed in range(2)
    ]
    assert found[0]["task_return"] != found[1]["task_return"]


def test_a_node_without_the_folder_says_so(tmp_path):
    from kl_agents.reproduction.work import run_job_there

    said = run_job_there(tmp_path / "out", None, "")
    assert "no folder" in said
    assert "must be one that all nodes share" in said
