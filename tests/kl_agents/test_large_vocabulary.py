"""Without log p of all tokens in the replay, and in parts: the same learning, to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.agents import make_quick, native, recurrent_prior
from kl_agents import GLearning, PsiLearning, QLearning, Reinvent, replay, shown
from kl_agents.networks import ValueNetwork, polyak
from kl_agents.replay import EpisodeReplay
from kl_agents.shown import Shown, few_at_a_time
from seqgen_envs.domain import Domain
from seqgen_envs.domains.toy import DOMAIN
from seqgen_envs.domains.toy.vocabulary import VOCABULARY
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.vocabulary import Vocabulary


def no_b_after_a(tokens, lengths):
    allowed = np.ones((len(tokens), VOCABULARY.size), dtype=np.int8)
    last = tokens[np.arange(len(tokens)), np.maximum(lengths - 1, 0)]
    allowed[(lengths > 0) & (last == 0), 1] = 0
    return allowed


MASKED = Domain(
    "toy", VOCABULARY, DOMAIN.priors, DOMAIN.tasks, "default", "letters", DOMAIN.horizon,
    action_mask=no_b_after_a,
)  # fmt: skip


@pytest.mark.parametrize("domain", ["toy", MASKED], ids=["toy", "masked"])
@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (PsiLearning, {"lambda_": 0.9}),
        (GLearning, {}),
        (QLearning, {"double": True}),
        (Reinvent, {}),
    ],
)
def test_the_prior_asked_again_teaches_the_same(algorithm, settings, domain, monkeypatch):
    def trained(kept):
        monkeypatch.setattr(replay, "LARGEST_LOG_PRIOR", 2**30 if kept else 0)
        monkeypatch.setattr(shown, "TOGETHER", 2**24 if kept else 3 * DOMAIN.horizon * 4)
        env = native(8, domain, primer=[2])
        agent = make_quick(algorithm, env, **settings)
        agent.learn(200)
        assert agent._n_updates > 4
        assert (agent.replay.all().log_prior is not None) == kept
        return agent

    mine, theirs = trained(kept=False), trained(kept=True)
    assert len(list(few_at_a_time((16, DOMAIN.horizon - 1), 4))) == 1
    weights = zip(mine.policy.parameters(), theirs.policy.parameters(), strict=True)
    for one, other in weights:
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)
    np.testing.assert_allclose(
        mine.replay.all().log_prior_taken, theirs.replay.all().log_prior_taken, atol=1e-5
    )


@pytest.mark.parametrize("domain", ["toy", MASKED], ids=["toy", "masked"])
def test_what_is_asked_again_is_what_was_shown(domain):
    env = native(8, domain, primer=[0], prior=recurrent_prior("gru"))
    agent = make_quick(env=env)
    agent.learn(60)
    episodes = agent.replay.all()
    assert len(set(episodes.lengths.tolist())) > 1
    again = agent.facts.shown(episodes.tokens, episodes.lengths)
    np.testing.assert_allclose(again, episodes.log_prior, atol=1e-5)
    taken = agent.facts.shown.taken(episodes.tokens, episodes.lengths)
    np.testing.assert_allclose(taken, episodes.log_prior_taken, atol=1e-5)
    assert Shown(env.prior, agent.facts.primer)(episodes.tokens[:0], episodes.lengths[:0]).size == 0


def test_fifty_thousand_tokens():
    words = Vocabulary(tuple(map(str, range(50_000))))
    assert words.encode(["49999"]).tolist() == [49_999]
    stored = EpisodeReplay(10_000, 64, words.size)  # log p of all tokens: 119 GiB
    assert stored.all().log_prior is None


def test_a_replay_of_another_size_says_what_it_lacks(monkeypatch):
    small = EpisodeReplay(4, 3, 2)
    monkeypatch.setattr(replay, "LARGEST_LOG_PRIOR", 0)
    state = EpisodeReplay(4, 3, 2).state_dict()
    with pytest.raises(ValueError, match=r"\(no of log_prior\) does not fit"):
        small.load_state_dict(state)


def network(device="cpu", cell="gru"):
    with torch.device(device):
        return ValueNetwork(RecurrentNetwork(RecurrentConfig(7, cell, 4, 5, 2)), 2.0)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_values_of_the_actions_taken_are_entries_of_all(cell):
    torch.manual_seed(0)
    values = network(cell=cell)
    torch.nn.init.normal_(values.trunk.head.weight)
    tokens, primer = torch.randint(0, 7, (3, 6)), torch.tensor([1, 2])
    taken = values(tokens, primer, tokens)
    every = values(tokens, primer).gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(taken, every)
    grads = [torch.autograd.grad(x.square().sum(), values.parameters()) for x in (taken, every)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_networks_make_no_tensor_on_another_device():
    """Of a card only the names differ: on ``meta`` a tensor of the CPU would be refused."""
    online, target = network("meta"), network("meta")
    tokens = torch.zeros((3, 6), dtype=torch.int64, device="meta")
    primer = tokens[0, :2]
    assert online(tokens, primer).shape == (3, 6, 7)
    taken = online(tokens, primer, tokens)
    assert taken.device.type == "meta"
    polyak(online, target, 0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no graphics card here")
def test_a_card_learns_what_the_processor_learns():
    agents = [make_quick(env=native(8), device=device) for device in ("cuda", "cpu")]
    for agent in agents:
        agent.learn(200)
    weights = zip(*(agent.policy.parameters() for agent in agents), strict=True)
    for mine, theirs in weights:
        torch.testing.assert_close(mine.cpu(), theirs, atol=1e-3, rtol=1e-2)
