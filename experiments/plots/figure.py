"""The look that our matplotlib pictures share, and how they are saved."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from searchspace.schema import write_atomically

matplotlib.rcParams["text.parse_math"] = False  # two $ in the name of a run or a class are no formula

INK, SOFT, FAINT = "#1d232a", "#6b7580", "#e4e7eb"


def tidy(axes: Axes) -> None:
    """Two thin spines, a faint grid behind the data, small grey ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.grid(True, color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelsize=9, length=3)


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Writes a PNG to a temporary file and renames it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    write_atomically(path, buffer.getvalue())
