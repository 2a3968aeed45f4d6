"""What every agent does before and beside learning: start at the prior, act, collect, refuse."""

from __future__ import annotations

import dataclasses
import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import MASKED_TOY
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import kl_agents
from kl_agents import GLearning, PriorAgent, PsiLearning, QLearning, Reinvent, RLOnly
from kl_agents.backups import step_mask
from kl_agents.collection import Collector
from kl_agents.policy import masked_log_prior
from seqgen_envs.adapters.sb3 import SB3VecEnv, make_sb3_vec_env
from seqgen_envs.domains.toy import DOMAIN as TOY
from seqgen_envs.domains.toy.vocabulary import VOCABULARY, A, B
from seqgen_envs.exact import PrefixTree
from seqgen_envs.lanes import Lanes, LaneSettings
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.rollout import rollout
from seqgen_envs.starts import MIN_LOG_PROB
from seqgen_envs.vector_env import SequenceVectorEnv

V = VOCABULARY.size
SMALL = {"cell": "gru", "embedding_size": 8, "hidden_size": 16}
RANDOM = {"init": "random", "scale": 2.0, "architecture": SMALL}
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


def make(algorithm=PsiLearning, env=None, **kwargs):
    settings = {"policy_kwargs": RANDOM, "seed": 0, "device": "cpu", "batch_episodes": 16}
    return algorithm("SequencePolicy", native() if env is None else env, **(settings | kwargs))


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


# ---------------------------------------------------------------------- step 0 is the prior


@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("gru", 2), ("lstm", 1), ("lstm", 2)])
@pytest.mark.parametrize("init", ["prior", "random"])
def test_at_step_0_the_policy_is_the_prior(cell, layers, init):
    prior = recurrent_prior(cell, layers)
    kwargs = {"init": init, "scale": 7.0}
    psi, g = (
        make(algorithm, native(prior=prior), policy_kwargs=kwargs, c=0.3)
        for algorithm in (PsiLearning, GLearning)
    )
    tree, log_policy = log_policy_of(psi)
    shown = torch.from_numpy(observations_of(tree)["log_prior"])
    values, _ = psi.policy.read_prefixes(tree.tokens)
    assert torch.equal(psi.backup.values(shown, values, 0.3), shown)  # Psi = log p, to the bit
    values, _ = g.policy.read_prefixes(tree.tokens)
    assert torch.equal(g.backup.values(shown, values, 0.3), torch.zeros(len(tree), V))
    np.testing.assert_allclose(log_policy, normalised(tree.log_prior), rtol=0, atol=1e-6)
    np.testing.assert_allclose(log_policy_of(g)[1], log_policy, rtol=0, atol=1e-6)
    for agent, g_values in ((psi, torch.zeros(len(tree), V)), (g, values)):
        state_values = agent.backup.state_value(shown, agent.backup.values(shown, g_values, 0.3))
        np.testing.assert_allclose(state_values, 0.0, atol=1e-6)
    assert tree.objective(log_policy, 0.3) < tree.log_z(0.3) - 0.1  # and not yet the optimum


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning])
def test_a_start_value_leaves_the_policy_the_prior(algorithm):
    kwargs = {"scale": 4.0, "start_value": 3.0}
    agent = make(algorithm, native(prior=recurrent_prior("gru")), policy_kwargs=kwargs, c=0.5)
    tree, log_policy = log_policy_of(agent)
    np.testing.assert_allclose(log_policy, normalised(tree.log_prior), rtol=0, atol=1e-5)
    shown = torch.from_numpy(observations_of(tree)["log_prior"])
    values, _ = agent.policy.read_prefixes(tree.tokens)
    state_values = agent.backup.state_value(shown, agent.backup.values(shown, values, 0.5))
    np.testing.assert_allclose(state_values, 3.0 / 0.5, atol=1e-5)


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning])
@pytest.mark.parametrize("lambda_", [0.0, 0.9])
def test_at_step_0_the_td_error_is_the_task_reward(algorithm, lambda_):
    agent = make(algorithm, native(64, prior=recurrent_prior("lstm")), policy_kwargs={}, c=0.5,
                 lambda_=lambda_)  # fmt: skip
    batch = collect(agent, 64)
    inputs = agent._inputs(batch)
    values = agent.backup.values(inputs.log_prior, inputs.g, inputs.c)
    taken = values.gather(-1, inputs.actions[..., None])[..., 0]
    mask = step_mask(inputs.lengths, 5)
    error = ((agent._targets(inputs) - taken) * mask).detach().numpy()
    reward = batch.task_reward / 0.5
    if lambda_:  # the rest of the trajectory's, discounted by lambda
        for t in range(3, -1, -1):
            reward[:, t] += 0.9 * reward[:, t + 1]
    assert np.abs(reward).max() > 1.0
    np.testing.assert_allclose(error, reward, atol=1e-5)


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning, RLOnly, Reinvent])
def test_the_trunk_is_the_priors_and_a_copy(algorithm):
    prior = recurrent_prior("gru")
    before = {k: v.clone() for k, v in prior.network.state_dict().items()}
    agent = make(algorithm, native(16, prior=prior), policy_kwargs={})
    trunk = agent.policy.network.trunk.state_dict()
    for name, tensor in before.items():
        expected = torch.zeros_like(tensor) if name.startswith("head") else tensor
        assert torch.equal(trunk[name], expected), name
    agent.learn(16 * 5 * 3)
    assert agent._n_updates > 0
    assert not torch.equal(agent.policy.network.trunk.rnn.weight_hh_l0, before["rnn.weight_hh_l0"])
    for name, tensor in prior.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # the prior is frozen


