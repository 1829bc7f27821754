"""The front as a picture for papers and READMEs."""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import FrontPicture, Series


def draw(picture: FrontPicture, path: Path) -> None:
    """Draws the picture into a PNG file."""
    figure = Figure(figsize=(9, 5.8), layout="constrained")
    axes = figure.add_subplot()
    tidy(axes)
    low, high = picture.costs
    axes.set_xlim(low, high)
    axes.set_ylim(0, picture.highest)
    _references(axes, picture)
    for series in picture.series:
        _run(axes, series)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g} M"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.set_xlabel(picture.axis, color=INK)
    axes.set_ylabel("held-out accuracy", color=INK)
    lines = textwrap.wrap(picture.caption, 118)
    for text, height, size, weight, colour in (
        (picture.title, 28 + 12 * len(lines), 13, "bold", INK),
        ("\n".join(lines), 20, 8.5, "normal", SOFT),
    ):
        axes.annotate(
            text,
            (0, 1),
            xytext=(0, height),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize=size,
            fontweight=weight,
            color=colour,
        )
    axes.legend(loc="lower right", fontsize=9, frameon=True, facecolor="white", framealpha=0.9, edgecolor="none")
    save(figure, path)


def _references(axes: Axes, picture: FrontPicture) -> None:
    low, high = picture.costs
    top = axes.get_xaxis_transform()
    for name, value in picture.published:
        if low <= value <= high:
            axes.axvline(value, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.text(value, 1.01, name.upper(), transform=top, ha="center", va="bottom", fontsize=9, color=SOFT)
    if picture.target is not None:
        axes.axvline(picture.target, color=INK, linewidth=1.2, zorder=1)
        axes.text(
            picture.target, 0.015, " budget", transform=top, ha="left", va="bottom", fontsize=9, color=INK, zorder=6
        )
    axes.axhline(picture.chance, color=SOFT, linewidth=0.9, linestyle=":", zorder=1)
    axes.text(low, picture.chance, " chance", ha="left", va="bottom", fontsize=8.5, color=SOFT)


def _run(axes: Axes, series: Series) -> None:
    if series.looks:
        xs, ys = zip(*series.looks, strict=True)
        axes.scatter(xs, ys, s=5, color=series.colour, alpha=0.10, linewidths=0, zorder=2)
    for on_front in (False, True):
        points = [p for p in series.points if p.scored.on_front == on_front and not p.scored.winner]
        if not points:
            continue
        axes.errorbar(
            [p.x for p in points],
            [p.scored.accuracy for p in points],
            yerr=[
                [p.scored.accuracy - p.scored.low for p in points],
                [p.scored.high - p.scored.accuracy for p in points],
            ],
            fmt="o",
            markersize=6 if on_front else 4,
            markerfacecolor=series.colour if on_front else "white",
            markeredgecolor=series.colour,
            markeredgewidth=1,
            ecolor=series.colour,
            elinewidth=0.9 if on_front else 0.6,
            alpha=1.0 if on_front else 0.38,
            zorder=4 if on_front else 3,
            label=f"{series.name}: front" if on_front else f"{series.name}: scored, not on the front",
        )
    corners = series.staircase
    if len(corners) > 1:
        xs, ys = zip(*corners, strict=True)
        axes.plot(xs, ys, drawstyle="steps-post", color=series.colour, linewidth=1.6, alpha=0.85, zorder=3)
    winner = series.winner
    if winner is not None:
        scored = winner.scored
        axes.errorbar(
            [winner.x],
            [scored.accuracy],
            yerr=[[scored.accuracy - scored.low], [scored.high - scored.accuracy]],
            fmt="*",
            markersize=17,
            color=series.colour,
            markeredgecolor="white",
            markeredgewidth=1.2,
            elinewidth=1.4,
            zorder=5,
            label=f"{series.name}: winner, {winner.x / 1e6:.0f} M, {scored.accuracy:.1%}",
        )
