"""What a terminal, a Markdown page and a spreadsheet get of texts out of anybody's files."""

import csv
import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from seqgen_envs.datasets.corpus import SkipReport
from seqgen_envs.reporting.console import fail, say, show, show_logged_warnings, warn
from seqgen_envs.reporting.files import bare_cell, safe_cell, write_csv
from seqgen_envs.reporting.tables import markdown_table, metrics_table, metrics_tables, printable

EVIL = "\x1b[2J\x1b]0;owned\x07[red]a[/red] :smiley: \u202eb\x9b31m\udcff"
SEEN = r"\x1b[2J\x1b]0;owned\x07[red]a[/red] :smiley: \u202eb\x9b31m\udcff"


def test_a_terminal_obeys_no_text(capsys):
    fail(EVIL)
    warn(f"one\n{EVIL}")
    say(f"{EVIL}\r\nnext")
    table = Table(EVIL, title=EVIL)
    table.add_row(EVIL)
    show(table)
    show(metrics_table(EVIL, {EVIL: {EVIL.replace("_", " "): 1.0}}))
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x07\x9b\u202e\udcff\r")
    assert err.splitlines() == [f"Error: {SEEN}", f"Warning: one {SEEN}"]
    assert out.startswith(f"{SEEN} next\n")
    assert out.count(SEEN) >= 5


def test_logged_warnings_are_shown_like_all_others(monkeypatch, capsys):
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    show_logged_warnings()
    alone = logging.getLogger("a test of one logger")
    monkeypatch.setattr(alone, "propagate", False)  # pytest's own handlers are the root's
    alone.warning("skipped %s", EVIL)
    alone.info("not shown")
    assert capsys.readouterr().err == f"Warning: skipped {SEEN}\n"


def test_what_can_be_shown_is():
    for text in ("Für Elise – 第一", "C[C@H](N)C(=O)O", "a\u00a0b", ""):
        assert printable(text) == text
    assert printable("a\tb\nc\u2028") == r"a\tb\nc\u2028"


def test_markdown_cells_stay_cells():
    lines = markdown_table({"a|b": {"x|y\nz": 1.0, "back\\slash": 2.0}})
    assert lines[0] == r"| | a\|b |"
    assert lines[2:] == [r"| x\|y z | 1 |", r"| back\\slash | 2 |"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+a", "-C", "@SUM(A1)", "\tx", "\rx", "'=1", "=cmd|' /C x'!A0"]
)
def test_formulas_are_texts(text):
    assert safe_cell(text) == f"'{text}"
    assert bare_cell(f"'{text}") == text


@pytest.mark.parametrize(
    "value", ["-1.5", "+3", "-2e-5", "-inf", "CCO", "'a", "[Na+]", "", -1.5, None]
)
def test_numbers_and_other_texts_stay(value):
    assert safe_cell(value) == value


@given(st.text(alphabet="'=+-@\t\rC1"))
def test_nothing_is_lost(text):
    assert bare_cell(safe_cell(text)) == text


def test_a_csv_is_neutral_unless_it_is_to_be_raw(tmp_path):
    rows = [{"name": "=1+1", "text": "-C", "score": -1.5}]
    for raw, kept in ((False, ["'=1+1", "'-C", "-1.5"]), (True, ["=1+1", "-C", "-1.5"])):
        write_csv(tmp_path / "a.csv", rows, raw=raw)
        with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [["name", "text", "score"], kept]


def shown(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_tables_of_metrics_break_no_word_and_no_number(width):
    names = ("mean_autocorrelation_lag1", "melodies_with_unique_highest")
    heads = [
        f"{name} (published)" for name in ("this prior", "Note RNN", "Q", "Psi", "G", "a" * 30)
    ]
    columns = {head: dict.fromkeys(names, -13040.0) for head in heads}
    texts = [shown(table, width) for table in metrics_tables("A title", columns, width)]
    assert len(texts) == {80: 2, 100: 2, 200: 1}[width]
    lines = "".join(texts).splitlines()
    assert max(map(len, lines)) <= width
    assert "autocorrelation" in "".join(texts)
    assert "…" not in "".join(texts)
    assert "".join(texts).count("-13,040") == len(heads) * len(names)
    assert "".join(texts).count("(published)") == len(heads)


def test_one_column_too_many_is_no_endless_loop():
    assert len(list(metrics_tables("", {"a": {"b" * 90: 1.0}, "c": {}}, 20))) == 2
    assert len(list(metrics_tables("", {}, 20))) == 1


def test_a_corpus_table_keeps_its_counts_beside_long_names():
    report = SkipReport(kept=165)
    for i in range(4):
        report.drop("out of range", f"{'a' * 100} {i}.abc#4 WALK AROUND", "too high")
    text = shown(report.table("Corpus"), 80)
    for word in ("dropped: out of range", "165", "97.6%", "found", "100.0%"):
        assert word in text
