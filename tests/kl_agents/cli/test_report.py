"""``seqgen report``: a run's folder as a page."""

import json

import pytest

from helpers.commands import run
from helpers.runs import toy_spec
from kl_agents.cli import report
from kl_agents.runs import RunOptions
from kl_agents.runs import run as train
from kl_agents.runs.folder import write_config
from seqgen_envs.cli import make_app
from seqgen_envs.domains.molecule import DOMAIN


def app():
    made = make_app()
    made.command("report")(report)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("runs") / "a <b>run"
    train(found, toy_spec(steps=2000), RunOptions(eval_every=1000, eval_episodes=32))
    return found


def test_a_page_of_a_run(folder, tmp_path):
    out = tmp_path / "deep" / "run.html"
    result = run("report", folder, "--out", out, "-n", 64, app=app())
    assert f"Open {out}" in result.stdout
    document = out.read_text()
    assert "<b>run" not in document
    assert "Run a &lt;b&gt;run" in document
    for title in ("The agent beside its prior", "Curves", "Share of each rule", "Of the prior"):
        assert title in document
    rules = document.split("<caption>Share of each rule</caption>")[1].split("</table>")[0]
    assert rules.index("prior") < rules.index("agent") < rules.index("alternation")
    assert "in evaluations" in document
    assert "2,000 steps, seed 3" in document


def test_the_best_found_are_listed_and_drawn(tmp_path):
    spec = toy_spec(steps=2000)
    moved = {**spec.to_dict(), "env_id": "MoleculeGen-QED-v0", "env_kwargs": {}}
    folder = tmp_path / "molecules"
    folder.mkdir()
    write_config(folder, type(spec)(**moved), "", "seqgen train ...")
    rows = ["CCO,10,0.4,0.4", "c1ccccc1O,20,0.9,0.9", "<script>,30,0.1,0.1", "CC,40,cut"]
    text = "\n".join(["text,step,task_return,term_qed", *rows])
    (folder / f"{DOMAIN.plural}.csv").write_text(f"{text}\n")
    (folder / "failures.txt").write_text("Traceback ...\nValueError: <i>no</i>\n")
    out = tmp_path / "run.html"
    run("report", folder, "--out", out, app=app())
    document = out.read_text()
    found = document.split("best of 3 molecules scored in training</caption>")[1]
    assert found.index("c1ccccc1O") < found.index("CCO") < found.index("&lt;script&gt;")
    assert document.count('<div class="picture">') == 2
    assert "ValueError: &lt;i&gt;no&lt;/i&gt;" in document
    assert "the agent is not judged: it has neither agent.zip nor checkpoint.zip yet" in document


def test_what_holds_no_run_is_refused(tmp_path):
    out = tmp_path / "run.html"
    assert "holds no run" in refused_by("report", tmp_path, "--out", out)
    (tmp_path / "config.json").write_text(json.dumps({"format": 2, "run": {}}))
    assert "is not a run's" in refused_by("report", tmp_path, "--out", out)
    assert "is a folder" in refused_by("report", tmp_path, "--out", tmp_path)
    assert not out.exists()


def refused_by(*arguments):
    result = run(*arguments, code=1, app=app())
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]
