"""What a training of a prior is told, and where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingConfig:
    """Hyper-parameters of maximum-likelihood training.

    Args:
        epochs: passes over the training split at most.
        batch_tokens: tokens in a batch, padding included.
        learning_rate: peak of a linear warm-up and cosine decay to a hundredth.
        warmup_steps: steps of the warm-up; at most half of all steps.
        weight_decay: AdamW's.
        clip_norm: gradients are scaled down to this norm.
        patience: stop after this many epochs without a better validation loss, whose weights are
            kept. With ``valid_weight`` all epochs are run and the last one's weights kept.
        window: cut sequences into pieces of this many tokens; None: whole sequences.
        augment: spell each training sequence anew in every epoch. Batches are made of the given
            spellings' lengths, so one may hold a few tokens more than ``batch_tokens``.
        valid_weight: weight of the expected share of valid sequences beside the log-likelihood of
            one sequence, in nats; 0 leaves it out (see :mod:`~seqgen_envs.pretrain.validity`).
        valid_samples: sequences sampled for it in every step.
        seed: of initial weights, order, drop-out, spellings and samples.
        checkpoint_seconds: time between checkpoints.

    Raises:
        ValueError: a value is out of its range, or whole sequences are wanted and pieces too.
    """

    epochs: int = 30
    batch_tokens: int = 8192
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    patience: int = 4
    window: int | None = None
    augment: bool = False
    valid_weight: float = 0.0
    valid_samples: int = 64
    seed: int = 0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_tokens", "learning_rate", "clip_norm", "patience"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window must be at least 2 tokens, got {self.window}")
        if self.window is not None and self.augment:
            raise ValueError("augment spells whole sequences anew: leave window out")
        if self.valid_weight < 0 or self.valid_samples < 2:
            raise ValueError(
                f"valid_weight must be at least 0 and valid_samples at least 2, got "
                f"{self.valid_weight} and {self.valid_samples}"
            )
        if self.window is not None and self.valid_weight:
            raise ValueError("valid_weight is of whole sequences: leave window out")


@dataclass
class Progress:
    """Where a run stands; everything needed to go on, besides weights and optimiser."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    tokens_seen: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    epoch_loss: float = 0.0
    epoch_tokens: int = 0
    epoch_kept: int = 0
    epoch_valid: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
