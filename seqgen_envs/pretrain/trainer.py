"""Trains one recurrent prior."""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen_envs._version import __version__
from seqgen_envs.bounded import read_bytes
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.ngram import NGram
from seqgen_envs.pretrain.batches import IntArray, cut, evaluate, pad, shuffled
from seqgen_envs.pretrain.config import Progress, TrainingConfig
from seqgen_envs.pretrain.validity import Judge, ValidityLoss
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork, check_finite
from seqgen_envs.reporting.files import replacing
from seqgen_envs.vocabulary import Vocabulary

Augment = Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]
CHECKPOINT_FILE = "checkpoint.pt"
#: With fewer sequences nothing is held out: a validation loss of one or two says nothing.
FEWEST_TO_HOLD_OUT = 20
_DIGEST = 32  # bytes of a SHA-256


class PriorTrainer:
    """Trains one recurrent prior on a corpus.

    Where the corpus has fewer than :data:`FEWEST_TO_HOLD_OUT` sequences, or no training or no
    validation sequences, nothing is held out: all are trained on for ``config.epochs`` epochs, and
    there are no figures of validation and test. ``nothing_held_out`` says why; it is empty else.

    Args:
        corpus: sequences with their splits.
        vocabulary: their tokens.
        architecture: sizes of the network.
        config: hyper-parameters.
        run_dir: where checkpoint, TensorBoard log and finished prior go.
        device: ``"cpu"`` or ``"cuda"``.
        augment: what ``config.augment`` spells a sequence anew with, from its ids and a generator;
            usually the domain's.
        judge: which sequences are valid, for ``config.valid_weight``: ids int64 [N, T], padded, to
            bool [N]; usually the domain's.
        initial: a prior whose weights training starts from (transfer learning, or a second stage);
            None: random weights.

    Raises:
        ValueError: the corpus is empty or was encoded with another vocabulary, there is nothing
            to augment or to judge with, or ``initial`` has other sizes or another vocabulary.
    """

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: Vocabulary,
        architecture: RecurrentConfig,
        config: TrainingConfig,
        run_dir: str | Path,
        device: str = "cpu",
        augment: Augment | None = None,
        judge: Judge | None = None,
        initial: RecurrentPrior | None = None,
    ) -> None:
        if config.augment and augment is None:
            raise ValueError(
                "the sequences of this domain cannot be spelled in other ways: leave augment out"
            )
        if config.valid_weight and judge is None:
            raise ValueError("all sequences of this domain are valid: leave valid_weight out")
        if corpus.vocabulary.fingerprint != vocabulary.fingerprint:
            raise ValueError("the corpus was encoded with another vocabulary; build it again")
        if not len(corpus):
            raise ValueError("the corpus has no sequences")
        self.splits, self.nothing_held_out = _held_out(corpus)
        self.corpus, self.vocabulary, self.config = corpus, vocabulary, config
        self.run_dir = Path(run_dir)
        self._augment = augment
        self._validity = None
        if config.valid_weight and judge is not None:
            longest = max(map(len, self.splits["train"]))
            self._validity = ValidityLoss(vocabulary, judge, config.valid_samples, longest)
        self.device = torch.device(device)
        torch.manual_seed(config.seed)
        self.network = RecurrentNetwork(architecture)
        self._initial = None if initial is None else initial.fingerprint
        if initial is not None:
            _check_initial(initial, architecture, vocabulary)
            self.network.load_state_dict(initial.network.state_dict())
        self.network.to(self.device)
        #: Validation loss in nats per token of the prior to start from; None: there is none.
        self.before: float | None = None
        if initial is not None and not self.nothing_held_out:
            self.before, _ = evaluate(self.network, self.splits["validation"], vocabulary)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.best_weights: dict[str, Tensor] = {}
        self.progress = Progress()
        self.train_pieces = cut(self.splits["train"], config.window)

    def train(
        self, resume: bool = False, on_epoch: Callable[[dict[str, float]], None] | None = None
    ) -> RecurrentPrior:
        """Train to the end (early stopping included) and write the prior into ``run_dir``.

        Args:
            resume: go on from the checkpoint in ``run_dir``, if there is one.
            on_epoch: called with each epoch's metrics.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.run_dir.mkdir(parents=True, exist_ok=True)
        if resume and (self.run_dir / CHECKPOINT_FILE).exists():
            self.load_checkpoint()
        with SummaryWriter(str(self.run_dir)) as writer:
            for metrics in self.epochs():
                for name, value in metrics.items():
                    writer.add_scalar(f"pretrain/{name}", value, self.progress.step)
                if on_epoch:
                    on_epoch(metrics)
        self.network.load_state_dict(self.best_weights)
        prior = RecurrentPrior(self.network, self.vocabulary)
        prior.metadata = self.summary()
        prior.save(self.run_dir / "prior")
        return prior

    def epochs(self) -> Iterator[dict[str, float]]:
        """Run the remaining epochs, yielding the metrics of each.

        Raises:
            ValueError: the validation loss is no longer finite.
        """
        while self.progress.epoch < self.config.epochs and not self._out_of_patience():
            started = time.perf_counter()
            tokens_before = self.progress.tokens_seen
            self._train_epoch()
            seconds = time.perf_counter() - started
            metrics = self._close_epoch()
            metrics["tokens_per_second"] = (self.progress.tokens_seen - tokens_before) / seconds
            self.save_checkpoint()
            yield metrics

    def _out_of_patience(self) -> bool:
        since_best = self.progress.epoch - 1 - self.progress.best_epoch
        return self.progress.best_epoch >= 0 and since_best >= self.config.patience

    def _train_epoch(self) -> None:
        from tqdm import tqdm

        self.network.train()
        batches = self._batches(self.progress.epoch)
        left = batches[self.progress.batch :]
        bar = tqdm(left, desc=f"epoch {self.progress.epoch}", leave=False, disable=None)
        last_save = time.monotonic()
        for batch in bar:
            self._train_batch([self._piece(i) for i in batch], len(batches))
            self.progress.batch += 1
            bar.set_postfix(nats=f"{self.progress.epoch_loss / self.progress.epoch_tokens:.4f}")
            if time.monotonic() - last_save > self.config.checkpoint_seconds:
                self.save_checkpoint()
                last_save = time.monotonic()

    def _piece(self, index: int) -> IntArray:
        """A piece as this epoch reads it; its spelling follows from seed, epoch and index alone."""
        piece = self.train_pieces[index]
        if self._augment is None or not self.config.augment:
            return piece
        # the last number sets the stream apart from the one that orders the epoch
        rng = np.random.default_rng([self.config.seed, self.progress.epoch, index, 1])
        spelled = self._augment(piece.astype(np.int64), rng)
        self.progress.epoch_kept += np.array_equal(spelled, piece)
        return spelled

    def _train_batch(self, sequences: Sequence[IntArray], batches_an_epoch: int) -> None:
        progress = self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(progress.step, batches_an_epoch)
        inputs, targets = pad(sequences, self.vocabulary, self.device)
        logits = self.network.logits(inputs)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        likelihood = loss.item()
        if self._validity is not None:
            validity, share = self._validity(self.network)
            loss = loss + self.config.valid_weight * validity
            progress.epoch_valid += share
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimizer.step()
        count = sum(len(s) for s in sequences)
        progress.step += 1
        progress.tokens_seen += count
        progress.epoch_loss += likelihood * count
        progress.epoch_tokens += count

    def _close_epoch(self) -> dict[str, float]:
        progress = self.progress
        nats = progress.epoch_loss / max(progress.epoch_tokens, 1)
        metrics = {"epoch": float(progress.epoch), "train_nats": nats}
        if not self.nothing_held_out:
            nats, accuracy = evaluate(self.network, self.splits["validation"], self.vocabulary)
            metrics |= {"validation_nats": nats, "validation_accuracy": accuracy}
        if self.config.augment:  # by chance, or since no other spelling would do
            metrics["kept_spelling"] = progress.epoch_kept / len(self.train_pieces)
        if self._validity is not None:
            metrics["valid_share"] = progress.epoch_valid / max(progress.batch, 1)
        if not math.isfinite(nats):
            raise ValueError(
                f"training diverged: after epoch {progress.epoch} the loss is {nats}; lower the "
                "learning rate"
            )
        progress.history.append(metrics.copy())
        # with a second objective, or without validation, likelihood does not say which epoch is
        # best: the last is
        last = self._validity is not None or bool(self.nothing_held_out)
        if nats < progress.best_loss or last:
            progress.best_loss, progress.best_epoch = nats, progress.epoch
            self.best_weights = {
                k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()
            }
        progress.epoch += 1
        progress.batch = 0
        progress.epoch_loss, progress.epoch_tokens, progress.epoch_kept = 0.0, 0, 0
        progress.epoch_valid = 0.0
        return metrics

    def _learning_rate(self, step: int, batches_an_epoch: int) -> float:
        peak, steps = self.config.learning_rate, self.config.epochs * batches_an_epoch
        # a short training would end in its warm-up: that is half of it at most
        warmup = min(self.config.warmup_steps, math.ceil(steps / 2))
        if step < warmup:
            return peak * (step + 1) / warmup
        part = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))

    def _batches(self, epoch: int) -> list[list[int]]:
        return shuffled(self.train_pieces, self.config.seed, epoch, self.config.batch_tokens)

    def summary(self) -> dict[str, Any]:
        """What ``config.json`` says of the training, the n-gram baseline included."""
        ngram = NGram(self.vocabulary, 5).fit(self.splits["train"])
        summary: dict[str, Any] = {
            "corpus": self.corpus.source,
            "sequences": {name: len(s) for name, s in self.splits.items()},
            "tokens": {name: int(sum(map(len, s))) for name, s in self.splits.items()},
            "max_tokens": max(self.corpus.max_tokens, *map(len, self.corpus.sequences)),
            "tokens_seen": self.progress.tokens_seen,
            "epochs": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "config": asdict(self.config),
            "code_version": __version__,
        }
        if self._initial is not None:
            summary["initial_prior"] = self._initial
        if self.before is not None:
            summary["initial_validation_nats_per_token"] = round(self.before, 5)
        for name in ("train",) if self.nothing_held_out else ("validation", "test"):
            if not self.splits[name]:
                continue
            nats, accuracy = evaluate(self.network, self.splits[name], self.vocabulary)
            summary[f"{name}_nats_per_token"] = round(nats, 5)
            summary[f"{name}_accuracy"] = round(accuracy, 5)
            baseline = -float(ngram.log_probs(self.splits[name]).mean())
            summary[f"{name}_nats_per_token_5gram"] = round(baseline, 5)
        return summary

    def save_checkpoint(self) -> None:
        """Write weights, optimiser, progress and generator states, whole or not at all.

        What PyTorch writes is followed by its SHA-256, 32 bytes.
        """
        path = self.run_dir / CHECKPOINT_FILE
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self.best_weights,
            "progress": asdict(self.progress),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": self._cuda_state(),
            "settings": self._settings(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(content.getbuffer())
            file.write(hashlib.sha256(content.getbuffer()).digest())

    def load_checkpoint(self) -> None:
        """Go on from the checkpoint in ``run_dir``.

        Raises:
            ValueError: it has changed since it was written, or belongs to a run with other
                settings; the message names them.
        """
        path = self.run_dir / CHECKPOINT_FILE
        state = self._read_checkpoint(path)
        theirs, mine = json.loads(state["settings"]), json.loads(self._settings())
        if theirs != mine:
            changed = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
            raise ValueError(
                f"{path} was made with other settings ({', '.join(changed)}); "
                "give the same ones, or train into another folder"
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_weights = state["best_weights"]
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["torch_rng"].cpu())
        if state.get("cuda_rng") is not None:
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)

    def _read_checkpoint(self, path: Path) -> dict[str, Any]:
        data = read_bytes(path)
        content, digest = data[:-_DIGEST], data[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(
                f"{path} is no checkpoint, or has changed since it was written; delete it to "
                "train from the start"
            )
        try:
            state = torch.load(io.BytesIO(content), map_location=self.device, weights_only=True)
            for name in ("network", "best_weights"):
                for key, weights in state[name].items():
                    check_finite(f"{name}.{key}", weights)
        except Exception as error:  # PyTorch and its unpickler each raise their own
            message = " ".join(str(error).split())[:300]
            raise ValueError(f"{path} is no checkpoint of a prior: {message}") from error
        return dict(state)

    def _cuda_state(self) -> Tensor | None:
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

    def _settings(self) -> str:
        """All that must be equal for a resumed run to be the same run, as JSON."""
        config = asdict(self.config)
        del config["checkpoint_seconds"]
        if self._initial is not None:
            config["initial prior"] = self._initial
        content = hashlib.sha256(b"".join(p.tobytes() for p in self.train_pieces)).hexdigest()
        return json.dumps({**config, **self.network.config.to_dict(), "training data": content})


def _held_out(corpus: Corpus) -> tuple[dict[str, list[IntArray]], str]:
    """The splits, and why all is in the first of them; "" where it is not."""
    splits = {name: corpus.split(name) for name in ("train", "validation", "test")}
    missing = [name for name in ("train", "validation") if not splits[name]]
    if len(corpus) < FEWEST_TO_HOLD_OUT:
        why = f"as there are fewer than {FEWEST_TO_HOLD_OUT} sequences"
    elif missing:
        why = f"as there are no {missing[0]} sequences"
    else:
        return splits, ""
    return {"train": list(corpus.sequences), "validation": [], "test": []}, why


def _check_initial(
    initial: RecurrentPrior, architecture: RecurrentConfig, vocabulary: Vocabulary
) -> None:
    vocabulary.check_same(initial.vocabulary, "the corpus", "the prior to start from")
    theirs, ours = initial.network.config.to_dict(), architecture.to_dict()
    other = sorted(k for k in ours if k != "dropout" and theirs[k] != ours[k])
    if other:
        raise ValueError(
            f"the prior to start from has other sizes ({', '.join(other)}): only dropout may differ"
        )
