"""Agents as files: saved, loaded, refused, and set from one another."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

import kl_agents
from helpers.agents import (
    ALGORITHMS,
    FAMILY,
    SMALL,
    assert_equal_states,
    first_observation,
    log_policy_of,
    native,
    observations_of,
    recurrent_prior,
    unlike_the_prior,
)
from helpers.agents import make_quick as make
from helpers.hostile import rewritten
from kl_agents import (
    GLearning,
    PsiLearning,
    QLearning,
    Reinvent,
)
from kl_agents.policy import SequencePolicy
from kl_agents.schedules import Schedule
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.evaluation import evaluate
from seqgen_envs.exact import PrefixTree
from seqgen_envs.settings import LaneSettings


class OwnPolicy(SequencePolicy):
    """A policy class of the user's."""


def copy_of(state):
    return {name: tensor.clone() for name, tensor in state.items()}


# ---------------------------------------------------------------------- save and load


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("with_env", [True, False])
def test_predictions_after_load_are_identical(algorithm, with_env, tmp_path):
    agent = make(algorithm, c={"start": 2.0, "end": 0.7}).learn(400)
    agent.predict(first_observation())  # the generator is somewhere in its stream
    agent.save(tmp_path / "agent")
    assert [path.name for path in tmp_path.iterdir()] == ["agent.zip"]
    loaded = algorithm.load(tmp_path / "agent", env=native(8) if with_env else None)
    observation = observations_of(PrefixTree.build(LaneSettings("toy")))
    for deterministic in (True, False):
        for _ in range(3):
            expected, state = agent.predict(observation, deterministic=deterministic)
            actual, same = loaded.predict(observation, deterministic=deterministic)
            np.testing.assert_array_equal(actual, expected)
            for a, b in zip(same, state, strict=True):
                np.testing.assert_array_equal(a, b)
    assert loaded.policy.c == agent.policy.c == pytest.approx(0.7, abs=0.6)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())


@pytest.mark.parametrize("algorithm", [PsiLearning, GLearning, QLearning, Reinvent, *FAMILY])
def test_training_goes_on_exactly_as_without_saving(algorithm, tmp_path):
    settings = {
        "learning_rate": {"start": 1e-2, "end": 1e-3},
        "c": {"start": 2.0, "end": 0.5, "shape": "exponential"},
        "epsilon": {"start": 0.5, "end": 0.1},
        "explore": "prior",
        "replay_sampling": "rank",
        "replay_capacity": 120,
        "replay_unique": True,
    }
    agent = make(algorithm, **settings).learn(400)
    agent.save(tmp_path / "agent.zip", include=["replay_buffer"])
    loaded = algorithm.load(tmp_path / "agent.zip", env=native(8))
    np.testing.assert_array_equal(loaded.replay.all().tokens, agent.replay.all().tokens)
    before = copy_of(agent.policy.state_dict())
    for each in (agent, loaded):
        each.learn(400, reset_num_timesteps=False)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())
    theirs, ours = (each.policy.optimizer.state_dict()["state"] for each in (loaded, agent))
    assert set(theirs) == set(ours)
    for key in ours:
        assert_equal_states(theirs[key], ours[key])
    assert loaded.num_timesteps == agent.num_timesteps
    np.testing.assert_array_equal(loaded.replay.all().tokens, agent.replay.all().tokens)
    assert any(not torch.equal(before[n], t) for n, t in agent.policy.state_dict().items())


def test_arguments_survive(tmp_path):
    agent = make(
        PsiLearning,
        lambda_=0.3,
        tau=0.2,
        huber_delta=3.0,
        discount=0.9,
        explore="uniform",
        epsilon=Schedule(0.5, 0.1),
        replay_sampling="rank",
        replay_unique=False,
        replay_capacity=77,
        max_grad_norm=2.5,
        policy_kwargs={"init": "random", "scale": 3.0, "architecture": SMALL},
        seed=9,
    )
    agent.save(tmp_path / "agent")
    loaded = PsiLearning.load(tmp_path / "agent", env=native(8))
    for name in ("settings", "seed", "policy_kwargs", "epsilon_schedule"):
        assert getattr(loaded, name) == getattr(agent, name), name
    assert loaded.policy.network.scale == 3.0
    assert loaded.settings.lambda_ == 0.3
    assert loaded.replay.capacity == 77
    other = PsiLearning.load(tmp_path / "agent", env=native(8), lambda_=0.8)
    assert other.settings == dataclasses.replace(agent.settings, lambda_=0.8)


def test_loading_at_another_temperature(tmp_path):
    agent = unlike_the_prior(make(c=2.0))
    agent.save(tmp_path / "agent")
    loaded = PsiLearning.load(tmp_path / "agent", env=native(8), c=0.5)
    assert loaded.policy.c == 0.5
    agent.policy.c = 0.5
    np.testing.assert_array_equal(log_policy_of(loaded)[1], log_policy_of(agent)[1])


