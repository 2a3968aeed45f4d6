"""``seqgen sample``: what it writes, what it says, and its exit codes."""

import importlib.util
import sys
import wave
import xml.etree.ElementTree as ET
from importlib.metadata import EntryPoint

import mido
import numpy as np
import pytest
import typer

import seqgen_envs.cli as cli
from helpers.commands import ids_of, refused, run, table, term_sum
from seqgen_envs import agents, get_domain
from seqgen_envs.cli import episodes
from seqgen_envs.domains.melody import DOMAIN, PRIORS
from seqgen_envs.domains.melody.metrics import summarize
from seqgen_envs.domains.melody.notation import write_musicxml
from seqgen_envs.domains.melody.sheet import Sheet
from seqgen_envs.domains.melody.sound import write_midi
from seqgen_envs.rollout import PriorPolicy


def test_sample_writes_files_and_a_consistent_csv(sampled):
    out, rows, result = sampled
    assert len(rows) == 8
    written = sorted(path.name for path in out.iterdir() if path.suffix == ".mid")
    assert written == [f"melody-{i:04d}.mid" for i in range(4)]
    suffixes = [".mid", ".musicxml", ".png", ".prior.png", ".wav"]
    if importlib.util.find_spec("verovio"):
        suffixes.append(".svg")
    first = [path.name for path in out.iterdir() if path.name.startswith("melody-0000")]
    assert sorted(first) == sorted(f"melody-0000{suffix}" for suffix in suffixes)
    for row in rows:
        ids = np.array(ids_of(row))
        assert len(ids) == int(row["length"]) == 16
        assert DOMAIN.to_text(ids) == row["text"]
        assert term_sum(row) == pytest.approx(float(row["task_return"]), abs=1e-9)
        expected = float(row["log_prior"]) + float(row["task_return"]) / 0.5
        assert float(row["return"]) == pytest.approx(expected)
        assert float(row["log_prior"]) < 0
    assert any(float(row["task_return"]) for row in rows)
    assert "8 melodies" in result.stdout
    assert "melodies.csv has all 8" in result.stdout


def test_no_pictures(tmp_path):
    run("sample", "melody", "-n", 2, "--length", 8, "--no-pictures", "--out", tmp_path)
    suffixes = {path.name.partition(".")[2] for path in tmp_path.iterdir()}
    assert suffixes == {"mid", "wav", "musicxml", "csv"}
    error = refused("sample", "toy", "-n", 1, "--no-pictures", "--out", tmp_path / "toy")
    assert "files of domain 'toy' have no option --no-pictures" in error


def test_the_summary_and_metrics_are_those_of_the_tokens(sampled):
    _, rows, result = sampled
    tokens = np.array([ids_of(row) for row in rows])
    assert DOMAIN.metrics.each is not None
    for name, values in DOMAIN.metrics.each(tokens).items():
        written = [float(row[f"metric_{name}"]) for row in rows]
        np.testing.assert_allclose(written, values, err_msg=name)
    line = next(text for text in result.stdout.splitlines() if "notes in motif" in text)
    assert f"{summarize(tokens)['notes_in_motif']:,.4g}" in line


def test_files_carry_key_bars_and_what_is_asked_for(tmp_path):
    task = '{"name": "recommended", "key": "D minor", "bar_length": 12}'
    run(
        *("sample", "melody", "-n", 1, "--length", 24, "--task", task, "--out", tmp_path),
        *("--transpose", "+2", "--tempo", 90, "--instrument", "violin"),
        *("--title", "Row & <Rows>", "--composer", "Zoë"),
    )
    (row,) = table(tmp_path / "melodies.csv")
    track = mido.MidiFile(tmp_path / "melody-0000.mid", charset="utf-8").tracks[0]
    said = {message.type: message for message in track}
    assert said["key_signature"].key == "Em"
    assert (said["time_signature"].numerator, said["time_signature"].denominator) == (3, 4)
    assert said["set_tempo"].tempo == round(60e6 / 90)
    assert said["program_change"].program == 40
    assert (said["track_name"].name, said["text"].text) == ("Row & <Rows>", "Zoë")
    pitches = [message.note for message in track if message.type == "note_on"]
    assert pitches == [i + 46 + 2 for i in ids_of(row) if i > 1]
    root = ET.parse(tmp_path / "melody-0000.musicxml").getroot()
    found = {tag: root.findtext(f".//{tag}") for tag in ("fifths", "mode", "beats", "per-minute")}
    assert found == {"fifths": "1", "mode": "minor", "beats": "3", "per-minute": "90"}
    assert root.findtext(".//work-title") == "Row & <Rows>"
    assert root.findtext(".//creator[@type='composer']") == "Zoë"
    assert root.findtext(".//midi-program") == "41"  # counted from 1 there
    assert len(list(root.iter("measure"))) == 2
    with wave.open(str(tmp_path / "melody-0000.wav")) as file:
        assert file.getnframes() == round(24 * 15 / 90 * 22050)


