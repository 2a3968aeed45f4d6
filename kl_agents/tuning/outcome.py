"""What a search has found, as files: settings to train with, a table of trials, what matters."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kl_agents.hyperparameters import EXTENDS, file_of
from kl_agents.tuning.recipe import Recipe
from kl_agents.tuning.search import ERROR, SHIPPED, Search, winner
from seqgen_envs.extras import require
from seqgen_envs.reporting.files import replacing, write_csv, write_json, write_text
from seqgen_envs.reporting.machine import machine, now

BEST, TRIALS, SUMMARY, PLOT = "best.yml", "trials.csv", "tuning.json", "importance.png"
#: Trials that importances are worth being computed of.
ENOUGH = 10


def write_outcome(
    out: Path, search: Search, confirmed: Mapping[str, list[float]], command: str
) -> str:
    """Write the files into ``out``.

    Returns:
        the name of the finalist whose settings are in :data:`BEST`.
    """
    chosen = winner(confirmed)
    drawn = search.drawn(chosen)
    matters = importances(search.study)
    write_text(out / BEST, best_file(search.recipe, search.space, drawn, chosen, command))
    rows = trial_rows(search.study)
    write_csv(out / TRIALS, rows)
    summary = {
        "recipe": search.recipe.to_dict(search.space),
        "chosen": chosen,
        "settings": search.recipe.block(search.space, drawn),
        "confirmed": {name: list(map(_plain, worths)) for name, worths in confirmed.items()},
        "importances": matters,
        "trials": len(rows),
        "command": command,
        "date": now(),
        "machine": machine(),
    }
    write_json(out / SUMMARY, summary)
    if rows:
        draw(out / PLOT, rows, matters)
    return chosen


def best_file(
    recipe: Recipe,
    space: Mapping[str, Any],
    drawn: Mapping[str, Any] | None,
    chosen: str,
    command: str,
) -> str:
    """A file for ``--hyperparams``: the settings over those it extends."""
    shipped = recipe.source or file_of(recipe.env_ids[0])
    content: dict[str, Any] = {}
    if shipped.is_file():
        content[EXTENDS] = shipped.name if recipe.source is None else str(shipped.resolve())
    content[recipe.algorithm] = recipe.block(space, drawn)
    title = "the settings shipped" if chosen == SHIPPED else f"trial {chosen}"
    body: str = yaml.safe_dump(content, sort_keys=False)
    return f"# {title}, found by `{command}`, {now()}\n{body}"


def trial_rows(study: Any) -> list[dict[str, Any]]:
    """A row a trial: number, state, worth, seconds, what was drawn, why it failed."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    return [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "worth": "" if trial.value is None else trial.value,
            "looks": len(trial.intermediate_values),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else "",
            **{name: trial.params.get(name, "") for name in names},
            "error": str(trial.user_attrs.get(ERROR, "")).strip().rpartition("\n")[2],
        }
        for trial in trials
    ]


def importances(study: Any) -> dict[str, float]:
    """What share of the difference between good trials and the others each setting explains.

    By PED-ANOVA (Watanabe et al. 2023); nothing where fewer than :data:`ENOUGH` trials are
    complete, or they are all worth the same.
    """
    optuna = require("optuna", "tune")
    complete = optuna.trial.TrialState.COMPLETE
    worths = {trial.value for trial in study.get_trials(deepcopy=False, states=(complete,))}
    if len(worths) < ENOUGH:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def draw(path: Path, rows: list[dict[str, Any]], matters: Mapping[str, float]) -> None:
    """The worth of each trial and the best so far, beside what matters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    done = [(row["trial"], row["worth"]) for row in rows if row["state"] == "complete"]
    numbers, worths = [n for n, _ in done], [worth for _, worth in done]
    left.scatter(numbers, worths, s=14, label="trial")
    left.step(numbers, [max(worths[: i + 1]) for i in range(len(worths))], where="post",
              label="best so far")  # fmt: skip
    left.set(xlabel="trial", ylabel="worth")
    left.legend()
    names = list(matters)[::-1]
    right.barh(names, [matters[name] for name in names])
    right.set(xlabel="importance (PED-ANOVA)")
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def described(worths: list[float]) -> str:
    """Mean and, of several, standard error."""
    mean = statistics.fmean(worths)
    if len(worths) < 2 or not math.isfinite(mean):
        return f"{mean:.4g}"
    return f"{mean:.4g} ± {statistics.stdev(worths) / math.sqrt(len(worths)):.2g}"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
