"""Environment steps per CPU second of training, against the bare PyTorch loop of the same passes.

    python benchmarks/train_throughput.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

Work: that of the reference implementation, one update of 32 transitions every 5 steps (6.4 trained
transitions a step) with the paper's network, one LSTM of 100; here as batches of 32 whole melodies.

- ours: ``PsiLearning`` on MelodyGen-v0, everything included: nine rules, rewards, replay, targets,
  logging.
- bare: the same number of steps of prior and policy with sampling, and the same number of forward
  and backward passes, target passes, gradient clippings and Adam steps on tensors that lie ready.

Both take turns within every repeat; CPU seconds of all threads are counted, so that other work on
the machine does not. The table shows medians; the ratio is the median of each
repeat's own ratio. Peak memory is the whole process's.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from common import circumstances, conditions, parse_options, race, write_results
from env_limits import Least
from torch import Tensor

import seqgen_envs  # noqa: F401  (registers the ids)
from kl_agents import PsiLearning
from kl_agents.backups import cut_traces, psi_state_value, soft_lambda_targets
from kl_agents.networks import make_network, polyak
from seqgen_envs.recurrent import Stepper

LANES, BATCH, TRAINED_PER_STEP = 128, 32, 6.4
TARGET_RATIO = 0.9


def ours() -> Callable[[int], float]:
    env = gym.make_vec("MelodyGen-v0", num_envs=LANES, prior="paper", autoreset_mode="SameStep")
    env.unwrapped.task.prepare()
    agent = PsiLearning(
        "SequencePolicy",
        env,
        batch_episodes=BATCH,
        replay_ratio=TRAINED_PER_STEP,
        seed=0,
        device="cpu",
    )

    def run(steps: int) -> float:
        start = time.process_time()
        agent.learn(steps, reset_num_timesteps=False)
        return time.process_time() - start

    return run


class Bare:
    """The passes alone, on tensors that lie ready."""

    def __init__(self) -> None:
        env = gym.make_vec("MelodyGen-v0", num_envs=1, prior="paper").unwrapped
        self.prior, self.horizon = env.prior, env.lanes.horizon
        self.size = self.prior.vocabulary.size
        torch.manual_seed(0)
        self.network, self.target = make_network(self.prior), make_network(self.prior)
        self.weights = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.weights, lr=1e-3, fused=True)
        self.tokens = torch.randint(0, self.size, (BATCH, self.horizon))
        self.wanted = torch.randn(BATCH, self.horizon)
        self.primer = torch.zeros(0, dtype=torch.int64)

    def collect(self) -> None:
        stepper = Stepper(self.network.trunk)
        prior_state = self.prior.initial_state(LANES)
        state, last = stepper.initial_state(LANES), torch.full((LANES,), self.size)
        with torch.inference_mode():
            for _ in range(self.horizon):
                log_prior, prior_state = self.prior.step(last, prior_state)
                g, state = stepper.step(last, state)
                last = race(torch.log_softmax(log_prior + g, dim=-1))

    def update(self) -> None:
        with torch.no_grad():
            self.target(self.tokens, self.primer)
        self.descend(self.tokens, self.wanted)

    def descend(self, tokens: Tensor, wanted: Tensor) -> None:
        """Move the values of the actions taken to ``wanted`` [B, T], and the target after them."""
        g = self.network(tokens, self.primer).gather(-1, tokens[..., None])[..., 0]
        loss = torch.nn.functional.huber_loss(g, wanted)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 10.0)
        self.optimizer.step()
        polyak(self.network, self.target, 0.01)

    def run(self, steps: int) -> float:
        start, debt = time.process_time(), 0.0
        for _ in range(steps // (LANES * self.horizon)):
            self.collect()
            debt += TRAINED_PER_STEP * LANES * self.horizon
            while debt > 0:
                self.update()
                debt -= BATCH * self.horizon
        return time.process_time() - start


class LeastLearner(Bare):
    """The same passes on what is collected: rules judged, episodes kept and drawn, targets made."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Least(LANES, prior="paper")
        self.rng = np.random.default_rng(0)
        shape = (LANES, self.horizon)
        self.log_prior = np.zeros((*shape, self.size), dtype=np.float32)
        self.rewards = np.zeros(shape, dtype=np.float32)

    def collect(self) -> None:
        stepper = Stepper(self.network.trunk)
        state, last = stepper.initial_state(LANES), torch.full((LANES,), self.size)
        log_prior = self.lanes.reset()["log_prior"]
        with torch.inference_mode():
            for t in range(self.horizon):
                self.log_prior[:, t] = log_prior
                g, state = stepper.step(last, state)
                last = race(torch.log_softmax(torch.from_numpy(log_prior) + g, dim=-1))
                observation, _, _ = self.lanes.step(last.numpy())
                self.rewards[:, t] = self.lanes.task_reward
                log_prior = observation["log_prior"]

    def update(self) -> None:
        rows = self.rng.integers(0, LANES, BATCH)
        drawn = self.lanes.tokens[rows], self.log_prior[rows], self.rewards[rows]
        tokens, log_prior, rewards = map(torch.from_numpy, drawn)
        with torch.no_grad():
            values = log_prior + self.target(tokens, self.primer) / self.lanes.c
            states = psi_state_value(values)
            log_p, taken = (x.gather(-1, tokens[..., None])[..., 0] for x in (log_prior, values))
            paid = log_p + rewards / self.lanes.c
            log_pi = taken - states
            lengths, traces = torch.full((BATCH,), self.horizon), cut_traces(0.9, log_pi, log_p)
            targets = soft_lambda_targets(paid, states, paid - log_pi, lengths, 1.0, traces)
        self.descend(tokens, (targets - log_p) * self.lanes.c)


def measure(repeats: int, steps: int) -> dict[str, Any]:
    contenders = {"ours": ours(), "bare": Bare().run, "least": LeastLearner().run}
    for contender in contenders.values():
        contender(LANES * 32)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            speeds[name].append(steps / contender(steps))
    by_bare = {
        name: statistics.median(a / b for a, b in zip(speeds[name], speeds["bare"], strict=True))
        for name in ("ours", "least")
    }
    return {
        "steps_per_second": {name: statistics.median(s) for name, s in speeds.items()},
        "by_bare": by_bare,
        "all_repeats": speeds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def to_markdown(report: dict[str, Any]) -> str:
    speed = report["steps_per_second"]
    return (
        f"Environment steps per CPU second of training, {conditions(report)}. Medians of "
        f"{report['repeats']} interleaved repeats of {report['steps']:,} steps; load average "
        f"{report['load_average']:.1f} at the start.\n\n"
        "| PsiLearning | bare loop of the same passes | ratio | the least there can be | 1,000,000 "
        "steps | peak memory |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: |\n"
        f"| {speed['ours']:,.0f} | {speed['bare']:,.0f} | {report['by_bare']['ours']:.2f} "
        f"(wanted: {TARGET_RATIO}) | {report['by_bare']['least']:.2f} | "
        f"{1e6 / speed['ours'] / 60:.1f} min | {report['peak_memory_mb']:.0f} MB |\n"
    )


def main() -> None:
    arguments = parse_options(__doc__, repeats=5)
    load = os.getloadavg()[0]
    repeats, rounds = (2, 1) if arguments.quick else (arguments.repeats, 10)
    steps = rounds * LANES * 32
    report = circumstances(load) | {
        "repeats": repeats,
        "steps": steps,
        **measure(repeats, steps),
    }
    write_results(arguments.out, "train_throughput", report, to_markdown(report))


if __name__ == "__main__":
    main()
