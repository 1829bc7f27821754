"""A contact sheet of the motion set: what each class looks like, and the motion itself made visible."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from video.motion import MotionSource

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from searchspace.clip import Clip
    from video.source import Frames

_INK, _FAINT, _PAPER = "#1f2933", "#7b8794", 255
_SLICE_FPS = 60.0
_DPI = 100
# Lengths as shares of a picture's side.
_GAP, _ROW_GAP, _LABEL, _HEAD, _MARGIN, _BETWEEN = 0.06, 0.12, 1.7, 0.3, 0.12, 0.45


def contact_sheet(path: str | Path, source: MotionSource, size: int = 64) -> None:
    """Draws one clip per class to a PNG.

    A row is a class, in two columns of rows: the frames as a network gets them, then the same clip cut along time (one
    pixel row and one pixel column at 60 frames a second, without noise), where a steady motion is a slope, a turn a
    bend and a zoom a fan.

    Args:
        path: file to write.
        source: what to draw.
        size: pixels of each picture's side in the sheet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clip = source.clip
    rows = (len(source.classes) + 1) // 2
    columns = clip.frames + 2
    block = round(size * (_LABEL + columns * (1 + _GAP) + 2 * _GAP))
    height = round(size * (2 * _MARGIN + _HEAD + rows * (1 + _ROW_GAP)))
    width = 2 * block + round(size * (2 * _MARGIN + _BETWEEN))
    canvas = np.full((height, width, 3), _PAPER, np.uint8)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)

    smooth = source.at(_reshaped(clip, round(clip.frames / clip.fps * _SLICE_FPS), size, _SLICE_FPS))
    labels = source.labels("val")
    tops = [round(size * (_MARGIN + _HEAD + row * (1 + _ROW_GAP))) for row in range(rows)]
    lefts = [round(size * _MARGIN) + side * (block + round(size * _BETWEEN)) for side in range(2)]

    def place(left: int, column: int) -> int:
        """Pixels to the left edge of a picture; the two cuts stand a little apart."""
        return left + round(size * (_LABEL + column * (1 + _GAP) + (2 * _GAP if column >= clip.frames else 0)))

    for label, name in enumerate(source.classes):
        side, row = divmod(label, rows)
        top, left = tops[row], lefts[side]
        index = int(np.flatnonzero(labels == label)[0])
        volume = _clean(smooth, index)
        cuts = (volume[:, size // 2], volume[:, :, size // 2].swapaxes(0, 1))
        for column, picture in enumerate([*source.render("val", [index])[0], *cuts]):
            at = place(left, column)
            square = _stretched(_stretched(picture, size, 0), size, 1)
            canvas[top : top + size, at : at + size] = square & 0xFC  # six bits look the same and pack better
        _write(
            figure, left + size * (_LABEL - 0.14), top + size / 2, name.replace("_", " "), "right", 0.185 * size, _INK
        )
    heads = [*(f"{second:.1f} s" for second in np.arange(clip.frames) / clip.fps), "x over time", "y over time"]
    for left in lefts:
        for column, text in enumerate(heads):
            middle = place(left, column) + size / 2
            _write(figure, middle, size * (_MARGIN + _HEAD / 2), text, "center", 0.14 * size, _FAINT)
    figure.figimage(canvas, origin="upper")

    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        figure.savefig(temporary, format="png", dpi=_DPI)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(figure: "Figure", x: float, y: float, text: str, align: str, pixels: float, colour: str) -> None:
    """Text at pixels from the left and top, of a height in pixels."""
    width, height = figure.get_size_inches() * _DPI
    points = pixels * 72 / _DPI
    figure.text(x / width, 1 - y / height, text, ha=align, va="center", fontsize=points, color=colour)


def _reshaped(clip: "Clip", frames: int, size: int, fps: float) -> "Clip":
    return dataclasses.replace(clip, frames=frames, height=size, width=size, fps=fps)


def _clean(source: MotionSource, index: int) -> "Frames":
    """A clip without pixel noise, uint8 [T, H, W, 3]."""
    pictures = source.scenes("val", [index]).render(source.clip)[0]
    clipped: Frames = np.clip(pictures * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return clipped


def _stretched(picture: "Frames", size: int, axis: int) -> "Frames":
    """Resized along one axis by repeating or leaving out rows."""
    resized: Frames = picture.take(np.arange(size) * picture.shape[axis] // size, axis=axis)
    return resized
