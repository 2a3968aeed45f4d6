"""The ``seqgen`` command: what it writes, what it says, and its exit codes."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import mido
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import seqgen_envs.cli as cli
from seqgen_envs import get_domain, load_prior_folder, registered_domains
from seqgen_envs.cli import agents, episodes
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.melody import DOMAIN, PRIORS
from seqgen_envs.domains.melody.metrics import PAPER_TABLE, summarize
from seqgen_envs.pretrain import PriorTrainer
from seqgen_envs.rollout import PriorPolicy

TINY = ["--cell", "gru", "--hidden", "12", "--embedding", "6", "--epochs", "2", "--dropout", "0.1"]


def run(*arguments, code=0, app=None):
    result = CliRunner().invoke(app or cli.make_app(), [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def refused(*arguments, code=1):
    """The last line on stderr of a command that is to fail."""
    result = run(*arguments, code=code)
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def term_sum(row):
    return sum(float(value) for name, value in row.items() if name.startswith("term_"))


def ids_of(row):
    return [int(token) for token in row["tokens"].split()]


def random_melodies(n, length=40):
    rng = np.random.default_rng(0)
    notes = [14, 16, 18, 19, 21, 23, 25]
    return [np.array(rng.choice(notes, length), dtype=np.int8) for _ in range(n)]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    out = tmp_path_factory.mktemp("sampled") / "deep"
    result = run("sample", "melody", "-n", 8, "--length", 16, "--max-files", 4, "--out", out)
    return out, table(out / "melodies.csv"), result


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory):
    melodies = random_melodies(20)
    corpus = Corpus(
        sequences=melodies,
        names=[str(i) for i in range(len(melodies))],
        splits=np.array(["train"] * 16 + ["validation"] * 2 + ["test"] * 2),
        source="test",
        vocabulary_fingerprint=DOMAIN.vocabulary.fingerprint,
    )
    path = tmp_path_factory.mktemp("corpus") / "tiny.npz"
    corpus.save(path)
    return path


# --- envs, version, help -----------------------------------------------------------------------


def test_envs_lists_every_id_with_its_facts():
    lines = run("envs").stdout.splitlines()
    (melody,) = [line for line in lines if "MelodyGen-v0" in line]
    for fact in ("melody", "38", "32", "rl-tuner*", "default*"):
        assert fact in melody
    (toy,) = [line for line in lines if "ToyGen-v0" in line]
    assert "letters*" in toy


def test_the_console_script_in_a_process_of_its_own():
    command = [sys.executable, "-c", "from seqgen_envs.cli import main; main()"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"seqgen {cli.__version__}\n"
    bad = subprocess.run([*command, "sample", "nope", "--out", "x"], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr == "Error: unknown domain 'nope'; registered: " + (
        f"{sorted(registered_domains())}\n"
    )
    debug = subprocess.run(
        [*command, "sample", "nope", "--out", "x"],
        capture_output=True,
        text=True,
        env={**os.environ, "SEQGEN_DEBUG": "1"},
    )
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
    assert "ValueError: unknown domain" in debug.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; import seqgen_envs.cli as cli\n"
        "result = CliRunner().invoke(cli.make_app(), ['prior', 'train', '--help'])\n"
        "assert '--batch-tokens' in result.stdout, result.stdout\n"
        "print(sorted({'torch', 'music21', 'matplotlib', 'rdkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- sample ------------------------------------------------------------------------------------


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


def test_the_summary_and_metrics_are_those_of_the_tokens(sampled):
    _, rows, result = sampled
    tokens = np.array([ids_of(row) for row in rows])
    assert DOMAIN.sequence_metrics is not None
    for name, values in DOMAIN.sequence_metrics(tokens).items():
        written = [float(row[f"metric_{name}"]) for row in rows]
        np.testing.assert_allclose(written, values, err_msg=name)
    line = next(text for text in result.stdout.splitlines() if "notes in motif" in text)
    assert f"{summarize(tokens)['notes_in_motif']:,.4g}" in line


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
    assert DOMAIN.read_sequence is not None
    start = DOMAIN.to_text(DOMAIN.read_sequence(file)[:5])
    rows = table(tmp_path / "file" / "melodies.csv")
    assert all(row["text"].startswith(start) for row in rows)
    bars = "C4 - E4 - " * 40  # longer than a file's name may be
    run(*common, "--length", 192, "--primer", bars, "--out", tmp_path / "long")
    longer = refused(*common[:4], "--length", 8, "--primer", "C4 " * 9, "--out", tmp_path)
    assert longer == "Error: primer has 9 tokens and must be shorter than length = 8"


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
    assert "agent.zip is no agent that broken, fake can load" in message
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
        (["toy", "--primer", __file__], "domain 'toy' reads no files"),
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


# --- score -------------------------------------------------------------------------------------


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
    }


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


# --- prior train -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus_file):
    out = tmp_path_factory.mktemp("trained") / "run"
    result = run("prior", "train", "melody", "--data", corpus_file, "--out", out, *TINY)
    return out, result


def test_train_says_what_it_did_and_the_prior_is_usable(trained, tmp_path):
    out, result = trained
    prior = load_prior_folder(out / "prior")
    config = prior.network.config
    assert (config.hidden_size, config.embedding_size, config.cell) == (12, 6, "gru")
    assert prior.metadata["config"]["learning_rate"] == 0.004  # the default preset's
    test_row = next(line for line in result.stdout.splitlines() if "test nats per token" in line)
    for name in ("test_nats_per_token", "test_nats_per_token_5gram"):
        assert f"{prior.metadata[name]:.4g}" in test_row
    assert result.stdout.count("epoch ") == 2
    run("sample", "melody", "-n", 4, "--prior", out / "prior", "--max-files", 0, "--out", tmp_path)
    rows = table(tmp_path / "melodies.csv")
    tokens = np.array([ids_of(row) for row in rows])
    import torch

    log_probs = prior.sequence_log_probs(torch.from_numpy(tokens)).numpy()
    expected = np.take_along_axis(log_probs, tokens[..., None], -1)[..., 0].sum(1)
    np.testing.assert_allclose([float(row["log_prior"]) for row in rows], expected, rtol=1e-4)


def test_a_stopped_run_resumes_to_the_same_prior(trained, corpus_file, tmp_path, monkeypatch):
    out, _ = trained
    arguments = ["prior", "train", "melody", "--data", corpus_file, "--out", tmp_path / "run"]
    save = PriorTrainer.save_checkpoint

    def save_and_die(self):
        save(self)
        raise OSError("the disk is full")

    monkeypatch.setattr(PriorTrainer, "save_checkpoint", save_and_die)
    assert refused(*arguments, *TINY) == "Error: the disk is full"
    monkeypatch.undo()
    assert "already holds a run: add --resume" in refused(*arguments, *TINY)
    assert "other settings (hidden_size)" in refused(
        *arguments, *TINY, "--hidden", "13", "--resume"
    )
    result = run(*arguments, *TINY, "--resume")
    assert result.stdout.count("epoch ") == 1
    resumed, whole = load_prior_folder(tmp_path / "run" / "prior"), load_prior_folder(out / "prior")
    assert resumed.fingerprint == whole.fingerprint


def test_training_starts_from_a_prior_and_keeps_its_sizes(trained, corpus_file, tmp_path):
    first = load_prior_folder(trained[0] / "prior")
    common = ("prior", "train", "melody", "--data", corpus_file, "--initial", trained[0] / "prior")
    options = ("--epochs", "1", "--dropout", "0.3", "--seed", "1")
    run(*common, "--out", tmp_path / "on", *options)
    prior = load_prior_folder(tmp_path / "on" / "prior")
    assert prior.network.config == replace(first.network.config, dropout=0.3)
    assert prior.metadata["initial_prior"] == first.fingerprint
    error = refused(*common, "--out", tmp_path / "other", "--hidden", "13")
    assert "other sizes (hidden_size)" in error
    second = tmp_path / "second"
    again = ("prior", "train", "molecule", "--preset", "zinc250k-valid", "--out", second)
    assert "goes on from a trained prior: give --initial" in refused(*again)
    assert "vocabularies differ" in refused(*again, "--initial", trained[0] / "prior")
    error = refused(*common, "--out", tmp_path / "valid", "--valid-weight", "1")
    assert "all sequences of this domain are valid" in error


def test_a_folder_of_files_trains_a_prior(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path / "cache"))
    letters = dict(zip((14, 16, 18, 19, 21, 23, 25), "CDEFGAB", strict=True))
    tunes = [
        f"X:{i}\nT:Tune {i}\nM:4/4\nL:1/16\nK:C\n{''.join(letters[int(t)] for t in melody)}\n\n"
        for i, melody in enumerate(random_melodies(60))
    ]
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / "tunes.abc").write_text("".join(tunes))
    (folder / "broken.mid").write_bytes(b"MThd, or so it says")
    result = run(
        *("prior", "train", "melody", "--data", folder, "--out", tmp_path / "run"),
        *(*TINY, "--epochs", "1", "--preset", "paper", "--window", "16", "--jobs", "1"),
        *("--learning-rate", "0.01", "--batch-tokens", "512", "--patience", "1", "--seed", "3"),
    )
    kept = next(line for line in result.stdout.splitlines() if "kept" in line)
    assert " 60 " in kept
    assert "dropped: unreadable" in result.stdout
    training = load_prior_folder(tmp_path / "run" / "prior").metadata
    assert sum(training["sequences"].values()) == 60
    settings = training["config"]
    assert (settings["epochs"], settings["window"], settings["seed"]) == (1, 16, 3)
    assert (settings["learning_rate"], settings["batch_tokens"]) == (0.01, 512)


def test_presets_name_the_bundled_priors_and_options_override_them():
    from seqgen_envs.cli.prior import preset_values

    for domain in (DOMAIN, get_domain("molecule")):
        for name in domain.priors:
            sizes = domain.load_prior(name).network.config.to_dict()
            said = {k: v for k, v in preset_values(domain, name).items() if k in sizes}
            assert said["hidden_size"]
            assert said.items() <= sizes.items()
    assert preset_values(DOMAIN, None) == preset_values(DOMAIN, "default")
    assert preset_values(get_domain("toy"), None) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["melody", "--data", "{empty}"], "holds no music files"),
        (["melody", "--data", "none"], "is not a folder"),
        (["melody", "--data", "none.npz"], "none.npz"),
        (["melody", "--preset", "huge"], "no preset 'huge'; it has ['default', 'paper']"),
        (["melody", "--cell", "elman"], "cell must be one of"),
        (["melody", "--epochs", "0"], "epochs must be above 0, got 0"),
        (["melody", "--device", "abacus"], "device must be cpu or cuda, got 'abacus'"),
        (["toy"], "domain 'toy' reads no corpora"),
        (["nope"], "unknown domain 'nope'"),
    ],
)
def test_what_train_refuses(arguments, message, tmp_path):
    (tmp_path / "empty").mkdir()
    given = [argument.format(empty=tmp_path / "empty") for argument in arguments]
    said = refused("prior", "train", *given, "--out", tmp_path / "run")
    assert said.startswith("Error: ")
    assert message in said
    assert not (tmp_path / "run").exists()


# --- prior evaluate ----------------------------------------------------------------------------


def test_evaluate_reports_metrics_beside_the_published_ones(tmp_path, trained, corpus_file):
    prior = trained[0] / "prior"
    arguments = ["prior", "evaluate", "melody", "-n", "300", "--seed", "5", "--prior", str(prior)]
    arguments += ["--data", str(corpus_file), "--out", str(tmp_path / "report.json")]
    result = run(*arguments)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["command"] == "seqgen " + " ".join(arguments)
    assert (report["seed"], report["samples"], report["length"]) == (5, 300, 32)
    assert set(report["machine"]) >= {"cpu", "cores", "python", "torch"}
    assert report["published"] == {model: dict(column) for model, column in PAPER_TABLE.items()}
    test_nats = load_prior_folder(prior).metadata
    ours = report["test_split"]
    assert ours["nats_per_token"] == pytest.approx(test_nats["test_nats_per_token"], abs=1e-4)
    assert ours["nats_per_token_5gram"] == pytest.approx(
        test_nats["test_nats_per_token_5gram"], abs=1e-4
    )
    markdown = (tmp_path / "report.md").read_text()
    in_motif = f"{report['metrics']['notes_in_motif']:.4g}"
    assert f"| notes_in_motif | {in_motif} | 0.059 | 0.757 |" in markdown
    assert report["command"] in markdown
    assert in_motif in next(x for x in result.stdout.splitlines() if "notes in motif" in x)


def test_evaluate_is_the_summary_of_the_same_samples(tmp_path):
    run("sample", "melody", "-n", 40, "--seed", 2, "--max-files", 0, "--out", tmp_path)
    run("prior", "evaluate", "melody", "-n", 40, "--seed", 2, "--out", tmp_path / "r.md")
    rows = table(tmp_path / "melodies.csv")
    metrics = json.loads((tmp_path / "r.json").read_text())["metrics"]
    expected = summarize(np.array([ids_of(row) for row in rows]))
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, nan_ok=True), name
    mean = np.mean([float(row["task_return"]) for row in rows])
    assert metrics["mean_task_return"] == pytest.approx(mean)


def test_what_evaluate_refuses(tmp_path):
    said = refused("prior", "evaluate", "melody", "-n", 1, "--out", tmp_path / "r.pdf")
    assert "must end in .json or .md" in said
    assert "unknown prior 'x'" in refused("prior", "evaluate", "melody", "--prior", "x")
