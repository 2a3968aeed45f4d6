"""Sampling of molecules by a GRU of 3 x 512, over a loop like REINVENT4's.

    python benchmarks/sampling.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

- loop: what REINVENT4's sampler does: ``nn.GRU`` one token at a time for a batch of 128, softmax,
  ``torch.multinomial`` and the negative log-likelihood, until the longest sequence ends.
- ours: ``rollout`` of 128 lanes, with a task that pays nothing: prior, masks, tokens, episodes.
  Lanes whose next episode nobody wants leave the network's batch.

Both draw every token from the network, which has random weights and would never end; what is
appended are sequences of the bundled ``zinc250k`` prior, whose lengths are those of ZINC250k. Of
``equal`` lengths all are cut and filled to the mean. ``one batch`` are 128 sequences; of ``eight``
our lanes start the next sequence as soon as one ends, and the loop has eight batches.

All take turns within every repeat; CPU seconds. Ratios are medians of each repeat's own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import conditions, run_program, unpaid_task

from seqgen_envs.domains.molecule import DOMAIN
from seqgen_envs.prior import Prior, RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.vector_env import SequenceVectorEnv

LANES, LAYERS, HIDDEN = 128, 3, 512
BATCHES = {"one batch": 1, "eight": 8}


def lanes_of(prior: Prior) -> Any:
    return SequenceVectorEnv(DOMAIN, LANES, prior=prior, task=unpaid_task()).lanes


class Reciting:
    """Draws from the prior, and appends the next token of given sequences [N, T] instead."""

    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens, self.policy = tokens, PriorPolicy(0)
        self.row, self.next = np.zeros(LANES, dtype=np.int64), 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, **_: Any
    ) -> tuple[np.ndarray, None]:
        self.policy.predict(observation)
        started = np.flatnonzero(episode_start)
        self.row[started] = np.minimum(self.next + np.arange(len(started)), len(self.tokens) - 1)
        self.next += len(started)
        at = (observation["tokens"] < DOMAIN.vocabulary.size).sum(axis=1)
        return self.tokens[self.row, np.minimum(at, self.tokens.shape[1] - 1)], None


def ours(prior: RecurrentPrior, tokens: np.ndarray) -> None:
    lanes = lanes_of(prior)
    found = rollout(lanes, Reciting(tokens), len(tokens))
    assert (np.sort(found.lengths) == np.sort((tokens < DOMAIN.vocabulary.size).sum(1))).all()


@torch.inference_mode()
def loop(prior: RecurrentPrior, tokens: np.ndarray) -> None:
    start, end = DOMAIN.vocabulary.start_id, DOMAIN.vocabulary.end_id
    for given in torch.from_numpy(tokens).split(LANES):
        state, last = None, torch.full((len(given),), start)
        nll, ended = torch.zeros(len(given)), torch.zeros(len(given), dtype=torch.bool)
        for t in range(given.shape[1]):
            logits, state = prior.network(last[:, None], state)
            torch.multinomial(torch.softmax(logits[:, 0], dim=1), 1)
            last = given[:, t].clamp(max=start - 1)
            log_probs = torch.log_softmax(logits[:, 0], dim=1)
            nll += torch.nn.functional.nll_loss(log_probs, last, reduction="none")
            ended |= last == end
            if ended.all():
                break


def sequences(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the bundled prior, [count, T]; and as many of their mean length."""
    found = rollout(lanes_of(DOMAIN.load_prior("zinc250k")), PriorPolicy(0), count)
    end, pad, mean = DOMAIN.vocabulary.end_id, DOMAIN.vocabulary.pad_id, int(found.lengths.mean())
    equal = np.full_like(found.tokens, pad)
    equal[:, :mean] = np.where(found.tokens[:, :mean] < pad, found.tokens[:, :mean], 0)
    equal[equal == end] = 0
    equal[:, mean - 1] = end
    ids = found.tokens.copy()
    ids[found.lengths == ids.shape[1], -1] = end  # those that the horizon cut
    return ids, equal


def measure(repeats: int) -> dict[str, Any]:
    torch.manual_seed(0)
    config = RecurrentConfig(
        DOMAIN.vocabulary.size, embedding_size=256, hidden_size=HIDDEN, layers=LAYERS
    )
    prior = RecurrentPrior(RecurrentNetwork(config), DOMAIN.vocabulary)
    zinc, equal = sequences(LANES * max(BATCHES.values()))
    lengths = (zinc < DOMAIN.vocabulary.size).sum(1)
    cases = {"equal lengths, one batch": equal[:LANES]} | {
        f"ZINC250k's lengths, {name}": zinc[: LANES * count] for name, count in BATCHES.items()
    }
    contenders: dict[str, Callable[..., None]] = {"ours": ours, "loop": loop}
    speeds: dict[str, dict[str, list[float]]] = {name: {} for name in cases}
    for repeat in range(repeats + 1):  # the first to warm up
        for name, tokens in cases.items():
            for who, run in contenders.items():
                start = time.process_time()
                run(prior, tokens if repeat else tokens[:LANES])
                if repeat:
                    found = len(tokens) / (time.process_time() - start)
                    speeds[name].setdefault(who, []).append(found)
    return {
        "lengths": {"mean": float(lengths.mean()), "longest": int(lengths.max())},
        "speeds": speeds,
        "ratios": {
            name: statistics.median(np.divide(found["ours"], found["loop"]).tolist())
            for name, found in speeds.items()
        },
    }


def to_markdown(report: dict[str, Any]) -> str:
    lengths = report["lengths"]
    lines = [
        f"Sequences per CPU second, {LANES} lanes, GRU of {LAYERS} x {HIDDEN}, "
        f"{conditions(report)}. Medians of {report['repeats']} interleaved repeats; lengths: mean "
        f"{lengths['mean']:.0f}, longest {lengths['longest']}; load average "
        f"{report['load_average']:.1f} at the start.\n",
        "| | ours | loop like REINVENT4's | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, found in report["speeds"].items():
        mine, theirs = (statistics.median(found[who]) for who in ("ours", "loop"))
        lines.append(f"| {name} | {mine:,.1f} | {theirs:,.1f} | {report['ratios'][name]:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    run_program(__doc__, "sampling", 5, measure, to_markdown)


if __name__ == "__main__":
    main()