def test_a_state_is_a_snapshot_that_another_agent_goes_on_from():
    agent, other = make(c=2.0).learn(300), make(seed=1, c=2.0)
    state = agent.state(replay=True)
    for each in (agent, other):
        if each is other:
            other.set_state(state)
        each.learn(300, reset_num_timesteps=False)
    assert_equal_states(other.policy.state_dict(), agent.policy.state_dict())
    np.testing.assert_array_equal(other.replay.all().tokens, agent.replay.all().tokens)
    assert other.num_timesteps == agent.num_timesteps > 600
    with pytest.raises(ValueError, match="make it with the same prior"):
        make(env=native(8, prior=recurrent_prior("gru"))).set_state(state)


def test_the_file_says_of_which_environment_the_agent_is(tmp_path):
    agent = make(env="ToyGen-v0", n_envs=2)
    assert agent.environment == {"id": "ToyGen-v0", "kwargs": {}}
    agent.environment = {"id": "ToyGen-v0", "kwargs": {"primer": "a"}}
    agent.save(tmp_path / "agent")
    assert kl_agents.load(tmp_path / "agent").environment == agent.environment


def test_evaluate_takes_the_agent_itself():
    agent = unlike_the_prior(make())
    lanes = native(16).lanes
    whole, inner = (evaluate(p, lanes, 50) for p in (agent, agent.policy))
    assert whole.kl_to_prior == inner.kl_to_prior > 0.1


def test_save_to_and_load_from_an_open_file():
    agent, buffer = make().learn(100), io.BytesIO()
    agent.save(buffer)
    buffer.seek(0)
    loaded = kl_agents.load(buffer)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_load_finds_the_class(algorithm, tmp_path):
    make(algorithm).save(tmp_path / "agent")
    assert type(kl_agents.load(tmp_path / "agent", env=native(8))) is algorithm


def test_an_agent_loaded_without_an_environment_can_be_given_one(tmp_path):
    make().learn(200).save(tmp_path / "agent")
    loaded = PsiLearning.load(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"give one with set_env"):
        loaded.learn(10)
    loaded.set_env(native(4))
    before = loaded._n_updates
    loaded.learn(200)
    assert loaded._n_updates > before
    loaded.save(tmp_path / "again")
    with pytest.raises(ValueError, match="make it with the same prior"):
        PsiLearning.load(tmp_path / "agent").set_env(native(4, prior=recurrent_prior("gru")))


def test_saving_what_was_loaded_without_an_environment(tmp_path):
    make().learn(200).save(tmp_path / "first")
    PsiLearning.load(tmp_path / "first").save(tmp_path / "second")
    loaded = PsiLearning.load(tmp_path / "second", env=native(8))
    first = PsiLearning.load(tmp_path / "first", env=native(8))
    assert_equal_states(loaded.policy.state_dict(), first.policy.state_dict())


# ---------------------------------------------------------------------- what is in the file


def test_the_file_holds_neither_the_prior_nor_pickle(tmp_path):
    prior = recurrent_prior("lstm", layers=2, hidden=128)
    agent = make(env=native(8, prior=prior)).learn(200)
    agent.save(tmp_path / "agent", include=["replay_buffer"])
    path = tmp_path / "agent.zip"
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [
            "config.json", "optimizer.safetensors", "policy.safetensors", "replay.npz",
        ]  # fmt: skip
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    assert config["prior"] == {"fingerprint": prior.fingerprint, "name": None}
    for name, content in members.items():
        assert not content.startswith(b"\x80"), name  # pickle's first byte
        assert not content.startswith(b"PK") or name == "replay.npz"
    for name in ("policy.safetensors", "optimizer.safetensors"):
        size = int.from_bytes(members[name][:8], "little")
        json.loads(members[name][8 : 8 + size])
    np.load(io.BytesIO(members["replay.npz"]), allow_pickle=False)
    weights = sum(p.numel() for p in prior.network.parameters()) * 4
    assert path.stat().st_size < weights / 4


def test_a_bundled_priors_name_is_kept(tmp_path):
    agent = make(env=gym.make_vec("MelodyGen-v0", num_envs=2))
    agent.save(tmp_path / "agent")
    with zipfile.ZipFile(tmp_path / "agent.zip") as archive:
        recorded = json.loads(archive.read("config.json"))["prior"]
    prior = agent.facts.prior
    assert recorded == {"fingerprint": prior.fingerprint, "name": "default"}
    largest = max(path.stat().st_size for path in prior.source.iterdir())
    assert (tmp_path / "agent.zip").stat().st_size < largest / 4


# ---------------------------------------------------------------------- refusals


