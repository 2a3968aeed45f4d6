"""Agents whose network is the prior's own language model: whole, or adapters beside its weights."""

import copy

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra hf")
pytest.importorskip("peft", reason="needs the extra hf")

from helpers.agents import make, native, recurrent_prior
from helpers.language_models import KINDS, folder_of, of_vocabulary, prior_of
from kl_agents import PolicyGradient, PsiLearning, QLearning, Reinvent, TrajectoryBalance
from kl_agents.collection import Collected
from kl_agents.diagnostics import agent_metrics
from kl_agents.registry import load
from seqgen_envs.evaluation import evaluate
from seqgen_envs.prior import load_prior_folder

LEARNERS = [PsiLearning, TrajectoryBalance, PolicyGradient]
NO_PRIMER = torch.zeros(0, dtype=torch.int64)
SIZE, T = 57, 10
#: What a round is judged by.
part_names = ("task_reward", "kl_to_prior")


def agent_of(algorithm=PsiLearning, prior=None, lora_rank=None, c=0.5, lanes=32, **settings):
    prior = prior_of(length=T, size=SIZE) if prior is None else prior
    env = native(lanes, of_vocabulary(prior.vocabulary), prior=prior, c=c, length=T)
    kwargs = {"lora_rank": lora_rank, "scale": 1.0} | settings.pop("policy_kwargs", {})
    given = {"learning_rate": 1e-3, "seed": 0, "device": "cpu"} | settings
    return algorithm("SequencePolicy", env, policy_kwargs=kwargs, **given)


def some_tokens(rows=3):
    return torch.randint(3, SIZE, (rows, T), generator=torch.Generator().manual_seed(0))


def values(agent, tokens=None):
    tokens = some_tokens() if tokens is None else tokens
    return agent.policy.network(tokens, NO_PRIMER).detach()


@pytest.mark.parametrize(("lora_rank", "kind"), [(None, "gpt2"), (4, "llama"), (4, "qwen2")])
@pytest.mark.parametrize("algorithm", [PsiLearning, TrajectoryBalance, QLearning, Reinvent])
def test_the_policy_at_step_0_is_the_prior(algorithm, kind, lora_rank):
    prior = prior_of(kind, T, size=SIZE)
    agent = agent_of(algorithm, prior, lora_rank)
    tokens = some_tokens()
    log_prior = prior.sequence_log_probs(tokens).clamp(min=-100)
    g = values(agent, tokens)
    found = agent.backup.log_policy(log_prior, agent.backup.values(log_prior, g, agent.policy.c))
    if algorithm is QLearning:
        assert torch.equal(found.argmax(-1), log_prior.argmax(-1))
    else:
        possible = log_prior > -100
        torch.testing.assert_close(found[possible], log_prior[possible], atol=1e-5, rtol=0)
    if algorithm is not Reinvent:
        assert not g.any()
        assert agent.policy.network.untrained


