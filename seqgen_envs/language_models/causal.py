"""A causal language model one token at a time, each lane at its own position, and whole.

Keys and values of all lanes lie in one tensor [N, layers, 2, heads, T + 1, D], which a step writes
in place: copies of it would cost as much as the model. What a caller sees is still a function of
the state: a state that is not the latest of its tensor is copied before it is stepped.
"""

from __future__ import annotations

import inspect
import math
import weakref
from typing import Any, cast

import torch
from torch import Tensor, nn

from seqgen_envs.extras import require
from seqgen_envs.recurrent import State

#: Tensors of keys and values whose latest positions are remembered.
_REMEMBERED = 64
#: Largest difference between log p by steps and at once that rounding explains, in float32.
_ROUNDING = 1e-3


class CausalModel(nn.Module):
    """A transformers model with a language-modelling head, and the token it starts from.

    Inputs are token ids 0..V; V stands for the start.

    Args:
        model: a ``PreTrainedModel`` for causal language modelling, in evaluation mode.
        start: id of the token read before a sequence.
        length: T, the longest sequence that can be stepped.

    Raises:
        ValueError: the model takes fewer positions, or is none that keys and values step.
    """

    def __init__(self, model: Any, start: int, length: int) -> None:
        super().__init__()
        self.model, self.start, self.length = model, start, length
        self.size = int(model.config.get_text_config().vocab_size)
        check_length(model.config, length)
        self._argument = "cache" if "cache" in _parameters(self.base) else "past_key_values"
        self._shape, self.plain_head = self._probe()
        self._cache = _lane_cache(self._shape[0])
        self._latest: dict[int, weakref.ref[Tensor]] = {}

    @property
    def base(self) -> nn.Module:
        """The model without its head."""
        return cast(nn.Module, getattr(self.model, self.model.base_model_prefix))

    @property
    def head(self) -> nn.Module:
        """The linear layer from the last hidden states to the logits."""
        return cast(nn.Module, self.model.get_output_embeddings())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return cast(torch.device, next(self.model.parameters()).device)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights that embed tokens."""
        return cast(torch.dtype, self.model.get_input_embeddings().weight.dtype)

    def with_length(self, length: int) -> CausalModel:
        """The same weights, stepped for sequences of at most ``length`` tokens."""
        return CausalModel(self.model, self.start, length)

    def with_model(self, model: Any) -> CausalModel:
        """Another model of the same architecture, as long."""
        return CausalModel(model.eval(), self.start, self.length)

    def train(self, mode: bool = True) -> CausalModel:
        """Training mode as far as gradients go: what it says is a function of the tokens, so
        nothing is dropped.
        """
        self.training = mode
        self.model.eval()
        return self

    # ------------------------------------------------------------------ whole sequences

    def hidden(self, tokens: Tensor) -> Tensor:
        """Last hidden states [N, T, H] before each of ``tokens`` (int64 [N, T]), from the start.

        What stands after the end of a sequence is padding (V): it comes after all that is read.
        """
        start = tokens.new_full((len(tokens), 1), self.size)
        inputs = self._inputs(torch.cat([start, tokens[:, :-1]], dim=1))
        found: Tensor = self.base(input_ids=inputs, use_cache=False).last_hidden_state
        return found

    def logits(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states [N, T, H] and logits [N, T, V], float32, for each of ``tokens``."""
        if self.plain_head:
            hidden = self.hidden(tokens)
            return hidden, self.head(hidden).float()
        start = tokens.new_full((len(tokens), 1), self.size)
        inputs = self._inputs(torch.cat([start, tokens[:, :-1]], dim=1))
        return self._run(input_ids=inputs, use_cache=False)

    def _run(self, **arguments: Any) -> tuple[Tensor, Tensor]:
        """Hidden states and logits by the model's own forward."""
        seen: list[Tensor] = []
        hook = self.base.register_forward_hook(lambda *a: seen.append(a[2].last_hidden_state))
        try:
            logits = self.model(**arguments).logits
        finally:
            hook.remove()
        return seen[0], logits.float()

    def _inputs(self, tokens: Tensor) -> Tensor:
        return tokens.to(self.device).masked_fill(tokens.to(self.device) == self.size, self.start)

    # ------------------------------------------------------------------ steps

    def initial_state(self, batch_size: int) -> State:
        """Room for keys and values [N, layers, 2, heads, T + 1, D], and positions int64 [N]."""
        layers, heads, width = self._shape
        room = (batch_size, layers, 2, heads, self.length + 1, width)
        kept = torch.zeros(room, dtype=self.dtype, device=self.device)
        return kept, torch.zeros(batch_size, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: State, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """Hidden states [N, H], logits [N, V] after ``tokens`` (int64 [N]), and the next state.

        Rows of lanes that have read more than T tokens are NaN.

        Args:
            tokens: of all lanes, or of the M in ``rows``.
            state: of all N lanes.
            rows: int64 [M]: only these lanes are stepped, and [M, H], [M, V] returned.

        Raises:
            ValueError: all lanes have read more than T tokens.
        """
        kept, position = state
        mine = position if rows is None else position[rows.to(self.device)]
        full = mine >= self.length
        longest = int(mine.max()) + 1 if len(mine) else 0
        if longest > self.length and bool(full.all()):
            raise ValueError(f"the prior was made for sequences of {self.length} tokens at most")
        kept = self._own(kept, position)
        self._cache.enter(kept, mine.clamp(max=self.length), longest, rows)
        hidden, logits = self._one(tokens, mine.clamp(max=self.length - 1))
        self._cache.leave()
        if longest > self.length:
            logits[full] = torch.nan
        after = position + 1 if rows is None else position.index_add(0, *_ones(rows, position))
        self._remember(kept, after)
        return hidden, logits, (kept, after)

    def _one(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        arguments = {
            "input_ids": self._inputs(tokens)[:, None],
            "attention_mask": self._cache.mask,
            "position_ids": position[:, None],
            self._argument: self._cache.cache,
            "use_cache": True,
        }
        if self.plain_head:
            hidden = self.base(**arguments).last_hidden_state[:, 0]
            return hidden, self.head(hidden).float()
        hidden, logits = self._run(**arguments)
        return hidden[:, 0], logits[:, 0]

    def _own(self, kept: Tensor, position: Tensor) -> Tensor:
        """``kept``, or a copy where another state has written on after these positions."""
        written = self._latest.get(kept.untyped_storage().data_ptr())
        latest = None if written is None else written()  # None: nobody has it any more
        shared = latest is not None and latest is not position
        if shared or not kept.is_contiguous() or kept.dtype != self.dtype:
            return kept.to(self.dtype, copy=True, memory_format=torch.contiguous_format)
        return kept

    def _remember(self, kept: Tensor, position: Tensor) -> None:
        where = kept.untyped_storage().data_ptr()
        self._latest.pop(where, None)
        self._latest[where] = weakref.ref(position)
        if len(self._latest) > _REMEMBERED:
            del self._latest[next(iter(self._latest))]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_latest": {}}  # it is of this process

    # ------------------------------------------------------------------ what kind of model it is

    def _probe(self) -> tuple[tuple[int, int, int], bool]:
        """(layers, heads, width) of keys and values, and whether logits are the head's alone."""
        transformers = require("transformers", "hf")
        cache = transformers.DynamicCache()
        with torch.inference_mode():
            inputs = torch.full((1, 1), self.start, device=self.device)
            hidden, logits = self._run(
                **{"input_ids": inputs, self._argument: cache, "use_cache": True}
            )
            plain = self.head is not None and torch.equal(self.head(hidden).float(), logits)
        shapes = {
            tuple(getattr(layer, name).shape)
            for layer in cache.layers
            for name in ("keys", "values")
            if getattr(layer, name, None) is not None
        }
        layers = int(self.model.config.get_text_config().num_hidden_layers)
        if len(shapes) != 1 or len(cache.layers) != layers:
            raise ValueError(
                f"{type(self.model).__name__} does not keep keys and values of one size in each "
                "layer: models with plain attention can be stepped lane by lane"
            )
        _, heads, _, width = shapes.pop()
        return (layers, heads, width), plain

    @torch.inference_mode()
    def check_steps(self) -> None:
        """Compare steps with the whole sequence, on a few tokens, lanes at different positions.

        Raises:
            ValueError: they differ: the architecture does something that this class cannot do.
        """
        count = min(4, self.length)
        tokens = (torch.arange(count) * 7 + torch.arange(2)[:, None] + self.start) % self.size
        whole = torch.log_softmax(self.logits(tokens)[1], dim=-1)
        _, _, ahead = self.step(torch.full((1,), self.size), self.initial_state(1))
        logits, state, at = [], self.initial_state(2), torch.tensor([1, 0])
        for part, one in zip(state, ahead, strict=True):
            part[0] = one[0]
        for _ in range(count - 1):
            inputs = torch.where(at > 0, tokens[torch.arange(2), at - 1], self.size)
            _, found, state = self.step(inputs, state)
            logits.append(torch.log_softmax(found, dim=-1) - whole[torch.arange(2), at])
            at = at + 1
        allowed = _ROUNDING if self.dtype == torch.float32 else 1.0
        if logits and not bool(torch.stack(logits).abs().max() < allowed):
            raise ValueError(
                f"{type(self.model).__name__} says something else token by token than of a whole "
                "text: it is no causal model with plain attention"
            )


def check_length(config: Any, length: int) -> None:
    """Raise a ValueError unless a model of this configuration reads ``length`` tokens."""
    most, why = most_tokens(config)
    if length > most:
        raise ValueError(f"{why}, and length is {length}: give length={most:.0f} at most")


def most_tokens(config: Any) -> tuple[float, str]:
    """The most tokens that a model of this configuration can be stepped for, and why no more."""
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or math.inf
    kinds = set(getattr(config, "layer_types", None) or ())
    slides = "sliding_attention" in kinds or (not kinds and config.model_type == "mistral")
    window = (slides and getattr(config, "sliding_window", None)) or math.inf
    if window < positions:
        return window, f"the model's attention slides over {window} tokens"
    return positions, f"the model reads {positions} positions"


def _ones(rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """What adds 1 in these rows of a tensor like that, by ``index_add``."""
    rows = rows.to(like.device)
    return rows, torch.ones_like(rows)


def _parameters(module: nn.Module) -> Any:
    return inspect.signature(module.forward).parameters


def _lane_cache(layers: int) -> Any:
    """A ``LaneCache`` of ``seqgen_envs.language_models.cache``, which needs transformers."""
    from seqgen_envs.language_models.cache import LaneCache

    return LaneCache(layers)
