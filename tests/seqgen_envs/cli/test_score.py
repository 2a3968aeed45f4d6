"""``seqgen score``: figures of sampled and of other files, and what it refuses."""

import mido
import pytest

from helpers.commands import ids_of, refused, run, table, term_sum
from seqgen_envs.domains.melody.metrics import melody_stats


def test_a_sampled_file_scores_as_it_was_sampled(sampled, tmp_path):
    out, rows, _ = sampled
    files = [out / f"{row['name']}{suffix}" for row in rows[:4] for suffix in (".mid", ".musicxml")]
    run("score", *files, "--csv", tmp_path / "scores.csv")
    scores = {row["name"]: row for row in table(tmp_path / "scores.csv")}
    assert list(scores) == [str(file) for file in files]
    compared = 0
    for row in rows[:4]:
        for suffix in (".mid", ".musicxml"):
            score = scores[str(out / f"{row['name']}{suffix}")]
            if score["tokens"] != row["tokens"]:  # rests at either end are not in a file
                continue
            compared += 1
            for name in row.keys() - {"name", "text", "tokens"}:
                expected, got = float(row[name]), float(score[name])
                assert got == pytest.approx(expected, rel=1e-4, nan_ok=True), name
    assert compared >= 2


def test_the_prior_option_changes_the_log_prior_alone(sampled, tmp_path):
    file = sampled[0] / "melody-0000.mid"
    run("score", file, "--csv", tmp_path / "a.csv")
    run("score", file, "--csv", tmp_path / "b.csv", "--prior", "paper")
    (ours,), (paper,) = table(tmp_path / "a.csv"), table(tmp_path / "b.csv")
    assert {name for name in ours if ours[name] != paper[name]} == {
        "log_prior",
        "log_prior_per_token",
        "return",
        "return_per_token",
    }


def test_metrics_are_those_of_the_tasks_key_and_bars(sampled, tmp_path):
    files = [sampled[0] / f"melody-000{i}.mid" for i in range(4)]
    task = '{"key": "D minor", "bar_length": 12}'
    run("score", *files, "--task", task, "--csv", tmp_path / "d.csv")
    for row in table(tmp_path / "d.csv"):
        for name, values in melody_stats([ids_of(row)], "D minor", 12).items():
            assert float(row[f"metric_{name}"]) == pytest.approx(values[0], nan_ok=True), name
        # the rule fines each note out of the key by 1
        assert float(row["metric_notes_not_in_key"]) == -float(row["term_key"])


def write_midi(path, notes):
    """Notes of (onset, duration, pitch) in quarters."""
    events = sorted(
        [(on, 1, pitch) for on, _, pitch in notes] + [(on + n, 0, pitch) for on, n, pitch in notes]
    )
    track, now = mido.MidiTrack(), 0
    for time, is_on, pitch in events:
        kind = "note_on" if is_on else "note_off"
        track.append(mido.Message(kind, note=pitch, time=round(480 * (time - now))))
        now = time
    midi = mido.MidiFile(ticks_per_beat=480)
    midi.tracks.append(track)
    midi.save(path)
    return path


def test_bad_files_are_named_and_the_others_scored(tmp_path):
    good = write_midi(tmp_path / "good.mid", [(i, 1, 60 + 2 * i) for i in range(4)])
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"MThd, or so it says")
    lines = write_midi(
        tmp_path / "lines.mid",
        [(i, 1, 72 + i % 3) for i in range(8)] + [(i / 2, 0.5, 50 + i % 5) for i in range(16)],
    )
    short = write_midi(tmp_path / "short.mid", [(0, 0.25, 60), (0.25, 0.25, 62)])
    none = tmp_path / "none.mid"
    result = run(
        *("score", broken, good, short, lines, none, "--csv", tmp_path / "deep" / "scores.csv"),
        code=1,
    )
    (row,) = table(tmp_path / "deep" / "scores.csv")
    assert row["name"] == str(good)
    assert row["text"] == "C4 - - - D4 - - - E4 - - - F#4 - - -"
    assert float(row["term_key"]) == -1.0
    assert term_sum(row) == pytest.approx(float(row["task_return"]))
    said = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(said) == 4
    for file, line, message in zip(
        (broken, short, lines, none),
        said,
        (
            "cannot be parsed",
            "it has 2 tokens; melodies have at least 8",
            "polyphonic: several notes sound together",
            "not exist",
        ),
        strict=True,
    ):
        assert str(file) in line
        assert message in line


