"""What is in a video file: measured by decoding it, since headers are missing or wrong in some files."""

import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from video.clock import Clock, Repairs, is_steady
from video.container import OpenVideo, no_frame, open_errors, open_video, reason
from video.orientation import Orientation, orientation_of
from video.timing import Timing, frame_rate, leads_back, start

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DECODER = 2
"""Version of how frames are chosen and timed; a run records it. 1 dropped frames whose stamps ran backwards."""

DECODED_AT_MOST = 3000
"""Frames of one file that `probe` decodes; beyond, it counts packets without decoding them (100 s at 30 a second)."""

SEEK_BEYOND = 4.0
"""Seconds from the beginning: for less it is not worth looking for another key frame."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What `probe` found in a file.

    Attributes:
        duration: seconds from the first frame's start to the last one's end, measured.
        frames: frames that decode (packets, beyond `DECODED_AT_MOST`).
        fps: frames per second, frames over duration; the mean where the rate varies.
        width: of the picture as displayed: upright, and with square pixels.
        height: likewise.
        rotation: degrees counter-clockwise that the stored picture is turned by for display: 0, 90, 180 or 270.
        broken: packets that did not decode and were skipped, and errors between packets.
        error: why the file cannot be used, in one line, or "" where it can.
        mirrored: whether the stored picture is mirrored left to right before it is turned.
        repairs: what was done to its time stamps.
        seekable: whether frames late in the file can be reached by seeking; not looked at in files of a few seconds.
    """

    duration: float = 0.0
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    rotation: int = 0
    broken: int = 0
    error: str = ""
    mirrored: bool = False
    repairs: Repairs = dataclasses.field(default_factory=Repairs)
    seekable: bool = False


def probe(path: str | Path) -> VideoInfo:
    """Measures a file by decoding it; never raises for what is wrong with it, but says so in `error`.

    Costs about as much as decoding: around 1 to 2 ms a frame at 640 x 360 on one core.
    """
    broken = 0
    try:
        with open_video(path) as video:
            try:
                return _measured(video)
            finally:
                broken = video.broken
    except open_errors() as error:
        return VideoInfo(broken=broken, error=reason(error, path))


def _measured(video: OpenVideo) -> VideoInfo:
    packets, timing = start(video)
    times: list[float] = []
    stamps: list[float | None] = []  # of all packets, for showing
    beyond: list[Packet[Any]] = []
    first: VideoFrame | None = None
    drained = False
    for packet in packets:
        if packet is not None:
            stamps.append(timing.seconds(packet.pts))
            if len(times) >= DECODED_AT_MOST:
                beyond.append(packet)
                packet = None
        if drained:
            continue
        drained = packet is None
        for frame in video.decode(packet):
            first = first or frame
            times.append(timing(frame))
    if first is None:
        raise no_frame(video)
    frames = len(times) + len(beyond)
    if beyond:
        times += _later(beyond, stamps[-len(beyond) :], times, timing, video.stream)
    interval = _interval(times, video.stream)
    duration = times[-1] - times[0] + interval
    turned = orientation_of(first)
    height, width = _displayed(first, video.stream, turned)
    return VideoInfo(
        duration=duration,
        frames=frames,
        fps=frames / duration,
        width=width,
        height=height,
        rotation=turned.quarters * 90,
        broken=video.broken,
        mirrored=turned.mirrored,
        repairs=timing.clock.repairs,
        seekable=duration > SEEK_BEYOND and leads_back(video, timing, stamps),
    )


def _later(
    packets: Sequence["Packet[Any]"],
    stamps: Sequence[float | None],
    times: list[float],
    timing: Timing,
    stream: "VideoStream",
) -> list[float]:
    """Times after the last decoded frame's, of packets that are not decoded, with their stamps for showing."""
    shown = [stamp for stamp in stamps if stamp is not None]
    if len(shown) == len(packets) and not timing.clock.repairs and is_steady([times[-1], *shown]):
        return [stamp for stamp in sorted(shown) if stamp > times[-1]]
    # In order of decoding, each packet a frame, by a clock of their own.
    interval = _interval(times, stream)
    clock = Clock(interval)
    ticks = [clock.tick(timing.seconds(packet.pts if packet.dts is None else packet.dts), None) for packet in packets]
    return [times[-1] + interval + tick - ticks[0] for tick in ticks]


def _interval(times: list[float], stream: "VideoStream") -> float:
    """How long the last frame stands: the median distance, so that a varying rate does not stretch it."""
    if len(times) < 2:
        return 1.0 / frame_rate(stream)
    return float(median(b - a for a, b in itertools.pairwise(times)))


def _displayed(frame: "VideoFrame", stream: "VideoStream", turned: Orientation) -> tuple[int, int]:
    """Height and width of the picture as displayed: square pixels, upright."""
    height, width = square_size(frame, stream)
    return (width, height) if turned.swaps_sides else (height, width)


def square_size(frame: "VideoFrame", stream: "VideoStream") -> tuple[int, int]:
    """Height and width of the stored picture with square pixels; the longer direction of a pixel is stretched."""
    aspect: Fraction | None = stream.sample_aspect_ratio
    height, width = frame.height, frame.width
    if aspect is None or not Fraction(1, 8) <= aspect <= 8 or aspect == 1:
        return height, width
    return (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
