"""Regret against looks: how far each searcher's winner is below the best architecture within the budget."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.benchmark_results import Point
from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS
from experiments.text import terminal as tables

CAPTION = (
    "Lines are means over seeds with their standard error, dots the seeds. Each point is a search of that length, and "
    "its winner is chosen by re-scoring: left among architectures seen, sampled and next to them, right also among "
    "those that a model over all looks ranks best."
)


def draw(name: str, points: Sequence[Point], path: Path) -> None:
    """Draws a row for each budget, without the model and with it, into a PNG file.

    Args:
        name: of the table.
        points: at least one.
        path: of the picture.
    """
    targets = list(dict.fromkeys(point.target for point in points))
    figure = Figure(figsize=(10, 1.5 + 3.2 * len(targets)), layout="constrained")
    grid = figure.subplots(len(targets), 2, sharex=True, sharey="row", squeeze=False)
    colours = {
        searcher: COLOURS[i % len(COLOURS)] for i, searcher in enumerate(dict.fromkeys(p.searcher for p in points))
    }
    for row, target in zip(grid, targets, strict=True):
        here = [point for point in points if point.target == target]
        for axes, pick, title in zip(row, ("seen", "modelled"), ("without the model", "with the model"), strict=True):
            _panel(axes, here, pick, colours)
            axes.set_title(f"budget {tables.short(target)}, {title}", loc="left", fontsize=10, color=INK)
        row[0].set_ylabel("regret, points of accuracy", color=INK)
    for axes in grid[-1]:
        axes.set_xlabel("looks", color=INK)
    grid[0, 0].legend(fontsize=9, frameon=True, facecolor="white", framealpha=0.9, edgecolor="none")
    figure.suptitle(f"{name}: how good the winner is", x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    figure.supxlabel("\n".join(textwrap.wrap(CAPTION, 160)), x=0.01, ha="left", fontsize=8.5, color=SOFT)
    save(figure, path)


def _panel(axes: Axes, points: Sequence[Point], pick: str, colours: dict[str, str]) -> None:
    tidy(axes)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tables.short(value)))
    axes.axhline(0, color=SOFT, linewidth=0.9)
    for shift, (searcher, colour) in enumerate(colours.items()):
        mine = sorted((p for p in points if p.searcher == searcher), key=lambda p: p.looks)
        # Dots of several searchers would lie on each other: a little to the side each.
        looks = np.array([p.looks for p in mine]) * 1.06 ** (shift - (len(colours) - 1) / 2)
        means = 100 * np.array([getattr(p, pick).mean for p in mine])
        errors = 100 * np.array([getattr(p, pick).error for p in mine])
        for x, point in zip(looks, mine, strict=True):
            values = 100 * np.array(getattr(point, pick).values)
            axes.scatter(np.full(len(values), x), values, s=9, color=colour, alpha=0.3, linewidths=0, zorder=2)
        bars = None if not np.isfinite(errors).all() else errors
        axes.errorbar(looks, means, yerr=bars, color=colour, marker="o", markersize=4, linewidth=1.6, label=searcher)