@pytest.mark.parametrize(
    ("domain", "option", "message"),
    [
        ("toy", ("--tempo", 90), "files of domain 'toy' have no option --tempo"),
        ("molecule", ("--title", "x"), "files of domain 'molecule' have no option --title"),
        ("melody", ("--tempo", 3), "a tempo of 3.0 is outside 5..1000"),
        ("melody", ("--transpose", "H"), "unknown key 'H major'; expected a tonic"),
        ("melody", ("--transpose", 45), "leaves what MIDI can hold: -48..44"),
        ("melody", ("--instrument", "violn"), "did you mean 'violin'"),
        ("melody", ("--title", "a\nb"), "holds characters that cannot be written"),
        ("melody", ("--task", '{"bar_length": 256}'), "a bar of 256 sixteenths is outside 1..255"),
    ],
)
def test_what_files_cannot_be_is_said_before_sampling(domain, option, message, tmp_path):
    assert message in refused("sample", domain, "-n", 1, "--out", tmp_path, *option)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_musicxml, write_midi])
def test_an_upbeat_of_the_primers_file_is_kept(write, tmp_path):
    file = tmp_path / ("upbeat.mid" if write is write_midi else "upbeat.musicxml")
    write([14, 1, 1, 1, 16, 1, 1, 1, 18, *[1] * 7], file, Sheet(bar_length=12, pickup=4))
    task = '{"bar_length": 12}'
    out = tmp_path / "out"
    run("sample", "melody", "-n", 1, "--task", task, "--primer", file, "--length", 28, "--out", out)
    measures = list(ET.parse(out / "melody-0000.musicxml").getroot().iter("measure"))
    assert [(m.get("implicit"), m.get("number")) for m in measures] == [
        ("yes", "0"), ("no", "1"), ("no", "2")
    ]  # fmt: skip
    metres = [m for m in mido.MidiFile(out / "melody-0000.mid") if m.type == "time_signature"]
    assert [(metre.numerator, metre.denominator) for metre in metres] == [(1, 4), (3, 4)]


def test_a_primer_in_another_key_is_moved_to_the_priors_and_back(tmp_path, caplog):
    file = tmp_path / "in-e.abc"
    file.write_text("X:1\nM:4/4\nL:1/8\nK:E\nEFGA|Bcde|\n")
    common = ("sample", "melody", "-n", 1, "--length", 24, "--no-pictures", "--primer", file)
    run(*common, "--out", tmp_path / "as-it-is")
    assert "its key is E major or C# minor" in caplog.text
    result = run(*common, "--fit-key", "--out", tmp_path / "moved")
    assert "The files are transposed (4)" in result.stdout
    (row,) = table(tmp_path / "moved" / "melodies.csv")
    assert row["text"].startswith("C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 -")
    written = mido.MidiFile(tmp_path / "moved" / "melody-0000.mid")
    notes = [message.note for message in written if message.type == "note_on"]
    assert notes[:8] == [64, 66, 68, 69, 71, 73, 75, 76]
    assert [m.key for m in written if m.type == "key_signature"] == ["E"]
    run(*common, "--fit-key", "--transpose", 0, "--out", tmp_path / "there")
    written = mido.MidiFile(tmp_path / "there" / "melody-0000.mid")
    assert next(message.note for message in written if message.type == "note_on") == 60
    assert "--fit-key is for a --primer" in refused(*common[:-2], "--fit-key", "--out", tmp_path)


def test_the_seed_decides(sampled, tmp_path):
    _, rows, _ = sampled
    arguments = ["sample", "melody", "-n", 8, "--length", 16, "--max-files", 0]
    run(*arguments, "--out", tmp_path / "same")
    run(*arguments, "--seed", 1, "--out", tmp_path / "other")
    assert table(tmp_path / "same" / "melodies.csv") == rows
    other = table(tmp_path / "other" / "melodies.csv")
    assert [row["tokens"] for row in other] != [row["tokens"] for row in rows]
    assert [path.name for path in (tmp_path / "same").iterdir()] == ["melodies.csv"]


def test_files_of_an_earlier_run_are_pointed_out(tmp_path):
    common = ["sample", "toy", "--out", tmp_path]
    assert "earlier run" not in run(*common).stderr
    (tmp_path / "toy-0099.mid").touch()
    said = run(*common).stderr
    assert "also holds 1 files of an earlier run, such as toy-0099.mid" in said


