"""``--part``: one part of an arrangement, in every command that reads files of music."""

import shutil

import pytest

from helpers.commands import refused, run, table
from helpers.paths import DATA
from seqgen_envs.datasets.corpus import Corpus

CASES = DATA / "cases" / "melody"
STRAY = CASES / "stray-bass.mid"
CHOICE = (
    "choose with --part (number, name, 'channel N' or highest): 1 (channel 1, notes C4..G4: 32)"
)


def test_score_reads_the_part_and_names_those_there_are(tmp_path):
    plain = tmp_path / "plain.csv"
    run("score", CASES / "plain.mid", "--csv", plain)
    for part in ("1", "channel 1", "highest"):
        run("score", STRAY, "--part", part, "--csv", tmp_path / "part.csv")
        (expected,), (row,) = table(plain), table(tmp_path / "part.csv")
        assert {**row, "name": expected["name"]} == expected
    assert CHOICE in refused("score", STRAY)
    assert "no part 'harp'; its parts are 1 (channel 1," in refused(
        "score", STRAY, "--part", "harp"
    )


def test_a_primer_is_a_part(tmp_path):
    common = ("sample", "melody", "-n", 1, "--max-files", 0, "--primer-length", 8)
    run(*common, "--primer", STRAY, "--part", "1", "--out", tmp_path)
    (row,) = table(tmp_path / "melodies.csv")
    assert row["text"].startswith("C4 - D4 - E4 - F4 -")
    assert CHOICE in refused(*common, "--primer", STRAY, "--out", tmp_path)
    for primer in ([], ["--primer", "C4 -"]):
        said = refused(*common, *primer, "--part", "1", "--out", tmp_path)
        assert "--part is for a --primer that is a file of melodies" in said


def test_a_corpus_is_made_of_the_part_of_every_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    music, out = tmp_path / "music", tmp_path / "c.npz"
    music.mkdir()
    for name in ("stray-bass", "relay"):
        shutil.copy(CASES / f"{name}.mid", music / f"{name}.mid")
    make = ("data", music, "--domain", "melody", "--jobs", 1, "--out", out)
    for part, names in (
        ([], ["relay.mid"]),  # the other has parts that sound together
        (["--part", "channel 1"], ["relay.mid", "stray-bass.mid"]),
        (["--part", "highest"], ["relay.mid"]),  # the other is the same tune
    ):
        run(*make, *part)
        assert Corpus.load(out).names == names


def test_what_is_polyphonic_is_a_line_each_and_the_way_out_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    music, out = tmp_path / "music", tmp_path / "c.npz"
    music.mkdir()
    for name in ("a", "b"):
        shutil.copy(CASES / "stray-bass.mid", music / f"{name}.mid")
    chords = "X:1\nL:1/8\nM:4/4\nK:C\n" + "[CE][DF][EG][FA]|" * 8
    (music / "chords.abc").write_text(chords)
    make = ("data", music, "--domain", "melody", "--out", out)
    assert "--part highest reads the top line" in refused(*make)  # as nothing is left
    shutil.copy(CASES / "relay.mid", music)
    result = run(*make)
    said = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert "Warning: dropped a.mid: it has 2 parts that sound together" in said
    assert result.output.count("--part highest") == 1
    (row, *_) = table(out.with_suffix(".dropped.csv"))
    assert "2 parts that sound together: 1 (channel 1, notes C4..G4: 32); 2 (" in row["detail"]
    assert "--part highest reads the top line" in refused("score", music / "chords.abc")
    run("score", music / "chords.abc", "--part", "highest", "--csv", tmp_path / "s.csv")
    (row,) = table(tmp_path / "s.csv")
    assert row["text"].startswith("E4 - F4 - G4 - A4 -")


def test_a_file_of_music_is_a_corpus_and_other_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    music, out = tmp_path / "music", tmp_path / "c.npz"
    music.mkdir()
    shutil.copy(CASES / "relay.mid", music)
    (music / "a.krn").write_text("**kern")
    result = run("data", music / "relay.mid", "--out", out)
    assert Corpus.load(out).names == ["relay.mid"]
    assert "parsing" not in result.stderr  # no bar where stderr is no terminal
    assert "--initial default --learning-rate 0.0005 --data" in result.stdout
    assert not out.with_suffix(".dropped.csv").exists()
    assert "not read: .krn" in " ".join(
        run("data", music, "--domain", "melody", "--out", out).output.split()
    )
    (row,) = table(out.with_suffix(".dropped.csv"))
    assert (row["reason"], row["name"]) == ("type not read", "a.krn")


def test_score_names_the_types_that_tell_a_domain():
    message = refused("score", "a.krn")
    assert "does not tell its domain" in message
    assert ".mid .midi" in message
    assert ".smi" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "corpus", "--domain", "melody"], "leave out --part"),
        (["prior", "train", "melody", "--data", "c.npz"], "leave out --part, for `seqgen data`"),
        (["prior", "train", "melody"], "leave out --part"),
        (["prior", "evaluate", "melody", "-n", "1"], "--part: for a --data that is read"),
        (["prior", "evaluate", "melody", "--data", "c.npz"], "leave out --part, for `seqgen data`"),
        (["data", "zinc250k"], "corpora of domain 'molecule' have no option --part"),
        (["score", "a.smi"], "files of domain 'molecule' have no option --part"),
    ],
)
def test_part_is_refused_where_there_are_none(arguments, message, tmp_path):
    written = "r.md" if "evaluate" in arguments else "x.npz"
    out = [] if arguments[0] == "score" else ["--out", tmp_path / written]
    assert message in refused(*arguments, "--part", "1", *out)
