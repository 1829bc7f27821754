"""The clips that a video is judged by: one in the middle, several over time and space, or all of its frames.

As the MoViNet reference evaluates: frames by their number in the file, from the start `share * (frames - T * stride)`
on, cyclically where the video is too short; cropped by the reference's rule (`video.crop`).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike
from video.crop import crop_like_reference, resized_scale
from video.decode import pictures_at, read_frames
from video.measure import VideoInfo, probe
from video.pictures import picture_size, pictures_in, read_pictures
from video.source import Frames

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


def _read(path: str | Path, info: VideoInfo, clip: Clip, numbers: NDArray[np.float64]) -> Frames:
    """Frames by their numbers, whole."""
    if Path(path).is_dir():
        return read_pictures(pictures_in(Path(path)), numbers.astype(np.int64), _read_side(info, clip))
    return read_frames(path, (numbers / info.fps).tolist(), _read_side(info, clip), info=info)


def _read_side(info: VideoInfo, clip: "Clip") -> int:
    """Shorter side at which pictures are decoded."""
    return max(1, round(min(info.height, info.width) * resized_scale(info.height, info.width, clip) * _READ_AT_MOST))


def _cut(frames: Frames, info: VideoInfo, clip: Clip, place: float) -> Frames:
    """Resized, then the crop at a place."""
    return crop_like_reference(frames, (info.height, info.width), clip, place)
