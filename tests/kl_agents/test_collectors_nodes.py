"""Collectors on two local nodes, one of which is lost."""

import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from helpers.agents import make_quick, native
from kl_agents.collectors import CollectorSettings, collecting
from seqgen_envs.cluster import connect

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def node_of(actor):
    ray = connect()

    return ray.get(actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))


class LoseANode(BaseCallback):
    def __init__(self, cluster, node):
        super().__init__()
        self.cluster, self.node, self.rounds, self.nodes = cluster, node, [], set()

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.rounds.append(self.locals["collected"].logged)
        if len(self.rounds) == 3:
            self.nodes = {node_of(slot.actor) for slot in self.model.collector._slots}
            self.cluster.remove_node(self.node)


def test_a_lost_nodes_collector_is_replaced_on_the_other():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    ray = connect(cluster.address)
    try:
        agent = make_quick(env=native(16))
        agent.set_logger(configure(None, []))
        lost = LoseANode(cluster, node)
        with collecting(agent, CollectorSettings(2)):
            agent.learn(3_000, callback=lost)
        assert len(lost.nodes) == 2  # they were spread
        assert lost.rounds[-1]["collectors/replaced"] == 1
        assert agent.num_timesteps >= 3_000
        assert max(row["collectors/staleness"] for row in lost.rounds) <= 4
    finally:
        ray.shutdown()
        cluster.shutdown()
