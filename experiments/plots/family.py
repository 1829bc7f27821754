"""A family as a picture: its members against the base scaled by one dimension at a time."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from controller.front import wilson
from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS
from experiments.text import terminal as tables
from experiments.text.scale_text import proxy_notes
from scaling.coefficients import DIMENSIONS
from scaling.family_folder import Family
from scaling.members import name_of
from searchspace.quantities import QUANTITIES

LATENCY = "latency"
SINGLE = ("#c8442f", "#2a8a57", "#b97309", "#7a4fbf")
FAMILY = COLOURS[0]
Point = tuple[int, float, float, int]
"""Exponent, cost, accuracy, held-out clips."""


def draw(found: Family, axis: str = "macs", latencies: Mapping[str, float] | None = None) -> Path:
    """Draws the networks that were trained on the picture's number of clips into the family's folder.

    Args:
        found: with at least one trained network.
        axis: `macs`, `params`, `state_bytes` or `latency`.
        latencies: milliseconds by member, for `latency`; what has none is not drawn.

    Returns:
        The file: family.png, or family-params.png and the like.
    """
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    axes = figure.add_subplot()
    tidy(axes)
    axes.set_xscale("log", base=2)
    latencies = latencies or {}
    family, singles, others = _points(found, axis, latencies)
    axes.scatter([p[1] for p in others], [p[2] for p in others], s=16, color=SOFT, alpha=0.35, linewidths=0, zorder=2)
    base = next((point for point in family if point[0] == 0), None)
    for (name, points), colour in zip(singles.items(), SINGLE, strict=True):
        curve = sorted([*points, *([base] if base else [])])
        if not points:
            continue
        label = f"{name.replace('_', ' ')} alone"
        axes.plot(
            *_xy(curve), color=colour, linewidth=1.3, linestyle=(0, (4, 2)), marker="s", markersize=4, label=label
        )
    for _, x, y, clips in family:
        low, high = wilson(y, clips)
        axes.plot([x, x], [low, high], color=FAMILY, linewidth=1, alpha=0.6, zorder=4)
    axes.plot(*_xy(family), color=FAMILY, linewidth=2, marker="o", markersize=8, zorder=5, label="compound: the family")
    names = {member.exponent: member.name for member in found.members}
    for exponent, x, y, _ in family:
        _name(axes, names.get(exponent, "base"), x, y)
    if base is not None:
        axes.plot(base[1], base[2], marker="*", markersize=19, color=FAMILY, markeredgecolor="white", zorder=6)
    _untrained(axes, found, axis, {point[0] for point in family}, latencies)
    if others:
        axes.scatter([], [], s=16, color=SOFT, alpha=0.5, label="other trials")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tables.short(float(f"{value:.3g}"))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_label(axis), color=INK)
    axes.set_ylabel("held-out accuracy", color=INK)
    axes.legend(loc="upper left", fontsize=9, frameon=True, facecolor="white", framealpha=0.9, edgecolor="none")
    title = "A family by latency" if axis == LATENCY else "Compound scaling against one dimension at a time"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=INK)
    figure.supxlabel("\n".join(textwrap.wrap(_caption(found, axis), 130)), x=0.01, ha="left", fontsize=8.5, color=SOFT)
    path = found.folder / ("family.png" if axis == "macs" else f"family-{axis.removesuffix('_bytes')}.png")
    save(figure, path)
    return path


def _points(
    found: Family, axis: str, latencies: Mapping[str, float]
) -> tuple[list[Point], dict[str, list[Point]], list[Point]]:
    """The family's points, those of each single dimension, and the other trials', all on as many clips."""
    family: dict[int, Point] = {}
    singles: dict[str, list[Point]] = {name: [] for name in DIMENSIONS}
    others: list[Point] = []
    for record in found.data["points"]:
        if record["clips"] != found.data["picture_clips"] or record["seed"] or record["network"]:
            continue
        exponent, held_out = int(record["exponent"]), int(record["held_out"])
        if axis == LATENCY:  # somebody measured members, and nothing else
            ours = record["kind"] == "member" or (
                record["kind"] == "trial" and record["number"] == found.data["chosen"]
            )
            cost = latencies.get(name_of(exponent), 0.0) if ours else 0.0
        else:
            cost = float(record["cost"][axis])
        if not cost:
            continue
        point = (exponent, cost, float(record["accuracy"]), held_out)
        if record["kind"] == "single":
            singles[DIMENSIONS[record["number"]]].append(point)
        elif record["kind"] == "member":
            family[point[0]] = point
        elif record["number"] == found.data["chosen"]:
            family.setdefault(point[0], point)
        else:
            others.append(point)
    return [family[exponent] for exponent in sorted(family)], singles, others


def _label(axis: str) -> str:
    if axis == LATENCY:
        return "milliseconds, as the table given has them"
    return QUANTITIES[axis].axis + ", each at its own clip" * QUANTITIES[axis].per_clip


def _xy(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point[1] for point in points], [point[2] for point in points]


def _name(axes: Axes, text: str, x: float, y: float) -> None:
    axes.annotate(
        text, (x, y), xytext=(0, 11), textcoords="offset points", ha="center", fontsize=10, fontweight="bold", color=INK
    )


def _untrained(axes: Axes, found: Family, axis: str, trained: set[int], latencies: Mapping[str, float]) -> None:
    """Marks members that were not trained where they stand in cost."""
    for member in found.members:
        if member.exponent in trained:
            continue
        x = latencies.get(member.name) if axis == LATENCY else getattr(member, axis)
        if not x:
            continue
        axes.axvline(x, ymax=0.06, color=FAMILY, linewidth=1.4)
        text = f"{member.name}\nnot trained"
        axes.annotate(text, (x, 0.065), xycoords=("data", "axes fraction"), ha="center", fontsize=8.5, color=SOFT)


def _caption(found: Family, axis: str) -> str:
    clips, verdict = found.data["picture_clips"], found.data["verdict"]["text"]
    if axis == LATENCY:
        return (
            f"Every point is a member trained on {clips:,} clips and scored on the same held-out clips; bars are 95 % "
            "intervals of those. The star is the base. Times are those of the table given, for its device alone."
        )
    return (
        f"Every point is a network trained on {clips:,} clips, all of one seed and scored on the same held-out clips; "
        "bars are 95 % intervals of those. The star is the base. A dashed curve multiplies the base's cost by the same "
        "factors with one dimension alone: where the solid line is above all of them, scaling them together pays. "
        f"{' '.join(f'{text[0].upper()}{text[1:]}.' for text in [verdict, *proxy_notes(found)])}"
    )