def test_temperature_prior_and_c(tmp_path):
    common = ["sample", "melody", "-n", 32, "--max-files", 0]
    run(*common, "--temperature", 0.05, "--c", 2, "--out", tmp_path / "cold")
    run(*common, "--temperature", 3, "--prior", PRIORS / "paper", "--out", tmp_path / "hot")
    cold, hot = (table(tmp_path / name / "melodies.csv") for name in ("cold", "hot"))
    for row in cold:
        expected = float(row["log_prior"]) + float(row["task_return"]) / 2
        assert float(row["return"]) == pytest.approx(expected)
    means = [np.mean([float(row["log_prior"]) for row in rows]) for rows in (cold, hot)]
    assert means[0] > means[1] + 10


def test_primers_of_a_file_are_drawn_by_the_seed(tmp_path):
    file = tmp_path / "starts.txt"
    file.write_text("a\nbb\n")
    for out in ("one", "two"):
        run("sample", "toy", "-n", 20, "--primer", file, "--seed", 3, "--out", tmp_path / out)
    texts = [row["text"] for row in table(tmp_path / "one" / "toys.csv")]
    assert {text[: 1 if text[0] == "a" else 2] for text in texts} == {"a", "bb"}
    assert texts == [row["text"] for row in table(tmp_path / "two" / "toys.csv")]


def test_a_primer_as_text_and_as_a_file(sampled, tmp_path):
    out, _, _ = sampled
    common = ["sample", "melody", "-n", 3, "--length", 16, "--max-files", 0]
    text = "C4 - E4 -"
    run(*common, "--primer", text, "--out", tmp_path / "text")
    rows = table(tmp_path / "text" / "melodies.csv")
    assert all(row["text"].startswith(text) for row in rows)
    for row in rows:  # twelve chosen tokens: the primer is not among them
        per_token = float(row["log_prior"]) / 12
        assert float(row["log_prior_per_token"]) == pytest.approx(per_token)
    file = out / "melody-0000.mid"
    run(*common, "--primer", file, "--primer-length", 5, "--out", tmp_path / "file")
    assert DOMAIN.files.read is not None
    start = DOMAIN.to_text(DOMAIN.files.read(file)[:5])
    rows = table(tmp_path / "file" / "melodies.csv")
    assert all(row["text"].startswith(start) for row in rows)
    bars = "C4 - E4 - " * 40  # longer than a file's name may be
    run(*common, "--length", 192, "--primer", bars, "--out", tmp_path / "long")
    longer = refused(*common[:4], "--length", 8, "--primer", "C4 " * 9, "--out", tmp_path)
    assert longer == (
        "Error: the primer has 9 tokens and must be shorter than length = 8: give --length above "
        "9, or --primer-length N for its first N tokens (-N: its last)"
    )
    assert "keeps nothing" in refused(
        *common, "--primer", text, "--primer-length", 0, "--out", tmp_path
    )


def test_the_end_of_a_tune_is_continued_in_its_bars(tmp_path):
    file = tmp_path / "tune.abc"
    file.write_text("X:1\nM:3/4\nL:1/8\nK:C\nCDEFGA|BcBAGF|EDCDEF|\n")
    common = ["sample", "melody", "-n", 1, "--task", '{"bar_length": 12}', "--primer", file]
    common += ["--length", 32, "--no-pictures"]
    run(*common, "--primer-length", -16, "--out", tmp_path / "end")
    (row,) = table(tmp_path / "end" / "melodies.csv")
    assert row["text"].startswith("G4 - F4 - E4 - D4 - C4 - D4 - E4 - F4 -")
    bars = ET.parse(tmp_path / "end" / "melody-0000.musicxml").getroot().iter("measure")
    assert next(bars).get("implicit") == "yes"  # sixteen steps hold a bar and a third
    run(*common, "--primer-length", -24, "--out", tmp_path / "bars")
    bars = ET.parse(tmp_path / "bars" / "melody-0000.musicxml").getroot().iter("measure")
    assert next(bars).get("implicit") == "no"


def test_without_verovio_only_the_scores_are_missing(tmp_path, monkeypatch, caplog):
    from seqgen_envs.domains import melody

    monkeypatch.setitem(sys.modules, "verovio", None)
    melody._can_engrave.cache_clear()
    try:
        run("sample", "melody", "-n", 2, "--length", 8, "--out", tmp_path)
    finally:
        melody._can_engrave.cache_clear()
    assert not list(tmp_path.glob("*.svg"))
    assert len(list(tmp_path.glob("*.mid"))) == 2
    (record,) = [r for r in caplog.records if "SVG" in r.getMessage()]
    assert "seqgen[notation]" in record.getMessage()


