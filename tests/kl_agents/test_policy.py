"""What every agent does before learning: start at the prior, follow c, predict, keep to masks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from helpers.agents import (
    ALGORITHMS,
    SMALL,
    V,
    collect,
    log_policy_of,
    make,
    native,
    normalised,
    observations_of,
    policy_on,
    recurrent_prior,
    unlike_the_prior,
)
from helpers.envs import MASKED_TOY
from kl_agents import (
    GLearning,
    PriorAgent,
    PsiLearning,
    QLearning,
    Reinvent,
    RLOnly,
)
from kl_agents.policy import masked_log_prior
from seqgen_envs.domains.toy import DOMAIN as TOY
from seqgen_envs.domains.toy.vocabulary import A, B
from seqgen_envs.lanes import Lanes
from seqgen_envs.rollout import rollout
from seqgen_envs.settings import LaneSettings

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
def test_an_initial_value_leaves_the_policy_the_prior(algorithm):
    kwargs = {"scale": 4.0, "initial_value": 3.0}
    agent = make(algorithm, native(prior=recurrent_prior("gru")), policy_kwargs=kwargs, c=0.5)
    tree, log_policy = log_policy_of(agent)
    np.testing.assert_allclose(log_policy, normalised(tree.log_prior), rtol=0, atol=1e-5)
    shown = torch.from_numpy(observations_of(tree)["log_prior"])
    values, _ = agent.policy.read_prefixes(tree.tokens)
    state_values = agent.backup.state_value(shown, agent.backup.values(shown, values, 0.5))
    np.testing.assert_allclose(state_values, 3.0 / 0.5, atol=1e-5)


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning])
def test_the_initial_value_is_the_mean_return_of_the_first_round(algorithm):
    """Without discount, of what is still to come at each step; a given one stays."""

    def first(**policy_kwargs):
        kwargs = {"scale": 4.0, "init": "random", **policy_kwargs}
        agent = make(algorithm, native(64), policy_kwargs=kwargs, learning_rate=0.0, seed=3,
                     discount=1.0, replay_unique=False)  # fmt: skip
        agent.learn(1)
        bias = agent.policy.network.trunk.head.bias * 4.0
        assert torch.equal(bias, agent.policy.target.trunk.head.bias * 4.0)
        assert agent.policy.network.untrained
        return agent, bias

    agent, bias = first()
    episodes = agent.replay.all()
    to_come = np.cumsum(episodes.task_reward[:, ::-1], axis=1)[:, ::-1]
    steps = np.arange(to_come.shape[1]) < episodes.lengths[:, None]
    assert abs(to_come[steps].mean()) > 0.01
    np.testing.assert_allclose(bias.detach(), to_come[steps].mean(), rtol=1e-5)
    np.testing.assert_allclose(first(initial_value=2.5)[1].detach(), 2.5, rtol=1e-6)
    before = agent.policy.network.trunk.head.bias.clone()
    agent.learn(1, reset_num_timesteps=False)  # a later round estimates nothing
    assert torch.equal(agent.policy.network.trunk.head.bias, before)


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning])
@pytest.mark.parametrize("lambda_", [0.0, 0.9])
def test_at_step_0_the_td_error_is_the_task_reward(algorithm, lambda_):
    agent = make(algorithm, native(64, prior=recurrent_prior("lstm")), policy_kwargs={}, c=0.5,
                 lambda_=lambda_)  # fmt: skip
    batch = collect(agent, 64)
    tensors, networks = agent._tensors(batch), agent._networks()
    values = agent.backup.values(tensors.log_prior, networks.online(tensors.tokens), tensors.c)
    taken = values.gather(-1, tensors.actions[..., None])[..., 0]
    targets, _ = agent.loss.targets(tensors, networks)
    error = ((targets - taken) * tensors.mask).detach().numpy()
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
    with pytest.raises(ValueError, match="scale must be a number above 0"):
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


def greedy_by_hand(agent, observation):
    return policy_on(agent, observation).argmax(1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("primer", "cell"),
    [
        (None, "gru"),
        ("ab", "lstm"),
        pytest.param(None, "lstm", marks=pytest.mark.slow),
        pytest.param("ab", "gru", marks=pytest.mark.slow),
    ],
)
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
        whole = agent.policy.network(tokens, torch.from_numpy(agent.facts.primer)).numpy()
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
