"""Every registered environment, random play, and a masked toy domain."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np

import seqgen_envs
from seqgen_envs.domains.toy import DOMAIN as TOY

#: Every registered id, and those of them that are a domain as it stands: one each.
ALL_IDS = sorted(
    spec.id
    for spec in gym.registry.values()
    if spec.entry_point == "seqgen_envs.env:SequenceEnv"
    and spec.kwargs["domain"] in seqgen_envs.registered_domains()
)
ENV_IDS = [env_id for env_id in ALL_IDS if set(gym.spec(env_id).kwargs) == {"domain"}]


def no_repeats(tokens, lengths):
    """An action mask: never the token before again; the end token from the third on."""
    size = TOY.vocabulary.size
    mask = np.ones((len(tokens), size), dtype=np.int8)
    begun = np.flatnonzero(lengths > 0)
    mask[begun, tokens[begun, lengths[begun] - 1]] = 0
    mask[lengths < 2, TOY.vocabulary.end_id] = 0
    mask[mask.sum(1) == 0] = 1
    return mask


MASKED_TOY = dataclasses.replace(TOY, name="masked-toy", action_mask=no_repeats)


def kwargs_of(env_id):
    """The arguments an id is registered with."""
    return dict(gym.spec(env_id).kwargs)


def random_action(mask, rng):
    return int(rng.choice(np.flatnonzero(mask)))


def play(env, rng, seed=None):
    """One random episode: the reset's (observation, info), then each step's (action, result)."""
    observation, info = env.reset(seed=seed)
    steps = []
    start = (observation, info)
    while True:
        action = random_action(info["action_mask"], rng)
        result = env.step(action)
        steps.append((action, result))
        info = result[4]
        if result[2]:
            return start, steps


def assert_same(actual, expected, atol=0.0, where=""):
    """Two nests of dicts, arrays and numbers hold the same (floats to ``atol``)."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), where
        assert set(actual) == set(expected), where
        for key in expected:
            assert_same(actual[key], expected[key], atol, f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), where
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            assert_same(a, b, atol, f"{where}[{i}]")
    elif isinstance(expected, np.ndarray) and expected.dtype == object:
        assert actual.dtype == object, where
        assert_same(list(actual), list(expected), atol, where)
    elif isinstance(expected, (np.ndarray, np.generic, float)):
        a, b = np.asarray(actual), np.asarray(expected)
        assert a.dtype == b.dtype, f"{where}: {a.dtype} and {b.dtype}"
        if np.issubdtype(b.dtype, np.floating):
            rtol = 2e-7 if atol else 0.0  # float32's resolution: rewards go to the hundreds
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=where)
        else:
            np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert actual == expected, where
