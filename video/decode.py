"""From a video file to RGB frames, through PyAV (FFmpeg), by time stamps and with whatever of the file is intact.

Rules that the containers force: frame counts and durations of headers are missing or wrong in some files, so both are
measured; frame rates vary, so frames are chosen by time; stamps are missing, out of order or jump, so `video.clock`
repairs them and no decoded frame is dropped; a damaged packet costs its own frames only; phones store sideways pictures
plus a matrix; pixels may not be square. Times are in seconds from the first frame of the file.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video.clock import Clock
from video.container import OpenVideo, no_frame, open_errors, open_video, reason
from video.measure import SEEK_BEYOND, VideoInfo, square_size
from video.orientation import orientation_of
from video.timing import frame_rate, is_seekable, stamp_reader, start

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SEEK_EARLIER = (0.0, 2.0, 8.0)  # seconds before the wanted time: some containers land behind it
_MAX_SIDE = 16384

Timed = tuple[float, "VideoFrame"]
"""A frame, and its time in seconds of the file's own clock as it was at the first frame."""


def read_frames(
    path: str | Path,
    times: Sequence[float] | None = None,
    short_side: int | None = None,
    *,
    seek: bool = True,
    info: VideoInfo | None = None,
) -> NDArray[np.uint8]:
    """Decodes frames of a file as RGB, upright, with square pixels.

    Args:
        path: the file.
        times: seconds from the first frame, in any order; each gives the frame whose time is nearest (the first or last
            one beyond the ends). None gives every frame.
        short_side: scale down so that the shorter side has this many pixels; a smaller picture keeps its size.
        seek: look for a key frame near the first time, where that gives the same frames as reading on.
        info: what `probe` found in the file; without it, the packets of a file are read through once to see whether
            seeking is safe.

    Returns:
        uint8 [T, H, W, 3]. If the picture size changes within the file, later frames are scaled to the first one's.

    Raises:
        ValueError: the file does not open, holds no video, or no frame of it decodes.
    """
    if times is None:
        with _blamed(path):
            return np.stack(list(_every(path, short_side)))
    if not all(math.isfinite(time) for time in times):
        raise ValueError(f"times {list(times)!r} must be finite numbers of seconds")
    if not len(times):
        return np.empty((0, 0, 0, 3), np.uint8)
    order = np.argsort(np.asarray(times, dtype=np.float64), kind="stable")
    rows = list(pictures_at(path, [float(times[i]) for i in order], short_side, seek=seek, info=info))
    return np.stack([rows[i] for i in np.argsort(order, kind="stable")])


def pictures_at(
    path: str | Path,
    times: Sequence[float],
    short_side: int | None = None,
    *,
    seek: bool = True,
    info: VideoInfo | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """The pictures of `read_frames` one after another, for times that do not decrease; the file is read through once.

    Yields:
        uint8 [H, W, 3]; neighbours that are the same frame are one array.

    Raises:
        ValueError: as `read_frames`.
    """
    with _blamed(path), contextlib.ExitStack() as stack:
        video = stack.enter_context(open_video(path))
        frames = _timed(video)
        here = _first(frames, video)
        origin, painter = here[0], _Painter(here[1], video.stream, short_side)
        if seek and times[0] > SEEK_BEYOND and (is_seekable(path) if info is None else info.seekable):
            found = _from_key_frame(video, origin + times[0])
            frames = _timed(stack.enter_context(open_video(path))) if found is None else found
            here = _first(frames, video)
        place = 0
        for there in itertools.chain(frames, [None]):
            middle = math.inf if there is None else (here[0] + there[0]) / 2 - origin
            if times[place] <= middle:
                picture = painter(here[1])
                while place < len(times) and times[place] <= middle:
                    yield picture
                    place += 1
                if place == len(times):
                    return
            assert there is not None  # all that is left belongs to the last frame
            here = there


@contextlib.contextmanager
def _blamed(path: str | Path) -> Iterator[None]:
    """Turns what is wrong with a file into a ValueError that names it."""
    try:
        yield
    except open_errors() as error:
        raise ValueError(f"cannot decode {str(path)!r}: {reason(error, path)}") from error


def _every(path: str | Path, short_side: int | None) -> Iterator[NDArray[np.uint8]]:
    with open_video(path) as video:
        frames = _timed(video)
        here = _first(frames, video)
        painter = _Painter(here[1], video.stream, short_side)
        yield painter(here[1])
        for _, frame in frames:
            yield painter(frame)


def _first(frames: Iterator[Timed], video: OpenVideo) -> Timed:
    here = next(frames, None)
    if here is None:
        raise no_frame(video)
    return here


def _timed(video: OpenVideo) -> Iterator[Timed]:
    """All frames from the beginning on."""
    packets, timing = start(video)
    for packet in packets:
        for frame in video.decode(packet):
            yield timing(frame), frame


def _from_key_frame(video: OpenVideo, seconds: float) -> Iterator[Timed] | None:
    """The frames from a key frame at or before a time of the file's clock on; None where none is found there."""
    at = stamp_reader(video.stream)
    for earlier in _SEEK_EARLIER:
        video.seek(seconds - earlier)
        frames = (frame for packet in video.packets() for frame in video.decode(packet))
        key = next((frame for frame in frames if frame.key_frame and frame.pts is not None), None)
        if key is not None and (time := at(key.pts)) is not None and time <= seconds:
            clock = Clock(1.0 / frame_rate(video.stream))
            return ((clock.tick(at(frame.pts), at(frame.dts)), frame) for frame in itertools.chain([key], frames))
    return None


class _Painter:
    """Turns frames of one file into upright RGB pictures of one size, with one scaler kept for all of them."""

    def __init__(self, first: "VideoFrame", stream: "VideoStream", short_side: int | None) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        height, width = square_size(first, stream)
        if short_side is not None and min(height, width) > short_side:
            scale = short_side / min(height, width)
            height, width = max(1, round(height * scale)), max(1, round(width * scale))
        self._height, self._width = min(height, _MAX_SIDE), min(width, _MAX_SIDE)
        self._turned = orientation_of(first)
        self._scaler = VideoReformatter()
        self._interpolation = Interpolation.AREA

    def __call__(self, frame: "VideoFrame") -> NDArray[np.uint8]:
        """uint8 [H, W, 3]."""
        picture = self._scaler.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgb24",
            interpolation=self._interpolation,
            threads=1,
        )
        return self._turned.apply(picture.to_ndarray().astype(np.uint8, copy=False))
