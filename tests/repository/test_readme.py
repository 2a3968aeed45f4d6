"""What README.md, docs/ and CONTRIBUTING.md say is so: tables, names, paths, links."""

import configparser
import importlib.util
import json
import re
from pathlib import Path

import pytest

from helpers.pages import MADE, PAGES, blocks_of, command, name_of, text_of
from helpers.paths import ROOT
from kl_agents.registry import ALGORITHMS
from seqgen_envs.domains.melody import DOMAIN

README = ROOT / "README.md"
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)


def program(name, folder="benchmarks"):
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_is_read_in_minutes():
    assert len(text_of(README).splitlines()) <= 200


def test_tables_and_examples_are_the_files():
    update = program("update_pages")
    assert update.pages() == PAGES
    assert sum("<!-- begin: " in text_of(page) for page in PAGES) > 5
    stale = [name_of(page) for page in PAGES if update.updated(text_of(page)) != text_of(page)]
    assert stale == [], "run python benchmarks/update_pages.py"


def test_the_page_of_settings_is_that_of_the_classes():
    settings = program("settings", "docs")
    assert text_of(settings.PAGE) == settings.settings_page(), "run python docs/settings.py"


def test_commands_install_from_the_checkout():
    assert command("main").startswith("pip install '.[notation,bench]' && seqgen sample melody ")
    assert command("test") == "pip install '.[test]' && pytest"


def test_ci_reads_the_test_command_from_here():
    assert "test-command" in (ROOT / ".ci" / "run").read_text()


def test_the_timed_commands_are_those_of_the_quick_starts():
    text = "\n".join(block.text for block in blocks_of(README))
    without_comments = re.sub(r" +#.*", "", text)
    for _, line in program("first_steps").STEPS[1:]:
        for part in line.split(" && "):
            assert part in without_comments


def test_the_weights_are_those_measured():
    weight = program("install_weight")
    report = json.loads((weight.RESULTS / "install_weight.json").read_text(encoding="utf-8"))
    assert weight.table(report) == text_of(weight.RESULTS / "install_weight.md")
    assert set(report["extras"]) <= set(weight.extras())
    assert weight.BASE in report["extras"]


def test_every_path_in_the_map_exists():
    section = text_of(ROOT / "CONTRIBUTING.md").split("## Files")[1].split("\n## ")[0]
    paths = [p for row in re.findall(r"^\| (`.+?`) \|", section, re.M) for p in names_in(row)]
    assert len(paths) > 20
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []
    top = {f"seqgen_envs/{p.name}" for p in (ROOT / "seqgen_envs").glob("*.py")}
    unnamed = {p for p in top - set(paths) if not Path(p).name.startswith("_")}
    assert unnamed == set()


def names_in(row):
    """The paths of a row; of several files of one folder, the later ones by name alone."""
    first, *others = re.findall(r"`([^`]+)`", row)
    return [first, *(str(Path(first).parent / other) for other in others)]


@pytest.mark.parametrize("kind", ["rules", "metrics"])
def test_every_rule_and_metric_is_named(kind):
    if kind == "rules":
        names = DOMAIN.make_task("rl-tuner").names
    else:
        names = DOMAIN.metrics.summary([[14, 1] * 16])
    page = text_of(ROOT / "docs" / "melodies.md")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_algorithm_suite_and_extra_is_in_its_table():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    suites = (ROOT / "seqgen_envs" / "benchmark" / "suites").glob("*.yml")
    named = {
        "agents/index.md": list(ALGORITHMS),
        "benchmark.md": [suite.stem for suite in suites],
        "install.md": list(config["options.extras_require"]),
    }
    for page, names in named.items():
        text = text_of(ROOT / "docs" / page)
        rows = "".join(line for line in text.splitlines() if line.startswith("|"))
        assert [name for name in names if f"`{name}`" not in rows] == []


def anchors(text):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub(plain, text), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def plain(code):
    return code[0].strip("`") if "\n" not in code[0] else ""


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_lead_somewhere(page):
    text = CODE.sub("", text_of(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if name_of(found) in MADE:
            continue
        assert found.exists(), target
        assert not anchor or anchor in anchors(text_of(found)), target
