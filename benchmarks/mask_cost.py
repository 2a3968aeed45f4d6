"""What the mask ``"partial-smiles"`` costs and brings: microseconds a token, share of valid SMILES.

    python benchmarks/mask_cost.py [--threads 2] [--repeats 5] [--quick] [--out FOLDER]

Whole SMILES from the bundled prior and, for the mask alone, from uniformly random allowed tokens,
under a task that pays nothing: ``rollout`` of N lanes with and without the mask, in turns within
every repeat, the mask's memory empty at the start of each. Microseconds are of the whole rollout, a
token of a lane; the mask's cost is the difference. Beside it: asking partialsmiles, which parses
from the beginning, for each token after the same prefixes.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import gymnasium as gym
import numpy as np
import partialsmiles
from common import circumstances, conditions, parse_options, unpaid_task, write_results

import seqgen_envs  # noqa: F401  (registers the ids)
from seqgen_envs.domains.molecule.smiles import END, VOCABULARY, parse
from seqgen_envs.rollout import Episodes, Policy, PriorPolicy, rollout

ENV_ID, MASK = "MoleculeGen-v0", "partial-smiles"
#: SMILES of one repeat, by N.
SEQUENCES = {1: 20, 128: 1280, 512: 2048}
#: Prefixes that partialsmiles is asked about.
PREFIXES = 40
#: SMILES whose validity is measured, by what writes them and the horizon.
WALKS = {("prior", 100): 5000, ("prior", 25): 2000, ("uniform", 100): 1000, ("uniform", 20): 2000}


class Uniform:
    """Any allowed token, all alike."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, None]:
        return (action_masks * self.rng.random(action_masks.shape)).argmax(axis=1), None


def timed(
    n: int, sequences: int, policy: Policy, mask: str | None, length: int | None = None
) -> tuple[Episodes, float]:
    """Episodes, and the seconds they took."""
    env = gym.make_vec(ENV_ID, num_envs=n, task=unpaid_task(), mask=mask, length=length).unwrapped
    env.reset()
    start = time.perf_counter()
    episodes = rollout(env.lanes, policy, sequences)
    return episodes, time.perf_counter() - start


def costs(repeats: int, sequences: dict[int, int]) -> dict[str, dict[str, list[float]]]:
    """Microseconds a token of every repeat, by N, with and without the mask."""
    spent: dict[str, dict[str, list[float]]] = {str(n): {} for n in sequences}
    for repeat in range(repeats):
        for n, wanted in sequences.items():
            for name, mask in (("without", None), ("with", MASK)):
                episodes, seconds = timed(n, wanted, PriorPolicy(repeat), mask)
                cost = 1e6 * seconds / int(episodes.lengths.sum())
                spent[str(n)].setdefault(name, []).append(cost)
    return spent


def texts(episodes: Episodes) -> list[str]:
    return [VOCABULARY.to_text(row) for row in episodes.tokens]


def accepted(smiles: str, partial: bool = False) -> bool:
    try:
        partialsmiles.ParseSmiles(smiles, partial=partial)
    except partialsmiles.Error:
        return False
    return True


def validity(share: float) -> list[dict[str, Any]]:
    rows = []
    for (writer, length), wanted in WALKS.items():
        count = max(int(wanted * share), 16)
        policy = PriorPolicy(7) if writer == "prior" else Uniform(7)
        masked = texts(timed(min(128, count), count, policy, MASK, length)[0])
        row = {
            "writer": writer,
            "horizon": length,
            "sequences": count,
            "valid": float(np.mean([parse(text) is not None for text in masked])),
            "partialsmiles": float(np.mean([accepted(text) for text in masked[:500]])),
        }
        if writer == "prior":
            free = texts(timed(min(128, count), count, PriorPolicy(7), None, length)[0])
            row["valid_without"] = float(np.mean([parse(text) is not None for text in free]))
        rows.append(row)
    return rows


def from_scratch(prefixes: int) -> float:
    """Microseconds a prefix, asking partialsmiles for each of the tokens."""
    rng = np.random.default_rng(0)
    whole = texts(timed(16, prefixes, PriorPolicy(3), MASK)[0])
    cut = [text[: rng.integers(len(text)) + 1] for text in whole]
    start = time.perf_counter()
    for prefix in cut:
        for token in VOCABULARY.tokens:
            accepted(prefix if token == END else prefix + token, partial=token != END)
    return 1e6 * (time.perf_counter() - start) / len(cut)


def to_markdown(report: dict[str, Any]) -> str:
    lines = [
        f"Microseconds a token of a lane, {conditions(report)}. Medians of {report['repeats']} "
        f"interleaved repeats; load average {report['load_average']:.1f} at the start.",
        "",
        "| N | without a mask | with it | the mask | tokens a second without, with |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for n, spent in report["microseconds"].items():
        free, masked = (statistics.median(spent[name]) for name in ("without", "with"))
        added = statistics.median(
            b - a for a, b in zip(spent["without"], spent["with"], strict=True)
        )
        lines.append(
            f"| {n} | {free:,.0f} | {masked:,.0f} | {added:,.0f} "
            f"| {1e6 / free:,.0f}, {1e6 / masked:,.0f} |"
        )
    lines += [
        "",
        f"partialsmiles, asked for each token: {report['from_scratch']:,.0f} a prefix.",
        "",
        "| written by | T | SMILES | valid without | valid with the mask "
        "| to partialsmiles (first 500) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in report["validity"]:
        free = f"{row['valid_without']:.1%}" if "valid_without" in row else "-"
        lines.append(
            f"| {row['writer']} | {row['horizon']} | {row['sequences']:,} | {free} "
            f"| {row['valid']:.2%} | {row['partialsmiles']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_options(__doc__, repeats=5)
    load = os.getloadavg()[0]
    sequences = {1: 2, 128: 128} if arguments.quick else SEQUENCES
    repeats = 1 if arguments.quick else arguments.repeats
    timed(8, 8, PriorPolicy(0), MASK)  # loads what is loaded once
    report = circumstances(load) | {
        "repeats": repeats,
        "microseconds": costs(repeats, sequences),
        "from_scratch": from_scratch(4 if arguments.quick else PREFIXES),
        "validity": validity(0.01 if arguments.quick else 1.0),
    }
    write_results(arguments.out, "mask_cost", report, to_markdown(report))


if __name__ == "__main__":
    main()
