"""The plots of a report, drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

MARKERS = "osD^vP*X"
PANELS = (
    ("task_return", "mean task return"),
    ("objective", "J, nats"),
    ("distinct", "distinct sequences"),
)


class Curve(NamedTuple):
    """A metric over training: environment steps, mean, lowest and highest of the seeds."""

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_curves(path: Path, curves: Mapping[str, Curve], label: str, title: str) -> None:
    """A line an agent and the band between its seeds; a single point is a line across."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for i, (agent, curve) in enumerate(curves.items()):
        color = f"C{i}"
        if len(curve.steps) == 1:
            axes.axhline(curve.mean[0], color=color, linestyle="--", label=agent)
            continue
        line = ("-", "--", ":", "-.")[i % 4]
        axes.plot(curve.steps, curve.mean, color=color, linestyle=line, label=agent)
        axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel=label, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def draw_frontier(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Task return, J and distinctness against the KL to the prior, a line an agent.

    Args:
        path: of the PNG.
        rows: ``agent``, ``c``, ``kl_to_prior`` and the three, one a run.
    """
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    for panel, (name, label) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for i, agent in enumerate(agents):
            mine = sorted((r for r in rows if r["agent"] == agent), key=lambda row: row["c"])
            x, y = ([row[key] for row in mine] for key in ("kl_to_prior", name))
            panel.plot(x, y, **_style(i), label=agent)
            if name == "objective":
                for row, a, b in zip(mine, x, y, strict=True):
                    panel.annotate(f"{row['c']:g}", (a, b), fontsize=7, textcoords="offset points",
                                   xytext=(4, 4))  # fmt: skip
        panel.set(xlabel="KL to the prior, nats a sequence", ylabel=label)
        panel.set_xscale("symlog", linthresh=1.0)
        if name != "distinct":
            panel.set_yscale("symlog", linthresh=10.0)
        panel.grid(alpha=0.3)
    figure.axes[-1].legend(fontsize=8)
    _save(figure, path)


def _style(i: int) -> dict[str, Any]:
    """Agents that do alike stay apart: later ones are hollow and larger."""
    return {
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 4 + i,
        "fillstyle": "none" if i else "full",
        "linestyle": ("-", "--", ":", "-.")[i % 4],
        "color": f"C{i}",
    }


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(str(path))
