"""The ``seqgen`` command itself: its ids, its version, its help, its exit codes."""

import os
import subprocess
import sys

import seqgen_envs.cli as cli
from helpers.commands import run
from seqgen_envs import registered_domains


def test_envs_lists_every_id_with_its_facts():
    lines = run("envs").stdout.splitlines()
    (melody,) = [line for line in lines if "MelodyGen-v0" in line]
    for fact in ("melody", "38", "32", "rl-tuner*", "default*"):
        assert fact in melody
    (toy,) = [line for line in lines if "ToyGen-v0" in line]
    assert "letters*" in toy


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
