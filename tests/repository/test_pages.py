"""Every block of shell and Python in README.md and docs/ runs, a page at a time, in order.

Shell runs as it stands but for sizes (:data:`SMALL`). The Python blocks of a page share their names
from block to block, as a reader would have it. Each page starts in an empty folder, with
``examples/`` beside it, as in a checkout. A block that is the README's, word for word, runs there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.forking import seqgen_server
from helpers.pages import PAGES, blocks_of, name_of
from helpers.paths import ROOT

#: The suite itself.
NOT_HERE = ("test-command",)
#: Pages that need an extra the suite is not installed with: one of its packages, and its name.
NEEDS = {
    "docs/language-models.md": ("peft", "hf"),
    "docs/cluster.md": ("ray", "cluster"),
    "docs/collectors.md": ("ray", "cluster"),
}
WITH_BLOCKS = [page for page in PAGES if blocks_of(page)]

#: What makes hours into seconds: (pattern, what stands there instead). Each must be met somewhere.
SMALL = (
    (r"pip install '\.\[notation,bench\]' && ", ""),  # CI has installed it
    (r"-n 4\b", "-n 1"),
    (r"-n 48\b", "-n 4"),
    (r"-n (?:16|64)\b", "-n 2"),
    (r"-n 10+\b", "-n 64"),
    (r"--preset default", "--preset default --epochs 1 --hidden 16"),
    (r"--epochs 10\b", "--epochs 1"),
    (
        r"(train (?:psi|tb) \S+-v0)",
        r"\1 --steps 320 --set n_envs=8 --set replay_ratio=1 --eval-every 320 --eval-episodes 8",
    ),
    (r"--steps 1200000", "--steps 1024"),
    (r"(--collectors |CollectorSettings\()2\b", r"\g<1>1"),
    (r"--trials 30 --jobs 2", "--trials 1 --steps 600 --eval-episodes 64 --confirm 1"),
    (r"(bench run .*--suite) toy-v1", r"\1 small.yml --seeds 1"),
    (r"(bench report \S+)", r"\1 --suite small.yml"),
    (r"(report runs/\S+)", r"\1 -n 16"),
    (r"(reproduce \w+)", r"\1 --quick --seeds 1 --blocks paper"),
)
SUITE = """
about: toy-v1, in small
measure: optimum
headline: kl_to_optimum
higher_is_better: false
seeds: 1
metrics: [kl_to_optimum, objective]
tasks:
  letters: {env_id: ToyGen-v0, steps: 600, episodes: 200}
"""


def in_small(text):
    for pattern, replacement in SMALL:
        text = re.sub(pattern, replacement, text)
    return text


def program(page):
    """One Python program of all blocks of a page: shell as calls of bash, Python as it stands."""
    lines = ["import subprocess", "names = {'__name__': 'page'}"]
    elsewhere = set() if page == PAGES[0] else {block.text for block in blocks_of(PAGES[0])}
    for block in blocks_of(page):
        if block.marker in NOT_HERE or block.text in elsewhere:
            continue
        if block.language == "sh":
            command = ["bash", "-euxo", "pipefail", "-c", in_small(block.text)]
            lines.append(f"subprocess.run({command!r}, check=True)")
        else:
            text = "\n" * (block.line - 1) + in_small(block.text)  # tracebacks: the page's lines
            lines.append(f"exec(compile({text!r}, {page.name!r}, 'exec'), names)")
    return "\n".join(lines)


def test_what_makes_it_small_is_all_used():
    everything = "\n".join(block.text for page in PAGES for block in blocks_of(page))
    assert [pattern for pattern, _ in SMALL if not re.search(pattern, everything)] == []


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """A folder with the command ``seqgen``, which need not be imported anew each time."""
    with seqgen_server(tmp_path_factory.mktemp("bin")) as folder:
        yield folder


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_block_runs(page, tmp_path, commands):
    if name_of(page) in NEEDS:
        package, extra = NEEDS[name_of(page)]
        pytest.importorskip(package, reason=f"needs the extra {extra}")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "small.yml").write_text(SUITE)
    environment = os.environ | {
        "PATH": os.pathsep.join(
            [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        [commands / "python", "-c", program(page)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("domain", ["Melody", "Molecule"])
def test_the_sequence_of_a_training_is_on_a_page(domain):
    """Trained, evaluated, sampled: the sentence a newcomer types first."""
    for page in WITH_BLOCKS:
        text = "\n".join(block.text for block in blocks_of(page))
        run = re.search(rf"seqgen train psi {domain}Gen-v0 .*--out (\S+)", text)
        if run and f"sample {domain.lower()}" in text and f"--agent {run[1]} " in text:
            assert f"seqgen evaluate {run[1]}" in text
            return
    pytest.fail(f"no page trains, evaluates and samples {domain}")