def test_what_score_refuses_at_once(sampled, tmp_path):
    file = sampled[0] / "melody-0000.mid"
    assert "domain 'toy' reads no files" in refused("score", file, "--domain", "toy")
    assert "unknown prior 'x'" in refused("score", file, "--prior", "x")
    assert "c must be a finite number > 0" in refused("score", file, "--c", "0")


SCALE = "CDEF|GABc|c2B2|A2G2|"


def abc(*tunes):
    heads = "X:{}\nT:Tune {}\nM:4/4\nL:1/8\nK:C\n"
    return "\n".join(heads.format(i, i) + tune + "\n" for i, tune in enumerate(tunes, 1))


def test_all_tunes_of_a_file_are_scored_and_compared_by_token(tmp_path):
    file = tmp_path / "many.abc"
    file.write_text(abc(SCALE, "[CE]D[EG]F[GB]ABc|", *(SCALE * n for n in range(2, 8))))
    result = run("score", file, "--csv", tmp_path / "s.csv", code=1)
    (problem,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert f"{file}, #2 Tune 2: it is not usable as a melody: polyphonic" in problem
    rows = table(tmp_path / "s.csv")
    assert [row["name"] for row in rows] == [
        f"{file}, #{i} Tune {i}" for i in (1, 3, 4, 5, 6, 7, 8)
    ]
    for row in rows:
        for name in ("log_prior", "task_return", "return"):
            per_token = float(row[name]) / int(row["length"])
            assert float(row[f"{name}_per_token"]) == pytest.approx(per_token)
    assert "Melodies, per token" in result.stdout
    assert "#8 Tune 8" in result.stdout
    alone = tmp_path / "alone.abc"
    alone.write_text(abc(SCALE))
    run("score", alone, "--csv", tmp_path / "a.csv")
    (row,) = table(tmp_path / "a.csv")
    assert {**row, "name": rows[0]["name"]} == rows[0]


def test_a_tune_in_another_key_is_named_and_moved_if_asked(tmp_path):
    for name, key in (("in-c", "C"), ("in-d", "D")):
        (tmp_path / f"{name}.abc").write_text(abc(SCALE).replace("K:C", f"K:{key}"))
    shifted = "DEFG|ABcd|d2c2|B2A2|"  # the scale of C, a tone higher
    (tmp_path / "in-d.abc").write_text(abc(shifted).replace("K:C", "K:D"))
    low = tmp_path / "low.abc"
    low.write_text(abc("C,,,D,,,E,,,F,,,|G,,,A,,,B,,,C,,|C,,2B,,,2|A,,,2G,,,2|"))

    result = run("score", tmp_path / "in-d.abc", tmp_path / "in-c.abc", low, code=1)
    (notice,) = [line for line in result.stdout.splitlines() if "--fit-key" in line]
    assert "in-d.abc: its key is D major or B minor" in notice
    assert "--fit-key moves a tune into it" in result.stderr
    csv = tmp_path / "s.csv"
    options = ("--fit-key", "--csv", csv)
    result = run("score", *(tmp_path / f"{name}.abc" for name in ("in-c", "in-d", "low")), *options)
    (notice,) = [line for line in result.stdout.splitlines() if "moved by" in line]
    assert "in-d.abc: D major or B minor, moved by -2 semitones" in notice
    assert "(1 more melodies likewise)" in notice
    first, second, third = table(csv)
    assert first["text"].startswith("C4 - D4 - E4 - F4 -")
    assert second["tokens"] == first["tokens"]
    assert third["text"].startswith("C3 -")