def test_a_network_from_scratch():
    prior = recurrent_prior("lstm")
    own = {"init": "random", "architecture": SMALL}
    trunk = make(env=native(prior=prior), policy_kwargs=own).policy.network.trunk
    assert (trunk.config.cell, trunk.config.hidden_size) == ("gru", 16)
    assert trunk.head.weight.abs().sum() == 0
    like = make(env=native(prior=prior), policy_kwargs={"init": "random"}).policy.network.trunk
    assert (like.config.cell, like.config.hidden_size) == ("lstm", 12)
    assert like.config.dropout == 0.0
    assert not torch.equal(like.rnn.weight_hh_l0, prior.network.rnn.weight_hh_l0)


def test_bad_networks_are_refused():
    with pytest.raises(ValueError, match="TabularPrior has no recurrent trunk"):
        make(policy_kwargs={})
    with pytest.raises(ValueError, match="init must be one of"):
        make(policy_kwargs={"init": "zeros"})
    with pytest.raises(ValueError, match="architecture goes with init='random'"):
        make(env=native(prior=recurrent_prior("gru")), policy_kwargs={"architecture": SMALL})
    with pytest.raises(ValueError, match="scale must be > 0"):
        make(policy_kwargs={"init": "random", "scale": 0.0})


# ---------------------------------------------------------------------- the policy and c


def test_the_policy_follows_c_at_once():
    agent = unlike_the_prior(make(c=1.0))
    tree, at_one = log_policy_of(agent)
    with torch.inference_mode():
        g = agent.policy.read_prefixes(tree.tokens)[0].double().numpy()
    for c in (0.05, 0.5, 20.0):
        agent.policy.c = c
        _, log_policy = log_policy_of(agent)
        np.testing.assert_allclose(log_policy, normalised(tree.log_prior + g / c), atol=1e-4)
        assert np.abs(log_policy - at_one).max() > 0.1


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (QLearning, lambda log_prior, g, c: log_prior + g / c),
        (RLOnly, lambda log_prior, g, c: g / c),
    ],
)
def test_q_is_greedy(algorithm, expected):
    agent = unlike_the_prior(make(algorithm, c=0.7))
    tree, log_policy = log_policy_of(agent)
    with torch.inference_mode():
        g = agent.policy.read_prefixes(tree.tokens)[0].numpy()
    best = expected(tree.log_prior, g, 0.7).argmax(1)
    np.testing.assert_array_equal(log_policy.argmax(1), best)
    np.testing.assert_allclose(np.exp(log_policy.max(1)), 1.0)
    assert len(set(best.tolist())) > 1


@pytest.mark.parametrize("schedule", [{"start": 5.0, "end": 0.5}, 2.0])
def test_c_follows_its_schedule(schedule):
    agent = make(c=schedule, episodes_per_round=8, replay_ratio=0.0)
    assert agent.policy.c == (5.0 if isinstance(schedule, dict) else 2.0)
    seen = []
    agent.learn(400, callback=lambda local, _: seen.append(agent.policy.c) or True)
    if isinstance(schedule, dict):
        assert seen[0] == 5.0
        assert 0.5 <= seen[-1] < 1.5
        assert all(a >= b for a, b in itertools.pairwise(seen))
    else:
        assert set(seen) == {2.0}


