"""V(s) and log pi(a|s) apart: what the gradient of each is, and that all else stays as it is."""

import numpy as np
import pytest
import torch

from helpers.agents import make_quick, native
from kl_agents import GLearning, PsiLearning
from kl_agents.losses import Networks

LEARNERS = (PsiLearning, GLearning)


def made(algorithm, **settings):
    agent = make_quick(algorithm, env=native(16), dueling=True, **settings)
    agent.learn(600)  # so that neither head is what it was
    return agent


def loss_of(agent, dueling):
    """The loss of all that is kept, with its gradients by g and by v(s)."""
    batch = agent._tensors(agent.replay.all())
    given = agent._networks()
    g, v = (x.detach() for x in given.parts(batch.tokens))
    f = (g - v.unsqueeze(-1)).requires_grad_(True)
    v = v.requires_grad_(True)

    def whole(tokens):
        return f + v.unsqueeze(-1)

    def taken(tokens, actions):
        return whole(tokens).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    networks = Networks(
        online=whole, taken=taken, parts=lambda tokens: (whole(tokens), v), target=given.target
    )
    kind = type(agent.loss)
    settings = agent.settings if dueling else agent.settings.__class__()
    loss, _ = kind(settings, agent.backup)(batch, networks)
    loss.backward()
    return loss.item(), f.grad, v.grad, batch


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_the_loss_is_the_same_number(algorithm):
    agent = made(algorithm, lambda_=0.9)
    assert loss_of(agent, True)[0] == pytest.approx(loss_of(agent, False)[0], rel=1e-5)


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_the_policys_gradient_favours_no_action_where_all_are_drawn_alike(algorithm):
    _, by_f, by_v, batch = loss_of(made(algorithm), True)
    assert by_f[batch.mask].abs().max() > 1e-6
    torch.testing.assert_close(by_f.sum(-1), torch.zeros_like(by_v), atol=1e-7, rtol=0)
    _, by_f, _, _ = loss_of(made(algorithm), False)
    assert by_f.sum(-1).abs().max() > 1e-6  # of one head the action taken moves alone
    assert ((by_f != 0).sum(-1) <= 1).all()


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_the_values_gradient_is_the_error(algorithm):
    _, _, by_v, batch = loss_of(made(algorithm), True)
    _, by_f, _, _ = loss_of(made(algorithm), False)
    torch.testing.assert_close(by_v, by_f.sum(-1), atol=1e-7, rtol=1e-4)
    assert not by_v[~batch.mask].any()


def test_one_token_at_a_time_is_the_whole():
    agent = made(PsiLearning)
    tokens = agent.replay.all().tokens
    whole = agent._networks().online(torch.from_numpy(tokens)).detach()
    state, before = None, np.full(len(tokens), agent.policy.vocabulary_size)
    for t in range(tokens.shape[1]):
        g, state = agent.policy.step(before, state)
        torch.testing.assert_close(g, whole[:, t], atol=1e-4, rtol=1e-4)
        before = tokens[:, t]


def test_a_file_keeps_both_heads(tmp_path):
    agent = made(PsiLearning)
    agent.save(tmp_path / "agent.zip")
    again = PsiLearning.load(tmp_path / "agent.zip")
    assert again.settings.dueling
    for mine, theirs in zip(
        agent.policy.network.parameters(), again.policy.network.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
    assert sum(1 for _ in again.policy.network.parameters()) == 2 + sum(
        1 for _ in make_quick(PsiLearning, env=native(16)).policy.network.parameters()
    )


def test_where_it_starts_is_v():
    agent = make_quick(PsiLearning, env=native(16), dueling=True,
                       policy_kwargs={"init": "random", "initial_value": 2.5})  # fmt: skip
    g, v = agent._networks().parts(torch.zeros((1, 3), dtype=torch.int64))
    assert torch.allclose(v, torch.tensor(2.5))
    assert torch.allclose(g, torch.tensor(2.5))
