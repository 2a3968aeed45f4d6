"""Folders of music to corpora: what is read, what is skipped, and what is said about it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.tunes import SCALE, abc, text, write_midi, write_xml
from seqgen_envs.domains.melody import dataset
from seqgen_envs.domains.melody.dataset import folder_corpus
from seqgen_envs.domains.melody.files import MelodyFileError, read_melody
from seqgen_envs.domains.melody.reading import line
from seqgen_envs.domains.melody.reading.abc import split_abc
from seqgen_envs.domains.melody.vocabulary import VOCABULARY

# --- read_melody's errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mid", b"not midi at all", "cannot be parsed"),
        ("a.mid", b"", "cannot be parsed"),
        ("a.xml", b"<score-partwise>", "cannot be parsed"),
        ("a.mxl", b"PK\x03\x04 cut off", "cannot be parsed"),
        ("a.abc", b"Dear diary, a bad day", "no K: field"),
        ("a.abc", b"X:1\nK:C\n", "no notes"),
        ("a.abc", b"X:1\nK:C\nC|\nX:2\nK:C\nD|\n", "holds 2 tunes"),
        ("a.wav", b"RIFF", "expected one of"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(MelodyFileError, match=message) as caught:
        read_melody(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_pitch_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(MelodyFileError, match="does not exist"):
        read_melody(tmp_path / "none.mid")
    path = write_midi(tmp_path / "low.mid", [(0, 1, 60), (1, 1, 40)])
    with pytest.raises(MelodyFileError, match=r"low\.mid.*pitch 40 \(E2\).*48\.\.83 \(C3\.\.B5\)"):
        read_melody(path)


# --- corpora -----------------------------------------------------------------------------------


def make_folder(root: Path) -> Path:
    """Nine tunes: one of each kind kept, a long one, and one for each reason to drop."""
    (root / "deep").mkdir(parents=True)
    (root / "tunes.abc").write_text(
        abc("DEFG ABcd | dcBA GFED |" * 2, key="D", number=1)
        + abc("CDEF GABc | cBAG FEDC |" * 2, number=2)
        + abc("CDE|", number=3)
    )
    eighths = [(i / 2, 0.5, 60 + (i * 5) % 12) for i in range(40)]
    write_midi(root / "deep" / "line.mid", eighths, key="C")
    write_midi(root / "two.MID", [*eighths, *[(on, n, p + 7) for on, n, p in eighths]])
    write_midi(root / "thirds.mid", [(i / 3, 1 / 3, 60) for i in range(60)])
    (root / "deep" / "broken.mid").write_bytes(b"MThd, or so it says")
    write_xml(root / "empty.musicxml", "<note><rest/><duration>16</duration></note>")
    write_midi(root / "long.mid", [(i, 1.0, 60 + i % 7) for i in range(600)])
    (root / "notes.txt").write_text("not music")
    return root


def test_a_folder_becomes_a_corpus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folder(tmp_path / "music")
    with caplog.at_level(logging.WARNING):
        corpus = folder_corpus(root, cache_dir=tmp_path / "cache", progress=False)
    assert corpus.names == [
        *("deep/line.mid", "long.mid piece 1", "long.mid piece 2", "tunes.abc#1 Tune 1")
    ]
    assert corpus.vocabulary == VOCABULARY
    assert text(corpus.sequences[3][:8]) == "C4 - D4 - E4 - F4 -"
    assert corpus.report.kept == 4
    assert corpus.report.dropped == {
        "unreadable": 1,
        "empty": 1,
        "off grid": 1,
        "duplicate": 1,
        "too short": 1,
        "polyphonic": 1,
    }
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert warnings[0].startswith("skipped deep/broken.mid: ")
    assert "\n" not in warnings[0]
    named = {reason: (name, detail) for reason, name, detail in corpus.report.items}
    assert set(named) == set(corpus.report.dropped)
    assert named["too short"][0] == "tunes.abc#3 Tune 3"
    twins = ("tunes.abc#2 Tune 2", "its notes are those of tunes.abc#1 Tune 1")
    assert named["duplicate"] == twins


def test_polyphony_is_seen_before_the_key_is_analysed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "analysed_key", lambda notes: pytest.fail("the key was analysed"))
    eighths = [(i / 2, 0.5, 60 + i % 5) for i in range(40)]
    path = write_midi(tmp_path / "two.mid", [*eighths, *[(on, n, p + 7) for on, n, p in eighths]])
    with pytest.raises(MelodyFileError, match="sound together"):
        read_melody(path, transpose=True)


@pytest.mark.spawn
def test_workers_give_the_same_corpus(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    for i in range(2 * dataset._FILES_A_WORKER):
        notes = [(j / 4, 0.25, 60 + (i * j) % 13) for j in range(40)]
        write_midi(root / f"{i:02}.mid", notes, key="C")
    (root / "05.mid").write_bytes(b"broken")
    alone, together = (
        folder_corpus(root, cache_dir=tmp_path / str(jobs), n_jobs=jobs, progress=False)
        for jobs in (1, 2)
    )
    assert alone.names == together.names
    assert alone.report == together.report
    for a, b in zip(alone.sequences, together.sequences, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_cache_is_used_until_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "music", tmp_path / "cache"
    root.mkdir()
    (root / "a.abc").write_text(abc(SCALE))
    monkeypatch.setenv("SEQGEN_CACHE", str(cache))
    parsed = Counter()
    original = dataset._file_outcomes

    def counting(file: Path, root: Path, part: str | None) -> list[dataset.Outcome]:
        parsed[file.name] += 1
        return original(file, root, part)

    monkeypatch.setattr(dataset, "_file_outcomes", counting)
    first = folder_corpus(root, progress=False)
    again = folder_corpus(root, progress=False)
    assert parsed == {"a.abc": 1}
    assert again.report == first.report
    np.testing.assert_array_equal(again.sequences[0], first.sequences[0])

    folder_corpus(root, progress=False, refresh=True)
    assert parsed == {"a.abc": 2}
    (root / "b.abc").write_text(abc(SCALE, key="Am", number=2) + abc("G8|" * 6, number=3))
    assert len(folder_corpus(root, progress=False)) == 2
    assert parsed == {"a.abc": 3, "b.abc": 1}
    for file in cache.iterdir():
        file.write_bytes(b"spoilt")
    assert len(folder_corpus(root, progress=False)) == 2
    assert parsed == {"a.abc": 4, "b.abc": 2}


def test_folders_without_music_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is neither a folder nor a file"):
        folder_corpus(tmp_path / "none")
    (tmp_path / "readme.txt").write_text("no music")
    with pytest.raises(ValueError, match=r"music files, and .* \.txt; expected some of \.mid"):
        folder_corpus(tmp_path)
    (tmp_path / "short.abc").write_text(abc("CDE|"))
    with pytest.raises(ValueError, match=r"none of the tunes .* \(1 too short\)"):
        folder_corpus(tmp_path, cache_dir=tmp_path / "cache", progress=False)


def test_files_of_other_types_are_reported_and_hidden_ones_are_not(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    (root / "a.abc").write_text(abc(SCALE))
    for name in ("b.krn", "c.KRN", "d.txt", ".DS_Store"):
        (root / name).write_text("no music")
    for _ in range(2):  # the second comes out of the cache
        report = folder_corpus(root, cache_dir=tmp_path, progress=False).report
        assert report.unread == ["b.krn", "c.KRN", "d.txt"]
        assert (report.found, report.n_dropped) == (1, 0)
        assert report.rows()[0]["name"] == "b.krn"
        (row,) = ([*table.cells][-1] for table in report.table().columns[:1])
        assert str(row) == "files of types that are not read: .krn, .txt"
    (root / "b.krn").unlink()
    assert folder_corpus(root, cache_dir=tmp_path, progress=False).report.unread[0] == "c.KRN"


def test_one_file_is_a_corpus_of_its_tunes(tmp_path: Path) -> None:
    file = tmp_path / "a.abc"
    file.write_text(abc(SCALE) + abc("G8|" * 6, number=3))
    (tmp_path / "b.abc").write_text(abc(SCALE))
    corpus = folder_corpus(file, cache_dir=tmp_path, progress=False)
    assert [name.partition("#")[0] for name in corpus.names] == ["a.abc", "a.abc"]
    with pytest.raises(ValueError, match="is no music file that is read"):
        folder_corpus(Path(__file__))


def test_the_builtin_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dataset._music21_corpus()
    files = ("han1", "0101-0200", "AcaciaReel", "book1")
    for name, file in zip(dataset.COLLECTIONS, files, strict=True):
        tunes = split_abc((whole / name / f"{file}.abc").read_text())[:3]
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{file}.abc").write_text("".join(tune for _, tune in tunes))
    monkeypatch.setattr(dataset, "_music21_corpus", lambda: tmp_path)
    corpus = dataset.builtin_corpus(cache_dir=tmp_path / "cache", n_jobs=1, progress=False)
    assert {name.split("/")[0] for name in corpus.names} == set(dataset.COLLECTIONS)
    assert corpus.report.found == 10  # 3 + 3 + 3, and Ryan's has one tune a file
    with pytest.raises(ValueError, match="essenFolksong"):
        dataset.builtin_corpus(collections=["bach"])


def test_importing_the_module_leaves_music21_alone() -> None:
    code = (
        "import sys, seqgen_envs.domains.melody.dataset; "
        "print(sorted({'music21', 'mido', 'rdkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
