"""The page without a browser: what is on it, in what order, and that nothing gets through."""

import csv
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from helpers import results
from helpers.commands import refused, run
from seqgen_envs.benchmark.page.blocks import Cell, Page, Section, Table, bars, number
from seqgen_envs.benchmark.page.charts import Axis
from seqgen_envs.benchmark.page.data import Results, read_results
from seqgen_envs.benchmark.page.html import render
from seqgen_envs.benchmark.page.tables import markdown
from seqgen_envs.benchmark.statistics import interquartile_mean
from seqgen_envs.benchmark.store import FAILED, FINISHED, Store
from seqgen_envs.benchmark.suites import load_suite


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results.fill(folder / "results")
    run("bench", "report", folder / "results", "--out", folder / "out")
    return folder / "out"


class Reader(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, document):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def rows_of(document, caption):
    """The first cell of each row of the table of that caption."""
    table = document.split(f"<caption>{caption}</caption>")[1].split("</table>")[0]
    return [
        part.split(">", 1)[1].split("<")[0].strip() for part in table.split('<th scope="row"')[1:]
    ]


def test_three_files_are_written(report):
    document = (report / "index.html").read_text()
    assert rows_of(document, "Leaderboard of toy-v1") == ["psi", "g", "reinvent", "PPO", "prior"]
    lines = list(csv.DictReader((report / "report.csv").open()))
    assert len(lines) == len(list(results.rows()))
    assert sum(line["status"] == FAILED for line in lines) == 3
    text = (report / "report.md").read_text()
    assert "## toy-v1" in text
    assert "KL to optimum: lower is better" in text


def test_a_failed_run_of_an_agent_that_was_mended_is_left_out():
    suite = load_suite("toy-v1")
    task = next(iter(suite.tasks))

    def made(version, seed, status, date):
        given = {"agent_fingerprint": version, "status": status, "date": date}
        return replace(results.row(suite, task, "mine", seed), **given)

    old = [made("old", 0, FAILED, "2026-01-01"), made("old", 1, FINISHED, "2026-01-01")]
    new = [made("new", 0, FINISHED, "2026-01-02"), made("new", 1, FAILED, "2026-01-02")]
    (found,), _ = read_results([*old, *new], {suite.name: suite})
    kept = {(row.agent_fingerprint, row.seed) for row in found.rows}
    assert kept == {("old", 1), ("new", 0), ("new", 1)}  # what finished stands, and what fails now


def test_each_suite_has_what_its_measure_has(report):
    toy, melody, molecules = (
        (report / "index.html").read_text().split(f'<section id="{name}"')[1].split("</section>")[0]
        for name in ("toy-v1", "melody-v1", "pmo-mini-v1")
    )
    assert "log Z = 4.96" in toy  # exact there
    assert "log Z ≥ 4.96" in melody  # a bound elsewhere
    assert "log Z ≥" not in molecules
    assert rows_of(toy, "Share of each rule: letters") == ["alternation", "repetition", "variety"]
    assert toy.split("Share of each rule: letters</caption>")[1].index(">prior<") > 0
    assert "oracle calls" in molecules
    assert melody.count("<audio") >= 10  # each agent's best one on both tasks
    assert "<audio" not in molecules
    assert molecules.count('<div class="picture">') > 30
    assert "celecoxib_rediscovery" in molecules


def test_hostile_texts_are_texts(report):
    document = (report / "index.html").read_text()
    reader = Reader(document)
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert not any(tag in ("img", "b") for tag, _ in reader.elements)
    assert not any(name.startswith("on") for _, given in reader.elements for name in given)
    shown = "".join(reader.text)
    for hostile in (results.HOSTILE, results.HOSTILE_SMILES, results.TRACEBACK):
        assert hostile in shown
    addresses = [
        given[name] for _, given in reader.elements for name in ("src", "href") if name in given
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)


def test_hostile_texts_are_texts_in_markdown(report):
    text = (report / "report.md").read_text()
    assert "\\<img src=x onerror=alert(1)\\>\\|\\`" in text
    assert "<script" not in text.replace("\\<", "")


