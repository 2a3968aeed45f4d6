"""``seqgen prior``: training and evaluating priors, and what the two refuse."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.commands import ids_of, refused, run, table
from seqgen_envs import get_domain, load_prior_folder
from seqgen_envs.cli.prior import preset_values
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.domains.melody import DOMAIN
from seqgen_envs.domains.melody.metrics import PAPER_TABLE, summarize
from seqgen_envs.pretrain import PriorTrainer

TINY = ["--cell", "gru", "--hidden", "12", "--embedding", "6", "--epochs", "2", "--dropout", "0.1"]


def random_melodies(n, length=40):
    rng = np.random.default_rng(0)
    notes = [14, 16, 18, 19, 21, 23, 25]
    return [np.array(rng.choice(notes, length), dtype=np.int8) for _ in range(n)]


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory):
    melodies = random_melodies(20)
    corpus = Corpus(
        sequences=melodies,
        names=[str(i) for i in range(len(melodies))],
        splits=np.array(["train"] * 16 + ["validation"] * 2 + ["test"] * 2),
        source="test",
        vocabulary=DOMAIN.vocabulary,
    )
    path = tmp_path_factory.mktemp("corpus") / "tiny.npz"
    corpus.save(path)
    return path


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
    assert prior.metadata["config"]["learning_rate"] == preset_values(DOMAIN, None)["learning_rate"]
    test_row = next(line for line in result.stdout.splitlines() if "test nats per token" in line)
    for name in ("test_nats_per_token", "test_nats_per_token_5gram"):
        assert f"{prior.metadata[name]:.4g}" in test_row
    assert result.stdout.count(": train ") == 2
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
    assert result.stdout.count(": train ") == 1
    resumed, whole = load_prior_folder(tmp_path / "run" / "prior"), load_prior_folder(out / "prior")
    assert resumed.fingerprint == whole.fingerprint


def test_a_training_that_learns_nothing_says_so(trained, corpus_file, tmp_path):
    """At this rate every epoch forgets more: the first one is kept, the others were for nothing."""
    common = ("prior", "train", "melody", "--data", corpus_file, "--initial", trained[0] / "prior")
    options = ("--epochs", 9, "--patience", 1, "--learning-rate", 30, "--out", tmp_path / "on")
    result = run(*common, *options)
    said = " ".join(result.stdout.split())
    assert re.search(r"the training stopped after \d of 9 epochs, as the validation loss had", said)
    assert "nothing was learned: the prior to start from has the better" in result.stderr
    assert "try a lower --learning-rate, such as 3, or more sequences" in result.stderr


def test_training_starts_from_a_prior_and_keeps_its_sizes(trained, corpus_file, tmp_path):
    first = load_prior_folder(trained[0] / "prior")
    common = ("prior", "train", "melody", "--data", corpus_file, "--initial", trained[0] / "prior")
    options = ("--epochs", "1", "--dropout", "0.3", "--seed", "1")
    said = run(*common, "--out", tmp_path / "on", *options).stdout
    prior = load_prior_folder(tmp_path / "on" / "prior")
    before = prior.metadata["initial_validation_nats_per_token"]
    assert before == pytest.approx(first.metadata["validation_nats_per_token"], abs=1e-4)
    after = prior.metadata["validation_nats_per_token"]
    assert f"before: validation {before:.4f} nats per token" in said
    kept = r"epoch 0 is kept; all 1 epochs were run; validation ([\d.]+) -> ([\d.]+) nats per token"
    (figures,) = re.findall(kept, said)
    assert [float(figure) for figure in figures] == pytest.approx([before, after], abs=2e-4)
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
    for domain in (DOMAIN, get_domain("molecule")):
        for name in set(domain.priors) - {"bigram"}:  # counted, not trained
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
        (["melody", "--data", "none"], "is neither a folder nor a file"),
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
    assert "| | this prior (measured) | Note RNN (published) | Q (published) |" in markdown
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


def test_evaluate_measures_by_the_tasks_key_and_bars(tmp_path):
    task = '{"key": "D minor", "bar_length": 12}'
    run("sample", "melody", "-n", 20, "--length", 48, "--max-files", 0, "--out", tmp_path)
    common = ["prior", "evaluate", "melody", "-n", 20, "--length", 48, "--task", task]
    run(*common, "--out", tmp_path / "r.md")
    ids = np.array([ids_of(row) for row in table(tmp_path / "melodies.csv")])
    metrics = json.loads((tmp_path / "r.json").read_text())["metrics"]
    in_d = summarize(ids, "D minor", 12)
    for name, value in in_d.items():
        assert metrics[name] == pytest.approx(value, nan_ok=True), name
    assert in_d["notes_not_in_key"] != summarize(ids)["notes_not_in_key"]


def test_what_evaluate_refuses(tmp_path):
    said = refused("prior", "evaluate", "melody", "-n", 1, "--out", tmp_path / "r.pdf")
    assert "must end in .json or .md" in said
    assert "unknown prior 'x'" in refused("prior", "evaluate", "melody", "--prior", "x")
