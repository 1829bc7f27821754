"""The clips that a video is judged by: one in the middle, several over time and space, or all of its frames.

As the MoViNet reference evaluates: frames by their number in the file, from the start `share * (frames - T * stride)`
on, cyclically where the video is too short; the shorter side resized a little above the clip's, bilinear without a
wider kernel and cut down to whole numbers; a crop of the clip's size.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike
from video import sampling
from video.decode import pictures_at, read_frames
from video.measure import VideoInfo, probe
from video.pictures import picture_size, pictures_in, read_pictures
from video.source import Frames

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


def read_views(path: str | Path, info: VideoInfo, clip: ClipLike, views: Sequence[View] = (CENTRE,)) -> list[Frames]:
    """Clips of a video file or a folder of pictures, each uint8 [T, H, W, 3].

    Args:
        path: the file or folder.
        info: what `look` found in it.
        clip: what to take.
        views: which parts; neighbours of one time are decoded together.

    Raises:
        ValueError: no frame of the file decodes.
    """
    clip = Clip.of(clip)
    stride = info.fps / clip.fps
    spare = max(0, int(info.frames - clip.frames * stride + 1e-6))
    clips = []
    for time, group in itertools.groupby(views, key=lambda view: view.time):
        numbers = np.floor(int(time * spare) + stride * np.arange(clip.frames) + 0.5)
        frames = _read(path, info, clip, np.fmod(numbers, info.frames))
        clips += [_cut(frames, info, clip, view.place) for view in group]
    return clips


def read_stream(path: str | Path, info: VideoInfo, clip: ClipLike) -> Iterator[Frames]:
    """All of a video at the clip's frame rate and size, from its beginning, in pieces of uint8 [1 to 32, H, W, 3].

    Raises:
        ValueError: as `read_views`.
    """
    clip = Clip.of(clip)
    stride = info.fps / clip.fps
    numbers = np.floor(stride * np.arange(max(1, int(info.frames / stride + 1e-6))) + 0.5)
    numbers = np.minimum(numbers, info.frames - 1)
    if Path(path).is_dir():
        for begin in range(0, len(numbers), _PIECE):
            yield _cut(_read(path, info, clip, numbers[begin : begin + _PIECE]), info, clip, CENTRE.place)
        return
    pictures = pictures_at(path, (numbers / info.fps).tolist(), _read_side(info, clip), info=info)
    while piece := list(itertools.islice(pictures, _PIECE)):
        yield _cut(np.stack(piece), info, clip, CENTRE.place)


def read_middle(path: str | Path, info: VideoInfo, clip: ClipLike, most: int | None = None) -> Frames:
    """The middle of a video at the clip's size, for features.

    Args:
        path: the file or folder.
        info: what `look` found in it.
        clip: its size; its frames and frame rate where `most` is None.
        most: the video's own frames, up to so many of the middle.

    Returns:
        uint8 [views, T, H, W, 3]: one view of the video's own frames, or three clips spread over it.

    Raises:
        ValueError: as `read_views`.
    """
    clip = Clip.of(clip)
    if most is None:
        return np.stack(read_views(path, info, clip, views(3, 1)))
    count = min(most, info.frames)
    numbers = (info.frames - count) // 2 + np.arange(count, dtype=np.float64)
    return _cut(_read(path, info, clip, numbers), info, clip, CENTRE.place)[None]


def resized_side(clip: ClipLike) -> int:
    """Shorter side of the picture that clips of that size are cut from."""
    clip = Clip.of(clip)
    side = min(clip.height, clip.width)
    return RESIZED.get(side, round(side * sampling.DECODE_MARGIN))


def look(path: str | Path, fps: float | None = None) -> VideoInfo:
    """What is in a video file, or in a folder of pictures; never raises for what is wrong, but says so in `error`.

    Args:
        path: the file or folder.
        fps: of the pictures, which do not say; ignored for a file.
    """
    if not Path(path).is_dir():
        return probe(path)
    found = pictures_in(Path(path))
    if not found:
        return VideoInfo(error="it is a folder without pictures")
    if fps is None:
        return VideoInfo(error="pictures do not say how many there are a second: give --fps")
    try:
        height, width = picture_size(found[0])
    except ValueError as error:
        return VideoInfo(error=str(error))
    return VideoInfo(len(found) / fps, len(found), fps, width, height)


def _scale(info: VideoInfo, clip: Clip) -> float:
    """Size of the resized picture over the file's."""
    return resized_side(clip) / min(clip.height, clip.width) * max(clip.height / info.height, clip.width / info.width)


def _read(path: str | Path, info: VideoInfo, clip: Clip, numbers: NDArray[np.float64]) -> Frames:
    """Frames by their numbers, whole."""
    if Path(path).is_dir():
        return read_pictures(pictures_in(Path(path)), numbers.astype(np.int64), _read_side(info, clip))
    return read_frames(path, (numbers / info.fps).tolist(), _read_side(info, clip), info=info)


def _read_side(info: VideoInfo, clip: "Clip") -> int:
    """Shorter side at which pictures are decoded."""
    return max(1, round(min(info.height, info.width) * _scale(info, clip) * _READ_AT_MOST))


def _cut(frames: Frames, info: VideoInfo, clip: Clip, place: float) -> Frames:
    """Resized, then the crop at a place."""
    scale = _scale(info, clip)
    height = max(clip.height, int(info.height * scale + 1e-6))
    width = max(clip.width, int(info.width * scale + 1e-6))
    down, across = (place, 0.5) if height - clip.height > width - clip.width else (0.5, place)
    top, left = int(down * (height - clip.height)), int(across * (width - clip.width))
    return resize_and_crop(frames, (height, width), (top, left), (clip.height, clip.width))


def resize_and_crop(
    frames_THWC: Frames, size: tuple[int, int], corner: tuple[int, int], crop: tuple[int, int]
) -> Frames:
    """Bilinear between the four nearest pixels, without widening the kernel, cut down to whole numbers, then cropped.

    Args:
        frames_THWC: uint8.
        size: height and width after the resize.
        corner: top and left of the crop in the resized picture.
        crop: its height and width.
    """
    from PIL import Image

    down, across = frames_THWC.shape[1] / size[0], frames_THWC.shape[2] / size[1]
    (top, left), (height, width) = corner, crop
    extent = (left * across, top * down, (left + width) * across, (top + height) * down)
    how = Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(frame).transform((width, height), *how)) for frame in frames_THWC])
