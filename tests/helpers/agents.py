"""Small agents on the toy domain, and what is read off them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from kl_agents import (
    GRPO,
    GLearning,
    PolicyGradient,
    PriorAgent,
    PsiLearning,
    QLearning,
    Reinvent,
    ReinventPMO,
    RLOnly,
    TrajectoryBalance,
)
from seqgen_envs.domains.toy.vocabulary import VOCABULARY
from seqgen_envs.exact import PrefixTree
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.starts import MIN_LOG_PROB
from seqgen_envs.vector_env import SequenceVectorEnv

V = VOCABULARY.size
SMALL = {"cell": "gru", "embedding_size": 8, "hidden_size": 16}
RANDOM = {"init": "random", "scale": 2.0, "architecture": SMALL}
#: Learners of whole trajectories, and with them all that save a network of their own.
FAMILY = [TrajectoryBalance, PolicyGradient, GRPO, ReinventPMO]
ALGORITHMS = [PsiLearning, GLearning, QLearning, RLOnly, Reinvent, PriorAgent, *FAMILY]
SAME_STEP = AutoresetMode.SAME_STEP


def recurrent_prior(cell, layers=1, hidden=12):
    torch.manual_seed(3)
    network = RecurrentNetwork(RecurrentConfig(V, cell, 6, hidden, layers, dropout=0.3))
    with torch.no_grad():  # far enough from uniform to matter
        for parameter in network.parameters():
            parameter.mul_(3.0)
    return RecurrentPrior(network, VOCABULARY)


def native(n=8, domain="toy", **kwargs):
    return SequenceVectorEnv(domain, n, autoreset_mode=SAME_STEP, **kwargs)


def make(algorithm=PsiLearning, env=None, policy="SequencePolicy", **kwargs):
    settings = {"policy_kwargs": RANDOM, "seed": 0, "device": "cpu", "batch_episodes": 16}
    return algorithm(policy, native() if env is None else env, **(settings | kwargs))


def make_quick(algorithm=PsiLearning, env=None, **kwargs):
    """An agent that trains after every 16 episodes."""
    settings = {"episodes_per_round": 16, "learning_rate": 1e-2}
    return make(algorithm, env, **(settings | kwargs))


def unlike_the_prior(agent, size=3.0, seed=0):
    """Give the value network arbitrary weights, as if it had learnt something."""
    torch.manual_seed(seed)
    head = agent.policy.network.trunk.head
    torch.nn.init.normal_(head.weight, std=size / agent.policy.network.scale)
    torch.nn.init.normal_(head.bias, std=size / agent.policy.network.scale)
    agent.policy.weights_changed()
    return agent


def settings_of(agent):
    return agent.get_env().get_attr("lanes")[0].settings


def log_policy_of(agent):
    """log pi in every state of the agent's environment, and the tree of the states."""
    tree = PrefixTree.build(settings_of(agent))
    return tree, tree.policy_of(lambda observation: policy_on(agent, observation))


def policy_on(agent, observation):
    g, _ = agent.policy.read_prefixes(observation["tokens"])
    return agent.policy.log_policy(observation["log_prior"], g)


def observations_of(tree):
    log_prior = np.where(tree.allowed, tree.log_prior, MIN_LOG_PROB).astype(np.float32)
    return {"tokens": tree.tokens, "log_prior": log_prior}


def normalised(log_probs):
    return log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)


def collect(agent, episodes, epsilon=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return agent.collector.collect(agent.policy, episodes, epsilon, rng, lambda _: True).episodes


def assert_equal_states(actual, expected):
    assert set(actual) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def single(seed=None):
    import seqgen_envs  # noqa: F401  (for workers that were spawned)

    return gym.make("ToyGen-v0")


def first_observation():
    observation, _ = gym.make("ToyGen-v0").reset()
    return observation
