"""Corpora to files and back, their splits, and the report of what was skipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from seqgen_envs.datasets import corpus as corpus_module
from seqgen_envs.datasets.corpus import SPLITS, Corpus, SkipReport, split_of
from seqgen_envs.domains.melody.vocabulary import VOCABULARY
from seqgen_envs.vocabulary import Vocabulary

# --- Corpus ------------------------------------------------------------------------------------


def make_corpus(n: int = 5) -> Corpus:
    sequences = [np.arange(i + 1, dtype=np.int8) for i in range(n)]
    return Corpus(
        sequences,
        [f"tune {i} ü" for i in range(n)],
        np.array([SPLITS[i % 3] for i in range(n)]),
        "a test",
        VOCABULARY,
        SkipReport(n, {"empty": 2}, [["empty", "x.mid", "it holds no notes"]]),
    )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_corpus_survives_saving(tmp_path: Path, n: int) -> None:
    corpus = make_corpus(n)
    path = tmp_path / "new" / "c.npz"
    corpus.save(path)
    loaded = Corpus.load(path, VOCABULARY)
    assert loaded.names == corpus.names
    assert loaded.splits.tolist() == corpus.splits.tolist()
    assert (loaded.source, loaded.report) == (corpus.source, corpus.report)
    assert loaded.n_tokens == n * (n + 1) // 2
    for a, b in zip(loaded.sequences, corpus.sequences, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.int8
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]  # nothing temporary stays


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.npz"
    make_corpus(2).save(path)

    def half(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(corpus_module.np, "savez_compressed", half)
    with pytest.raises(OSError, match="disk full"):
        make_corpus(5).save(path)
    monkeypatch.undo()
    assert len(Corpus.load(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_loading_what_is_no_corpus_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"c\.npz is not a corpus file"):
        Corpus.load(path)
    with pytest.raises(FileNotFoundError):
        Corpus.load(tmp_path / "none.npz")
    corpus = make_corpus()
    Corpus(corpus.sequences, corpus.names, corpus.splits, "s", Vocabulary(("a", "b"))).save(path)
    with pytest.raises(ValueError, match="another vocabulary"):
        Corpus.load(path, VOCABULARY)


def test_a_corpus_checks_its_parts() -> None:
    corpus = make_corpus(3)
    assert [len(sequence) for sequence in corpus.split("validation")] == [2]
    with pytest.raises(ValueError, match="no split 'valid'"):
        corpus.split("valid")
    with pytest.raises(ValueError, match="3 sequences need as many names"):
        Corpus(corpus.sequences, ["one"], corpus.splits, "s", VOCABULARY)
    with pytest.raises(ValueError, match=r"unknown splits \['dev'\]"):
        Corpus(corpus.sequences, corpus.names, np.array(["dev"] * 3), "s", VOCABULARY)


def test_splits_follow_content_alone() -> None:
    tunes = [np.random.default_rng(i).integers(0, 38, 40) for i in range(3000)]
    splits = [split_of(tune) for tune in tunes]
    shares = {name: splits.count(name) / len(splits) for name in SPLITS}
    assert shares == pytest.approx({"train": 0.9, "validation": 0.05, "test": 0.05}, abs=0.015)
    assert [split_of(tune.astype(np.int8)) for tune in tunes[:50]] == splits[:50]
    # The values themselves are part of the contract: published test scores rest on them.
    assert [split_of([i]) for i in (0, 1, 13, 26, 49, 59)] == [
        *("train", "train", "test", "test", "validation", "validation")
    ]
    assert split_of(tunes[0], (0, 0, 1)) == "test"
    with pytest.raises(ValueError, match="sum to 1"):
        split_of(tunes[0], (0.9, 0.2, 0.1))


def test_the_report_counts_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgen_envs.datasets.corpus.MAX_NAMED", 1)
    report = SkipReport(kept=6)
    report.drop("empty", "a.mid", "it holds no notes")
    for i in range(3):
        report.drop("duplicate", f"{i}.mid", "its notes are those of d.mid")
    console = Console(record=True, width=80)
    console.print(report.table("Tunes"))
    shown = console.export_text()
    for expected in ("Tunes", "60.0%", "30.0%", "10.0%", "dropped: duplicate", "a.mid"):
        assert expected in shown
    assert json.loads(json.dumps(report.to_dict())) == {
        "kept": 6,
        "dropped": {"empty": 1, "duplicate": 3},
        "items": [["empty", "a.mid", "it holds no notes"]],
        "unknown": {},
        "noted": {},
        "examples": [],
        "hints": [],
        "unread": [],
    }
    assert report.problems == ["a.mid: it holds no notes"]
    assert report.rows() == [
        {"reason": "empty", "name": "a.mid", "detail": "it holds no notes"},
        {"reason": "not named", "name": "", "detail": "3 more; the first 1 are named above"},
    ]
