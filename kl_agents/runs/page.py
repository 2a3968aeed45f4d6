"""A run's folder as a page: what it is, its curves, rules, sequences, and what it has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kl_agents.runs import folder as files
from kl_agents.runs.environment import evaluate_agent, make_lanes, published_for
from kl_agents.runs.found import best_found, score_of
from kl_agents.runs.loading import load_run
from kl_agents.runs.spec import RunSpec
from kl_agents.writers import STEP, read_progress
from seqgen_envs.benchmark.page.blocks import (
    Block,
    Chart,
    Charts,
    Facts,
    Failures,
    Page,
    Sample,
    Samples,
    Section,
    Table,
    bars,
    number,
    text,
)
from seqgen_envs.benchmark.page.charts import Series, lines
from seqgen_envs.benchmark.page.data import described
from seqgen_envs.benchmark.page.graphs import looked_at
from seqgen_envs.benchmark.page.metrics import readable
from seqgen_envs.benchmark.page.report import facts
from seqgen_envs.benchmark.page.sequences import Budget, card
from seqgen_envs.domain import Domain
from seqgen_envs.evaluation import Evaluation, evaluate
from seqgen_envs.reporting.tables import beside_published
from seqgen_envs.rollout import PriorPolicy

#: Quantities that are drawn: in training (``rollout/``) and in evaluations (``eval/``).
_CURVES = {
    "objective": ("rollout/objective", "eval/objective"),
    "task return": ("rollout/task_reward", "eval/task_return"),
    "KL to prior": ("rollout/kl_to_prior", "eval/kl_to_prior"),
    "log prior": ("rollout/log_prior", "eval/log_prior"),
    "entropy": ("rollout/entropy", "eval/entropy"),
    "share of different sequences": ("rollout/unique", "eval/distinct"),
    "loss": ("train/loss",),
    "temperature c": ("train/c",),
}
_NAMES = {"rollout": "in training", "eval": "in evaluations", "train": "in training"}
#: Points of a curve, sequences found that are listed, and those of them that are drawn.
_POINTS, _FOUND, _DRAWN = 300, 100, 12
#: What a table of sequences shows in columns of its own.
_OWN = ("text",)


def run_page(folder: Path, episodes: int, seed: int, command: str = "") -> Page:
    """All there is to say of a run.

    Args:
        folder: of the run, finished or not.
        episodes: that its agent, and the prior alone, are asked for; there are none of an agent
            that has no checkpoint yet.
        seed: of their draws.
        command: to be named in the page.

    Raises:
        FileNotFoundError, ValueError: it holds no run, or damaged files.
    """
    spec = files.read_spec(folder)
    lanes = make_lanes(spec, min(episodes, 256))
    domain = lanes.domain
    budget = Budget()
    blocks: list[Block] = []
    remark = f"the agent is not judged: it has neither {files.AGENT} nor {files.CHECKPOINT} yet"
    judged = None
    if any((folder / name).is_file() for name in (files.AGENT, files.CHECKPOINT)):
        model, _ = load_run(folder)
        agent = evaluate_agent(model, spec, episodes, seed)
        judged = agent, evaluate(PriorPolicy(seed), lanes, episodes, seed, c=agent.c)
        remark = ""
        blocks += [_numbers(spec, domain, *judged)]
    blocks += _curves(folder)
    if judged:
        blocks += [_rules(*judged), _samples(domain, *judged, budget)]
    blocks += _found(folder, domain, budget)
    blocks += _failures(folder)
    blocks += [_origin(folder, spec)]
    about = f"{spec.algorithm} on {spec.env_id}, {spec.total_timesteps:,} steps, seed {spec.seed}."
    section = Section("Results", "", blocks)
    return Page(f"Run {folder.resolve().name}", about, [section], facts(command, remark))


def _numbers(spec: RunSpec, domain: Domain, agent: Evaluation, prior: Evaluation) -> Table:
    published = beside_published({}, published_for(spec, domain))
    prior.kl_to_prior, prior.objective = 0.0, prior.task_return / prior.c
    columns = {"agent": agent.metrics(), "prior": prior.metrics(), **published}
    rows = [
        [text(readable(name)), *[number(_float(values.get(name))) for values in columns.values()]]
        for name in columns["agent"]
    ]
    note = (
        f"{agent.episodes:,} {domain.plural} of the agent and of the prior alone, at c = "
        f"{agent.c:g}. J, the objective, and KL are in nats."
    )
    return Table("The agent beside its prior", ["metric", *columns], rows, note)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _curves(folder: Path) -> Iterator[Charts]:
    rows = read_progress(folder / files.PROGRESS)
    charts = [chart for name, keys in _CURVES.items() if (chart := _chart(name, keys, rows))]
    if charts:
        legend = {0: "in training", 1: "in evaluations"}
        yield Charts("Curves", "Numbers of the training's rounds.", legend, charts)


def _chart(name: str, keys: Sequence[str], rows: Sequence[Mapping[str, float]]) -> Chart | None:
    series = []
    for place, key in enumerate(keys):
        found = [(row[STEP], row[key]) for row in rows if key in row and abs(row[key]) < 1e300]
        found = found[:: -(-len(found) // _POINTS)] if found else []
        if found:
            x, y = zip(*found, strict=True)
            series.append(Series(_NAMES[key.partition("/")[0]], place, x, y))
    if not series:
        return None
    about = f"{name} over environment steps."
    return lines(name, about, "environment steps", name, series, looked_at(name, series))


def _rules(agent: Evaluation, prior: Evaluation) -> Block:
    rows = {
        readable(name): [prior.terms.get(name), value]
        for name, value in agent.terms.items()
    }  # fmt: skip
    note = "What each rule adds to the return of a sequence, on the mean, all on one scale."
    return bars("Share of each rule", note, ["rule", "prior", "agent"], rows)


def _samples(domain: Domain, agent: Evaluation, prior: Evaluation, budget: Budget) -> Samples:
    groups: dict[str, list[Sample]] = {}
    for whose, found, many in (("agent", agent, 8), ("prior", prior, 4)):
        drawn: dict[str, list[int]] = {}
        for row in found.examples:
            ids = row[row < domain.vocabulary.size]
            drawn.setdefault(domain.to_text(ids), ids.tolist())
        kept = list(drawn.items())[:many]
        groups[f"Of the {whose}"] = [
            card(domain, f"{whose}, {i}", {"text": t, "tokens": ids}, budget)
            for i, (t, ids) in enumerate(kept, start=1)
        ]
    return Samples("Sequences", "As they were drawn, not chosen.", groups)


def _found(folder: Path, domain: Domain, budget: Budget) -> Iterator[Block]:
    """The best of the table of what the training has scored."""
    found = best_found(folder / f"{domain.plural}.csv", _FOUND)
    best = found.rows
    if not best:
        return
    cards = [
        card(domain, f"step {row['step']}", {"text": row["text"], "score": score_of(row)}, budget)
        for row in best[:_DRAWN]
    ]
    note = "By the task's return; those that were given are left out."
    yield Samples(f"The best {domain.plural} found", note, {"": cards})
    columns = [name for name in best[0] if name not in _OWN and best[0][name] is not None]
    rows = [[text(row["text"]), *[_cell(row[name]) for name in columns]] for row in best]
    title = f"The {len(rows)} best of {found.scored:,} {domain.plural} scored in training"
    headings = [readable(name.removeprefix("term_")) for name in columns]
    yield Table(title, [domain.name, *headings], rows, folded=True)


def _cell(value: str) -> Any:
    try:
        return number(float(value))
    except ValueError:
        return text(value)


def _failures(folder: Path) -> Iterator[Failures]:
    path = folder / files.FAILURES
    if path.is_file():
        said = path.read_text(encoding="utf-8", errors="replace")
        last = (said.strip().splitlines() or ["no reason is known"])[-1]
        note = "The first sequence that a rule or an oracle could not score."
        yield Failures("Failures", note, [(last, said)])


def _origin(folder: Path, spec: RunSpec) -> Facts:
    config = files.read_config(folder)
    known = {
        "command": config.get("command", ""),
        "begun": config.get("date", ""),
        "machine and versions": described(config.get("machine", {})),
        "prior's fingerprint": config.get("fingerprints", {}).get("prior", ""),
        **{f"environment: {name}": str(value) for name, value in spec.env_kwargs.items()},
        **{f"setting: {name}": str(value) for name, value in spec.arguments.items()},
    }
    return Facts("Where this comes from", {k: v for k, v in known.items() if v}, folded=True)
