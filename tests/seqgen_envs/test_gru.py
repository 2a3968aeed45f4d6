"""The GRU layers that training uses are PyTorch's, in values and in gradients."""

import pytest
import torch
from torch import Tensor, nn

from seqgen_envs.gru import gru, trains_faster
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork


def gradients(output: Tensor, inputs: Tensor, rnn: nn.GRU) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return list(torch.autograd.grad((output * weights).sum(), [inputs, *rnn.parameters()]))


@pytest.mark.parametrize(("layers", "rows", "steps"), [(1, 5, 7), (3, 2, 4), (2, 1, 1)])
def test_it_is_pytorchs(layers: int, rows: int, steps: int) -> None:
    torch.manual_seed(layers)
    rnn = nn.GRU(3, 8, layers, batch_first=True).double()
    inputs = torch.randn(rows, steps, 3, dtype=torch.float64, requires_grad=True)
    ours, theirs = gru(rnn, inputs), rnn(inputs)[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    for mine, reference in zip(
        gradients(ours, inputs, rnn), gradients(theirs, inputs, rnn), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)


def test_its_gradient_is_that_of_finite_differences() -> None:
    rnn = nn.GRU(2, 3, 2, batch_first=True).double()
    inputs = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x, *_: gru(rnn, x), (inputs, *rnn.parameters()))


def test_frozen_weights_and_constant_inputs_get_no_gradient() -> None:
    rnn = nn.GRU(2, 3, batch_first=True)
    rnn.weight_hh_l0.requires_grad_(False)
    gru(rnn, torch.ones(1, 2, 2)).sum().backward()
    assert rnn.weight_hh_l0.grad is None
    assert rnn.weight_ih_l0.grad is not None


def test_where_it_is_used() -> None:
    inputs = torch.zeros(2, 3, 4)
    assert trains_faster(nn.GRU(4, 8, batch_first=True), inputs)
    assert not trains_faster(nn.LSTM(4, 8, batch_first=True), inputs)
    assert not trains_faster(nn.GRU(4, 8, 2, dropout=0.5), inputs)
    assert not trains_faster(nn.GRU(4, 8), inputs.to("meta"))
    with torch.no_grad():
        assert not trains_faster(nn.GRU(4, 8), inputs)


def test_a_network_has_the_same_logits_with_and_without_gradients() -> None:
    torch.manual_seed(0)
    network = RecurrentNetwork(RecurrentConfig(vocabulary_size=6, hidden_size=16))
    tokens = torch.randint(6, (9, 40))
    with torch.no_grad():
        without = network.shifted_logits(tokens)
    torch.testing.assert_close(network.shifted_logits(tokens), without, rtol=0, atol=1e-6)