def drawn_weights(agent):
    """Arbitrary weights, as if something had been learnt."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in agent.policy.network.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
    agent.policy.weights_changed()
    return agent


@pytest.mark.parametrize(
    ("kind", "algorithm", "lora_rank"),
    [("gpt2", PsiLearning, None), ("llama", PsiLearning, 4), ("qwen2", Reinvent, None)],
)
def test_steps_prefixes_and_taken_values_are_those_of_the_whole(kind, algorithm, lora_rank):
    agent = drawn_weights(agent_of(algorithm, prior_of(kind, T, size=SIZE), lora_rank))
    tokens = some_tokens()
    whole, policy = values(agent, tokens), agent.policy
    assert whole.std() > 0.05
    start = np.full(len(tokens), SIZE)
    g, state = policy.step(start, None)
    for t in range(T):
        torch.testing.assert_close(g, whole[:, t], atol=2e-5, rtol=0)
        if t + 1 < T:
            g, state = policy.step(tokens[:, t].numpy(), state)
    prefixes = np.where(np.arange(T) < [[2], [7], [0]], tokens.numpy(), SIZE)
    g, _ = policy.read_prefixes(prefixes)
    expected = torch.stack([whole[0, 2], whole[1, 7], whole[2, 0]])
    torch.testing.assert_close(g, expected, atol=2e-5, rtol=0)
    taken = policy.network(tokens, NO_PRIMER, tokens)
    chosen = whole.gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(taken, chosen, atol=2e-5, rtol=0)


def test_states_that_predict_returned_are_gone_on_from_twice():
    agent = drawn_weights(agent_of(PsiLearning, prior_of("llama", T, size=SIZE)))
    tokens, policy = some_tokens(4).numpy(), agent.policy
    tokens[:, :3] = tokens[0, :3]  # two beginnings that are the same, and go on otherwise
    whole = values(agent, torch.from_numpy(tokens))
    flat = np.full((1, SIZE), -np.log(SIZE), dtype=np.float32)

    def said(row, count, state):
        seen = {"tokens": np.where(np.arange(T) < count, tokens[row], SIZE), "log_prior": flat}
        found, after = policy.distribution(seen, state)
        expected = policy.log_policy(flat, whole[row, count][None])
        np.testing.assert_allclose(found, expected, atol=1e-4)
        return after

    state = None
    for count in range(4):
        state = said(0, count, state)
    branches = [said(row, 4, state) for row in range(4)]
    for count in range(5, T):
        branches = [said(row, count, branch) for row, branch in enumerate(branches)]


def test_texts_that_all_end_at_the_horizon_are_evaluated():
    prior = prior_of(length=3, size=SIZE)
    env = native(3, of_vocabulary(prior.vocabulary), prior=prior, length=3)
    agent = PsiLearning("SequencePolicy", env, seed=0, device="cpu")
    for lanes, episodes in ((1, 5), (3, 7)):
        lanes = native(lanes, of_vocabulary(prior.vocabulary), prior=prior, length=3).lanes
        assert abs(evaluate(agent, lanes, episodes).kl_to_prior) < 1e-4


@pytest.mark.parametrize(
    ("algorithm", "lora_rank"), [(a, None) for a in LEARNERS] + [(TrajectoryBalance, 4)]
)
def test_a_reward_that_can_be_checked_is_learned(algorithm, lora_rank, monkeypatch):
    """The task pays for tokens with an "a"; the prior, and so an agent that learns nothing, has
    2.4 of them a text, give or take 0.4 in a round.
    """
    rounds = []

    def kept(agent: object, collected: Collected, losses: dict[str, float]) -> None:
        rounds.append(agent_metrics(agent, collected, losses))

    monkeypatch.setattr(algorithm, "_log", kept)
    rate = 1e-3 if lora_rank is None else 1e-2
    agent_of(algorithm, lora_rank=lora_rank, learning_rate=rate).learn(5000)
    first, last = ({name: part[f"rollout/{name}"] for name in part_names} for part in
                   (rounds[0], rounds[-1]))  # fmt: skip
    assert abs(first["kl_to_prior"]) < 1e-4
    assert last["task_reward"] > first["task_reward"] + 1.2, (first, last)
    assert 0.5 < last["kl_to_prior"] < 12


@pytest.mark.parametrize(
    ("algorithm", "lora_rank"), [(PsiLearning, None), (PsiLearning, 4), (PolicyGradient, 4)]
)
def test_a_file_holds_all_that_a_run_needs(algorithm, lora_rank, tmp_path):
    folder = folder_of(tmp_path / "model", size=SIZE)
    prior = load_prior_folder(folder)
    agent = agent_of(algorithm, prior, lora_rank, lanes=16)
    agent.learn(400)
    agent.save(tmp_path / "agent", include=["replay_buffer"])
    alone = load(tmp_path / "agent.zip", device="cpu")
    resumed = load(tmp_path / "agent.zip", env=agent.get_env(), device="cpu")
    for other in (alone, resumed):
        assert torch.equal(values(other), values(agent))
    for one in (agent, resumed):
        one.learn(400, reset_num_timesteps=False)
    assert torch.equal(values(resumed), values(agent))
    assert not torch.equal(values(alone), values(agent))


def test_an_adapters_file_is_small_and_needs_the_model(tmp_path):
    import shutil

    folder = folder_of(tmp_path / "model", size=SIZE)
    sizes = {}
    for rank in (None, 2):
        agent = agent_of(prior=load_prior_folder(folder), lora_rank=rank)
        agent.save(tmp_path / f"{rank}")
        sizes[rank] = (tmp_path / f"{rank}.zip").stat().st_size
    assert sizes[2] < sizes[None] / 3
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"change of the language model .*env="):
        load(tmp_path / "2.zip", device="cpu")
    other = agent_of(prior=prior_of(seed=5, size=SIZE)).get_env()
    with pytest.raises(ValueError, match="the environment has another one"):
        load(tmp_path / "2.zip", env=other, device="cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora_rank", [None, 4])
def test_transformers_loads_what_was_trained(kind, lora_rank, tmp_path):
    """At the temperature that the training ends at, the model alone is the policy."""
    import peft
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    prior = load_prior_folder(folder_of(tmp_path / "prior", kind, size=SIZE))
    agent = drawn_weights(agent_of(TrajectoryBalance, prior, lora_rank, c=0.25))
    tokens = some_tokens()
    start = torch.full((len(tokens), 1), prior.causal.start)
    inputs = torch.cat([start, tokens[:, :-1]], dim=1)

    def check(model):
        logits = model.eval()(inputs).logits
        _, mine = agent.policy.network.trunk.logits(tokens)
        torch.testing.assert_close(logits, mine, atol=1e-5, rtol=1e-5)
        logits[..., list(prior.forbidden)] = -torch.inf
        log_prior = prior.sequence_log_probs(tokens)
        policy = torch.log_softmax(log_prior + values(agent, tokens) / 0.25, -1)
        torch.testing.assert_close(policy, torch.log_softmax(logits, -1), atol=1e-4, rtol=1e-4)

    whole = agent.policy.save_language_model(tmp_path / "whole")
    check(AutoModelForCausalLM.from_pretrained(whole))
    text = "the cat sat"
    again = PreTrainedTokenizerFast.from_pretrained(whole)
    assert again.encode(text, add_special_tokens=False) == prior.vocabulary.from_text(text).tolist()
    assert load_prior_folder(whole).fingerprint != prior.fingerprint
    before = values(agent, tokens)
    if lora_rank is None:
        with pytest.raises(ValueError, match="there is no adapter"):
            agent.policy.save_language_model(tmp_path / "adapter", adapter=True)
    else:
        adapter = agent.policy.save_language_model(tmp_path / "adapter", adapter=True)
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "prior")
        check(peft.PeftModel.from_pretrained(base, adapter))
    assert torch.equal(values(agent, tokens), before)


def test_a_policy_that_is_no_models_softmax_is_not_saved_as_one(tmp_path):
    agent = agent_of(c=0.5)
    agent.policy.c = 0.25
    with pytest.raises(ValueError, match=r"acts at c = 0.25, .* at c = 0.5: set policy.c = 0.5"):
        agent.policy.save_language_model(tmp_path / "model")
    with pytest.raises(ValueError, match="is no language model"):
        make(env=native()).policy.save_language_model(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    agent_of(Reinvent).policy.save_language_model(tmp_path / "model")  # the logits themselves


def test_adapters_share_the_priors_weights_and_leave_them_alone():
    prior = prior_of(length=T, size=SIZE)
    before = copy.deepcopy(prior.causal.model.state_dict())
    agent = agent_of(prior=prior, lora_rank=4)
    agent.learn(300)
    policy, own = agent.policy, dict(prior.causal.model.named_parameters())
    for network in (policy.network, policy.target):
        assert {id(x) for x in network.shared().values()} == {id(x) for x in own.values()}
    trained = sum(x.numel() for x in policy.network.parameters() if x.requires_grad)
    assert trained < sum(x.numel() for x in own.values()) / 3
    after = prior.causal.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    mine, lag = (values_of(network) for network in (policy.network, policy.target))
    assert mine.any()
    assert lag.any()
    assert not torch.equal(mine, lag)


def values_of(network):
    return network(some_tokens(), NO_PRIMER).detach()


def test_a_primer_is_read_first():
    agent = drawn_weights(agent_of())
    tokens = some_tokens(2)
    tokens[1, :3] = tokens[0, :3]
    whole = agent.policy.network(tokens, NO_PRIMER)[:, 3:]
    torch.testing.assert_close(agent.policy.network(tokens[:, 3:], tokens[0, :3]), whole)


def test_lora_is_for_language_models():
    env = native(8, prior=recurrent_prior("gru"))
    with pytest.raises(ValueError, match="lora_rank is for copies of a language model"):
        PsiLearning("SequencePolicy", env, policy_kwargs={"lora_rank": 4}, device="cpu")


@pytest.mark.parametrize("rank", [0, -1, 1.5, "8"])
def test_ranks_that_are_none(rank):
    with pytest.raises(ValueError, match="lora_rank must be"):
        agent_of(lora_rank=rank)


def test_the_agent_stays_on_the_priors_device():
    with pytest.raises(ValueError, match="model is on cpu and the agent on meta"):
        agent_of().policy.to("meta")
