"""The commands this package adds to ``seqgen``: ``train``, ``evaluate``, ``reproduce``.

Each imports PyTorch and the agents when it runs, not before.
"""

from kl_agents.cli.evaluate import evaluate
from kl_agents.cli.reproduce import reproduce
from kl_agents.cli.train import train

__all__ = ["evaluate", "reproduce", "train"]