def test_a_second_learn_starts_the_schedules_anew():
    agent = make(c={"start": 5.0, "end": 0.5}, replay_ratio=0.0)
    for _ in range(2):
        seen = []
        agent.learn(120, callback=lambda local, _, seen=seen: seen.append(agent.policy.c) or True)
        assert seen[0] == 5.0
        assert seen[-1] < 5.0


def test_learning_rate_and_epsilon_follow_their_schedules():
    agent = make(
        learning_rate={"start": 1e-2, "end": 1e-4, "shape": "exponential"},
        explore="uniform",
        epsilon={"start": 1.0, "end": 0.0, "fraction": 0.5},
        episodes_per_round=8,
    )
    rates, epsilons = [], []

    def watch(local, _):
        rates.append(agent.policy.optimizer.param_groups[0]["lr"])
        epsilons.append(agent.epsilon_schedule(agent._current_progress_remaining))
        return True

    agent.learn(600, callback=watch)
    assert rates[0] == 1e-2
    assert rates[-1] < 1e-3
    assert agent.policy.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    assert epsilons[0] == 1.0
    assert epsilons[-1] == 0.0


def test_the_environments_c_is_the_default():
    assert make(env=native(c=0.25)).policy.c == 0.25
    assert make(env=native(c=0.25), c=3.0).policy.c == 3.0


# ---------------------------------------------------------------------- predict


AGENTS = [PsiLearning, GLearning, QLearning, RLOnly, Reinvent, PriorAgent]


def greedy_by_hand(agent, observation):
    return policy_on(agent, observation).argmax(1)


