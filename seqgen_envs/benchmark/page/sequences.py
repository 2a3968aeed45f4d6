"""The best sequences of a suite's agents, to see, hear and copy: a number that a page can carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seqgen_envs.benchmark.page.blocks import Sample, Samples
from seqgen_envs.benchmark.page.data import Agent, Results
from seqgen_envs.benchmark.page.pictures import domain_of, picture, sound
from seqgen_envs.domain import Domain
from seqgen_envs.reporting.tables import format_number

#: Sequences of one agent on one task.
EACH = 3


@dataclass
class Budget:
    """What a page may still carry: a sound is 85 KB for four bars, a picture up to 10."""

    pictures: int = 90
    sounds: int = 18


def samples(results: Results, budget: Budget) -> Iterator[Samples]:
    """Groups by task, for which the budget is shared out: everybody's best one first."""
    groups: dict[str, list[Sample]] = {}
    share = Budget(
        -(-budget.pictures // len(results.tasks)), -(-budget.sounds // len(results.tasks))
    )
    for task in results.tasks:
        domain = domain_of(results.suite.tasks[task].env_id)
        picked = [
            (rank, agent, sample)
            for agent in results.agents
            for rank, sample in enumerate(_best(agent, task))
        ]
        picked.sort(key=lambda one: one[0])  # stable: agents stay in their order
        left = Budget(min(share.pictures, budget.pictures), min(share.sounds, budget.sounds))
        before = Budget(left.pictures, left.sounds)
        cards = [card(domain, agent.label, sample, left) for _, agent, sample in picked]
        budget.pictures -= before.pictures - left.pictures
        budget.sounds -= before.sounds - left.sounds
        if shown := _in_order(picked, cards, domain):
            groups[task] = shown
    if groups:
        note = "The best first where they have scores, otherwise as the agent drew them."
        yield Samples("Sequences", note, groups)


def _in_order(
    picked: list[tuple[int, Agent, Any]], cards: list[Sample], domain: Domain | None
) -> list[Sample]:
    """Agent by agent. Beside its best, an agent has those only that have all that can be shown."""
    seen = domain is not None and domain.view.svg is not None
    heard = domain is not None and domain.view.waveform is not None
    found: dict[str, list[Sample]] = {}
    for (rank, agent, _), one in zip(picked, cards, strict=True):
        if rank == 0 or (bool(one.svg) >= seen and bool(one.sound) >= heard):
            found.setdefault(agent.label, []).append(one)
    return [one for agent in found.values() for one in agent]


def _best(agent: Agent, task: str) -> list[dict[str, Any]]:
    """Different sequences of all its seeds."""
    found: dict[str, dict[str, Any]] = {}
    for row in agent.finished:
        if row.task == task:
            for sample in row.samples:
                found.setdefault(sample["text"], {**sample, "seed": row.seed})
    best = sorted(found.values(), key=lambda sample: -sample.get("score", 0.0))
    return best[:EACH]


def card(domain: Domain | None, whose: str, sample: dict[str, Any], left: Budget) -> Sample:
    """One sequence, with a picture and a sound as long as some are left."""
    caption = [whose]
    if "seed" in sample:
        caption.append(f"seed {sample['seed']}")
    if "score" in sample:
        caption.append(f"score {format_number(float(sample['score']))}")
    svg = picture(domain, sample["text"]) if left.pictures > 0 else ""
    heard = sound(domain, sample) if left.sounds > 0 else ""
    left.pictures -= bool(svg)
    left.sounds -= bool(heard)
    return Sample(sample["text"], ", ".join(caption), svg, heard)
