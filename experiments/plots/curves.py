"""How a training went: loss, held-out accuracy and learning rate over its epochs, as a picture and as a page."""

from __future__ import annotations

import dataclasses
import itertools
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS
from experiments.plots.html import PLACE, embed
from searchspace.schema import write_atomically
from searchspace.stored import read_records, read_table
from training.run import SUMMARY, read_json
from training.run.formats import EPOCH, RETRAIN_SUMMARY, STEP

PNG, HTML = "curves.png", "curves.html"
POINTS = 120
"""Of a line, each a mean: of more of them one sees the noise of single batches."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One network's training.

    Attributes:
        name: of the member, or of the run.
        epoch, loss, rate: lines of equal length; the loss is a mean over the steps around.
        scored, accuracy, held_out: epochs that were scored, accuracy in [0, 1], cross-entropy (NaN where not finite).
        best: index of the best of them.
    """

    name: str
    epoch: list[float]
    loss: list[float]
    rate: list[float]
    scored: list[float]
    accuracy: list[float]
    held_out: list[float]
    best: int


def read(folder: Path) -> list[Curve]:
    """The curves of a run, one a member; raises `ValueError` where there are none yet."""
    members = [path for path in (folder / "members").glob("*") if path.name.isdecimal()]
    members.sort(key=lambda path: int(path.name))
    places = {f"member {int(path.name) + 1}": path for path in members} or {folder.resolve().name: folder}
    found = [_curve(name, path) for name, path in places.items() if (path / "metrics.csv").exists()]
    if not found:
        raise ValueError(f"{folder} has no metrics.csv yet; let it run for longer")
    return found


def draw(folder: Path) -> None:
    """Writes curves.png and curves.html into a run of `nas retrain`."""
    curves = read(folder)
    summary = read_json(folder / SUMMARY, RETRAIN_SUMMARY) if (folder / SUMMARY).exists() else {}
    title = folder.resolve().name
    if summary:
        title += f": {summary['accuracy']:.1%} on {summary['clips']:,} test clips"
    chance = 1 / summary["classes"] if summary else None
    _png(curves, title, chance, folder / PNG)
    page = resources.files("experiments.plots").joinpath(HTML).read_text(encoding="utf-8")
    assert page.count(PLACE) == 1
    write_atomically(folder / HTML, page.replace(PLACE, embed(_content(curves, title, chance))))


def _curve(name: str, folder: Path) -> Curve:
    rows = read_table(folder / "metrics.csv", STEP)
    if not rows:
        raise ValueError(f"{folder / 'metrics.csv'} has no rows yet; let the run go on for longer, or restore the file")
    epoch = np.array([row["epoch"] for row in rows])
    loss = np.array([math.nan if row["loss"] is None else row["loss"] for row in rows])
    rate = np.array([row["rate"] for row in rows])
    edges = np.unique(np.linspace(0, len(rows), min(POINTS, len(rows)) + 1).round().astype(int))
    pieces = [slice(a, b) for a, b in itertools.pairwise(edges)]
    means = [float(np.nanmean(loss[piece])) if np.isfinite(loss[piece]).any() else math.nan for piece in pieces]
    scores = read_records(folder / "scores.jsonl", EPOCH)
    accuracy = [float(score["accuracy"]) for score in scores]
    losses = [math.nan if score["loss"] is None else float(score["loss"]) for score in scores]
    best = max(range(len(scores)), key=lambda i: (accuracy[i], -losses[i]), default=0)
    return Curve(
        name=name,
        epoch=[float(epoch[piece].mean()) for piece in pieces],
        loss=means,
        rate=[float(rate[piece].mean()) for piece in pieces],
        scored=[float(score["epoch"]) for score in scores],
        accuracy=accuracy,
        held_out=losses,
        best=best,
    )


def _png(curves: list[Curve], title: str, chance: float | None, path: Path) -> None:
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.6))
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        label = f"{curve.name}, " if len(curves) > 1 else ""
        left.plot(curve.epoch, curve.loss, color=colour, linewidth=1.1, label=f"{label}training")
        left.plot(
            curve.scored, curve.held_out, color=colour, linewidth=1.1, linestyle="--", marker="o", markersize=3,
            label=f"{label}held out",
        )  # fmt: skip
        best = f"{label}best {curve.accuracy[curve.best]:.1%}" if curve.scored else curve.name
        middle.plot(curve.scored, curve.accuracy, color=colour, marker="o", markersize=3, linewidth=1.3, label=best)
        if curve.scored:
            at = curve.scored[curve.best], curve.accuracy[curve.best]
            middle.plot(*at, marker="*", markersize=13, color=colour, markeredgecolor="white")
        right.plot(curve.epoch, curve.rate, color=colour, linewidth=1.3)
    if chance is not None:
        middle.axhline(chance, color=SOFT, linewidth=0.9, linestyle=":")
        middle.annotate("chance", (0, chance), (2, 3), textcoords="offset points", fontsize=8, color=SOFT)
    highest = [value for curve in curves for value in (curve.loss[0], *curve.loss, *curve.held_out) if value == value]
    if highest:
        left.set_ylim(0, min(max(highest), 2.0 * max(curve.loss[0] for curve in curves)) * 1.05)
    for axes, name in ((left, "loss, nats"), (middle, "accuracy on held-out clips"), (right, "learning rate")):
        tidy(axes)
        axes.set_title(name, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("epoch", fontsize=9, color=SOFT)
        axes.set_xlim(left=0)
    middle.set_ylim(0, 1)
    right.set_ylim(bottom=0)
    left.legend(fontsize=8.5, frameon=False)
    middle.legend(fontsize=8.5, frameon=False, loc="lower right")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    save(figure, path)


def _content(curves: list[Curve], title: str, chance: float | None) -> dict[str, Any]:
    """The page's data: NaN becomes null, at which its lines break."""

    def plain(values: list[float]) -> list[float | None]:
        return [round(value, 6) if math.isfinite(value) else None for value in values]

    return {
        "title": title,
        "chance": chance,
        "curves": [
            {
                "name": curve.name,
                "colour": COLOURS[i % len(COLOURS)],
                "epoch": plain(curve.epoch),
                "loss": plain(curve.loss),
                "rate": plain(curve.rate),
                "scored": plain(curve.scored),
                "accuracy": plain(curve.accuracy),
                "heldOut": plain(curve.held_out),
                "best": curve.best,
            }
            for i, curve in enumerate(curves)
        ],
    }
