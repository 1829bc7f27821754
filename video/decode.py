"""From a video file to RGB frames, through PyAV (FFmpeg), by time stamps and with whatever of the file is intact.

Rules that the containers force: frame counts and durations of headers are missing or wrong in some files, so both are
measured; frame rates vary, so frames are chosen by time; a damaged packet costs its own frames only; phones store
sideways pictures plus a rotation; pixels may not be square. Times are in seconds from the first frame of the file.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DECODED_AT_MOST = 3000
"""Frames of one file that `probe` decodes; beyond, it counts packets without decoding them (100 s at 30 a second)."""

_NOT_VIDEO = frozenset({"tty", "bin", "xbin", "adf", "idf", "ico", "image2", "image2pipe", "lavfi", "tedcaptions"})
"""Formats that FFmpeg draws pictures from though nobody means a video: texts, still images, generators."""

_POINTERS = frozenset({"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"})
"""Play lists and stream descriptions: what they name is not in the file and may be anywhere."""

_SEEK_BEYOND = 4.0  # seconds: for less it is not worth looking for another key frame
_MAX_SIDE = 16384
_DEFAULT_FPS = 25.0  # of a file with one frame and no rate


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What `probe` found in a file.

    Attributes:
        duration: seconds from the first frame's start to the last one's end, measured.
        frames: frames that decode (packets, beyond `DECODED_AT_MOST`).
        fps: frames per second, frames over duration; the mean where the rate varies.
        width: of the picture as displayed: rotated, and with square pixels.
        height: likewise.
        rotation: degrees counter-clockwise that the stored picture is turned by for display: 0, 90, 180 or 270.
        broken: packets that did not decode and were skipped.
        error: why the file cannot be used, in one line, or "" where it can.
    """

    duration: float = 0.0
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    rotation: int = 0
    broken: int = 0
    error: str = ""


def probe(path: str | Path) -> VideoInfo:
    """Measures a file by decoding it; never raises for what is wrong with it, but says so in `error`.

    Costs about as much as decoding: around 1 to 2 ms a frame at 640 x 360 on one core.
    """
    times: list[float] = []
    broken = 0
    first: VideoFrame | None = None
    try:
        with _opened(path) as (container, stream):
            beyond: list[float] = []
            for packet in container.demux(stream):
                if len(times) >= DECODED_AT_MOST:
                    if packet.pts is not None and packet.time_base is not None:
                        beyond.append(float(packet.pts * packet.time_base))
                    continue
                frames, intact = _decode(packet)
                broken += not intact
                for frame in frames:
                    first = first or frame
                    times.append(_time(frame, stream, len(times)))
            times = _increasing(times)
            if times:
                times += [time for time in sorted(set(beyond)) if time > times[-1]]
            if first is None:
                reason = f"none of its {broken} packets decodes" if broken else "it holds no frame"
                return VideoInfo(broken=broken, error=f"{reason}")
            interval = _interval(times, stream)
            height, width = _displayed(first, stream)
    except _errors() as error:
        return VideoInfo(broken=broken, error=_reason(error))
    duration = times[-1] - times[0] + interval
    return VideoInfo(
        duration=duration,
        frames=len(times),
        fps=len(times) / duration,
        width=width,
        height=height,
        rotation=_quarters(first) * 90,
        broken=broken,
    )


def read_frames(
    path: str | Path, times: Sequence[float] | None = None, short_side: int | None = None, *, seek: bool = True
) -> NDArray[np.uint8]:
    """Decodes frames of a file as RGB, upright, with square pixels.

    Args:
        path: the file.
        times: seconds from the first frame, in any order; each gives the frame whose time stamp is nearest (the first
            or last one beyond the ends). None gives every frame.
        short_side: scale down so that the shorter side has this many pixels; a smaller picture keeps its size.
        seek: look for a key frame near the first time. In a damaged file the frames found may then differ from those
            found from the beginning.

    Returns:
        uint8 [T, H, W, 3]. If the picture size changes within the file, later frames are scaled to the first one's.

    Raises:
        ValueError: the file does not open, holds no video, or no frame of it decodes.
    """
    if times is not None and not all(math.isfinite(time) for time in times):
        raise ValueError(f"times {list(times)!r} must be finite numbers of seconds")
    try:
        with _opened(path) as (container, stream):
            if times is None:
                rows: list[NDArray[np.uint8]] | None = _every(container, stream, short_side)
            else:
                rows = _nearest(container, stream, times, short_side, seek=seek)
        if rows is None and times is not None:  # not a file to seek in: once more, from the beginning
            with _opened(path) as (container, stream):
                rows = _nearest(container, stream, times, short_side, seek=False)
    except _errors() as error:
        raise ValueError(f"cannot decode {str(path)!r}: {_reason(error)}") from error
    if not rows and (times is None or len(times)):
        raise ValueError(f"cannot decode {str(path)!r}: no frame of it is intact")
    return np.stack(rows) if rows else np.empty((0, 0, 0, 3), np.uint8)


def _errors() -> tuple[type[Exception], ...]:
    """What opening and demuxing raise for a file at fault."""
    import av.error

    return (av.error.FFmpegError, OSError, _NoVideo, UnicodeError, ValueError)


class _NoVideo(Exception):
    pass


