"""The ``seqgen`` command itself: its ids, its version, its help, its exit codes."""

import json
import os
import subprocess
import sys

import gymnasium

import seqgen_envs.cli as cli
from helpers.commands import refused, run
from seqgen_envs import registered_domains
from seqgen_envs.reporting.console import console


def test_envs_is_a_page(monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    lines = run("envs").stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    (melody,) = [line for line in lines if line.startswith("│ melody")]
    assert " ".join(melody.replace("│", "").split()) == "melody 38 32 2 3 3 rl-tuner default"
    for env_id in gymnasium.registry:
        if env_id.startswith(("MelodyGen", "MoleculeGen", "PMO", "ToyGen")):
            assert sum(env_id in line.split() for line in lines) == 1, env_id


def test_envs_of_a_domain_and_of_an_id():
    text = run("envs", "molecule").stdout
    assert len(text.splitlines()) < 60
    names = text.split()
    for word in ("sequence-tutor*,", "similarity:...,", "pmo/qed,", "zinc250k*,", "PMO-QED-v0"):
        assert names.count(word) == 1, word
    assert "MelodyGen-v0" not in text
    text = run("envs", "MoleculeGen-QED-v0").stdout
    assert "qed*" in text
    assert "MoleculeGen-QED-v0 (task=qed, c=0.05)" in text
    assert "PMO-QED-v0" not in text
    assert "no domain or environment 'x'; `seqgen envs` lists them" in refused("envs", "x")


def test_envs_for_programs():
    listed = json.loads(run("envs", "--json").stdout)
    assert listed["domains"]["melody"]["tasks"] == ["rl-tuner", "recommended", "local"]
    assert listed["environments"]["MoleculeGen-QED-v0"]["task"] == "qed"
    assert list(json.loads(run("envs", "toy", "--json").stdout)["environments"]) == ["ToyGen-v0"]


def test_the_console_script_in_a_process_of_its_own():
    command = [sys.executable, "-c", "from seqgen_envs.cli import main; main()"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"seqgen {cli.__version__}\n"
    bad = subprocess.run([*command, "sample", "nope", "--out", "x"], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr == "Error: unknown domain 'nope'; registered: " + (
        f"{sorted(registered_domains())}\n"
    )
    debug = subprocess.run(
        [*command, "sample", "nope", "--out", "x"],
        capture_output=True,
        text=True,
        env={**os.environ, "SEQGEN_DEBUG": "1"},
    )
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
    assert "ValueError: unknown domain" in debug.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; import seqgen_envs.cli as cli\n"
        "result = CliRunner().invoke(cli.make_app(), ['prior', 'train', '--help'])\n"
        "assert '--batch-tokens' in result.stdout, result.stdout\n"
        "print(sorted({'torch', 'music21', 'matplotlib', 'rdkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
