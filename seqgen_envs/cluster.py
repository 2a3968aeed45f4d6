"""Ray (extra ``cluster``): the one place that imports it, joins its cluster and calls on it.

Ray is not imported until something is asked for that runs on it. RLlib is not used: Ray's core
alone carries tasks, actors and the object store.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from seqgen_envs.extras import require

#: Environment variable that Ray itself reads: where a cluster is, for ``ray.init``.
ADDRESS = "RAY_ADDRESS"
#: How often something is done again whose process or node was lost, where nothing else is said.
RETRIES = 3
#: Seconds for a cluster to answer.
_KNOCK = 10.0
#: The folder that a process works in, and those that it finds modules in.
Place = tuple[str, list[str]]
_OURS = re.compile(r"No module named '(seqgen_envs|kl_agents)")


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
    try:  # without an address Ray would join whatever cluster was last started on this machine
        if wanted:
            _knock(ray, wanted)
        ray.init(
            address=wanted or "local", logging_level=logging.ERROR, log_to_driver=False, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        where = wanted or "on this machine"
        raise ConnectionError(
            f"no Ray cluster answers at {where}: start one with `ray start --head`, or leave the "
            "address out to use this machine alone"
        ) from error
    return ray


def _knock(ray: Any, address: str) -> None:
    """Raise an OSError where nothing answers: Ray itself would try for half an hour."""
    find = getattr(ray._private.services, "canonicalize_bootstrap_address", None)
    if find is not None and "://" not in address:
        host, _, port = (find(address) or "").rpartition(":")
        if host:
            socket.create_connection((host.strip("[]"), int(port)), _KNOCK).close()


class Gone(NamedTuple):
    """What became of a call whose worker process or node was lost before it returned."""

    reason: str


class Calls:
    """Calls of one function, each a task of Ray's, in the order in which they end.

    A call whose process or node is lost is not made again here: it is told as :class:`Gone`, and
    who asked for it decides. A call runs in this process's current folder and finds modules where
    this process does, as far as its node has those folders.

    Args:
        function: a module's, of a package that every node has installed or that is found there.
        num_cpus, num_gpus: what a call takes of its node.
        address: see :func:`connect`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        address: str | None = None,
    ) -> None:
        self.ray = connect(address)
        self._function = self.ray.cloudpickle.dumps(function)
        self._needs = {"CPU": num_cpus, "GPU": num_gpus}
        remote = self.ray.remote(
            max_retries=0,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            max_calls=0,  # Ray would end a GPU's process after each call, with the model it loaded
        )
        self._call = remote(_call)
        self._where = here()
        self._keys: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def slots(self) -> int:
        """How many calls the cluster's nodes can hold at a time, others' left out of account."""
        nodes = (node["Resources"] for node in self.ray.nodes() if node["Alive"])
        return sum(_fitting(node, self._needs) for node in nodes)

    def begin(self, key: Any, *arguments: Any) -> None:
        """Make a call; ``key`` is what :meth:`ended` tells of it."""
        self._keys[self._call.remote(self._function, self._where, *arguments)] = key

    def ended(self, patience: float | None) -> list[tuple[Any, Any]]:
        """The calls that have ended since: their keys, and what they returned or :class:`Gone`.

        Args:
            patience: seconds to wait for the first; None: for ever.

        Raises:
            ImportError: a node has not installed this package.
            Exception: whatever a function raised; the other calls go on.
        """
        if not self._keys:
            return []
        first, _ = self.ray.wait(list(self._keys), timeout=patience)
        ready, _ = self.ray.wait(list(self._keys), num_returns=len(self._keys), timeout=0)
        return [(self._keys.pop(ref), self._outcome(ref)) for ref in {*first, *ready}]

    def _outcome(self, ref: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(ref)
        except errors.RayTaskError as error:
            if missing := _OURS.search(str(error)):
                raise ImportError(
                    f"a node of the Ray cluster has no {missing[1]}: install this package, in this "
                    "version, on all of them"
                ) from None
            raise (error.cause or error) from None
        except errors.RayError as error:
            return Gone(str(error).strip().partition("\n")[0])

    def cancel(self) -> None:
        """End the calls that have not ended, and their processes with them."""
        for ref in self._keys:
            with suppress(self.ray.exceptions.RayError):
                self.ray.cancel(ref, force=True)
        self._keys.clear()


def results_of(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    *,
    address: str | None = None,
    most: int | None = None,
    retries: int = RETRIES,
) -> Iterator[tuple[int, Any]]:
    """What a function returns for each of many jobs, each a task of Ray's, as they end.

    Args:
        function: see :class:`Calls`.
        jobs: arguments of the calls.
        address: see :func:`connect`.
        most: calls at a time, where the cluster has room for more.
        retries: how often a job is done again whose process or node was lost; then it is
            :class:`Gone`.

    Yields:
        the number of a job, from 0, and its result.

    Raises:
        ImportError, Exception: see :meth:`Calls.ended`.
    """
    calls = Calls(function, address=address)
    waiting, losses = deque(range(len(jobs))), [0] * len(jobs)
    try:
        while waiting or len(calls):
            while waiting and (most is None or len(calls) < most):
                number = waiting.popleft()
                calls.begin(number, *jobs[number])
            for number, result in calls.ended(None):
                if isinstance(result, Gone):
                    losses[number] += 1
                    if losses[number] <= retries:
                        waiting.appendleft(number)
                        continue
                    times = f"{losses[number]} times, at last"
                    result = Gone(f"Ray lost what worked on it {times}: {result.reason}")
                yield number, result
    finally:
        calls.cancel()


def here() -> Place:
    """Where this process works and finds modules."""
    return os.getcwd(), [folder for folder in sys.path if folder]


def go_to(place: Place) -> None:
    """In a worker of Ray's, which works for one driver alone: work where that one does.

    Folders that this node lacks are left out.
    """
    folder, path = place
    with suppress(OSError):
        os.chdir(folder)
    sys.path += [one for one in path if one not in sys.path]


def node_id() -> str:
    """The node that a call runs on."""
    return str(connect().get_runtime_context().get_node_id())


def on_nodes(function: Callable[..., Any], arguments: Mapping[str, Any], patience: float) -> None:
    """Call a function once on each of some nodes; those that are gone are left out.

    Args:
        function: a module's.
        arguments: what it is given, by node.
        patience: seconds to wait for all of them.
    """
    ray = connect()
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    at = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    call = ray.remote(max_retries=0, num_cpus=0)(function)
    refs = [
        call.options(scheduling_strategy=at(node, soft=False)).remote(argument)
        for node, argument in arguments.items()
        if node in alive
    ]
    if refs:
        ray.wait(refs, num_returns=len(refs), timeout=patience)


def _fitting(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    return int(min(node.get(name, 0.0) / need + 1e-6 for name, need in needs.items() if need))


def _call(function: bytes, place: Place, *arguments: Any) -> Any:
    go_to(place)
    return connect().cloudpickle.loads(function)(*arguments)