def _reason(error: Exception) -> str:
    import av.error

    if isinstance(error, _NoVideo):
        return str(error)
    if isinstance(error, av.error.ArgumentError):  # what FFmpeg says of a format outside the list
        return "it is a text, a still image or a play list, not a video"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """The container and its first video stream; one decoding thread, so that damage has the same effect each time."""
    import av

    if not Path(path).is_file():
        raise _NoVideo("there is no such file")
    # Nothing but the file itself is opened, whatever it points to.
    options = {"protocol_whitelist": "file", "format_whitelist": _formats()}
    with av.open(str(path), options=options, metadata_errors="replace") as container:
        # Cover pictures of audio files count as video streams of one frame: not what is looked for.
        attached = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & attached]
        if not streams:
            raise _NoVideo("it holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise _NoVideo("FFmpeg has no decoder for its video stream")
        stream.codec_context.thread_count = 1
        yield container, stream


@functools.cache
def _formats() -> str:
    """Comma-separated names of the formats that hold videos."""
    import av

    names = (name for name in av.formats_available if not name.endswith("_pipe"))
    return ",".join(sorted(set(names) - _NOT_VIDEO - _POINTERS))


def _decode(packet: Any) -> tuple[list["VideoFrame"], bool]:
    """The packet's frames, and whether it was intact."""
    import av.error

    try:
        return list(packet.decode()), True
    except av.error.FFmpegError:
        return [], False


def _frames(container: "InputContainer", stream: "VideoStream") -> Iterator[tuple[float, "VideoFrame"]]:
    """The frames from where the container stands, in order of time, with their time stamps in the file's own time."""
    last = -math.inf
    for count, frame in enumerate(
        frame for packet in container.demux(stream) for frame in _decode(packet)[0]
    ):  # fmt: skip
        time = _time(frame, stream, count)
        if time > last:  # a stamp that runs backwards is damage
            last = time
            yield time, frame


def _time(frame: "VideoFrame", stream: "VideoStream", count: int) -> float:
    """Time stamp of a frame in seconds; by counting where the file has none (raw streams)."""
    return count / _rate(stream) if frame.time is None else float(frame.time)


def _rate(stream: "VideoStream") -> float:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and rate > 0 else _DEFAULT_FPS


def _increasing(times: list[float]) -> list[float]:
    kept: list[float] = []
    for time in times:
        if not kept or time > kept[-1]:
            kept.append(time)
    return kept


def _interval(times: list[float], stream: "VideoStream") -> float:
    """How long the last frame stands: the median distance, so that a gap or a varying rate does not stretch it."""
    if len(times) < 2:
        return 1.0 / _rate(stream)
    return float(median(b - a for a, b in itertools.pairwise(times)))


def _quarters(frame: "VideoFrame") -> int:
    """Quarter turns counter-clockwise for display."""
    return round(frame.rotation / 90) % 4


def _displayed(frame: "VideoFrame", stream: "VideoStream") -> tuple[int, int]:
    """Height and width of the picture as displayed: square pixels, upright."""
    height, width = _square(frame, stream)
    return (width, height) if _quarters(frame) % 2 else (height, width)


def _square(frame: "VideoFrame", stream: "VideoStream") -> tuple[int, int]:
    """Height and width of the stored picture with square pixels; the longer direction of a pixel is stretched."""
    aspect: Fraction | None = stream.sample_aspect_ratio
    height, width = frame.height, frame.width
    if aspect is None or not Fraction(1, 8) <= aspect <= 8 or aspect == 1:
        return height, width
    return (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)


class _Painter:
    """Turns frames of one file into upright RGB pictures of one size, with one scaler kept for all of them."""

    def __init__(self, first: "VideoFrame", stream: "VideoStream", short_side: int | None) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        height, width = _square(first, stream)
        if short_side is not None and min(height, width) > short_side:
            scale = short_side / min(height, width)
            height, width = max(1, round(height * scale)), max(1, round(width * scale))
        self._height, self._width = min(height, _MAX_SIDE), min(width, _MAX_SIDE)
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
        return np.ascontiguousarray(np.rot90(picture.to_ndarray(), k=_quarters(frame)))


def _every(container: "InputContainer", stream: "VideoStream", short_side: int | None) -> list[NDArray[np.uint8]]:
    rows: list[NDArray[np.uint8]] = []
    painter: _Painter | None = None
    for _, frame in _frames(container, stream):
        painter = painter or _Painter(frame, stream, short_side)
        rows.append(painter(frame))
    return rows


def _nearest(
    container: "InputContainer", stream: "VideoStream", times: Sequence[float], short_side: int | None, *, seek: bool
) -> list[NDArray[np.uint8]] | None:
    """For each of the times, the frame nearest to it; None if the file turns out not to be one to seek in."""
    frames = _frames(container, stream)
    here = next(frames, None)
    if here is None or not len(times):
        return []
    origin, painter = here[0], _Painter(here[1], stream, short_side)
    order = np.argsort(np.asarray(times, dtype=np.float64), kind="stable")
    wanted = [float(times[i]) for i in order]
    if seek and wanted[0] > _SEEK_BEYOND:
        _seek(container, stream, origin + wanted[0])
        frames = _frames(container, stream)
        here = next(frames, None)
        if here is None or here[1].time is None or here[0] > origin + wanted[0]:
            return None
    rows: list[NDArray[np.uint8]] = []
    for there in itertools.chain(frames, [None]):
        middle = math.inf if there is None else (here[0] + there[0]) / 2 - origin
        if wanted[len(rows)] <= middle:
            picture = painter(here[1])
            while len(rows) < len(wanted) and wanted[len(rows)] <= middle:
                rows.append(picture)
            if len(rows) == len(wanted):
                break
        assert there is not None  # all that is left belongs to the last frame
        here = there
    return [rows[i] for i in np.argsort(order, kind="stable")]


def _seek(container: "InputContainer", stream: "VideoStream", seconds: float) -> None:
    """Moves to a key frame at or before a time, as far as the container can tell where that is."""
    import av.error

    if stream.time_base is not None:
        with contextlib.suppress(av.error.FFmpegError, OSError):
            container.seek(math.floor(seconds / stream.time_base), stream=stream, backward=True)
