"""Validity beside likelihood: what is invalid is pressed down, what is valid keeps its shares."""

import numpy as np
import pytest
import torch

from seqgen_envs import get_domain
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.pretrain import PriorTrainer, TrainingConfig
from seqgen_envs.pretrain.validity import ValidityLoss, sample
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.vocabulary import Vocabulary

ABE = Vocabulary(("a", "b", "$"), end="$")
A, B, END, PAD = 0, 1, 2, 3


def network(seed=0):
    torch.manual_seed(seed)
    return RecurrentNetwork(RecurrentConfig(3, "gru", 4, 8))


def has_no_b(ids):
    return ~(ids == B).any(axis=1)


def shares(net, n=20_000, horizon=3):
    """Of sequences, by their ids."""
    torch.manual_seed(1)
    rows, counts = np.unique(sample(net, ABE, n, horizon).numpy(), axis=0, return_counts=True)
    return {tuple(row.tolist()): count / n for row, count in zip(rows, counts, strict=True)}


def test_samples_are_the_networks_own():
    net = network()
    found, total = shares(net), 0.0
    for row, share in found.items():
        ids = torch.tensor([row])
        log_probs = torch.log_softmax(net.shifted_logits(ids.clamp(max=END)), dim=-1)[0]
        length = row.index(END) + 1 if END in row else 3
        assert set(row[length:]) <= {PAD}
        expected = log_probs[range(length), row[:length]].sum().exp().item()
        assert share == pytest.approx(expected, abs=4 * (expected / 20_000) ** 0.5)
        total += expected
    assert total == pytest.approx(1.0, abs=0.01)  # all that matter were found


def test_the_gradient_is_that_of_the_expected_share():
    """Against the gradient of the exact share, by enumeration of all sequences of 2 tokens."""
    net = network(3)
    every = torch.tensor([[END, PAD], [A, END], [B, END], [A, A], [A, B], [B, A], [B, B]])
    log_probs = torch.log_softmax(net.shifted_logits(every.clamp(max=END)), dim=-1)
    chosen = log_probs.gather(-1, every.clamp(max=END)[..., None])[..., 0]
    totals = (chosen * (every != PAD)).sum(1)
    share = totals[:2].exp().sum()  # finished, and without a b
    mean_length = ((every != PAD).sum(1) * totals.detach().exp()).sum()
    exact = torch.autograd.grad(-share / mean_length, net.head.weight)[0]
    torch.manual_seed(0)
    loss, measured = ValidityLoss(ABE, has_no_b, 40_000, 2)(net)
    estimate = torch.autograd.grad(loss, net.head.weight)[0]
    assert measured == pytest.approx(share.item(), abs=0.01)
    assert (estimate - exact).norm() < 0.05 * exact.norm()


def test_invalid_sequences_go_and_the_likelihood_holds_the_proportions(tmp_path):
    """Too short to learn well that b never comes; the valid ones are equally frequent."""
    rng = np.random.default_rng(0)
    rows = [[END], [A, END], [A, A, END]] * 100
    corpus = Corpus(
        [np.array(rows[i], dtype=np.int8) for i in rng.permutation(300)],
        [str(i) for i in range(300)],
        np.array(["train"] * 240 + ["validation"] * 30 + ["test"] * 30),
        "made up",
        ABE,
    )
    found = {}
    for weight in (0.0, 3.0):
        config = TrainingConfig(
            epochs=8, batch_tokens=64, learning_rate=0.01, valid_weight=weight, valid_samples=128
        )
        trainer = PriorTrainer(
            corpus, ABE, RecurrentConfig(3, "gru", 4, 8), config, tmp_path / str(weight),
            judge=has_no_b,
        )  # fmt: skip
        found[weight] = shares(trainer.train().network)
        assert ("valid_share" in trainer.progress.history[-1]) == bool(weight)
    for weight, each in found.items():
        good = [each[row] for row in ((END, PAD, PAD), (A, END, PAD), (A, A, END))]
        assert min(good) > 0.15, weight
    bad = {w: 1 - sum(v for k, v in each.items() if B not in k) for w, each in found.items()}
    assert bad[0.0] > 0.01
    assert bad[3.0] < 0.6 * bad[0.0]


def test_validity_needs_a_judge_and_settings_are_kept(tmp_path):
    corpus = Corpus(
        [np.array([A, END], dtype=np.int8)] * 3, list("xyz"),
        np.array(["train", "validation", "test"]), "made up", ABE,
    )  # fmt: skip
    sizes, config = RecurrentConfig(3, "gru", 4, 8), TrainingConfig(epochs=1, valid_weight=1.0)
    with pytest.raises(ValueError, match="leave valid_weight out"):
        PriorTrainer(corpus, ABE, sizes, config, tmp_path)
    PriorTrainer(corpus, ABE, sizes, config, tmp_path, judge=has_no_b).train()
    with pytest.raises(ValueError, match=r"other settings \(valid_weight\)"):
        PriorTrainer(corpus, ABE, sizes, TrainingConfig(epochs=1), tmp_path).train(resume=True)


@pytest.mark.parametrize("batches", [1, 5])
def test_a_killed_run_resumes_exactly(tmp_path, batches, monkeypatch):
    rows = [[END], [A, END], [A, A, END]] * 20
    corpus = Corpus(
        [np.array(row, dtype=np.int8) for row in rows], [str(i) for i in range(60)],
        np.array(["train"] * 40 + ["validation"] * 10 + ["test"] * 10), "made up", ABE,
    )  # fmt: skip
    config = TrainingConfig(
        epochs=2, batch_tokens=30, valid_weight=1.0, valid_samples=8, checkpoint_seconds=1e-9
    )

    def trainer(name):
        torch.manual_seed(len(name))  # another process would not have the same numbers either
        sizes = RecurrentConfig(3, "gru", 4, 8)
        return PriorTrainer(corpus, ABE, sizes, config, tmp_path / name, judge=has_no_b)

    straight = trainer("straight")
    finished = straight.train()
    assert straight.progress.best_epoch == 1  # the last, whatever its likelihood
    killed = trainer("killed")
    train_batch, done = killed._train_batch, []

    def dying(*args):
        if len(done) == batches:
            raise KeyboardInterrupt
        done.append(1)
        train_batch(*args)

    killed._train_batch = dying
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    torch.manual_seed(99)
    resumed = trainer("killed")
    assert resumed.train(resume=True).fingerprint == finished.fingerprint
    shares = [[f["valid_share"] for f in t.progress.history] for t in (straight, resumed)]
    assert shares[0] == shares[1]


def test_a_diverged_run_says_so():
    net = network()
    with torch.no_grad():
        net.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="lower the learning rate"):
        ValidityLoss(ABE, has_no_b, 8, 3)(net)


def test_molecules_are_judged_by_rdkit():
    domain = get_domain("molecule")
    ids = domain.vocabulary.padded([domain.encode(s) for s in ("c1ccccc1", "c1ccccc", "CO(C)C")])
    assert domain.corpora.valid(ids).tolist() == [True, False, False]
    assert get_domain("melody").corpora.valid is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_weight": -1.0}, "valid_weight must be at least 0"),
        ({"valid_weight": 1.0, "valid_samples": 1}, "valid_samples at least 2"),
        ({"valid_weight": 1.0, "window": 8}, "leave window out"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**changes)
