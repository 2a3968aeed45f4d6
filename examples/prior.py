"""A prior of your own: a vocabulary, a fingerprint and three methods.

python examples/prior.py
"""

import gymnasium as gym
import torch

import seqgen_envs  # noqa: F401  (registers the ids)
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


if __name__ == "__main__":
    env = gym.make("MelodyGen-v0", prior=falling())
    observation, _ = env.reset(seed=0)
    print("the likeliest first token:", observation["log_prior"].argmax())
