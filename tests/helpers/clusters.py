"""A Ray cluster of two nodes on this machine, which tests share: it takes ten seconds to start."""

import contextlib
import os
import signal
import time

import pytest

from seqgen_envs.cluster import ADDRESS

#: Cores of a node, whatever the machine has.
CORES = 1
#: That the second node says it has: Ray counts them and does not look.
GPUS = 1
#: A node that is lost is noticed within two seconds.
_NOTICE = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}


@contextlib.contextmanager
def two_nodes(cores=CORES, join=True):
    """A :class:`ray.cluster_utils.Cluster`; commands join it by ``RAY_ADDRESS``.

    ``join``: this process does too. It can be in one cluster at a time.
    """
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cores, "include_dashboard": False, "_system_config": _NOTICE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=cores, num_gpus=GPUS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ADDRESS, cluster.address)
        try:
            if join:
                ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
            yield cluster
        finally:
            if join:
                ray.shutdown()
            cluster.shutdown()


def until(condition, seconds=30):
    """Wait until a condition holds, and say whether it does."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def call(what, marks=None):
    """What calls on the cluster do in tests: say where they are, raise, or end their process."""
    if what == "raise":
        raise ZeroDivisionError("what a function raises")
    if what == "end" or (what == "end once" and not os.path.exists(marks)):
        if marks is not None:
            open(marks, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return what, os.getcwd(), os.getpid()