@pytest.mark.parametrize("algorithm", AGENTS)
@pytest.mark.parametrize("primer", [None, "ab"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_predict_stateful_stateless_single_and_batched_agree(algorithm, primer, cell):
    kwargs = {"init": "random", "architecture": SMALL | {"cell": cell, "layers": 2}}
    agent = make(algorithm, native(primer=primer, c=1.0), policy_kwargs=kwargs)
    if algorithm is not PriorAgent:
        unlike_the_prior(agent)
    lanes = Lanes(6, LaneSettings("toy", primer=primer))
    rng = np.random.default_rng(0)
    lanes.reset()
    state, starts, lone_state = None, np.ones(6, dtype=bool), None
    for _ in range(40):
        observation = {"tokens": lanes.tokens.copy(), "log_prior": lanes.log_prior.copy()}
        stateful, state = agent.predict(observation, state, starts, deterministic=True)
        stateless, _ = agent.predict(observation, deterministic=True)
        first = {key: value[0] for key, value in observation.items()}
        single, lone_state = agent.predict(first, lone_state, starts[:1], deterministic=True)
        alone, _ = agent.predict(first, deterministic=True)
        expected = greedy_by_hand(agent, observation)
        np.testing.assert_array_equal(stateful, expected)
        np.testing.assert_array_equal(stateless, expected)
        assert np.shape(single) == np.shape(alone) == ()
        assert single == alone == expected[0]
        starts = lanes.step(rng.integers(0, V, 6)).finished.copy()
        lanes.reset(starts) if starts.any() else None


@pytest.mark.parametrize("primer", [None, "a"])
def test_values_by_steps_are_those_of_a_whole_pass(primer):
    agent = unlike_the_prior(make(env=native(primer=primer)))
    batch = collect(agent, 20)
    tokens, start = torch.from_numpy(batch.tokens), len(primer or "")
    with torch.inference_mode():
        whole = agent.policy.network(tokens, agent._primer()).numpy()
    ids = TOY.to_ids(primer) if primer else np.zeros(0, dtype=np.int64)
    for row, length in enumerate(batch.lengths):
        for t in range(length):
            prefix = np.full((1, 5), V)
            prefix[0, : start + t] = [*ids, *batch.tokens[row, :t]]
            g, _ = agent.policy.read_prefixes(prefix)
            np.testing.assert_allclose(g[0], whole[row, t], atol=1e-4)
    assert np.ptp(whole) > 1.0


def test_sampled_actions_have_the_policys_distribution():
    agent = unlike_the_prior(make(c=2.0))
    tree, log_policy = log_policy_of(agent)
    n, row = 20_000, 3
    observation = {k: np.repeat(v[row : row + 1], n, 0) for k, v in observations_of(tree).items()}
    actions, _ = agent.predict(observation)
    assert chi_square(np.bincount(actions, minlength=V), np.exp(log_policy[row])) < 16.3
    assert chi_square(np.bincount(actions, minlength=V), np.exp(tree.log_prior[row])) > 100


def chi_square(counts, probabilities):
    """Of 4 categories: above 16.3 once in a thousand times."""
    expected = counts.sum() * probabilities / probabilities.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_q_draws_the_first_token_from_the_prior_then_is_greedy():
    agent = unlike_the_prior(make(QLearning, c=0.5))
    tree, log_policy = log_policy_of(agent)
    shown, n = observations_of(tree), 20_000
    first = {key: np.repeat(value[:1], n, 0) for key, value in shown.items()}
    actions, _ = agent.predict(first)
    assert chi_square(np.bincount(actions, minlength=V), np.exp(tree.log_prior[0])) < 16.3
    assert len(set(agent.predict(first, deterministic=True)[0].tolist())) == 1
    later = {key: value[1:] for key, value in shown.items()}
    np.testing.assert_array_equal(agent.predict(later)[0], log_policy[1:].argmax(1))


@pytest.mark.parametrize(
    "observation",
    [np.zeros(5), {"tokens": np.zeros(5)}, None],
)
def test_predict_wants_the_dict_observation(observation):
    with pytest.raises(ValueError, match="observation='dict'"):
        make().predict(observation)


# ---------------------------------------------------------------------- masks


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning, RLOnly, PriorAgent])
@pytest.mark.parametrize("deterministic", [True, False])
def test_masked_actions_are_never_chosen(algorithm, deterministic):
    agent = make(algorithm, native(8, MASKED_TOY))
    with torch.no_grad():  # a and b, the same again and again, are worth 5,000 nats
        bias = [5000.0, 4000.0, 0.0, 3000.0]
        agent.policy.network.trunk.head.bias.copy_(torch.tensor(bias))
    agent.policy.weights_changed()
    episodes = rollout(Lanes(8, LaneSettings(MASKED_TOY)), agent, 60, deterministic=deterministic)
    for row, length in zip(episodes.tokens, episodes.lengths, strict=True):
        assert length >= 3
        assert (row[1:length] != row[: length - 1]).all()
    if deterministic:
        assert set(episodes.tokens[:, 0].tolist()) == {A}
    batch = collect(agent, 40)
    repeats = batch.tokens[:, 1:] == batch.tokens[:, :-1]
    inside = np.arange(1, 5) < batch.lengths[:, None]
    assert not (repeats & inside).any()


def test_action_masks_of_the_caller_are_honoured():
    agent = make(QLearning)
    with torch.no_grad():
        agent.policy.network.trunk.head.bias[A] = 1e6
    agent.policy.weights_changed()
    observation = native(4).reset()[0]
    masks = np.ones((4, V), dtype=bool)
    masks[:, A] = False
    for deterministic in (True, False):
        unmasked, _ = agent.predict(observation, deterministic=True)
        assert (unmasked == A).all()
        for _ in range(20):
            actions, _ = agent.predict(observation, deterministic=deterministic, action_masks=masks)
            assert (actions != A).all()
    masks[:] = False
    masks[:, B] = True
    actions, _ = agent.predict(observation, action_masks=masks.astype(np.int8))
    assert (actions == B).all()


def test_masks_renormalise_the_policy_and_bad_ones_are_refused():
    log_prior = np.log(np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32))
    masked = masked_log_prior(log_prior, [[1, 0, 1, 0]])
    np.testing.assert_allclose(np.exp(masked), [[0.25, 0.0, 0.75, 0.0]], atol=1e-6)
    agent, observation = make(), native(2).reset()[0]
    for masks in (np.zeros((2, V)), np.ones((3, V)), np.ones(V)):
        with pytest.raises(ValueError, match="allow at least one token a row"):
            agent.predict(observation, action_masks=masks)


