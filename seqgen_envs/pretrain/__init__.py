"""Training of priors: likelihood, and validity if wanted; never imported by environments.

Sequences are read whole from the start token, so the model knows how they begin; ``window`` cuts
them into pieces that each start anew. Every epoch's order is a function of the seed and the epoch
alone, so is every sequence's spelling where ``augment`` draws them, and checkpoints hold the
generators' states: a killed run resumes exactly.
"""

from seqgen_envs.pretrain.batches import cut, evaluate, pad
from seqgen_envs.pretrain.config import TrainingConfig
from seqgen_envs.pretrain.trainer import CHECKPOINT_FILE, PriorTrainer

__all__ = ["CHECKPOINT_FILE", "PriorTrainer", "TrainingConfig", "cut", "evaluate", "pad"]
