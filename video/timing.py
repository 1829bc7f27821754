"""How the frames of a file are timed, and whether seeking keeps to it: what its container and first packets tell."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from video.clock import Clock, is_steady, usual_distance
from video.container import OpenVideo, open_video

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_INDEXED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "nut", "mxf", "mpegts"})
"""Containers in which a seek was seen to lead to the frames that reading on gives; in others it may miss by some."""

_ELEMENTARY = frozenset(
    ("mpegvideo", "m4v", "h261", "h263", "h264", "hevc", "vvc", "cavsvideo", "vc1", "dirac", "mjpeg")
)
"""Streams without a container and so without stamps: those that FFmpeg makes up are not all in order."""

_HEAD_PACKETS, _HEAD_BYTES = 32, 8 << 20  # that are looked at before the first is decoded
_EMPTY_BYTES = 10  # a packet of AVI of so few bytes holds no picture: its frame came with the packet before
_DEFAULT_FPS = 25.0  # of a file with one frame and no rate


class Timing:
    """Gives frames their times.

    Attributes:
        clock: what does so.
        counts: whether frames are counted, because the file has no stamps.
        seconds: a stamp of the file in seconds; None for none.
    """

    def __init__(self, stream: "VideoStream", clock: Clock, counts: bool) -> None:
        self.clock, self.counts = clock, counts
        self.seconds = stamp_reader(stream)
        self._rate, self._frames = frame_rate(stream), 0

    def __call__(self, frame: "VideoFrame") -> float:
        if self.counts:
            self._frames += 1
            return self.clock.tick((self._frames - 1) / self._rate, None)
        return self.clock.tick(self.seconds(frame.pts), self.seconds(frame.dts))


def start(video: OpenVideo) -> tuple[Iterator["Packet[Any] | None"], Timing]:
    """A file's packets from the beginning on, and how its frames are timed, which the first packets tell."""
    packets = video.packets()
    head: list[Packet[Any] | None] = []
    size = 0
    for packet in packets:
        head.append(packet)
        size += 0 if packet is None else packet.size
        if packet is None or len(head) == _HEAD_PACKETS or size > _HEAD_BYTES:
            break
    known = [packet for packet in head if packet is not None]
    shown = [packet.pts for packet in known if packet.pts is not None]
    decoded = [packet.dts for packet in known if packet.dts is not None]
    stream, base = video.stream, video.stream.time_base
    distance = usual_distance(shown or decoded)
    interval = 1.0 / frame_rate(stream) if distance is None or base is None else distance * float(base)
    counts = video.format in _ELEMENTARY or not (shown or decoded)
    by_decoding = not counts and len(shown) * 2 < len(known)
    if stream.codec_context.has_b_frames and not counts and not by_decoding:
        # Containers with a single stamp a packet: FFmpeg fills in the other kind, and cannot always know.
        empty = video.format == "avi" and any(packet.size <= _EMPTY_BYTES for packet in known)
        by_decoding = empty or _counts_up(shown)
    clock = Clock(interval, decode_stamps=by_decoding and bool(decoded))
    return itertools.chain(head, packets), Timing(stream, clock, counts)


def _counts_up(stamps: Sequence[int]) -> bool:
    """Whether stamps increase from packet to packet by equal steps: then they are of decoding, not of showing."""
    steps = [b - a for a, b in itertools.pairwise(stamps)]
    if len(steps) < 2 or min(steps) <= 0:
        return False
    usual = median(steps)
    # The first may be longer: FFmpeg fills in the delay of decoding there.
    return all(abs(step - usual) <= max(1.0, 0.1 * usual) for step in steps[1:])


def stamp_reader(stream: "VideoStream") -> Callable[[int | None], float | None]:
    """Turns stamps of a track into seconds; None stays None."""
    base: Fraction | None = stream.time_base
    if base is None:
        return lambda stamp: None
    ticks, second = base.numerator, base.denominator  # once: each look at a time base makes a Fraction
    return lambda stamp: None if stamp is None else float(stamp) * ticks / second


def leads_back(video: OpenVideo, timing: Timing, stamps: Sequence[float | None]) -> bool:
    """Whether a seek leads to frames with the times that reading on gives them, as far as stamps can tell."""
    if (
        video.format not in _INDEXED
        or video.broken
        or timing.counts
        or timing.clock.by_decoding
        or timing.clock.repairs
    ):
        return False
    if video.format == "avi" and video.stream.codec_context.has_b_frames:
        return False
    return None not in stamps and is_steady([stamp for stamp in stamps if stamp is not None])


def is_seekable(path: str | Path) -> bool:
    """`VideoInfo.seekable` of a file that was not probed, from its packets alone."""
    status = os.stat(path)
    return _seekable_file(os.path.abspath(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _seekable_file(path: str, size: int, changed: int) -> bool:
    with open_video(path) as video:
        packets, timing = start(video)
        stamps = [timing.seconds(packet.pts) for packet in packets if packet is not None]
        return leads_back(video, timing, stamps)


def frame_rate(stream: "VideoStream") -> float:
    """Frames per second as the file's header has it; `_DEFAULT_FPS` where it does not."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and rate > 0 else _DEFAULT_FPS
