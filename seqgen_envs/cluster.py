"""Ray (extra ``cluster``): the one place that imports it and joins its cluster.

Nothing here is imported until something is asked for that runs on Ray. RLlib is not used: Ray's
core alone carries tasks, actors and the object store.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from seqgen_envs.extras import require

#: Environment variable that Ray itself reads: where a cluster is, for ``ray.init``.
ADDRESS = "RAY_ADDRESS"


def connect(address: str | None = None) -> Any:
    """Join a Ray cluster, or start one on this machine; joined already, it is kept.

    Args:
        address: the cluster's, ``"auto"`` for one that runs on this machine; without it, that of
            ``RAY_ADDRESS``, else a new one of this machine's cores that ends with this process.

    Returns:
        the module ``ray``.

    Raises:
        ImportError: the extra ``cluster`` is not installed.
        ConnectionError: no cluster answers at ``address``.
    """
    ray = require("ray", "cluster")
    if ray.is_initialized():
        return ray
    wanted = address or os.environ.get(ADDRESS)
    options: dict[str, Any] = {} if wanted else {"include_dashboard": False}
    try:
        # without "local", Ray joins whatever cluster was last started on this machine
        ray.init(
            address=wanted or "local", logging_level=logging.ERROR, log_to_driver=False, **options
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = wanted or "on this machine"
        raise ConnectionError(
            f"no Ray cluster answers at {where}: start one with `ray start --head`, or leave the "
            "address out to use this machine alone"
        ) from error
    return ray
