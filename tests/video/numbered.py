"""Videos whose frames say which they are: ten black or white bars for the number, coloured corners for which way up.

Red is at the top left, blue at the top right, so that a turned or mirrored picture shows how. Written by the encoders
inside PyAV; `remux` and the functions behind it change stamps, packets and bytes afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

HEIGHT, WIDTH, RATE = 96, 160, 25
BITS = 10

CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "yuv420p", {"bf": "0", "preset": "ultrafast"}),
    "h264b": ("libx264", "yuv420p", {"bf": "3", "preset": "veryfast"}),
    "h264i": ("libx264", "yuv420p", {"bf": "0", "preset": "veryfast", "x264-params": "intra-refresh=1"}),
    "h264o": ("libx264", "yuv420p", {"bf": "3", "preset": "veryfast", "x264-params": "open-gop=1"}),
    "hevcb": ("libx265", "yuv420p", {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=20"}),
    "mpeg4": ("mpeg4", "yuv420p", {"qscale": "3"}),
    "mpeg4b": ("mpeg4", "yuv420p", {"qscale": "3", "bf": "2"}),
    "mpeg2": ("mpeg2video", "yuv420p", {"qscale": "3"}),
    "mpeg2b": ("mpeg2video", "yuv420p", {"qscale": "3", "bf": "2"}),
    "mpeg1b": ("mpeg1video", "yuv420p", {"qscale": "3", "bf": "2"}),
    "msmpeg4": ("msmpeg4", "yuv420p", {"qscale": "3"}),
    "wmv2": ("wmv2", "yuv420p", {"qscale": "3"}),
    "flv1": ("flv", "yuv420p", {"qscale": "3"}),
    "mjpeg": ("mjpeg", "yuvj420p", {"qscale": "3"}),
    "ffv1": ("ffv1", "yuv420p", {}),
    "huffyuv": ("huffyuv", "yuv422p", {}),
    "prores": ("prores", "yuv422p10le", {}),
    "vp8": ("libvpx", "yuv420p", {"b:v": "1M", "cpu-used": "8", "deadline": "realtime"}),
    "vp9": ("libvpx-vp9", "yuv420p", {"b:v": "1M", "cpu-used": "8", "deadline": "realtime"}),
    "gif": ("gif", "rgb8", {}),
}
"""Words for encoders, with their pixel format and options; a `b` at the end has B-frames."""


def picture(number: int) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]."""
    frame = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    frame[:24, : WIDTH // 4] = 220, 20, 20
    frame[:24, -WIDTH // 4 :] = 20, 20, 220
    bits = np.array([number >> (BITS - 1 - k) & 1 for k in range(BITS)])
    frame[40:] = np.repeat(20 + 215 * bits, WIDTH // BITS)[None, :, None]
    return frame


def number(frame: np.ndarray) -> int:
    """Which frame an upright picture is."""
    bars = frame[60:90].mean(axis=(0, 2)).reshape(BITS, -1)[:, 4:-4].mean(axis=1) > 120
    return int(sum(int(bar) << (BITS - 1 - k) for k, bar in enumerate(bars)))


def numbers(frames: Iterable[np.ndarray]) -> list[int]:
    """Of several pictures."""
    return [number(frame) for frame in frames]


def corners(frame: np.ndarray) -> str:
    """Colours at the top left, top right, bottom left and bottom right: r, b or -."""

    def colour(pixel: np.ndarray) -> str:
        red, _, blue = (int(value) for value in pixel)
        return "r" if red > blue + 80 else "b" if blue > red + 80 else "-"

    return "".join(colour(frame[row, column]) for row in (3, -4) for column in (3, -4))


def write(path: Path, codec: str, frames: int = 120, *, rate: int = RATE, key_every: int = 20, first: int = 0) -> Path:
    """Writes a numbered video.

    Args:
        path: its ending chooses the container.
        codec: a word of `CODECS`.
        frames: how many.
        rate: a second.
        key_every: distance of key frames.
        first: number of the first frame.
    """
    encoder, pix_fmt, options = CODECS[codec]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=rate, options={"g": str(key_every), **options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(first + index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def plain_loop(path: Path) -> int:
    """Frames that a plain decoding loop of FFmpeg gives, of its own choice of track; errors are passed over."""
    count = 0
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.best("video")
        if stream.codec_context is None:
            return 0
        stream.codec_context.thread_count = 1
        for packet in _demuxed(container, stream):
            try:
                count += len(packet.decode())
            except av.error.FFmpegError:
                continue
    return count


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    failures = 0
    while failures < 50:
        try:
            yield from container.demux(stream)
            return
        except av.error.FFmpegError:
            failures += 1


Change = Callable[[int, Any], Any]
"""Takes a packet's place in the file and the packet; gives the packet back, changed, or None to leave it out."""


def remux(source: Path, target: Path, change: Change) -> Path:
    """Copies the packets of a video into another file, changed on the way."""
    with av.open(str(source)) as read, av.open(str(target), "w") as out:
        ours = read.streams.video[0]
        theirs = out.add_stream_from_template(ours)
        for place, packet in enumerate(read.demux(ours)):
            if packet.size and (changed := change(place, packet)) is not None:
                changed.stream = theirs
                out.mux(changed)
    return target


def packed_avi(path: Path, frames: int = 60) -> Path:
    """An AVI with packed B-frames, as XviD and DivX write it: P and B in one packet, then an empty one.

    Made of an MPEG-4 elementary stream I P B P B ...: chunks I, PB, empty, PB, empty, ...
    """
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, RATE)
    encoder.options = {"qscale": "3", "bf": "1", "b_strategy": "0", "g": "100", "flags": "+qscale"}
    encoded = []
    for index in range(frames):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        encoded += [bytes(packet) for packet in encoder.encode(frame)]
    encoded += [bytes(packet) for packet in encoder.encode(None)]
    user_data = b"\x00\x00\x01\xb2DivX503b1393p"  # the p tells decoders that frames are packed
    vop = encoded[0].index(b"\x00\x00\x01\xb6")
    chunks = [encoded[0][:vop] + user_data + encoded[0][vop:]]
    rest = encoded[1:]
    while rest:
        packed = len(rest) > 1 and _is_b_frame(rest[1])
        chunks.append(b"".join(rest[: 1 + packed]))
        chunks += [b"\x00\x00\x01\xb6\x51\x00\x00"] * packed  # a frame that is not coded
        rest = rest[1 + packed :]
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.dts = packet.pts = index
            packet.is_keyframe = index == 0
            out.mux(packet)
    return path


def _is_b_frame(data: bytes) -> bool:
    return data[data.index(b"\x00\x00\x01\xb6") + 4] >> 6 == 2


def with_matrix(source: Path, target: Path, a: float, b: float, c: float, d: float) -> Path:
    """A copy of an MP4 or MOV with another display matrix; its first track's."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 44
    fixed = [round(value * (1 << 16)) for value in (a, b, 0, c, d, 0, 0, 0)]
    struct.pack_into(">9i", data, at, *fixed, 1 << 30)
    target.write_bytes(data)
    return target