def test_a_domain_of_sequences_that_end_and_have_no_files(tmp_path):
    run("sample", "toy", "-n", 30, "--out", tmp_path, "--task", '{"name": "letters"}')
    rows = table(tmp_path / "toys.csv")
    assert {int(row["length"]) for row in rows} > {1, 5}
    assert [path.name for path in tmp_path.iterdir()] == ["toys.csv"]
    toy = get_domain("toy")
    for row in rows[:10]:  # a text leaves its end token out; replaying puts it back
        ids = toy.to_ids(row["text"])
        prior, task = toy.load_prior(), toy.make_task()
        again = episodes.replay(toy, ids, prior, task, 0.5)
        if int(row["length"]) < toy.horizon:
            assert float(again.log_prior_total[0]) == pytest.approx(float(row["log_prior"]))
            assert float(again.task_return[0]) == pytest.approx(float(row["task_return"]))


class FakeLoader:
    """Loads 'agents' that are files ending in .fake, and acts as a very cold prior."""

    @staticmethod
    def can_load(path):
        return path.suffix == ".fake"

    @staticmethod
    def environment(path):
        return {"length": 8}

    @staticmethod
    def load(path, env, seed):
        assert env.lanes.horizon == 8
        return PriorPolicy(seed, temperature=1e-3)


def test_agents_are_found_through_entry_points(tmp_path, monkeypatch):
    entries = [
        EntryPoint("broken", "no_such_module:thing", agents.AGENTS_GROUP),
        EntryPoint("fake", f"{__name__}:FakeLoader", agents.AGENTS_GROUP),
    ]
    monkeypatch.setattr(agents, "entry_points", lambda group: entries)
    (tmp_path / "agent.fake").touch()
    (tmp_path / "agent.zip").touch()
    common = ["sample", "melody", "-n", 6, "--max-files", 0, "--out", tmp_path]
    run(*common, "--agent", tmp_path / "agent.fake")
    assert len({row["text"] for row in table(tmp_path / "melodies.csv")}) == 1
    message = refused(*common, "--agent", tmp_path / "agent.zip")
    assert "agent.zip is no agent; expected what 'fake' reads; could not be imported" in message
    assert "no_such_module" in message
    assert "no such file" in refused(*common, "--agent", tmp_path / "none")
    cold = refused(*common, "--agent", tmp_path / "agent.fake", "--temperature", 2)
    assert "--temperature is the prior's" in cold
    monkeypatch.setattr(agents, "entry_points", lambda group: [])
    assert "no installed package loads agents" in refused(
        *common, "--agent", tmp_path / "agent.zip"
    )


def test_other_packages_add_commands(monkeypatch, capsys):
    added = typer.Typer()
    added.command("inner")(lambda: print("from inside"))
    added.callback()(lambda: None)
    things = {"greet": lambda: print("hello"), "group": added}

    class Entry:
        def __init__(self, name):
            self.name, self.value = name, f"elsewhere:{name}"

        def load(self):
            return things[self.name]

    names = ["envs", "greet", "group", "missing"]
    monkeypatch.setattr(cli, "entry_points", lambda group: [Entry(name) for name in names])
    app = cli.make_app()
    cli.add_plugins(app)
    said = capsys.readouterr().err
    assert "'envs' of elsewhere:envs is left out: the name is taken" in said
    assert "'missing' of elsewhere:missing cannot be loaded: KeyError" in said
    assert run("greet", app=app).stdout == "hello\n"
    assert run("group", "inner", app=app).stdout == "from inside\n"
    assert "MelodyGen-v0" in run("envs", app=app).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown domain 'nope'; registered: "),
        (["melody", "--prior", "nope"], "unknown prior 'nope' for domain 'melody'"),
        (["melody", "--task", "nope"], "unknown task 'nope' for domain 'melody'"),
        (["melody", "--task", '{"name": '], "is not JSON"),
        (["melody", "--c", "0"], "c must be a finite number > 0, got 0.0"),
        (["melody", "--c", "-1"], "c must be a finite number > 0, got -1.0"),
        (["melody", "--length", "7"], "length must be a whole number >= 8"),
        (["melody", "--temperature", "0"], "temperature must be > 0, got 0.0"),
        (["melody", "--primer", "none.mid"], "'none.mid' is neither a file nor a text"),
        (["toy", "--primer", __file__], "line 1 of "),
        (["toy", "--prior", PRIORS / "default"], "domain 'toy' has 4 tokens, the prior has 38"),
    ],
)
def test_what_sample_refuses(arguments, message, tmp_path):
    said = refused("sample", *arguments, "--out", tmp_path / "out")
    assert said.startswith("Error: ")
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_to_write_to(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for command in (["sample", "toy"], ["prior", "train", "melody"]):
        assert refused(*command, "--out", file).endswith("is a file; give the name of a folder")


def test_usage_errors_have_code_2(tmp_path):
    run("sample", "melody", code=2)
    run("sample", "melody", "--out", tmp_path, "-n", 0, code=2)
