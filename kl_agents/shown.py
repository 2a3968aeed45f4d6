"""log p of whole episodes, asked of the prior anew: as the environment showed it, to rounding.

A prior is frozen and a state is a function of its tokens, so what was shown when an episode was
made can be had again. It is for episodes that were not played (other spellings) and for those that
do not keep it: with a large vocabulary it is nearly all there is to keep of an episode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen_envs.domain import ActionMask
from seqgen_envs.prior import Prior
from seqgen_envs.starts import as_shown, bounded

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

#: Numbers [episodes, T, V] that are made at a time: 64 MiB of float32.
TOGETHER = 2**24


def few_at_a_time(shape: Sequence[int], vocabulary_size: int) -> Iterator[slice]:
    """Slices of so many of B episodes that [episodes, T, V] has at most :data:`TOGETHER` numbers.

    ``shape`` is (B, T).
    """
    episodes, horizon = shape
    size = max(TOGETHER // (horizon * vocabulary_size), 1)
    return (slice(start, start + size) for start in range(0, episodes, size))


class Shown:
    """What the environment shows of its prior.

    Args:
        prior: the environment's.
        primer: what every episode begins with, int64 [P].
        mask: the environment's action mask, if it has one.
    """

    def __init__(self, prior: Prior, primer: Ids, mask: ActionMask | None = None) -> None:
        self.prior, self.primer, self.mask = prior, primer, mask

    def __call__(self, tokens: Ids, lengths: Ids) -> Floats:
        """log p(.|s_t), float32 [B, T, V], zeros past the end.

        Args:
            tokens: the actions, int64 [B, T], padded with V.
            lengths: int64 [B].
        """
        size, longest = self.prior.vocabulary.size, int(lengths.max(initial=0))
        found = np.zeros((*tokens.shape, size), dtype=np.float32)
        if longest:
            found[:, :longest] = self._cropped(tokens[:, :longest], lengths)
        return found

    def _cropped(self, tokens: Ids, lengths: Ids) -> Floats:
        """The same where the longest episode fills [B, T]: the prior reads no steps in vain."""
        size, first = self.prior.vocabulary.size, len(self.primer)
        live = np.arange(tokens.shape[1]) < lengths[:, None]
        whole = np.concatenate([np.tile(self.primer, (len(tokens), 1)), tokens], axis=1)
        # what follows a state does not change it; the pad is not every prior's to read
        read = torch.from_numpy(np.minimum(whole, size - 1))
        with torch.inference_mode():
            log_probs = self.prior.sequence_log_probs(read)[:, first:]
            if self.mask is None:
                shown = bounded(log_probs)
            else:
                shown = self._masked(log_probs, whole, live)
        if not live.all():
            shown[~live] = 0.0
        return shown

    def _masked(self, log_probs: torch.Tensor, whole: Ids, live: NDArray[np.bool_]) -> Floats:
        """[B, T, V], of the steps that are ``live``."""
        row, step = np.nonzero(live)
        lengths = len(self.primer) + step
        seen = np.arange(whole.shape[1]) < lengths[:, None]
        prefixes = np.where(seen, whole[row], self.prior.vocabulary.pad_id)
        shown = np.zeros(tuple(log_probs.shape), dtype=np.float32)
        shown[row, step], _ = as_shown(self.mask, log_probs[row, step], prefixes, lengths)
        return shown

    def taken(self, tokens: Ids, lengths: Ids) -> Floats:
        """log p of the actions, float32 [B, T], 0 past the end; not many [B, T, V] at once."""
        size, found = self.prior.vocabulary.size, np.zeros(tokens.shape, dtype=np.float32)
        for part in few_at_a_time(tokens.shape, size):
            log_prior = self(tokens[part], lengths[part])
            found[part] = taken_of(log_prior, tokens[part])
        return found


def taken_of(log_prior: Floats, tokens: Ids) -> Floats:
    """Entries [B, T] of the actions ``tokens`` [B, T], padded, in ``log_prior`` [B, T, V]."""
    actions = np.minimum(tokens, log_prior.shape[2] - 1)
    found: Floats = np.take_along_axis(log_prior, actions[..., None], axis=2)[..., 0]
    return found
