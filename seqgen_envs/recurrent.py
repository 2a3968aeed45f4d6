"""The recurrent network behind priors and policies: embedding, GRU or LSTM, linear head.

It runs in two ways that agree to rounding. :class:`RecurrentNetwork` is an ordinary module for
whole batches of sequences (training, replay); :class:`Stepper` is the same function one token at a
time, for sampling: embedding and first input matrix are multiplied once into a table of one row a
token, so a step is a table look-up, one matrix product and a handful of element-wise operations.
Stepping ``nn.GRU``/``nn.LSTM`` themselves costs several times more at small batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqgen_envs.gru import gru, trains_faster

State = tuple[Tensor, ...]
"""Everything a sequence carries from step to step: tensors with the batch as first dimension."""

#: Matrix products of fewer rows, or an odd one out, take other paths through BLAS that round
#: otherwise; over a long sequence the difference in log p grows past 1e-5 (with products of one row
#: to 5e-5, on molecules of random tokens). Products have multiples of this: a lone sequence stands
#: in each that often, and its other numbers are worked out once.
_ROWS = 4

_CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of a :class:`RecurrentNetwork`.

    Args:
        vocabulary_size: V, the number of outputs; inputs are 0..V, V standing for the start.
        cell: ``"gru"`` or ``"lstm"``.
        embedding_size: width of the token embedding.
        hidden_size: width of each recurrent layer.
        layers: 1 to 3 recurrent layers.
        dropout: drop-out probability on the embedding, between layers and before the head.

    Raises:
        ValueError: a value is out of its range.
    """

    vocabulary_size: int
    cell: str = "gru"
    embedding_size: int = 64
    hidden_size: int = 256
    layers: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.cell, str) or self.cell not in _CELLS:
            raise ValueError(f"cell must be one of {sorted(_CELLS)}, got {self.cell!r}")
        if not 1 <= self.layers <= 3:
            raise ValueError(f"layers must be 1, 2 or 3, got {self.layers}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        for name in ("vocabulary_size", "embedding_size", "hidden_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights of a :class:`RecurrentNetwork`, by their names in its state."""
        v, e, h = self.vocabulary_size, self.embedding_size, self.hidden_size
        gates = (3 if self.cell == "gru" else 4) * h
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (v + 1, e)}
        for k in range(self.layers):
            shapes[f"rnn.weight_ih_l{k}"] = (gates, e if k == 0 else h)
            shapes[f"rnn.weight_hh_l{k}"] = (gates, h)
            shapes[f"rnn.bias_ih_l{k}"] = shapes[f"rnn.bias_hh_l{k}"] = (gates,)
        return shapes | {"head.weight": (v, h), "head.bias": (v,)}

    def check_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Compare stored weights with the sizes, before a network of these sizes takes memory.

        Raises:
            ValueError: they are of other names, shapes or types, or not finite; the message names
                the tensor.
        """
        shapes = self.shapes()
        if unlike := sorted(shapes.keys() ^ weights.keys()):
            raise ValueError(f"weights of these sizes have, or lack, {', '.join(unlike)[:200]}")
        for name, shape in shapes.items():
            found = weights[name]
            if tuple(found.shape) != shape or found.dtype != torch.float32:
                raise ValueError(
                    f"{name} is {found.dtype} of shape {list(found.shape)}; for these sizes it "
                    f"must be {torch.float32} of shape {list(shape)}"
                )
            check_finite(name, found)


def check_finite(name: str, weights: Tensor) -> None:
    """Raise a ValueError that names the tensor if some of it is infinite or NaN."""
    if weights.is_floating_point() and not bool(torch.isfinite(weights).all()):
        count = int((~torch.isfinite(weights)).sum())
        raise ValueError(f"{count:,} of the numbers in {name} are not finite")


class RecurrentNetwork(nn.Module):
    """Next-token logits of whole sequences.

    Args:
        config: the sizes.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size + 1, config.embedding_size)
        self.rnn = _CELLS[config.cell](
            config.embedding_size,
            config.hidden_size,
            num_layers=config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_size, config.vocabulary_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits [N, T, V] after each of ``inputs`` (int64 [N, T], values 0..V).

        ``state`` is what the wrapped ``nn.GRU``/``nn.LSTM`` takes and returns; None is zeros.
        """
        hidden, state = self.rnn(self.dropout(self.embedding(inputs)), state)
        return self.head(self.dropout(hidden)), state

    def states(self, inputs: Tensor) -> Tensor:
        """What the head reads [N, T, hidden] after each of ``inputs``, from a state of zeros."""
        embedded = self.dropout(self.embedding(inputs))
        rnn = self.rnn
        top = gru(rnn, embedded) if trains_faster(rnn, embedded) else rnn(embedded)[0]
        found: Tensor = self.dropout(top)
        return found

    def logits(self, inputs: Tensor) -> Tensor:
        """Those of :meth:`forward` from a state of zeros, trained faster."""
        found: Tensor = self.head(self.states(inputs))
        return found

    def shifted_states(self, tokens: Tensor) -> Tensor:
        """What the head reads [N, T, hidden] before each of ``tokens`` [N, T], from the start."""
        start = tokens.new_full((len(tokens), 1), self.config.vocabulary_size)
        return self.states(torch.cat([start, tokens[:, :-1]], dim=1))

    def shifted_logits(self, tokens: Tensor) -> Tensor:
        """Logits [N, T, V] for each of ``tokens`` [N, T] given those before it, from the start."""
        found: Tensor = self.head(self.shifted_states(tokens))
        return found


class Stepper:
    """A :class:`RecurrentNetwork` one token at a time, without gradients.

    It copies what it needs from the network; call :meth:`refresh` after the weights change.

    Args:
        network: the network to step.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self.config = network.config
        self._step = self._gru if network.config.cell == "gru" else self._lstm
        self.refresh(network)

    def refresh(self, network: RecurrentNetwork) -> None:
        """Take the network's current weights."""
        with torch.no_grad():
            layers = [self._layer(network.rnn, k) for k in range(self.config.layers)]
            w_ih, b_ih, _, _ = layers[0]
            self._table = torch.addmm(b_ih, network.embedding.weight, w_ih).contiguous()
            self._input = [(w, b) for w, b, _, _ in layers[1:]]
            self._recurrent = [(w, b) for _, _, w, b in layers]
            self._head = (network.head.weight.t().contiguous(), network.head.bias.clone())

    def _layer(self, rnn: nn.RNNBase, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Layer k's (input matrix, input bias, recurrent matrix, recurrent bias), transposed."""
        order = self._gate_order()
        w_ih, w_hh, b_ih, b_hh = (
            getattr(rnn, f"{name}_l{k}")[order]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        return w_ih.t().contiguous(), b_ih.clone(), w_hh.t().contiguous(), b_hh.clone()

    def _gate_order(self) -> Tensor:
        """Rows of PyTorch's gates so that those under a sigmoid lie side by side.

        GRU: r, z, n as they are; LSTM: i, f, g, o becomes i, f, o, g.
        """
        rows = torch.arange((3 if self.config.cell == "gru" else 4) * self.config.hidden_size)
        if self.config.cell == "gru":
            return rows
        i, f, g, o = rows.chunk(4)
        return torch.cat([i, f, o, g])

    def initial_state(self, batch_size: int) -> State:
        """Zeros: [N, hidden] a layer (GRU), or hidden and cell of each layer in turn (LSTM)."""
        count = self.config.layers * (1 if self.config.cell == "gru" else 2)
        shape = (batch_size, self.config.hidden_size)
        return tuple(self._table.new_zeros(shape) for _ in range(count))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits [N, V] after ``tokens`` (int64 [N], values 0..V), and the next state.

        Its weights want no gradient, so none is recorded: no context is entered for that.
        """
        n = tokens.shape[0]  # a tensor's len() is a function of Python's
        if n > 1 and (spare := -n % _ROWS):
            tokens = nn.functional.pad(tokens, (0, spare))
            state = tuple(nn.functional.pad(s, (0, 0, 0, spare)) for s in state)
            logits, state = self._step_rows(tokens, state)
            return logits[:n], tuple(s[:n] for s in state)
        return self._step_rows(tokens, state)

    def _step_rows(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        x = self._table.index_select(0, tokens)
        new_state: list[Tensor] = []
        for k in range(self.config.layers):
            if k:
                weight, bias = self._input[k - 1]
                x = _product(new_state[-1 if self.config.cell == "gru" else -2], weight, bias)
            new_state.extend(self._step(k, x, state))
        top = new_state[-1 if self.config.cell == "gru" else -2]
        return _product(top, *self._head), tuple(new_state)

    def _gru(self, k: int, x: Tensor, state: State) -> tuple[Tensor, ...]:
        h = state[k]
        size = self.config.hidden_size
        weight, bias = self._recurrent[k]
        gates = _product(h, weight, bias)
        rz = torch.sigmoid_(x[:, : 2 * size] + gates[:, : 2 * size])
        n = torch.tanh_(torch.addcmul(x[:, 2 * size :], rz[:, :size], gates[:, 2 * size :]))
        return (torch.lerp(n, h, rz[:, size:]),)

    def _lstm(self, k: int, x: Tensor, state: State) -> tuple[Tensor, ...]:
        h, c = state[2 * k], state[2 * k + 1]
        size = self.config.hidden_size
        weight, bias = self._recurrent[k]
        gates = _product(h, weight, bias).add_(x)
        ifo = torch.sigmoid_(gates[:, : 3 * size])
        c = torch.addcmul(
            ifo[:, size : 2 * size] * c, ifo[:, :size], torch.tanh_(gates[:, 3 * size :])
        )
        return ifo[:, 2 * size :] * torch.tanh(c), c


def _product(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``rows @ weight + bias``, of one row to the same bits as of many."""
    if rows.shape[0] == 1:
        return torch.addmm(bias, rows.expand(_ROWS, -1), weight)[:1]
    return torch.addmm(bias, rows, weight)
