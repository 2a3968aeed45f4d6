"""A prior of your own: a vocabulary, a fingerprint and three methods.

gym.make("MelodyGen-v0", prior=falling())
"""

import torch

from seqgen_envs import get_domain


class Unigram:
    """Every token independent of those before it.

    Args:
        log_probs: log p of each token, float [V].
        vocabulary: V tokens.
    """

    def __init__(self, log_probs, vocabulary):
        self.vocabulary = vocabulary
        self.fingerprint = "unigram-1"  # changes with the numbers: runs compare it
        self.log_probs = log_probs

    def initial_state(self, batch_size):
        """Tensors with the batch first, if there is anything to remember."""
        return ()

    def step(self, tokens, state):
        """log p of the next token [N, V] after the last tokens [N], and the state after them."""
        return self.log_probs.expand(len(tokens), -1), state

    def sequence_log_probs(self, tokens):
        """log p of every token [N, T, V], each given those before it."""
        return self.log_probs.expand(*tokens.shape, -1)


def falling():
    """Likelier the lower: note off, no event, then notes from C3 up."""
    vocabulary = get_domain("melody").vocabulary
    return Unigram(torch.log_softmax(torch.linspace(1, 0, vocabulary.size), dim=0), vocabulary)
