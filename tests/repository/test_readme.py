"""The README is true: its examples run, its tables are the measured ones, its names exist."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from seqgen_envs.domains.melody import DOMAIN

README = (ROOT / "README.md").read_text(encoding="utf-8")

RUN_BLOCKS = """
import re, sys, traceback
text = open(sys.argv[1], encoding="utf-8").read()
failed = []
for block in re.finditer(r"^```python\\n(.*?)^```", text, re.S | re.M):
    line = text.count("\\n", 0, block.start(1))
    try:
        exec(compile("\\n" * line + block[1], "README.md", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        failed.append(line + 1)
    else:
        print("ran the example at line", line + 1)
sys.exit(f"examples that failed start at lines {failed}" if failed else 0)
"""


def command(name):
    """The shell command under the README's marker of that name."""
    match = re.search(rf"<!-- {name}-command -->\n```sh\n(.+)\n```", README)
    assert match is not None
    return match[1]


def test_every_python_example_runs(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", RUN_BLOCKS, ROOT / "README.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("ran the example") == README.count("```python") > 0


def test_tables_are_the_measured_ones():
    program = ROOT / "benchmarks" / "update_readme.py"
    spec = importlib.util.spec_from_file_location("update_readme", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "<!-- begin: env_throughput -->" in README
    assert module.updated(README) == README, "run python benchmarks/update_readme.py"


def test_commands_install_from_the_checkout():
    assert command("main").startswith("pip install '.[notation]' && seqgen sample melody ")
    assert command("test") == "pip install '.[test]' && pytest"


def test_ci_reads_the_test_command_from_here():
    assert "test-command" in (ROOT / ".ci" / "run").read_text()


def test_every_path_in_the_map_exists():
    section = README.split("## Files")[1].split("\n## ")[0]
    paths = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    assert len(paths) > 20
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []
    top = {f"seqgen_envs/{p.name}" for p in (ROOT / "seqgen_envs").glob("*.py")}
    unnamed = {p for p in top - set(paths) if not Path(p).name.startswith("_")}
    assert unnamed == set()


@pytest.mark.parametrize("kind", ["rules", "metrics"])
def test_every_rule_and_metric_is_named(kind):
    if kind == "rules":
        names = DOMAIN.make_task("rl-tuner").names
    else:
        names = DOMAIN.metrics.summary([[14, 1] * 16])
    assert [name for name in names if f"`{name}`" not in README] == []
