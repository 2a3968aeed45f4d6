"""Episodes of given actions, and the augmenter of a domain."""

import numpy as np

from kl_agents.augmentation import Augmenter
from kl_agents.replay import EpisodeBatch
from seqgen_envs.domains.toy import DOMAIN as TOY


def played(lanes, sequences):
    """The episodes of these actions, as a collector records them; the behaviour is made up."""
    first, size = len(lanes.settings.primers[0]), lanes.domain.vocabulary.size
    batch = EpisodeBatch.empty(len(sequences), lanes.horizon - first, size, whole=True)
    batch.lengths[:] = [len(s) for s in sequences]
    batch.log_behaviour[:] = -9.0
    for row, sequence in enumerate(sequences):
        lanes.reset()
        for t, token in enumerate(sequence):
            batch.tokens[row, t] = token
            batch.log_prior[row, t] = lanes.log_prior[0]
            batch.log_prior_taken[row, t] = lanes.log_prior[0, token]
            step = lanes.step(np.array([token]))
            batch.task_reward[row, t] = step.task_reward[0]
        assert step.finished[0]
    return batch


def augmenter_of(domain, task=None, prior=None, primer=(), horizon=TOY.horizon):
    return Augmenter(
        domain, prior or domain.load_prior(), task or domain.make_task(),
        np.array(primer, dtype=np.int64), horizon - len(primer), domain.action_mask,
    )  # fmt: skip
