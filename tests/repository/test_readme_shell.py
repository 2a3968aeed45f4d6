"""Every block of shell in the README runs, in order, in one folder: as it stands but for sizes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(?:<!-- ([\w-]+) -->\n)?```sh\n(.*?)^```", README, re.S | re.M)
#: The suite itself.
NOT_HERE = ("test-command",)

#: What makes hours into seconds: (pattern, what stands there instead). Each must be met somewhere.
SMALL = (
    (r"pip install '\.\[notation\]' && ", ""),  # CI has installed it
    (r"(sample melody) -n 16 (--out melodies)", r"\1 -n 48 \2"),  # enough to train a prior on
    (r"(sample molecule) -n 64", r"\1 -n 8"),
    (r"-n 16 (--agent)", r"-n 4 \1"),
    (r"--preset default", "--preset default --data melodies --epochs 1 --hidden 16"),
    (r"-n 10+\b", "-n 64"),
    (r"(train psi \w+-v0)", r"\1 --steps 2048 --set n_envs=16 --eval-episodes 16"),
    (r"(bench run .*) --out", r"\1 --seeds 1 --out"),
    (r"(reproduce \w+)", r"\1 --quick --seeds 1 --blocks paper"),
)


def in_small(text):
    for pattern, replacement in SMALL:
        text = re.sub(pattern, replacement, text)
    return text


def test_what_makes_it_small_is_all_used():
    everything = "\n".join(block for _, block in BLOCKS)
    assert [pattern for pattern, _ in SMALL if not re.search(pattern, everything)] == []


@pytest.mark.parametrize("domain", ["melody", "molecule"])
def test_the_sequence_of_a_training_is_among_them(domain):
    """Trained, evaluated, sampled: the sentence a newcomer types first."""
    lines = [line for _, block in BLOCKS for line in block.splitlines()]
    sampled = next(line for line in lines if f"sample {domain}" in line and "--agent" in line)
    run = re.search(r"--agent (\S+)", sampled)[1]
    before = lines[: lines.index(sampled)]
    assert any("seqgen train" in line and run in line for line in before)
    assert any("seqgen evaluate" in line and run in line for line in before)


def test_every_shell_block_runs(tmp_path):
    script = "\n".join(in_small(block) for name, block in BLOCKS if name not in NOT_HERE)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert "Traceback" not in result.stderr
    for folder in ("melodies", "molecules", "tuned", "designed"):
        assert any((tmp_path / folder).iterdir())
