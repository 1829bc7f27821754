"""Trained networks as points: accuracy against multiply-accumulates, parameters, the memory of a stream, latency."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS
from experiments.report_data import Comparison, Group
from searchspace import Cost

Axis = tuple[str, Callable[[str, Cost], float], str]
"""Its title; a network's place on it, by name and cost, 0 where it has none; the unit."""


def axes_of(comparison: Comparison) -> list[Axis]:
    """The axes on which any of the networks has a place."""
    every: list[Axis] = [
        ("multiply-accumulates per clip", lambda _, cost: cost.macs, ""),
        ("parameters", lambda _, cost: cost.params, ""),
        ("state memory of a stream", lambda _, cost: cost.state_bytes, "B"),
        ("latency, as the table given has it", lambda name, _: comparison.latencies.get(name, 0), "ms"),
    ]
    return [axis for axis in every if any(axis[1](group.name, group.first.cost) for group in comparison.groups)]


def draw(comparison: Comparison, path: Path) -> None:
    """Draws a PNG: a panel for each cost that any of the networks has, on a logarithmic axis."""
    axes = axes_of(comparison)
    figure = Figure(figsize=(0.6 + 4.4 * len(axes), 4.6), layout="constrained")
    panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        _panel(panel, comparison, axis)
    panels[0].set_ylabel("mean accuracy over seeds" if comparison.family else "accuracy", color=INK)
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    handles, labels = panels[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=9, frameon=False)
    save(figure, path)


def label(group: Group) -> str:
    """A group's name, and how many seeds it has."""
    count = len(group.entries)
    return group.name if count == 1 else f"{group.name} ({count} seeds)"


def _legend(comparison: Comparison, index: int, group: Group) -> str | None:
    """What a group is called in the legend; of a family one entry explains all."""
    if not comparison.family:
        return f"{index + 1}  {label(group)}"
    return "mean over seeds and its standard error" if index == 0 else None


def _panel(panel: Axes, comparison: Comparison, axis: Axis) -> None:
    title, of, unit = axis
    tidy(panel)
    points = [(r.name, x, r.accuracy) for r in comparison.references if (x := of(r.name, r.cost))]
    if points:
        across, up = [x for _, x, _ in points], [y for *_, y in points]
        panel.plot(across, up, "D", color=SOFT, markersize=4, label="published (s: stream)")
        for name, x, y in points:
            right = name.endswith("-stream")  # a base network stands a little to the left above its stream
            panel.annotate(
                name.removesuffix("-stream") + "s" * right, (x, y), (5 if right else -5, -8 if right else 1),
                textcoords="offset points", fontsize=7.5, color=SOFT, ha="left" if right else "right",
            )  # fmt: skip
    if comparison.family:
        line = [(x, group.accuracy) for group in comparison.groups if (x := of(group.name, group.first.cost))]
        panel.plot(*zip(*line, strict=True), color=COLOURS[0], linewidth=1.5, alpha=0.5, zorder=2)
    for i, group in enumerate(comparison.groups):
        x = of(group.name, group.first.cost)
        if not x:
            continue
        colour = COLOURS[0 if comparison.family else i % len(COLOURS)]
        low, high = (group.error,) * 2 if comparison.family and len(group.entries) > 1 else group.bar
        panel.errorbar(
            [x], [group.accuracy], yerr=[[low], [high]], fmt="o", markersize=7, color=colour, markeredgecolor="white",
            elinewidth=1.4, capsize=3, zorder=4, label=_legend(comparison, i, group),
        )  # fmt: skip
        for entry in group.entries if len(group.entries) > 1 else ():
            first = comparison.family and not i and entry is group.entries[0]
            panel.plot(
                [x], [entry.accuracy], "_", color=colour, markersize=9, alpha=0.6, zorder=3,
                label="a seed" if first else None,
            )  # fmt: skip
        panel.annotate(
            group.name if comparison.family else str(i + 1), (x, group.accuracy),
            (-7, 6) if comparison.family else (7, 5), ha="right" if comparison.family else "left",
            textcoords="offset points", fontsize=9, color=colour, zorder=5,
        )  # fmt: skip
    panel.set_xscale("log")
    values = [x for group in comparison.groups if (x := of(group.name, group.first.cost))]
    values += [x for _, x, _ in points]
    low_x, high_x = min(values) / 1.6, max(values) * 1.6
    panel.set_xlim(low_x, high_x)
    panel.set_xticks(_ticks(low_x, high_x))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{_short(value)}{unit}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel(title, color=INK)


def _short(value: float) -> str:
    """`3 M`, `30 G`."""
    scale, prefix = next(((s, p) for s, p in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if value >= s), (1.0, ""))
    return f"{value / scale:.3g} {prefix}"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis, at least two and few enough to read."""
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(i / 10 for i in range(10, 100, 2))):
        found = [step * 10.0**power for power in range(14) for step in steps]
        inside = [value for value in found if low <= value <= high]
        if len(inside) >= 3:
            break
    stride = -(-len(inside) // 5)
    return inside[::stride]