@pytest.mark.parametrize("explore", ["policy", "prior", "uniform"])
def test_exploration_keeps_to_the_mask(explore):
    agent = unlike_the_prior(make(env=native(8, MASKED_TOY), explore=explore), size=30.0)
    batch = collect(agent, 300, epsilon=0.5)
    assert (batch.lengths >= 3).all()
    inside = np.arange(1, 5) < batch.lengths[:, None]
    assert not ((batch.tokens[:, 1:] == batch.tokens[:, :-1]) & inside).any()


def test_the_kl_to_the_prior_under_a_mask_is_not_negative():
    agent = make(env=native(8, MASKED_TOY))
    got = agent.collector.collect(agent.policy, 50, 0.0, agent.rng, lambda _: True)
    assert got.kl_to_prior == pytest.approx(0.0, abs=1e-5)
    unlike_the_prior(agent)
    got = agent.collector.collect(agent.policy, 50, 0.0, agent.rng, lambda _: True)
    assert got.kl_to_prior > 0.1


# ---------------------------------------------------------------------- behaviour


def mixtures(log_policy, log_prior, explore, epsilon):
    """The behaviour's probabilities, written down naively."""
    other = {
        "policy": np.exp(log_policy),
        "prior": np.exp(log_prior),
        "uniform": np.full(V, 1 / V)[None],
    }[explore]
    return (1 - epsilon) * np.exp(log_policy) + epsilon * other


@pytest.mark.parametrize("explore", ["policy", "prior", "uniform"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("algorithm", [PsiLearning, QLearning])
def test_recorded_and_actual_probabilities_of_the_behaviour(explore, epsilon, algorithm):
    agent = make(algorithm, native(500), c=1.0, explore=explore)
    unlike_the_prior(agent)
    tree, log_policy = log_policy_of(agent)
    behaviour = mixtures(log_policy, tree.log_prior, explore, epsilon)
    batch = collect(agent, 6000, epsilon)
    known = {tuple(row): i for i, row in enumerate(tree.tokens.tolist())}
    counts = np.zeros((len(tree), V))
    for row, recorded, length in zip(batch.tokens, batch.log_behaviour, batch.lengths, strict=True):
        for t in range(length):
            state = known[(*row[:t].tolist(), *[V] * (5 - t))]
            counts[state, row[t]] += 1
            assert recorded[t] == pytest.approx(np.log(behaviour[state, row[t]]), abs=1e-4)
    total, cells = 0.0, 0
    for state in np.flatnonzero(counts.sum(1) > 200):
        expected = counts[state].sum() * behaviour[state]
        assert (counts[state][expected < 1e-6] == 0).all()
        common = expected > 5
        total += ((counts[state] - expected)[common] ** 2 / expected[common]).sum()
        cells += int(common.sum())
    assert cells > 0
    assert total < cells + 5 * np.sqrt(2 * cells)  # chi-square, five standard deviations


def test_the_collected_kl_and_entropy_are_the_policys():
    agent = unlike_the_prior(make(env=native(500), c=1.0))
    tree, log_policy = log_policy_of(agent)
    got = agent.collector.collect(agent.policy, 20_000, 0.0, agent.rng, lambda _: True)
    log_q = tree.sequence_log_probs(log_policy)
    q = np.exp(log_q)
    assert got.kl_to_prior == pytest.approx(
        (q * (log_q - tree.sequences.log_prior)).sum(), rel=0.02
    )
    assert got.entropy == pytest.approx(-(q * log_q).sum(), rel=0.02)
    mean = got.episodes.task_return.mean()
    assert mean == pytest.approx((q * tree.sequences.task_return).sum(), abs=0.05)
    np.testing.assert_allclose(got.environment_steps, got.episodes.lengths.sum(), rtol=0.05)


def test_the_collected_episodes_are_the_environments():
    agent = unlike_the_prior(make(env=native(7)))
    batch = collect(agent, 100)
    assert len(batch) == 100
    tree = PrefixTree.build(LaneSettings("toy"))
    found = {
        tuple(row): (p, r)
        for row, p, r in zip(
            tree.sequences.tokens.tolist(),
            tree.sequences.log_prior,
            tree.sequences.task_return,
            strict=True,
        )
    }
    log_prior = agent._log_prior_of(batch).sum(1)
    for row, p, r in zip(batch.tokens.tolist(), log_prior, batch.task_return, strict=True):
        assert found[tuple(row)] == (pytest.approx(p, abs=1e-5), pytest.approx(r, abs=1e-5))


# ---------------------------------------------------------------------- environments accepted


def single(seed=None):
    import seqgen_envs  # noqa: F401  (for workers that were spawned)

    return gym.make("ToyGen-v0")


def episodes_with(env, n=4, rounds=2):
    agent = make(env=env, n_envs=n, episodes_per_round=12, learning_rate=1e-2)
    agent.learn(12 * 4 * rounds)
    agent.get_env().close()
    return agent.replay.all(), {k: v.clone() for k, v in agent.policy.state_dict().items()}


@pytest.fixture(scope="module")
def reference():
    return episodes_with("ToyGen-v0")


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: gym.make_vec("ToyGen-v0", num_envs=4), id="native next-step"),
        pytest.param(lambda: native(4), id="native same-step"),
        pytest.param(
            lambda: SequenceVectorEnv("toy", 4, autoreset_mode="Disabled"), id="native disabled"
        ),
        pytest.param(lambda: SB3VecEnv(native(4).lanes), id="SB3VecEnv"),
        pytest.param(lambda: make_sb3_vec_env("ToyGen-v0", 4), id="make_sb3_vec_env"),
        pytest.param(lambda: DummyVecEnv([single] * 4), id="DummyVecEnv"),
        pytest.param(lambda: SubprocVecEnv([single] * 4, "forkserver"), id="SubprocVecEnv"),
    ],
)
def test_every_kind_of_environment_gives_the_same_training(build, reference):
    episodes, parameters = episodes_with(build())
    for field in dataclasses.fields(episodes):
        actual, expected = getattr(episodes, field.name), getattr(reference[0], field.name)
        np.testing.assert_allclose(actual, expected, atol=1e-5, err_msg=field.name)
    for name, tensor in reference[1].items():
        torch.testing.assert_close(parameters[name], tensor, rtol=0, atol=1e-4)