def test_sb3s_own_zip_is_refused(tmp_path):
    PPO("MultiInputPolicy", make_sb3_vec_env("ToyGen-v0", 2), n_steps=8, batch_size=16).save(
        tmp_path / "ppo"
    )
    for load in (PsiLearning.load, kl_agents.load):
        with pytest.raises(ValueError, match="not an agent saved by kl_agents"):
            load(tmp_path / "ppo.zip")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(keep, tmp_path):
    make().save(tmp_path / "agent")
    content = (tmp_path / "agent.zip").read_bytes()
    (tmp_path / "agent.zip").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match="not an agent saved by kl_agents"):
        PsiLearning.load(tmp_path / "agent")


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("policy.safetensors", b"\x80\x04nonsense, long enough for a header"),
        ("policy.safetensors", None),
        ("config.json", b"{broken"),
        ("config.json", b'{"format": 99}'),
    ],
)
def test_a_damaged_member_is_refused(member, content, tmp_path):
    make().save(tmp_path / "agent")
    rewritten(tmp_path / "agent.zip", **{member: content})
    with pytest.raises(ValueError, match=r"not an agent saved by kl_agents|has format 99"):
        PsiLearning.load(tmp_path / "agent")


def test_a_pickled_replay_is_refused(tmp_path):
    make().learn(50).save(tmp_path / "agent", include=["replay_buffer"])
    buffer = io.BytesIO()
    np.savez(buffer, tokens=np.array([{"a": 1}], dtype=object))
    rewritten(tmp_path / "agent.zip", **{"replay.npz": buffer.getvalue()})
    with pytest.raises(ValueError, match="holds Python objects, which are not read"):
        PsiLearning.load(tmp_path / "agent", env=native(8))


def test_no_file():
    with pytest.raises(FileNotFoundError, match="no agent at /nowhere/agent"):
        PsiLearning.load("/nowhere/agent")


def test_another_algorithm_is_refused(tmp_path):
    make(GLearning).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="holds a GLearning, not a PsiLearning"):
        PsiLearning.load(tmp_path / "agent")


def test_another_prior_is_refused(tmp_path):
    make().save(tmp_path / "agent")
    with pytest.raises(ValueError, match="make it with the same prior"):
        PsiLearning.load(tmp_path / "agent", env=native(8, prior=recurrent_prior("gru")))


def test_a_policy_class_of_ones_own_has_to_be_vouched_for(tmp_path):
    agent = make(policy=OwnPolicy).learn(100)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"'OwnPolicy'.*custom_objects"):
        PsiLearning.load(tmp_path / "agent")
    loaded = PsiLearning.load(tmp_path / "agent", custom_objects={"policy_class": OwnPolicy})
    assert isinstance(loaded.policy, OwnPolicy)
    assert_equal_states(loaded.policy.state_dict(), agent.policy.state_dict())


# ---------------------------------------------------------------------- parameters and replay


@pytest.mark.parametrize("device", ["auto", "meta"])  # where they would go is the agent's affair
@pytest.mark.parametrize("by", ["dictionary", "path"])
def test_set_parameters(by, device, tmp_path):
    agent, other = make().learn(300), make(seed=1)
    observation = observations_of(PrefixTree.build(LaneSettings("toy")))
    assert (other.predict(observation)[0] != agent.predict(observation)[0]).any()
    if by == "path":
        agent.save(tmp_path / "agent")
        other.set_parameters(tmp_path / "agent", device=device)
    else:
        other.set_parameters(agent.get_parameters(), device=device)
    assert other.policy.device == agent.policy.device == torch.device("cpu")
    np.testing.assert_array_equal(log_policy_of(other)[1], log_policy_of(agent)[1])
    ours, theirs = (a.policy.optimizer.state_dict()["state"] for a in (agent, other))
    assert len(ours) > 0
    for key in ours:
        assert_equal_states(theirs[key], ours[key])


def test_set_parameters_checks_the_names():
    agent = make()
    with pytest.raises(ValueError, match="expected parameters of policy"):
        agent.set_parameters({"policy": agent.policy.state_dict()})
    with pytest.raises(ValueError, match="expected parameters of policy"):
        agent.set_parameters({"actor": {}}, exact_match=False)
    agent.set_parameters({"policy": agent.policy.state_dict()}, exact_match=False)


def test_weights_of_another_shape_are_refused():
    small = {"init": "random", "architecture": {"hidden_size": 8}}
    agent, other = make(), make(policy_kwargs=small)
    with pytest.raises(ValueError, match="not of this agent's shape"):
        agent.set_state(other.state())
    with pytest.raises(ValueError, match="not of this agent's shape"):
        agent.set_parameters(other.get_parameters())


def test_the_replay_alone(tmp_path):
    agent, other = make().learn(300), make(seed=1)
    agent.save_replay_buffer(tmp_path / "replay")
    other.load_replay_buffer(tmp_path / "replay")
    assert len(other.replay) == len(agent.replay) > 0
    for name, values in agent.replay.state_dict().items():
        np.testing.assert_array_equal(other.replay.state_dict()[name], values)
    with pytest.raises(ValueError, match="does not fit"):
        make(replay_capacity=3).load_replay_buffer(tmp_path / "replay")
    with pytest.raises(ValueError, match="does not fit"):
        make(env=native(8, primer="a")).load_replay_buffer(tmp_path / "replay")
