"""Maximum-likelihood training: it learns, stops in time, and resumes exactly."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.pretrain import PriorTrainer, TrainingConfig, cut, evaluate, pad
from seqgen_envs.prior import RecurrentPrior, load_prior_folder
from seqgen_envs.recurrent import RecurrentConfig
from seqgen_envs.vocabulary import Vocabulary

ABCD = Vocabulary(("a", "b", "c", "d"))
QUICK = TrainingConfig(
    epochs=3, batch_tokens=64, learning_rate=0.02, warmup_steps=5, checkpoint_seconds=0.0
)
SIZES = RecurrentConfig(4, "gru", 4, 12, dropout=0.2)


def corpus_of(sequences, splits=None):
    n = len(sequences)
    if splits is None:
        splits = ["train"] * (n - 20) + ["validation"] * 10 + ["test"] * 10
    return Corpus(
        [np.array(s, dtype=np.int8) for s in sequences],
        [str(i) for i in range(n)],
        np.array(splits),
        "made up",
        ABCD,
    )


def cycles(n=80, seed=0):
    """Tokens count up modulo 4 from a random one: uniform alone, certain given the one before."""
    rng = np.random.default_rng(seed)
    return [(np.arange(rng.integers(6, 13)) + rng.integers(4)) % 4 for _ in range(n)]


def noise(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 4, 8) for _ in range(n)]


def trainer_of(folder, corpus=None, config=QUICK, sizes=SIZES, augment=None, initial=None):
    corpus = corpus_of(cycles()) if corpus is None else corpus
    return PriorTrainer(corpus, ABCD, sizes, config, folder, augment=augment, initial=initial)


def weights(trainer):
    return {k: v.clone() for k, v in trainer.network.state_dict().items()}


def assert_equal_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def shift(ids, rng):
    """Another spelling of a cycle: the same steps from another token."""
    return (ids + rng.integers(4)) % 4


def with_changes(**changes):
    return TrainingConfig(**{**vars(QUICK), **changes})


class KilledError(Exception):
    """Stands for the power going off."""


def kill_after(trainer, batches):
    """Train until so many batches are done, then die without a word."""
    train_batch, done = trainer._train_batch, 0

    def dying(*args):
        nonlocal done
        if done == batches:
            raise KilledError
        done += 1
        train_batch(*args)

    trainer._train_batch = dying
    with pytest.raises(KilledError):
        trainer.train()


# -- learning -------------------------------------------------------------------------------------


def test_learns_a_pattern_below_unigram_entropy(tmp_path):
    figures = []
    prior = trainer_of(tmp_path, config=with_changes(epochs=15)).train(on_epoch=figures.append)
    nats = figures[-1]["validation_nats"]
    first_token = math.log(4) / 9  # nobody can know it
    assert first_token * 0.7 < nats < 0.5 * math.log(4)
    assert figures[0]["validation_nats"] > nats
    assert figures[-1]["validation_accuracy"] > 0.8
    assert [f["epoch"] for f in figures] == list(range(len(figures)))
    written = load_prior_folder(tmp_path / "prior")
    assert written.fingerprint == prior.fingerprint
    chances = written.sequence_log_probs(torch.tensor([[0, 1, 2, 3, 0]]))[0].exp()
    assert chances[[1, 2, 3, 4], [1, 2, 3, 0]].min() > 0.8


def test_summary_is_true(tmp_path):
    trainer = trainer_of(tmp_path, config=with_changes(epochs=8))
    prior = trainer.train()
    tests = trainer.splits["test"]
    log_probs, count = 0.0, 0
    for sequence in tests:
        ids = torch.from_numpy(sequence.astype(np.int64))[None]
        log_probs += prior.sequence_log_probs(ids).gather(-1, ids[..., None]).sum().item()
        count += len(sequence)
    assert prior.metadata["test_nats_per_token"] == pytest.approx(-log_probs / count, abs=1e-4)
    trained = sum(len(s) for s in trainer.splits["train"])
    assert prior.metadata["tokens"]["train"] == trained
    assert prior.metadata["tokens_seen"] == trained * prior.metadata["epochs"]
    assert prior.metadata["sequences"] == {"train": 60, "validation": 10, "test": 10}
    json.dumps(prior.metadata)


def test_evaluate_does_not_depend_on_batches(tmp_path):
    trainer = trainer_of(tmp_path)
    sequences = trainer.splits["train"]
    alone = evaluate(trainer.network, sequences, ABCD, batch_tokens=1)
    together = evaluate(trainer.network, sequences, ABCD, batch_tokens=10_000)
    assert alone == pytest.approx(together, abs=1e-6)


def test_stops_when_validation_no_longer_improves(tmp_path):
    trainer = trainer_of(tmp_path, corpus_of(noise()), with_changes(epochs=60, patience=2))
    figures = []
    prior = trainer.train(on_epoch=figures.append)
    losses = [f["validation_nats"] for f in figures]
    best = int(np.argmin(losses))
    assert len(figures) < 60
    assert len(figures) == best + 1 + 2
    assert prior.metadata["best_epoch"] == best
    kept, _ = evaluate(prior.network, trainer.splits["validation"], ABCD)
    assert kept == pytest.approx(losses[best], abs=1e-5)  # the best weights, not the last


# -- resuming -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [1, 17, 25])
def test_a_killed_run_resumes_exactly(tmp_path, batches):
    straight = trainer_of(tmp_path / "straight")
    finished = straight.train()
    per_epoch = len(straight._batches(0))
    assert per_epoch < 25 < 2 * per_epoch  # the last: one epoch and some batches
    kill_after(trainer_of(tmp_path / "killed"), batches)
    torch.manual_seed(999)  # another process would not have the same numbers either
    resumed = trainer_of(tmp_path / "killed")
    again = resumed.train(resume=True)
    assert again.fingerprint == finished.fingerprint
    assert_equal_weights(weights(resumed), weights(straight))
    assert resumed.progress.step == straight.progress.step
    mine, theirs = (
        [{k: v for k, v in f.items() if k != "tokens_per_second"} for f in t.progress.history]
        for t in (resumed, straight)
    )
    assert mine == theirs


def test_resuming_is_what_makes_the_difference(tmp_path):
    kill_after(trainer_of(tmp_path), 11)
    resumed = trainer_of(tmp_path)
    resumed.load_checkpoint()
    assert resumed.progress.step >= 10
    fresh = trainer_of(tmp_path / "other")
    differs = [not torch.equal(v, weights(fresh)[k]) for k, v in weights(resumed).items()]
    assert all(differs)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = trainer_of(tmp_path).train()
    assert trainer_of(tmp_path).train(resume=True).fingerprint == first.fingerprint


def test_same_seed_same_prior(tmp_path):
    prints = [trainer_of(tmp_path / str(i)).train().fingerprint for i in range(2)]
    other = trainer_of(tmp_path / "2", config=with_changes(seed=1)).train().fingerprint
    assert prints[0] == prints[1] != other


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"config": with_changes(learning_rate=0.01, seed=4)}, r"\(learning_rate, seed\)"),
        ({"sizes": RecurrentConfig(4, "lstm", 4, 12, dropout=0.2)}, r"\(cell\)"),
        ({"corpus": corpus_of(cycles(70))}, r"\(training data\)"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, changes, named):
    trainer_of(tmp_path).train()
    with pytest.raises(ValueError, match=f"made with other settings {named}"):
        trainer_of(tmp_path, **changes).train(resume=True)
    often = with_changes(checkpoint_seconds=5.0)
    trainer_of(tmp_path, config=often).train(resume=True)  # this one changes no result


# -- from a trained prior -------------------------------------------------------------------------


def test_training_on_starts_where_the_prior_is(tmp_path):
    first = trainer_of(tmp_path / "first", config=with_changes(epochs=8)).train()
    second = trainer_of(
        tmp_path / "second", sizes=replace(SIZES, dropout=0.0), config=QUICK, initial=first
    )
    assert_equal_weights(weights(second), first.network.state_dict())
    further = second.train()
    anew = trainer_of(tmp_path / "anew").train()
    assert further.metadata["initial_prior"] == first.fingerprint
    assert "initial_prior" not in anew.metadata
    losses = [p.metadata["validation_nats_per_token"] for p in (further, anew)]
    assert losses[0] < losses[1] - 0.05


@pytest.mark.parametrize("batches", [1, 25])
def test_training_on_resumes_exactly(tmp_path, batches):
    first = trainer_of(tmp_path / "first").train()
    finished = trainer_of(tmp_path / "straight", initial=first).train()
    kill_after(trainer_of(tmp_path / "killed", initial=first), batches)
    with pytest.raises(ValueError, match=r"other settings \(initial prior\)"):
        trainer_of(tmp_path / "killed").train(resume=True)
    again = trainer_of(tmp_path / "killed", initial=first).train(resume=True)
    assert again.fingerprint == finished.fingerprint


def test_only_a_prior_that_fits_can_be_trained_on(tmp_path):
    prior = trainer_of(tmp_path).train()
    with pytest.raises(ValueError, match=r"other sizes \(cell, hidden_size\)"):
        trainer_of(tmp_path, sizes=RecurrentConfig(4, "lstm", 4, 13), initial=prior)
    other = RecurrentPrior(prior.network, Vocabulary(("w", "x", "y", "z")))
    with pytest.raises(ValueError, match=r"in the corpus and .* in the prior to start from"):
        trainer_of(tmp_path, initial=other)


# -- spellings drawn anew --------------------------------------------------------------------------

ANEW = with_changes(augment=True)


def epochs_of(trainer):
    """What the trainer reads of its pieces in each epoch."""
    read = []
    trainer._train_batch = lambda pieces, _: read[-1].extend(piece.tolist() for piece in pieces)
    trainer.progress.epoch_tokens = 1
    for epoch in range(3):
        read.append([])
        trainer.progress.epoch, trainer.progress.batch = epoch, 0
        trainer._train_epoch()
    return read


def test_every_epoch_spells_each_sequence_anew(tmp_path):
    config = with_changes(augment=True, checkpoint_seconds=1e9)
    read = epochs_of(trainer_of(tmp_path, config=config, augment=shift))
    assert read == epochs_of(trainer_of(tmp_path, config=config, augment=shift))
    other = with_changes(augment=True, checkpoint_seconds=1e9, seed=1)
    assert read != epochs_of(trainer_of(tmp_path, config=other, augment=shift))
    plain = epochs_of(trainer_of(tmp_path, config=with_changes(checkpoint_seconds=1e9)))
    for epoch, bare in zip(read, plain, strict=True):
        assert [len(piece) for piece in epoch] == [len(piece) for piece in bare]
        assert epoch != bare
        assert all((np.diff(piece) % 4 == 1).all() for piece in epoch)


@pytest.mark.parametrize("batches", [1, 25])
def test_a_killed_run_draws_the_same_spellings(tmp_path, batches):
    straight = trainer_of(tmp_path / "straight", config=ANEW, augment=shift)
    finished = straight.train()
    kill_after(trainer_of(tmp_path / "killed", config=ANEW, augment=shift), batches)
    resumed = trainer_of(tmp_path / "killed", config=ANEW, augment=shift)
    assert resumed.train(resume=True).fingerprint == finished.fingerprint
    kept = [f["kept_spelling"] for f in straight.progress.history]
    assert kept == [f["kept_spelling"] for f in resumed.progress.history]
    assert all(0.1 < share < 0.4 for share in kept)  # a quarter, by chance


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_augmentation_is_no_setting_to_change(tmp_path, before, after):
    configs = {True: ANEW, False: QUICK}
    trainer_of(tmp_path, config=configs[before], augment=shift).train()
    with pytest.raises(ValueError, match=r"made with other settings \(augment\)"):
        trainer_of(tmp_path, config=configs[after], augment=shift).train(resume=True)


def test_augmentation_needs_a_way_and_whole_sequences(tmp_path):
    with pytest.raises(ValueError, match="cannot be spelled in other ways: leave augment out"):
        trainer_of(tmp_path, config=ANEW)
    with pytest.raises(ValueError, match="augment spells whole sequences anew: leave window out"):
        with_changes(augment=True, window=5)


# -- corpora and batches --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "splits", "why"),
    [
        (19, ["train"] * 15 + ["validation"] * 2 + ["test"] * 2, "fewer than 20 sequences"),
        (24, ["train"] * 20 + ["test"] * 4, "no validation sequences"),
        (24, ["validation"] * 24, "no train sequences"),
    ],
)
def test_where_nothing_can_be_held_out_all_is_trained_on(tmp_path, n, splits, why):
    figures = []
    corpus = corpus_of(cycles(n), splits)
    trainer = trainer_of(tmp_path, corpus, with_changes(epochs=6, patience=1))
    assert trainer.nothing_held_out.endswith(why)
    prior = trainer.train(on_epoch=figures.append)
    assert [figure["epoch"] for figure in figures] == list(range(6))  # no early stopping
    assert not [name for figure in figures for name in figure if "validation" in name]
    assert prior.metadata["sequences"] == {"train": n, "validation": 0, "test": 0}
    assert prior.metadata["best_epoch"] == 5
    assert not [name for name in prior.metadata if name.startswith(("validation_", "test_"))]
    nats, _ = evaluate(trainer.network, corpus.sequences, ABCD)
    assert prior.metadata["train_nats_per_token"] == pytest.approx(nats, abs=1e-4)
    assert figures[-1]["train_nats"] < figures[0]["train_nats"]
    assert prior.metadata["max_tokens"] == max(map(len, corpus.sequences))


def test_a_missing_test_split_costs_the_test_figures_only(tmp_path):
    corpus = corpus_of(cycles(40), ["train"] * 36 + ["validation"] * 4)
    metadata = trainer_of(tmp_path, replace(corpus, max_tokens=99)).train().metadata
    assert metadata["validation_nats_per_token"] > 0
    assert not [name for name in metadata if name.startswith(("test_", "train_"))]
    assert metadata["max_tokens"] == 99  # what the corpus allowed
    with pytest.raises(ValueError, match="the corpus has no sequences"):
        trainer_of(tmp_path, replace(corpus, sequences=[], names=[], splits=np.array([])))


def test_a_short_training_does_not_end_in_its_warm_up(tmp_path):
    trainer = trainer_of(tmp_path, config=with_changes(warmup_steps=1000))
    rates = [trainer._learning_rate(step, 4) for step in range(12)]  # 3 epochs of 4 batches
    assert max(rates) == rates[5] == trainer.config.learning_rate
    assert rates[-1] < rates[0]


def test_other_vocabularies_are_refused(tmp_path):
    other = Vocabulary(("w", "x", "y", "z"))
    with pytest.raises(ValueError, match="encoded with another vocabulary"):
        PriorTrainer(corpus_of(cycles()), other, SIZES, QUICK, tmp_path)


def test_divergence_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"diverged: after epoch 0 .* lower the learning rate"):
        trainer_of(tmp_path, config=with_changes(learning_rate=1e38)).train()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"window": 1}, "window must be at least 2 tokens, got 1"),
    ],
)
def test_hyper_parameters_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        with_changes(**changes)


def test_batches_hold_every_piece_once_and_fit(tmp_path):
    trainer = trainer_of(tmp_path, config=with_changes(window=5))
    orders = [trainer._batches(epoch) for epoch in range(2)]
    for batches in orders:
        indices = [i for batch in batches for i in batch]
        assert sorted(indices) == list(range(len(trainer.train_pieces)))
        for batch in batches:
            assert len(batch) * max(len(trainer.train_pieces[i]) for i in batch) <= 64
    assert orders[0] != orders[1]
    assert orders[0] == trainer._batches(0)


def test_cut_and_pad():
    pieces = cut([np.array([0, 1, 2, 3, 0]), np.array([1])], 2)
    assert [p.tolist() for p in pieces] == [[0, 1], [2, 3], [0], [1]]
    inputs, targets = pad([np.array([0, 1, 2]), np.array([3])], ABCD, torch.device("cpu"))
    assert inputs.tolist() == [[4, 0, 1], [4, 4, 4]]
    assert targets.tolist() == [[0, 1, 2], [3, -100, -100]]