def test_a_single_environment_and_its_wrappers():
    for env in (single(), gym.wrappers.RecordEpisodeStatistics(single())):
        agent = make(env=env, episodes_per_round=4)
        agent.learn(30)
        assert len(agent.replay) >= 4
        assert agent.n_envs == 1


def test_spawned_workers():
    env = SubprocVecEnv([single] * 2, start_method="spawn")
    episodes, _ = episodes_with(env, 2, rounds=1)
    expected, _ = episodes_with(native(2), 2, rounds=1)
    np.testing.assert_array_equal(episodes.tokens, expected.tokens)


def test_a_seed_is_a_run_and_another_is_another():
    def run(seed):
        agent = make(seed=seed).learn(300)
        return agent.replay.all().tokens, agent.policy.network.trunk.head.weight.detach()

    (tokens, weight), (again, same), (other, _) = run(1), run(1), run(2)
    np.testing.assert_array_equal(tokens, again)
    assert torch.equal(weight, same)
    assert tokens.shape != other.shape or (tokens != other).any()


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize("kind", ["tokens", "last_token"])
def test_other_observations_are_refused(kind):
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=native(observation=kind))
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=gym.make("ToyGen-v0", observation=kind))


def test_other_environments_are_refused():
    others = gym.vector.SyncVectorEnv([single] * 2)
    with pytest.raises(TypeError, match="SyncVectorEnv is not a sequence environment"):
        make(env=others)
    with pytest.raises(ValueError, match="make the environment with observation='dict'"):
        make(env=gym.make("CartPole-v1"))
    with pytest.raises(gym.error.NameNotFound):
        make(env="NoSuchGen-v0")


def test_without_an_environment_there_is_no_prior():
    with pytest.raises(ValueError, match="give an environment"):
        PsiLearning("SequencePolicy", None)


