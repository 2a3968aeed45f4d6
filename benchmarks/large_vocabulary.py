"""A vocabulary of 50,000 tokens: what it costs to make, to sample from and to train with.

    python benchmarks/large_vocabulary.py [--threads 2] [--repeats 3] [--quick] [--out FOLDER]

- vocabulary: ``Vocabulary`` of 50,000 tokens, seconds.
- sampler: ``sample_rows`` on [32, V], over the same in float64 and one running sum.
- training: ``PsiLearning`` on 32 lanes of 64 tokens, the prior one GRU of 128 with random weights:
  seconds of a round and of an update, and the whole process's peak memory. Beside it, what log p of
  all tokens would take of memory in the replay, and the seconds of the parts of an update that no
  learner of this kind can do without: one pass of the target network and one of the prior over the
  same episodes.

The last are measured on the update's own episodes, in turns with it.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import conditions, run_program, unpaid_task
from stable_baselines3.common.logger import configure

from kl_agents import PsiLearning
from seqgen_envs.adapters.sb3 import make_sb3_vec_env
from seqgen_envs.domain import Domain
from seqgen_envs.prior import RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.registration import register_env
from seqgen_envs.rollout import sample_rows
from seqgen_envs.vocabulary import Vocabulary

SIZE, HORIZON, LANES, HIDDEN = 50_000, 64, 32, 128
ENV_ID = "LargeGen-v0"


def vocabulary() -> Vocabulary:
    return Vocabulary(tuple(map(str, range(SIZE))))


def prior_of(words: Vocabulary) -> RecurrentPrior:
    torch.manual_seed(0)
    config = RecurrentConfig(words.size, embedding_size=HIDDEN, hidden_size=HIDDEN)
    return RecurrentPrior(RecurrentNetwork(config), words)


def agent_of(prior: RecurrentPrior) -> PsiLearning:
    domain = Domain(
        name="large",
        vocabulary=prior.vocabulary,
        priors={"random": lambda: prior},
        tasks={"nothing": unpaid_task},
        default_prior="random",
        default_task="nothing",
        horizon=HORIZON,
    )
    register_env(ENV_ID, domain=domain)  # type: ignore[arg-type]
    agent = PsiLearning("SequencePolicy", make_sb3_vec_env(ENV_ID, LANES), seed=0, device="cpu")
    agent.set_logger(configure(None, []))
    return agent


def seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def in_float64(log_weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True), dtype=np.float64)
    cumulative = np.cumsum(weights, axis=1)
    return (cumulative <= rng.random((len(weights), 1)) * cumulative[:, -1:]).sum(axis=1)


def measure(repeats: int) -> dict[str, Any]:
    timed: dict[str, list[float]] = {"vocabulary": [seconds(vocabulary) for _ in range(repeats)]}
    prior = prior_of(vocabulary())
    agent = agent_of(prior)
    agent.learn(LANES * HORIZON)  # a first round, to warm up
    assert agent.replay is not None
    rng = np.random.default_rng(0)
    shown = prior.step(torch.arange(LANES), prior.initial_state(LANES))[0].numpy()
    networks = agent._networks()

    def update() -> None:
        agent._training_debt = 1.0
        agent.train()

    def unavoidable() -> None:
        batch = agent._tensors(agent._sample()[0])
        with torch.no_grad():
            for part in batch.parts():
                networks.target(part.tokens)
                prior.sequence_log_probs(part.actions)

    parts = {
        "round": lambda: agent.learn(LANES * HORIZON, reset_num_timesteps=False),
        "update": update,
        "unavoidable": unavoidable,
        "sampler": lambda: sample_rows(shown, rng),
        "sampler_float64": lambda: in_float64(shown, rng),
    }
    for _ in range(repeats):
        for name, run in parts.items():
            timed.setdefault(name, []).append(seconds(run))
    return {
        "seconds": {name: statistics.median(found) for name, found in timed.items()},
        "replay_gib_of_all_tokens": 4 * agent.replay.capacity * HORIZON * SIZE / 2**30,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "all_repeats": timed,
    }


def to_markdown(report: dict[str, Any]) -> str:
    spent = report["seconds"]
    return (
        f"{SIZE:,} tokens, {LANES} lanes of {HORIZON}, GRU of {HIDDEN}: CPU seconds, "
        f"{conditions(report)}. Medians of {report['repeats']} interleaved repeats; load average "
        f"{report['load_average']:.1f} at the start. Log p of all tokens would take "
        f"{report['replay_gib_of_all_tokens']:,.0f} GiB of the replay.\n\n"
        "| `Vocabulary` | draw a token of 32 lanes | the same in float64 | round of 32 episodes, "
        "4 updates | update | of it, passes of prior and target | peak memory |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        f"| {spent['vocabulary']:.3f} s | {1e3 * spent['sampler']:.1f} ms "
        f"| {1e3 * spent['sampler_float64']:.1f} ms | {spent['round']:.1f} s "
        f"| {spent['update']:.1f} s | {spent['unavoidable']:.1f} s "
        f"| {report['peak_memory_mb']:,.0f} MB |\n"
    )


def main() -> None:
    run_program(__doc__, "large_vocabulary", 3, measure, to_markdown)


if __name__ == "__main__":
    main()
