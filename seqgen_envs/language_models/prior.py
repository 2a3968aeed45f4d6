"""A causal language model as a frozen prior."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqgen_envs.language_models.causal import CausalModel, check_length, most_tokens
from seqgen_envs.language_models.tokens import never_generated, start_of, vocabulary_of
from seqgen_envs.recurrent import State
from seqgen_envs.vocabulary import Vocabulary

#: Tokens that a prior makes room for until an environment says how many it wants.
LENGTH = 256


class LanguageModelPrior:
    """A causal language model of transformers, frozen, with its tokenizer.

    A sequence starts after the tokenizer's beginning token, or its end token where it has none, and
    ends with its end token; its other special tokens have probability 0.

    Args:
        model: a ``PreTrainedModel`` for causal language modelling; put into evaluation mode.
        tokenizer: its tokenizer, one that the library ``tokenizers`` runs.
        source: the folder both were loaded from, or None for those that live in memory only.
        load: the function that loaded them from it.
        length: T, the longest sequence that can be stepped; None: 256, or what the model reads.

    Attributes:
        causal: the model, one token at a time or whole.
        forbidden: ids that are never generated.

    Raises:
        ValueError: the tokenizer has no end token or more tokens than the model, or the model
            cannot be stepped with lanes at different positions.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        source: Path | None = None,
        load: Callable[[str], LanguageModelPrior] | None = None,
        length: int | None = None,
    ) -> None:
        config = model.config.get_text_config()
        self.vocabulary: Vocabulary = vocabulary_of(tokenizer, int(config.vocab_size))
        self.tokenizer, self.source, self.load = tokenizer, source, load
        self.metadata: Mapping[str, Any] = {"architecture": type(model).__name__}
        self.forbidden = never_generated(tokenizer, self.vocabulary.size)
        self.causal = CausalModel(
            model.eval().requires_grad_(False),
            start_of(tokenizer),
            int(min(LENGTH, most_tokens(config)[0])) if length is None else length,
        )
        self.causal.check_steps()
        floor = torch.zeros(self.vocabulary.size, device=self.causal.device)
        floor[list(self.forbidden)] = -torch.inf
        self._floor = floor
        self.fingerprint = self._digest()

    @property
    def length(self) -> int:
        """T, the longest sequence that can be stepped."""
        return self.causal.length

    def for_length(self, length: int) -> LanguageModelPrior:
        """The same prior for sequences of at most ``length`` tokens: its states have that room.

        Raises:
            ValueError: the model does not read so many.
        """
        if length == self.length:
            return self
        check_length(self.causal.model.config, length)
        other = copy.copy(self)
        other.causal = self.causal.with_length(length)
        return other

    def initial_state(self, batch_size: int) -> State:
        """Room for keys and values, and positions: see :class:`CausalModel`."""
        return self.causal.initial_state(batch_size)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """See :class:`~seqgen_envs.prior.Prior`; the state's tensors are written in place."""
        _, logits, state = self.causal.step(tokens, state)
        return self._log_probs(logits), state

    def step_some(self, tokens: Tensor, state: State, rows: Tensor) -> tuple[Tensor, State]:
        """:meth:`step` of the lanes in ``rows`` alone: see :mod:`seqgen_envs.stepping`."""
        _, logits, state = self.causal.step(tokens, state, rows)
        return self._log_probs(logits), state

    @torch.inference_mode()
    def sequence_log_probs(self, tokens: Tensor) -> Tensor:
        """See :class:`~seqgen_envs.prior.Prior`."""
        return self._log_probs(self.causal.logits(tokens)[1])

    @torch.inference_mode()
    def _log_probs(self, logits: Tensor) -> Tensor:
        if self.forbidden:
            logits = logits + self._floor
        return torch.log_softmax(logits, dim=-1).cpu()

    def _digest(self) -> str:
        """Of the weights, and of what begins a sequence and is never generated."""
        digest = hashlib.sha256(repr((self.causal.start, self.forbidden)).encode())
        for name, tensor in sorted(self.causal.model.state_dict().items()):
            digest.update(name.encode())
            raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(raw.numpy().data)
        return digest.hexdigest()[:16]

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageModelPrior:
        return self  # frozen: every copy of an environment may share it

    def __reduce__(self) -> tuple[Any, ...]:
        if self.source is not None and self.load is not None:
            # a worker loads its own single copy from disk
            return _reloaded, (self.load, str(self.source), self.length)
        return LanguageModelPrior, (self.causal.model, self.tokenizer, None, None, self.length)

    def save(self, folder: str | Path) -> Path:
        """Write a folder that transformers loads, and ``prior="FOLDER"``; returns it."""
        self.causal.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return Path(folder)


def _reloaded(
    load: Callable[[str], LanguageModelPrior], folder: str, length: int
) -> LanguageModelPrior:
    return load(folder).for_length(length)
