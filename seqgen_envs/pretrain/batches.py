"""Sequences in padded batches, and the likelihood of whole splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen_envs.recurrent import RecurrentNetwork
from seqgen_envs.vocabulary import Vocabulary

IntArray = NDArray[np.integer]
IGNORE = -100  # torch's own mark for positions without a target


def cut(sequences: Sequence[IntArray], window: int | None) -> list[IntArray]:
    """The sequences in pieces of at most ``window`` tokens; None leaves them whole."""
    if window is None:
        return list(sequences)
    return [s[i : i + window] for s in sequences for i in range(0, len(s), window)]


def pad(
    sequences: Sequence[IntArray], vocabulary: Vocabulary, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Inputs (start token first) and targets, int64 [N, T]; targets past the end are -100."""
    longest = max(len(s) for s in sequences)
    inputs = np.full((len(sequences), longest), vocabulary.pad_id, dtype=np.int64)
    targets = np.full((len(sequences), longest), IGNORE, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        inputs[row, 1 : len(sequence)] = sequence[:-1]
        targets[row, : len(sequence)] = sequence
    return torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)


@torch.inference_mode()
def evaluate(
    network: RecurrentNetwork,
    sequences: Sequence[IntArray],
    vocabulary: Vocabulary,
    batch_tokens: int = 32768,
) -> tuple[float, float]:
    """Mean nats per token and share of tokens that were the likeliest, over whole sequences."""
    network.eval()
    device = network.head.weight.device
    lengths = np.array([len(s) for s in sequences])
    nats = hits = 0.0
    for batch in fill(np.argsort(lengths, kind="stable").tolist(), lengths, batch_tokens):
        inputs, targets = pad([sequences[i] for i in batch], vocabulary, device)
        logits, _ = network(inputs)
        nats += nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="sum"
        ).item()
        hits += (logits.argmax(-1) == targets).sum().item()
    total = int(lengths.sum())
    return nats / total, hits / total


def fill(order: Sequence[int], lengths: NDArray[np.int64], batch_tokens: int) -> list[list[int]]:
    """``order``, ascending in length, in batches of at most ``batch_tokens`` with padding."""
    batches: list[list[int]] = [[]]
    for index in order:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def shuffled(pieces: Sequence[IntArray], seed: int, epoch: int, size: int) -> list[list[int]]:
    """Indices of the pieces, in batches of like length, in an order new in each epoch."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(pieces))
    lengths = np.array([len(p) for p in pieces])
    pool = max(len(order) // 8, 1)
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        by_length = part[np.argsort(lengths[part], kind="stable")].tolist()
        batches.extend(fill(by_length, lengths, size))
    return [batches[i] for i in rng.permutation(len(batches))]
