"""A confusion matrix as a picture: rows are the truth, columns the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from experiments.plots.figure import FAINT, INK, SOFT, save

NAMED_AT_MOST = 60
"""Classes whose names stand at the edges; of more, the picture shows the blocks only."""

_NUMBERS_AT_MOST = 25  # classes whose cells carry their numbers
_SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#9db8d9", "#1f4e8c", "#0b2345"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#f0b7a4", "#c8452f", "#7a1d12"])


def draw(confusion: Any, classes: Sequence[str], path: Path, title: str) -> None:
    """Draws the matrix into a PNG: the diagonal in blue, mistakes in red, each as a share of its row.

    Args:
        confusion: counts [classes, classes]; classes without videos are left out as rows, never as columns.
        classes: names.
        path: the file.
        title: what it shows.
    """
    counts = np.asarray(confusion)
    rows = np.flatnonzero(counts.sum(axis=1)).tolist()
    shares = counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    named = len(classes) <= NAMED_AT_MOST
    side = min(14.0, max(5.0, 0.36 * len(classes) if named else 9.0))
    figure = Figure(figsize=(side + 2.2, side * max(0.35, len(rows) / len(classes)) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    diagonal = np.array(rows)[:, None] == np.arange(len(classes))
    axes.imshow(_colours(shares, diagonal), interpolation="nearest", aspect="auto")
    if named:
        axes.set_xticks(range(len(classes)), [_short(name) for name in classes], rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), [f"{_short(classes[i])}  {counts[i].sum()}" for i in rows], fontsize=8)
        axes.set_xticks(np.arange(-0.5, len(classes)), minor=True)
        axes.set_yticks(np.arange(-0.5, len(rows)), minor=True)
        axes.grid(which="minor", color=FAINT, linewidth=0.6)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.tick_params(which="both", length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_color(SOFT)
    if len(classes) <= _NUMBERS_AT_MOST:
        for (y, x), share in np.ndenumerate(shares):
            if counts[rows[y], x]:
                colour = "white" if share > 0.3 else INK
                axes.text(x, y, str(counts[rows[y], x]), ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xlabel("answer", color=INK)
    axes.set_ylabel("truth, and how many videos", color=INK)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    save(figure, path, dpi=120)


def _colours(shares: Any, diagonal: Any) -> Any:
    """RGBA [rows, classes, 4]; the root of a share, so that a few mistakes show."""
    root = np.sqrt(shares)
    return np.where(diagonal[..., None], _SHADES(root), _WRONG(root))


def _short(name: str) -> str:
    text = name.replace("_", " ")
    return text if len(text) <= 24 else text[:23] + "…"
