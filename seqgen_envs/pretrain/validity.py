"""Validity as a second objective of maximum-likelihood training.

Every sequence of the corpus is valid, so a model that fits it perfectly writes no other; one that
fits it nearly still spends some of its probability on sequences that are not. The trainer may add
the expected share of valid sequences to the log-likelihood,

    E_corpus[log p(x)] + weight * E_p[valid(x)],

whose second part has the score-function gradient (Williams 1992) over the model's own samples, each
measured against the mean of the others. It presses down what is invalid; the likelihood holds the
proportions of the rest. Once all samples are valid it vanishes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen_envs.recurrent import RecurrentNetwork, Stepper
from seqgen_envs.vocabulary import Vocabulary

Judge = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


@torch.inference_mode()
def sample(network: RecurrentNetwork, vocabulary: Vocabulary, n: int, horizon: int) -> Tensor:
    """Sequences of the network, int64 [n, T <= horizon], padded; torch's generator draws them."""
    stepper, device = Stepper(network), network.head.weight.device
    state = stepper.initial_state(n)
    tokens = torch.full((n,), vocabulary.start_id, device=device)
    ended = torch.zeros(n, dtype=torch.bool, device=device)
    written: list[Tensor] = []
    while len(written) < horizon and not ended.all():
        logits, state = stepper.step(tokens, state)
        tokens = torch.multinomial(torch.softmax(logits, dim=-1), 1)[:, 0]
        written.append(tokens.masked_fill(ended, vocabulary.pad_id))
        ended |= tokens == vocabulary.end_id
    return torch.stack(written, dim=1)


class ValidityLoss:
    """A loss whose gradient is minus the estimate of the share's, over the mean length.

    Samples are drawn without drop-out; where the network has any, the estimate is that much off.

    Args:
        vocabulary: the tokens.
        judge: ids int64 [N, T], padded, to bool [N]: which are finished and valid.
        samples: sequences sampled for one loss.
        horizon: their longest length.
    """

    def __init__(self, vocabulary: Vocabulary, judge: Judge, samples: int, horizon: int) -> None:
        self.vocabulary, self.judge = vocabulary, judge
        self.samples, self.horizon = samples, horizon

    def __call__(self, network: RecurrentNetwork) -> tuple[Tensor, float]:
        """A loss per token, to be added to one of likelihood, and the share that was valid.

        Raises:
            ValueError: the network's weights are no longer finite.
        """
        if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
            raise ValueError(
                "training diverged: the weights are no longer finite; lower the learning rate"
            )
        ids = sample(network, self.vocabulary, self.samples, self.horizon)
        valid = torch.from_numpy(self.judge(ids.cpu().numpy())).to(ids.device)
        if self.vocabulary.end_id is not None:
            valid &= torch.eq(ids, self.vocabulary.end_id).any(dim=1)
        valid = valid.float()
        share = valid.mean()
        # against the mean of the others: the baseline must not depend on the sample itself
        advantage = (valid - share) * self.samples / (self.samples - 1)
        log_probs = torch.log_softmax(network.shifted_logits(ids), dim=-1)
        real = ids != self.vocabulary.pad_id
        chosen = log_probs.gather(-1, ids.masked_fill(~real, 0)[..., None])[..., 0]
        loss = -(advantage[:, None] * chosen * real).sum() / real.sum()
        return loss, float(share)
