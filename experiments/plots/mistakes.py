"""The worst mistakes as a contact sheet: the frames that the network saw, what they show, and what it said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from experiments.plots.figure import INK, SOFT, save

FRAMES_AT_MOST = 8
_RIGHT, _WRONG = "#1f6f43", "#b3321f"


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A video that was taken for something else.

    Attributes:
        name: of the video.
        truth: its class, and the probability that it got.
        said: the answer, and its probability.
        frames: uint8 [T, H, W, 3].
    """

    name: str
    truth: tuple[str, float]
    said: tuple[str, float]
    frames: npt.NDArray[np.uint8]


def draw(mistakes: Sequence[Mistake], path: Path, title: str) -> None:
    """Draws them into a PNG, a row each."""
    assert mistakes
    columns = min(FRAMES_AT_MOST, max(len(mistake.frames) for mistake in mistakes))
    height, width = mistakes[0].frames.shape[1:3]
    cell = 1.05
    left, gap, head = 2.9, 0.16, 0.5
    size = (left + columns * cell + 0.1, head + len(mistakes) * (cell * height / width + gap) + 0.1)
    figure = Figure(figsize=size)
    figure.text(0.1 / size[0], 1 - 0.28 / size[1], title, fontsize=12, fontweight="bold", color=INK, va="center")
    for row, mistake in enumerate(mistakes):
        top = 1 - (head + row * (cell * height / width + gap)) / size[1]
        tall = cell * height / width / size[1]
        lines = (
            (0.80, mistake.truth, _RIGHT, "is"),
            (0.55, mistake.said, _WRONG, "said"),
        )
        for at, (name, probability), colour, word in lines:
            text = f"{word} {_short(name, 24)}  {probability:.0%}"
            figure.text(0.1 / size[0], top - tall * (1 - at), text, fontsize=9, color=colour, va="center")
        figure.text(
            0.1 / size[0], top - tall * 0.75, _short(mistake.name, 36, end=True), fontsize=7, color=SOFT, va="center"
        )
        shown = np.linspace(0, len(mistake.frames) - 1, min(columns, len(mistake.frames))).round().astype(int)
        for column, frame in enumerate(shown):
            box = ((left + column * cell) / size[0], top - tall, (cell - 0.05) / size[0], tall)
            axes = figure.add_axes(box)
            axes.imshow(mistake.frames[frame], interpolation="nearest", aspect="auto")
            axes.set_axis_off()
    save(figure, path, dpi=110)


def _short(text: str, most: int, end: bool = False) -> str:
    text = text if end else text.replace("_", " ")
    if len(text) <= most:
        return text
    return "…" + text[-most + 1 :] if end else text[: most - 1] + "…"
