"""The clips that a video is judged by: one in the middle, several over time and space, or all of its frames.

As the MoViNet reference evaluates: frames by their number in the file, from the start `share * (frames - T * stride)`
on, cyclically where the video is too short; the shorter side resized a little above the clip's, bilinear without a
wider kernel and cut down to whole numbers; a crop of the clip's size.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video import sampling
from video.decode import VideoInfo, read_frames
from video.products import product
from video.source import Frames

if TYPE_CHECKING:
    from searchspace.clip import Clip

RESIZED = {160: 176, 172: 192, 224: 256, 256: 288, 290: 320, 320: 368}
"""Shorter side before the crop, for the sizes of the published networks; for others 8/7 of theirs, as for A2."""

_READ_AT_MOST = 2.0  # times the resized picture; larger ones are averaged down while they are decoded (our choice)
_PIECE = 32  # frames of a whole video that are in memory at once


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """Which part of a video: all in shares from 0 (first, left, top) over 0.5 (middle) to 1 (last, right, bottom).

    Attributes:
        time: where the clip stands in the time that is left over.
        place: where it stands along the longer side of the picture.
    """

    time: float = 0.5
    place: float = 0.5


CENTRE = View()


def views(times: int, places: int) -> tuple[View, ...]:
    """Evenly spread ones, the outer ones at the ends; a single one is in the middle.

    Raises:
        ValueError: a number below 1, or over 100 of them.
    """
    if times < 1 or places < 1 or times * places > 100:
        raise ValueError(f"views {times}x{places}: times x places must be at least 1x1, and at most 100 in all")
    return tuple(View(time, place) for time in _spread(times) for place in _spread(places))


def _spread(count: int) -> list[float]:
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]


def read_view(path: str | Path, info: VideoInfo, clip: "Clip", view: View = CENTRE) -> Frames:
    """One clip of a video file, uint8 [T, H, W, 3].

    Args:
        path: the file.
        info: what `probe` found in it.
        clip: what to take.
        view: which part.

    Raises:
        ValueError: no frame of the file decodes.
    """
    stride = info.fps / clip.fps
    spare = max(0, int(info.frames - clip.frames * stride + 1e-6))
    numbers = np.floor(int(view.time * spare) + stride * np.arange(clip.frames) + 0.5)
    times = np.fmod(numbers, info.frames) / info.fps
    return _read(path, info, clip, times, view.place)


def read_stream(path: str | Path, info: VideoInfo, clip: "Clip") -> Iterator[Frames]:
    """All of a video file at the clip's frame rate and size, in pieces of uint8 [1 to 32, H, W, 3], from its beginning.

    Raises:
        ValueError: as `read_view`.
    """
    stride = info.fps / clip.fps
    numbers = np.floor(stride * np.arange(max(1, int(info.frames / stride + 1e-6))) + 0.5)
    times = np.minimum(numbers, info.frames - 1) / info.fps
    for begin in range(0, len(times), _PIECE):
        yield _read(path, info, clip, times[begin : begin + _PIECE], CENTRE.place)


def resized_side(clip: "Clip") -> int:
    """Shorter side of the picture that clips of that size are cut from."""
    side = min(clip.height, clip.width)
    return RESIZED.get(side, round(side * sampling.DECODE_MARGIN))


def _read(path: str | Path, info: VideoInfo, clip: "Clip", times: NDArray[np.float64], place: float) -> Frames:
    scale = resized_side(clip) / min(clip.height, clip.width)
    scale *= max(clip.height / info.height, clip.width / info.width)
    most = round(min(info.height, info.width) * scale * _READ_AT_MOST)
    frames = read_frames(path, times.tolist(), max(1, most), seek=not info.broken)
    height = max(clip.height, int(info.height * scale + 1e-6))
    width = max(clip.width, int(info.width * scale + 1e-6))
    down, across = (place, 0.5) if height - clip.height > width - clip.width else (0.5, place)
    top, left = int(down * (height - clip.height)), int(across * (width - clip.width))
    return resized(frames, height, width)[:, top : top + clip.height, left : left + clip.width]


def resized(frames_THWC: Frames, height: int, width: int) -> Frames:
    """Bilinear between the four nearest pixels, without widening the kernel, cut down to whole numbers."""
    T, H, W, C = frames_THWC.shape
    rows, columns = (sampling.resize_matrix(a, 0.0, 1.0, b, widen=False) for a, b in ((H, height), (W, width)))
    narrow = product(columns, frames_THWC.astype(np.float32))
    small = product(rows, narrow.reshape(T, H, width * C)).reshape(T, height, width, C)
    small += np.float32(1e-3)  # sums of weights that are 1 but for rounding must not fall below a whole number
    whole: Frames = small.astype(np.uint8)
    return whole
