"""What the reward does and why there is no bare argmax: docs/controller.png, from searches on NAS-Bench-Macro.

Run: python -m benchmarks.controller_picture
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.controller import ROOT, TABLE
from controller.benchmark import BELOW, Setting, run, search
from controller.selection import ABOVE
from controller.table import Table, read
from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS

SEEDS = 10
REWARDS: dict[str, dict[str, Any]] = {
    "absolute, beta -0.1": {},
    "hard, beta -0.07": {"reward": "hard", "beta": -0.07},
    "soft, beta -0.07": {"reward": "soft", "beta": -0.07},
}


def main() -> None:
    """Runs the searches and draws both panels."""
    table = read(TABLE)
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _where_rewards_end(left, table)
    _argmax_and_winner(right, table)
    save(figure, ROOT / "docs" / "controller.png")


def _where_rewards_end(axes: Axes, table: Table) -> None:
    _table(axes, table, 30, 106)
    axes.set_ylim(0.895, 0.935)
    for marker, target in (("v", 50e6), ("o", 70e6)):
        axes.axvline(target / 1e6, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for colour, (name, options) in zip(COLOURS, REWARDS.items(), strict=False):
            ends: Counter[tuple[float, float]] = Counter()
            for seed in range(SEEDS):
                setting = Setting(target=target, looks=32_000, parallel=32, seed=seed, start="uniform", **options)
                row = int(table.index(search(table, setting)[0].favourite()))
                ends[float(table.cost[row]), float(table.truth[row])] += 1
            costs, truths = zip(*ends, strict=True)
            axes.scatter(
                np.array(costs) / 1e6,
                truths,
                s=[30 + 14 * n for n in ends.values()],
                marker=marker,
                color=colour,
                edgecolor="white",
                alpha=0.8,
                zorder=4,
                label=f"{name}, T0 = {target / 1e6:.0f} M",
            )
            print(f"{name}, {target / 1e6:.0f} M:", *(f"{n} x {c / 1e6:.1f} M {t:.2%}" for (c, t), n in ends.items()))
    axes.legend(fontsize=8, loc="lower right", frameon=True, facecolor="white", framealpha=0.9, edgecolor="none")
    axes.set_title(f"where the argmax ends after 32,000 looks, {SEEDS} seeds", loc="left", fontsize=10, color=INK)


def _argmax_and_winner(axes: Axes, table: Table) -> None:
    _table(axes, table, 60, 80)
    axes.set_ylim(0.912, 0.932)
    axes.axvspan(70 * (1 - BELOW), 70 * (1 + ABOVE), color=COLOURS[2], alpha=0.08, linewidth=0, zorder=0)
    pairs = []
    for seed in range(SEEDS):
        outcome = run(table, Setting(target=70e6, looks=2000, seed=seed))
        rows = [int(table.index(table.decisions.decode(c.architecture))) for c in (outcome.favourite, outcome.modelled)]
        pairs.append([(table.cost[row] / 1e6, table.truth[row]) for row in rows])
    for number, (argmax, winner) in enumerate(pairs):
        first = number == 0
        axes.annotate("", winner, argmax, arrowprops={"arrowstyle": "->", "color": SOFT, "linewidth": 0.8})
        axes.plot(*argmax, "o", markerfacecolor="white", markeredgecolor=COLOURS[1], label="bare argmax" * first)
        axes.plot(*winner, "*", color=COLOURS[0], markersize=13, markeredgecolor="white", label="winner" * first)
    axes.legend(fontsize=9, loc="lower right", frameon=True, facecolor="white", framealpha=0.9, edgecolor="none")
    axes.set_title(f"REINFORCE, 2,000 looks, budget 70 M, {SEEDS} seeds", loc="left", fontsize=10, color=INK)


def _table(axes: Axes, table: Table, low: float, high: float) -> None:
    tidy(axes)
    axes.scatter(table.cost / 1e6, table.truth, s=4, color=SOFT, alpha=0.25, linewidths=0, zorder=1)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} M"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.set_xlabel("FLOPs", color=INK)
    axes.set_ylabel("accuracy, mean of three copies", color=INK)


if __name__ == "__main__":
    main()