@pytest.mark.parametrize(
    ("algorithm", "argument", "value"),
    [
        (PsiLearning, "discount", 1.1),
        (PsiLearning, "discount", float("nan")),
        (PsiLearning, "lambda_", -0.1),
        (PsiLearning, "tau", 1.5),
        (PsiLearning, "huber_delta", 0.0),
        (QLearning, "n_step", 0),
        (PsiLearning, "batch_episodes", 0),
        (PsiLearning, "replay_ratio", -1.0),
        (PsiLearning, "episodes_per_round", 0),
        (PsiLearning, "replay_capacity", 0),
        (PsiLearning, "replay_sampling", "best"),
        (PsiLearning, "explore", "boltzmann"),
        (PsiLearning, "epsilon", 1.5),
        (PsiLearning, "epsilon", -0.5),
        (PsiLearning, "epsilon", {"start": 0.0, "finish": 1.0}),
        (PsiLearning, "c", 0.0),
        (PsiLearning, "c", {"start": 1.0, "end": -1.0}),
        (PsiLearning, "learning_rate", -1e-3),
        (PsiLearning, "learning_rate", "auto"),
        (PsiLearning, "max_grad_norm", -1.0),
        (Reinvent, "sigma", -1.0),
        (Reinvent, "delta", 0.0),
    ],
)
def test_arguments_out_of_range_are_named(algorithm, argument, value):
    name = argument.removesuffix("_").replace("replay_capacity", "capacity")
    name = name.replace("replay_sampling", "sampling")
    with pytest.raises(ValueError, match=name):
        make(algorithm, **{argument: value})


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, Reinvent, PriorAgent])
@pytest.mark.parametrize("argument", ["n_step", "double"])
def test_what_is_for_q_alone_is_refused_elsewhere(algorithm, argument):
    with pytest.raises(TypeError, match=argument):
        make(algorithm, **{argument: 1})


# ---------------------------------------------------------------------- defaults


@pytest.mark.parametrize(("algorithm", "explore"), [(QLearning, "prior"), (RLOnly, "uniform")])
def test_greedy_learners_explore_unless_told_not_to(algorithm, explore):
    agent = make(algorithm)
    assert agent.collector.explore == explore
    epsilons = [agent.epsilon_schedule(left) for left in (1.0, 0.5, 0.0)]
    assert epsilons == [1.0, 0.05, 0.05]
    agent.learn(2_000)
    assert len(agent.replay) > 20
    repeating = make(algorithm, explore="policy").learn(200)
    assert len(repeating.replay) < 10  # one sequence between two trainings


def test_reinvent_keeps_a_short_replay_as_drawn():
    replay = make(Reinvent).replay
    assert (replay.capacity, replay.unique) == (256, False)
    assert make(Reinvent, replay_capacity=9, replay_unique=True).replay.capacity == 9


# ---------------------------------------------------------------------- set_env


def test_set_env_trains_on_the_other_environment():
    agent = make(c=0.5).learn(100)
    other = native(3, task={"name": "letters", "weights": {"balance": 100.0}})
    agent.set_env(other)
    assert agent.n_envs == 3
    agent.replay = agent._make_replay()
    agent.learn(60)
    assert np.abs(agent.replay.all().task_reward).max() > 40
    with pytest.raises(ValueError, match="make it with the same prior"):
        agent.set_env(native(3, prior=recurrent_prior("gru")))
    with pytest.raises(ValueError, match="observation='dict'"):
        agent.set_env(gym.make("CartPole-v1"))
    assert agent.get_env().num_envs == 3


def test_set_env_with_a_primer_makes_a_fitting_replay():
    agent = make().learn(100)
    agent.set_env(native(4, primer="ab"))
    agent.learn(50)
    assert agent.replay.all().tokens.shape[1] == 3


# ---------------------------------------------------------------------- the rest


def test_the_prior_agent_only_collects():
    agent = make(PriorAgent, native(200)).learn(4000)
    tree, log_policy = log_policy_of(agent)
    np.testing.assert_allclose(log_policy, normalised(tree.log_prior), atol=1e-6)
    assert agent._n_updates == 0
    assert len(agent.replay) > 50


def test_all_names_of_the_command_line_are_algorithms():
    for algorithm in kl_agents.ALGORITHMS.values():
        agent = make(algorithm).learn(100)
        assert agent.num_timesteps >= 100


def test_a_collector_refuses_unknown_exploration():
    agent = make()
    with pytest.raises(ValueError, match=r"\['policy', 'prior', 'uniform'\]"):
        Collector(agent.collector.source, "greedy")


@pytest.mark.slow
def test_compiled_networks_learn_the_same():
    plain, compiled = (make(compile=flag, learning_rate=1e-2) for flag in (False, True))
    for agent in (plain, compiled):
        agent.learn(300)
    for name, tensor in plain.policy.state_dict().items():
        torch.testing.assert_close(compiled.policy.state_dict()[name], tensor, rtol=0, atol=1e-3)
