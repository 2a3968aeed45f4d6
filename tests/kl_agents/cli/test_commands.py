"""The commands kl_agents adds to ``seqgen``: what they write, what they refuse."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from helpers.runs import same_parameters
from kl_agents import load
from kl_agents.hyperparameters import file_of
from kl_agents.reproduction.plan import Scale, choose_blocks, load_plan, make_jobs
from kl_agents.writers import read_progress
from seqgen_envs.domains.melody.metrics import PAPER_TABLE

PLAN = """
env_id: MelodyGen-v0
labels: {prior: Note RNN, psi: Psi, q: Q}
blocks:
  small:
    title: A small table
    about: Two agents.
    kind: table
    act_c: 1.25
    settings: {c: 1.5, tau: 0.5}
    agents: {prior: {}, psi: {lambda_: 0.25}}
  front:
    title: A small frontier
    about: Two agents, two temperatures.
    kind: frontier
    c: [1, 4, 16]
    seeds: 1
    evaluate: 48
    agents: {prior: {}, psi: {}, q: {}}
"""


def app():
    made = cli.make_app()
    cli.add_plugins(made)
    return made


def seqgen(*arguments, code=0):
    result = CliRunner().invoke(app(), [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def refused(*arguments):
    """The last line on stderr of a command that is to fail."""
    result = seqgen(*arguments, code=1)
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def train(out, *more, algorithm="psi", env="ToyGen-v0", steps=1500):
    return seqgen("train", algorithm, env, "--steps", steps, "--out", out, "--no-progress", *more)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy") / "run"
    train(out, "--set", "tau=0.1", "--set", "policy_kwargs.scale=5", "--c", 0.7, "--seed", 2)
    return out


@pytest.fixture(scope="module")
def melody_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("melody") / "run"
    train(out, "--set", "n_envs=16", env="MelodyGen-v0", steps=1000)
    return out


# -- train ----------------------------------------------------------------------------------------


def test_train_writes_a_run(toy_run):
    config = json.loads((toy_run / "config.json").read_text())
    run = config["run"]
    assert run["arguments"]["tau"] == 0.1
    assert run["arguments"]["policy_kwargs"] == {"init": "random", "scale": 5}
    assert run["arguments"]["c"] == 0.7
    whole = {"prior": "default", "task": "letters", "c": 0.5, "length": 5}
    assert run["env_kwargs"] == whole  # the id's own environment, written out
    assert run["seed"] == 2
    assert config["command"].startswith("seqgen train psi ToyGen-v0 --steps 1500")
    rows = read_progress(toy_run / "progress.csv")
    assert rows[-1]["time/total_timesteps"] >= 1500
    assert rows[-1]["eval/objective"] > rows[0]["eval/objective"]
    assert list((toy_run / "tb").glob("events*"))
    assert (toy_run / "agent.zip").is_file()


def test_train_resumes_or_refuses(toy_run):
    same = ["--set", "tau=0.1", "--set", "policy_kwargs.scale=5", "--c", 0.7, "--seed", 2]
    before = (toy_run / "agent.zip").stat().st_mtime_ns
    train(toy_run, *same, "--resume")
    assert (toy_run / "agent.zip").stat().st_mtime_ns == before
    start = ["train", "psi", "ToyGen-v0", "--steps", 1500, "--out", toy_run]
    assert "already holds a run: add --resume" in refused(*start, *same)
    message = refused(*start, *same, "--seed", 3, "--resume")
    assert "holds another run (seed is 2, asked for 3)" in message


def test_a_run_goes_on_without_being_described_again(tmp_path):
    """What is said must be as it was; only what differs is named, and more steps lengthen it."""
    run, resume = tmp_path / "run", ["train", "--resume", "--no-progress", "--out"]
    train(run, "--set", "tau=0.1", "--seed", 2, steps=600)
    assert seqgen(*resume, run).stdout.startswith("6")
    seqgen(*resume, run, "--set", "tau=0.1", "--seed", 2)
    message = refused(*resume, run, "--set", "tau=0.2", "--set", "policy_kwargs.scale=5")
    assert "another run (arguments.tau is 0.1, asked for 0.2; arguments.policy_kwargs" in message
    assert "seed" not in message
    message = refused(*resume, run, "--set", "env_kwargs.c=3")
    assert "another run (env_kwargs.c is 0.5, asked for 3)" in message
    assert "lengthens it to more than that, got 500" in refused(*resume, run, "--steps", 500)
    said = seqgen(*resume, run, "--steps", 1200).stdout
    assert "goes on to 1,200 steps in place of 600; schedules are over the new total" in said
    assert read_progress(run / "progress.csv")[-1]["time/total_timesteps"] >= 1200
    again = seqgen("train", "psi", "ToyGen-v0", "--set", "tau=0.1", *resume[1:], run)
    assert "goes on to" not in again.stdout


def test_a_run_starts_from_another(toy_run, tmp_path):
    train(tmp_path / "run", "--set", "policy_kwargs.scale=5", "--initial", toy_run, steps=0)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["run"]["initial"]["path"] == str(toy_run / "agent.zip")
    assert same_parameters(load(tmp_path / "run"), load(toy_run))


def test_a_program_is_an_oracle_to_train_on(tmp_path):
    settings = ["n_envs=4", "env_kwargs.length=20", "policy_kwargs.init=random",
                "policy_kwargs.architecture={cell: gru, hidden_size: 16}",
                "env_kwargs.task=command:awk '{print length($0)}'"]  # fmt: skip
    more = [argument for setting in settings for argument in ("--set", setting)]
    train(tmp_path / "run", *more, env="MoleculeGen-QED-v0", steps=300)
    scored = [
        row for row in rows_of(tmp_path / "run" / "molecules.csv") if row["term_command"] > "0"
    ]
    assert scored
    assert all(float(row["task_return"]) == float(row["term_command"]) for row in scored)
    broken = "env_kwargs.task=custom:helpers.runs:leters"
    said = refused("train", "psi", "MoleculeGen-v0", "--set", broken, "--out", tmp_path / "other")
    assert "no attribute 'leters'; did you mean 'letters'" in said
    assert not (tmp_path / "other").exists()


def test_oracles_that_fail_are_in_the_last_line(tmp_path):
    task = "env_kwargs.task={name: 'custom:helpers.runs:letters', n_jobs: 0}"
    settings = ["n_envs=8", "env_kwargs.length=40", task]
    more = [argument for setting in settings for argument in ("--set", setting)]
    result = train(tmp_path, *more, algorithm="prior", env="MoleculeGen-v0", steps=6000)
    rows = read_progress(tmp_path / "progress.csv")
    count = int(rows[-1]["rollout/failures"])
    assert count > 0
    line = result.stderr.strip().splitlines()[-1]
    assert f"{count} sequences could not be scored (custom: {count}) and count as" in line
    assert "the objective returned nan" in (tmp_path / "failures.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["psy", "ToyGen-v0"],
            "'psy' (did you mean 'psi'?); there are best-of-n, g, grpo, prior, psi",
        ),
        (
            ["psi", "ToyGen-v0", "--set", "taux=1"],
            "no setting 'taux' (did you mean 'tau'?); there",
        ),
        (["q", "ToyGen-v0", "--set", "lambda_=1"], "'q' has no setting 'lambda_'; there are"),
        (
            ["psi", "ToyGen-v0", "--set", "env_kwargs.pryor=x"],
            "'env_kwargs.prior'?); there are env_kwargs.c",
        ),
        (["psi", "ToyGen-v0", "--set", "tau"], "--set takes key=value"),
        (["psi", "ToyGen-v0", "--set", "tau=[1"], "is not YAML or JSON"),
        (["psi", "ToyGen-v0", "--set", "tau=7"], "tau must be a number in [0, 1], got 7"),
        (["psi", "ToyGen-v0", "--set", "tau=abc"], "tau must be a number in [0, 1], got 'abc'"),
        (["psi", "ToyGen-v0", "--set", "policy_kwargs.scale=x"], "scale must be a number above 0"),
        (["nothere.py:Mine", "ToyGen-v0"], "there is no file"),
        (["psi", "ToyGen-v0", "--set", "n_envs=0"], "n_envs must be a whole number of at least 1"),
        (["psi", "ToyGen-v0", "--c", "0"], "c must be above 0, got 0.0"),
        (["psi", "ToyGen-v0", "--set", "c=-1"], "c must be"),
        (["psi", "ToyGen-v0", "--set", "env_kwargs.prior=nope"], "unknown prior 'nope'"),
        (["psi", "ToyGen-v0", "--set", "policy_kwargs.init=prior"], "no recurrent trunk"),
        (["psi", "NoGen-v0"], "there is no environment 'NoGen-v0'"),
        (
            ["psi", "MelodyGen"],
            "no environment 'MelodyGen'; did you mean 'MelodyGen-v0'? (`seq",
        ),
        (["psi", "MelodiGen-v0"], "did you mean 'MelodyGen-v0'?"),
        (["psi", "no_module:ToyGen-v0"], "no_module"),
        (["psi"], "a training that begins needs an algorithm and an environment"),
        (["--resume"], "holds no run: there is no"),
        (["psi", "ToyGen-v0", "--set", "c={start: 1e1, end: x}"], "got (10.0, 'x', 1.0, 0.0)"),
        (["psi", "ToyGen-v0", "--initial", "none"], "there is no agent at none to start from"),
        (["psi", "CartPole-v1"], "cannot be made as a vector environment of sequences"),
        (["psi", "ToyGen-v0", "--device", "tpu"], "device must be cpu or cuda"),
        (["psi", "ToyGen-v0", "--hyperparams", "none.yml"], "none.yml; bundled ones are Melody"),
    ],
)
def test_train_refuses(arguments, message, tmp_path):
    out = tmp_path / "run"
    assert message in refused("train", *arguments, "--steps", 100, "--no-progress", "--out", out)
    assert not out.exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    out = tmp_path / "run"
    out.touch()
    for command in (["train", "psi", "ToyGen-v0"], ["train", "--resume"], ["reproduce", "melody"]):
        assert "is a file; give the name of a folder" in refused(*command, "--out", out)


def test_a_resume_of_other_settings_says_only_that(toy_run):
    result = seqgen(
        "train", "--resume", "--out", toy_run, "--steps", 10**6, "--set", "tau=1", code=1
    )
    assert "holds another run (arguments.tau is " in result.stderr
    assert "goes on to" not in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env_id: [", "plan.yml is not YAML"),
        ("[blocks]", "plan.yml is not a plan of env_id, blocks and labels"),
        ("blocks: []", "plan.yml is not a plan of env_id, blocks and labels"),
    ],
)
def test_a_plan_that_is_none_is_named(text, message, tmp_path):
    plan = tmp_path / "plan.yml"
    plan.write_text(text)
    assert message in refused("reproduce", "melody", "--plan", plan, "--out", tmp_path / "out")


#: What is heavy, and comes with the first thing that needs it.
HEAVY = ("torch", "stable_baselines3", "matplotlib", "music21", "rdkit", "tensorboard", "verovio")


def test_help_stays_light():
    code = (
        "import sys, contextlib, io\n"
        "from seqgen_envs.cli import make_app, add_plugins\n"
        "app = make_app(); add_plugins(app)\n"
        "for command in ('', 'train', 'sample', 'bench'):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "        app([*command.split(), '--help'], standalone_mode=False)\n"
        "    assert 'Usage' in out.getvalue()\n"
        "    assert command or 'reproduce' in out.getvalue()\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- evaluate -------------------------------------------------------------------------------------


def test_evaluate_measures_an_agent_beside_the_paper(melody_run, tmp_path):
    out = tmp_path / "deep" / "figures.json"
    result = seqgen("evaluate", melody_run, "-n", 200, "--seed", 5, "--out", out)
    report = json.loads(out.read_text())
    assert report["episodes"] == 200
    assert report["seed"] == 5
    assert report["published"]["Psi"] == dict(PAPER_TABLE["Psi"])
    assert report["objective"] == pytest.approx(
        report["task_return"] / report["c"] - report["kl_to_prior"]
    )
    assert report["log_prior"] == pytest.approx(report["log_prior_total"] / 32)
    assert sum(report["terms"].values()) == pytest.approx(report["task_return"])
    assert report["kl_to_prior"] > 0
    assert report["distinct_of"] == 200
    row = next(line for line in result.stdout.splitlines() if "notes in motif" in line)
    cells = re.findall(r"[-+.\d]+", row)
    assert float(cells[0]) == pytest.approx(report["summary"]["notes_in_motif"], rel=1e-3)
    assert cells[1:] == ["0.059", "0.757", "0.738", "0.693"]


def test_evaluate_again_says_the_same(toy_run, tmp_path):
    reports = []
    for i in range(2):
        seqgen("evaluate", toy_run, "-n", 100, "--num-envs", 64, "--out", tmp_path / f"{i}.json")
        reports.append(json.loads((tmp_path / f"{i}.json").read_text()))
    for report in reports:
        for varying in ("seconds", "date", "command"):
            report.pop(varying)
    assert reports[0] == reports[1]


def test_evaluate_takes_another_prior_only_if_told(melody_run, tmp_path):
    command = ["evaluate", melody_run, "-n", 20, "--prior", "paper", "--out", tmp_path / "e.json"]
    assert "the agent was trained against prior 'default'" in refused(*command)
    said = seqgen(*command, "--any-prior", "--length", 12).stdout
    assert "Not as the agent was trained: prior paper in place of default; length 12 in" in said
    report = json.loads((tmp_path / "e.json").read_text())
    assert report["run"]["env_kwargs"]["prior"] == "paper"
    assert report["log_prior"] == pytest.approx(report["log_prior_total"] / 12)


def test_evaluate_says_a_c_that_is_the_ids_but_not_the_trainings(melody_run, tmp_path):
    where = ["-n", 4, "--num-envs", 4, "--out", tmp_path / "e.json"]
    said = seqgen("evaluate", melody_run, "--c", 0.5, *where).stdout
    assert "Not as the agent was trained: c 0.5 in place of 1.5" in said
    assert "Not as" not in seqgen("evaluate", melody_run, "--c", 1.5, *where).stdout


def test_evaluate_refuses(toy_run, tmp_path):
    assert "holds no run" in refused("evaluate", tmp_path)
    assert "c must be above 0" in refused("evaluate", toy_run, "--c", -1, "-n", 5)
    assert "unknown task 'nope'" in refused("evaluate", toy_run, "--task", "nope", "-n", 5)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((toy_run / "config.json").read_bytes())
    (broken / "agent.zip").write_bytes(b"PK\x03\x04 not a zip")
    assert "not an agent saved by kl_agents" in refused("evaluate", broken)


# -- sample ---------------------------------------------------------------------------------------


def test_sample_takes_a_runs_folder_and_its_file(melody_run, tmp_path):
    """The README's own sequence: the environment is the run's, prior included."""
    texts = {}
    agents = {"folder": melody_run, "file": melody_run / "agent.zip"}
    for name, agent in agents.items():
        where = ["--out", tmp_path / name, "--max-files", 0, "-n", 6]
        result = seqgen("sample", "melody", "--agent", agent, *where)
        assert "Not as the agent was trained" not in result.stdout
        rows = rows_of(tmp_path / name / "melodies.csv")
        texts[name] = [row["text"] for row in rows]
    assert texts["folder"] == texts["file"]
    assert len(set(texts["file"])) == 6
    c = json.loads((melody_run / "config.json").read_text())["run"]["arguments"]["c"]["end"]
    parts = {name: float(rows[0][name]) for name in ("log_prior", "task_return", "return")}
    assert parts["return"] == pytest.approx(parts["log_prior"] + parts["task_return"] / c)


def test_sample_says_what_it_overrides(melody_run, tmp_path):
    out = ["-n", 3, "--max-files", 0, "--out", tmp_path]
    result = seqgen("sample", "--agent", melody_run, *out, "--c", 3, "--length", 16)
    lines = result.stdout.splitlines()
    assert "Not as the agent was trained: c 3.0 in place of 1.5; length 16 in place of" in lines[0]
    assert {row["length"] for row in rows_of(tmp_path / "melodies.csv")} == {"16"}
    result = seqgen("sample", "--agent", melody_run, *out, "--primer", "D4 - Bb4 -")
    assert result.stdout.startswith("Not as the agent was trained: primer D4 - A#4 - in place of")


def test_sample_takes_task_mask_and_length_from_a_molecules_run(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    settings = ["n_envs=8", "env_kwargs.length=30", "env_kwargs.mask=partial-smiles",
                "env_kwargs.task={name: qed, budget: 100}", "env_kwargs.primer=CC"]  # fmt: skip
    more = [argument for setting in settings for argument in ("--set", setting)]
    train(run, *more, "--eval-episodes", 4, env="MoleculeGen-QED-v0", steps=300)
    sample = ["sample", "molecule", "--agent", run, "-n", 5, "--max-files", 0, "--out", out]
    assert "Not as" not in seqgen(*sample).stdout
    rows = rows_of(out / "molecules.csv")
    assert all(row["text"].startswith("CC") and int(row["length"]) <= 30 for row in rows)
    assert {name for name in rows[0] if name.startswith("term_")} == {"term_qed", "term_validity"}
    assert "trained on domain 'molecule', not on 'toy'" in refused(
        "sample", "toy", "--agent", run, "--out", out
    )


def test_sample_refuses_agents_that_do_not_fit(melody_run, toy_run, tmp_path):
    sample = ["sample", "melody", "--out", tmp_path, "--agent"]
    message = refused(*sample, melody_run, "--prior", "paper")
    assert "trained against prior 'default'" in message
    assert "the agent was trained on domain 'toy', not on 'melody'" in refused(*sample, toy_run)
    broken = tmp_path / "broken.zip"
    broken.write_bytes((melody_run / "agent.zip").read_bytes()[:1000])
    assert "not an agent saved by kl_agents" in refused(*sample, broken)
    said = refused(*sample, tmp_path)
    assert f"the folder {tmp_path} holds no agent; expected a run's folder, with agent.zip" in said
    assert "name a domain to sample from" in refused("sample", "--out", tmp_path)
    assert not list(tmp_path.glob("*.csv"))


# -- reproduce ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    plan, out = folder / "plan.yml", folder / "out"
    plan.write_text(PLAN)
    again = ["reproduce", "melody", "--quick", "--plan", plan, "--out", out, "--seeds", 2]
    return again, out, seqgen(*again)


@pytest.mark.spawn
@pytest.mark.slow
def test_reproduce_reports_every_block(reproduced):
    _, out, result = reproduced
    report = (out / "report.md").read_text()
    assert "10 of 10 runs have finished" in report
    assert result.stdout.count("task return") == 10
    for word in ("A small table", "Psi (published)", "J by agent and c", "cpu", "seeds: 0, 1"):
        assert word in report
    assert "Q (published)" not in report  # not in this table
    samples = report.partition("### Samples")[2].partition("## ")[0].strip().splitlines()[2:]
    assert samples[0] == "| Note RNN | Psi |"
    assert len(samples) == 5
    assert all(len(row.strip("| ").split(" | ")) == 2 for row in samples)
    for picture in ("small-log-prior.png", "small-task-return.png", "front.png"):
        assert picture in report
        assert Image.open(out / picture).size[0] >= 700
    table = {row["metric"]: row for row in rows_of(out / "small-table.csv")}
    motif = table["notes in motif"]
    assert float(motif["Psi (published)"]) == PAPER_TABLE["Psi"]["notes_in_motif"]
    stored = [
        json.loads((out / "runs" / "small" / f"psi-c1.5-seed{i}" / "evaluation.json").read_text())
        for i in range(2)
    ]
    assert [one["c"] for one in stored] == [1.25, 1.25]  # acts colder than it was trained
    mean = sum(one["summary"]["notes_in_motif"] for one in stored) / 2
    assert float(motif["Psi (measured)"]) == pytest.approx(mean)
    assert float(motif["Psi (measured) sd"]) > 0
    ours = table["mean task return"]
    assert float(ours["Psi (measured)"]) != float(ours["Note RNN (measured)"])
    points = rows_of(out / "front.csv")
    assert [(p["agent"], p["c"]) for p in points] == [
        (agent, c) for agent in ("Note RNN", "Psi", "Q") for c in ("1.0", "4.0")
    ]
    curve = [row for row in rows_of(out / "small-task-return.csv") if row["agent"] == "Psi"]
    assert len(curve) >= 3
    assert all(float(r["lowest"]) <= float(r["mean"]) <= float(r["highest"]) for r in curve)


@pytest.mark.spawn
@pytest.mark.slow
def test_reproduce_molecule(tmp_path):
    plan = yaml.safe_load(file_of("reproduce-molecule").read_text())
    del plan["blocks"]["frontier"]
    plan["blocks"]["paper"]["agents"] = {"prior": {}, "psi": {}}
    (tmp_path / "plan.yml").write_text(yaml.safe_dump(plan))
    out = tmp_path / "out"
    seqgen("reproduce", "molecule", "--quick", "--plan", tmp_path / "plan.yml", "--out", out,
           "--seeds", 1)  # fmt: skip
    report = (out / "report.md").read_text()
    assert "2 of 2 runs have finished" in report
    table = {row["metric"]: row for row in rows_of(out / "paper-table.csv")}
    assert float(table["valid"]["MLE RNN (published)"]) == 0.303
    for metric in ("valid", "unique", "novel", "logp", "qed", "sa penalty", "internal diversity"):
        for agent in ("MLE RNN", "Psi"):
            assert np.isfinite(float(table[metric][f"{agent} (measured)"]))


@pytest.mark.spawn
@pytest.mark.slow
def test_reproduce_runs_only_what_is_missing(reproduced):
    again, out, _ = reproduced
    one, other = (out / "runs" / "small" / f"psi-c1.5-seed{i}" for i in range(2))
    expected = json.loads((one / "evaluation.json").read_text())
    kept = (other / "evaluation.json").stat().st_mtime_ns
    (one / "evaluation.json").unlink()
    agent = (one / "agent.zip").stat().st_mtime_ns
    report_only = seqgen(*again, "--report-only")
    assert "task return" not in report_only.stdout
    assert "not finished: small/psi-c1.5-seed0" in (out / "report.md").read_text()
    result = seqgen(*again)
    assert re.findall(r"\] (\S+):", result.stdout) == ["small/psi-c1.5-seed0"]
    fresh = json.loads((one / "evaluation.json").read_text())
    assert {**fresh, "seconds": 0} == {**expected, "seconds": 0}
    assert (one / "agent.zip").stat().st_mtime_ns == agent  # trained already
    assert (other / "evaluation.json").stat().st_mtime_ns == kept


@pytest.mark.spawn
@pytest.mark.slow
def test_reproduce_refuses_runs_of_other_settings(reproduced, tmp_path):
    again, out, _ = reproduced
    plan = tmp_path / "plan.yml"
    plan.write_text(PLAN.replace("tau: 0.5", "tau: 0.25"))
    changed = [plan if argument == again[4] else argument for argument in again]
    assert "holds another run (arguments.tau is 0.5, asked for 0.25)" in refused(*changed)
    assert (out / "report.md").is_file()


@pytest.mark.slow
@pytest.mark.spawn
def test_reproduce_names_runs_that_fail(tmp_path):
    plan = tmp_path / "plan.yml"
    plan.write_text(PLAN.replace("lambda_: 0.25", "policy_kwargs: {init: zeros}"))
    arguments = ["--quick", "--plan", plan, "--out", tmp_path / "out", "--blocks", "small"]
    message = refused("reproduce", "melody", *arguments, "--seeds", 1)
    assert message.startswith("Error: small/psi-c1.5-seed0: ValueError: init must be one of")
    assert "1 of 2 runs have finished" in (tmp_path / "out" / "report.md").read_text()


def test_reproduce_refuses(tmp_path):
    out = ["--out", tmp_path / "x"]
    assert "nothing to reproduce for 'toy'; there is melody, molecule" in refused(
        "reproduce", "toy", *out
    )
    message = refused("reproduce", "melody", "--blocks", "papr", *out)
    assert "unknown blocks ['papr']; there are paper, recommended, frontier" in message
    plan = tmp_path / "plan.yml"
    plan.write_text("blocks: {x: {title: a}}")
    assert "plan.yml is not a plan of" in refused("reproduce", "melody", "--plan", plan, *out)
    assert not (tmp_path / "x").exists()


def test_the_bundled_plan_is_the_papers_experiment():
    plan = load_plan("melody")
    jobs = make_jobs(plan, choose_blocks(plan, ["paper", "recommended", "frontier"]), Scale())
    by_block = {name: [job for job in jobs if job.block == name] for name in plan.blocks}
    for name in ("paper", "recommended"):
        assert {job.agent for job in by_block[name]} >= {"prior", "q", "psi", "g", "rl-only"}
        assert {job.seed for job in by_block[name]} == {0, 1, 2}
        assert {job.episodes for job in by_block[name]} == {100_000}
    for job in by_block["paper"]:
        assert job.spec.arguments["c"] == job.c == 0.5
        assert job.spec.arguments["discount"] == 0.5
        assert job.spec.env_kwargs["prior"] == "paper"
        if job.agent in ("psi", "g"):
            assert job.spec.arguments["lambda_"] == 0.0
    for job in by_block["recommended"]:
        kwargs = job.spec.env_kwargs
        assert (kwargs["prior"], kwargs["task"]) == ("paper", "recommended")
    frontier = by_block["frontier"]
    assert len({job.c for job in frontier}) >= 6
    assert {job.agent for job in frontier} == {"prior", "q", "psi", "g", "rl-only", "reinvent"}
    for job in jobs:
        assert job.spec.env_kwargs["c"] == 0.5  # the id's, whatever the training's
    assert len({job.name for job in jobs}) == len(jobs)
