"""The commands this package adds to ``seqgen``: ``train``, ``evaluate``, ``best``,
``report``, ``reproduce``, ``tune``.

Each imports PyTorch and the agents when it runs, not before.
"""

from kl_agents.cli.best import best
from kl_agents.cli.evaluate import evaluate
from kl_agents.cli.report import report
from kl_agents.cli.reproduce import reproduce
from kl_agents.cli.train import train
from kl_agents.cli.tune import tune

__all__ = ["best", "evaluate", "report", "reproduce", "train", "tune"]
