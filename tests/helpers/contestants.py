"""Agents of a third party, for the benchmark: good ones and bad ones. Nothing of kl_agents here."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def generator(env, seed):
    """Writes chains of carbon; is sent each one's score."""
    scores = []
    for length in range(1, 1000):
        scores.append((yield "C" * (1 + length % 30)))
        assert scores[-1] is not None


class Uniform:
    """Acts at random and learns nothing, but plays the whole budget."""

    def __init__(self, env, seed):
        self.env, self.rng = env, np.random.default_rng(seed)

    def learn(self, total_timesteps):
        self.env.reset(seed=0)
        for _ in range(total_timesteps):
            _, _, terminated, truncated, _ = self.env.step(self.rng.integers(4))
            if terminated or truncated:
                self.env.reset()

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.rng.integers(4, size=len(observation["tokens"])), None


def uniform(env, seed):
    return Uniform(env, seed)


class Greedy(Uniform):
    """Never stops of itself: the environment's budget does it."""

    def learn(self, total_timesteps):
        super().learn(10**9)


def unbounded(env, seed):
    return Greedy(env, seed)


def raises(env, seed):
    raise RuntimeError("out of luck")


class Illegal(Uniform):
    def learn(self, total_timesteps):
        self.env.reset()
        self.env.step(99)


def illegal(env, seed):
    return Illegal(env, seed)


def nan(env, seed):
    agent = Uniform(env, seed)
    agent.predict = lambda observation, **_: (np.full(len(observation["tokens"]), np.nan), None)
    return agent


def killed(env, seed):
    os.kill(os.getpid(), 9)


def hangs(env, seed):
    time.sleep(1000)


def nothing(env, seed):
    return 5


def unlucky(env, seed, settings):
    """Ends its parent, a worker of Ray's, until it has done so as often as the settings say."""
    marks = Path(settings["marks"])
    done = len(list(marks.iterdir()))
    if done < settings["times"]:
        (marks / str(done)).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return Uniform(env, seed)