def test_an_agent_that_lacks_runs_stands_below():
    suite = load_suite("pmo-mini-v1")
    rows = [results.row(suite, task, agent, seed) for task in ("qed", "median1")
            for agent in ("psi", "g") for seed in range(3)]  # fmt: skip
    best = replace(rows[0], agent="best", metrics={"auc_top10": 0.99})
    unknown = replace(rows[0], agent="unknown", metrics={"auc_top10": None})
    found = Results.of(suite, [unknown, best, *rows])
    assert [agent.label for agent in found.agents][2:] == ["best", "unknown"]
    assert found.missing(found.agents[2]) == 5
    assert found.estimate(found.agents[3]) is None


def test_scores_are_on_the_common_scale():
    suite = load_suite("toy-v1")
    task = replace(suite.tasks["letters"], low=1.8, high=0.0)
    scaled = replace(suite, tasks={"letters": task})
    rows = [results.row(scaled, "letters", "psi", seed, metrics={"kl_to_optimum": value})
            for seed, value in enumerate((0.9, 0.0, 1.8, 0.45))]  # fmt: skip
    found = Results.of(scaled, rows)
    assert found.is_scaled
    assert found.higher_is_better
    assert found.estimate(found.agents[0]).value == interquartile_mean([0.5, 1.0, 0.0, 0.75])


def test_metrics_of_another_unit_on_each_task_are_not_averaged_over_tasks(report):
    """J of one task says nothing beside J of another; scaled ones do."""
    document = (report / "index.html").read_text()
    melody = document.split('<section id="melody-v1"')[1].split("</section>")[0]
    board = melody.split("<caption>Leaderboard of melody-v1</caption>")[1].split("</table>")[0]
    assert "objective, scaled" in board
    assert "task return" not in board
    assert "0 is the prior alone, 1 the best known" in melody
    for task in ("recommended", "rl-tuner"):
        on_task = melody.split(f"<caption>Metrics on {task}</caption>")[1].split("</table>")[0]
        assert "task return" in on_task
    assert "<caption>Metrics on" not in document.replace(melody, "")


def test_agents_of_one_name_are_told_apart():
    suite = load_suite("toy-v1")
    rows = [results.row(suite, "letters", "mine", 0, place) for place in (1, 2)]
    rows[1] = replace(rows[1], agent_fingerprint="abcdef0123")
    labels = [agent.label for agent in Results.of(suite, rows).agents]
    assert labels == ["mine (000000)", "mine (abcdef)"]


def test_rows_of_another_definition_are_left_out(tmp_path):
    suite = load_suite("toy-v1")
    rows = [results.row(suite, "letters", "psi", seed) for seed in range(2)]
    old = replace(rows[0], suite_fingerprint="0123")
    found, said = read_results([*rows, old], {"toy-v1": suite})
    assert len(found[0].rows) == 2
    assert said.startswith("1 of toy-v1 left out")
    store = Store(tmp_path / "results")
    store.add(old)
    message = refused("bench", "report", tmp_path / "results", "--out", tmp_path / "out")
    assert "no results" in message
    assert "another definition" in message


def test_a_folder_without_results_is_refused(tmp_path):
    message = refused("bench", "report", tmp_path, "--out", tmp_path / "out")
    assert message.endswith("holds no results: there is no results.sqlite in it")
    assert not (tmp_path / "results.sqlite").exists()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'seqgen\[bench\]'"):
        render(Page("a", "b", []))


def test_unknown_numbers_sort_last_and_are_shown_as_such():
    assert number(None) == Cell("-", None)
    assert number(None).is_number
    table = Table(
        "t", ["agent", "x"], [[Cell("a", "a"), number(None)], [Cell("b", "b"), number(2.0)]]
    )
    page = Page("p", "", [Section("s", "", [table])])
    assert '<td class="number">-' in render(page)
    assert "| a | - |" in markdown(page)


def test_bars_share_one_scale():
    found = bars("t", "", ["rule", "prior", "agent"], {"x": [-1.0, 3.0], "y": [None, 0.0]})
    (_, (low, high)), (_, (unknown, nothing)) = found.rows
    assert (low.left, low.width) == (0.0, 25.0)
    assert (high.left, high.width) == (25.0, 75.0)
    assert (found.zero, unknown.text, nothing.width) == (25.0, "-", 0.0)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0, 10], [0, 2, 4, 6, 8, 10]), ([-1, 1], [-1, -0.5, 0, 0.5, 1]), ([7, 7], None)],
)
def test_ticks_are_round_numbers_inside(values, ticks):
    axis = Axis.over("x", values)
    assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick in axis.ticks)
    if ticks is not None:
        assert axis.ticks == pytest.approx(ticks)
