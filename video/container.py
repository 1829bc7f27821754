"""A video file as a container of packets: which file, which of its tracks, and packets past damage, within limits.

FFmpeg is handed an open file, never a name: no name is taken for an address (`12:30.mp4`, `file:a.mp4`), names need not
be UTF-8, and nothing but the file itself can be opened, whatever it points to.
"""

import contextlib
import functools
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video.decoding_workers import alive
from video.limits import Limits, limits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_NOT_VIDEO = frozenset({"tty", "bin", "xbin", "adf", "idf", "ico", "image2", "image2pipe", "lavfi", "tedcaptions"})
"""Formats that FFmpeg draws pictures from though nobody means a video: texts, still images, generators."""

_POINTERS = frozenset({"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"})
"""Play lists and stream descriptions: what they name is not in the file and may be anywhere."""

_ERRORS_AT_MOST = 64
"""Errors in a row, without a packet between them, after which the rest of a file is given up."""

_KINDS = (
    (stat.S_ISDIR, "it is a folder, not a file"),
    (stat.S_ISFIFO, "it is a pipe, not a file: videos are read more than once, so write it to a file first"),
    (stat.S_ISSOCK, "it is a socket, not a file: write the video to a file first"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "it is a device, not a file: record it to a file first"),
)


class UnusableFile(Exception):
    """Why a file cannot be read as a video, in one line."""


def open_errors() -> tuple[type[Exception], ...]:
    """What opening and decoding raise for a file at fault."""
    import av.error

    return (av.error.FFmpegError, OSError, UnusableFile, UnicodeError, ValueError)


def reason(error: Exception, path: str | Path) -> str:
    """What to tell a person about such an error, in one line."""
    import av.error

    if isinstance(error, UnusableFile):
        return str(error)
    if isinstance(error, av.error.ArgumentError | av.error.InvalidDataError) and (kind := _other_kind(Path(path))):
        return kind
    if isinstance(error, av.error.ArgumentError):  # what FFmpeg says of a format outside the list
        return "it is a text, a still image or a play list, not a video"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def no_frame(video: "OpenVideo") -> UnusableFile:
    """The error of a file none of whose frames is intact."""
    return UnusableFile(f"none of its {video.broken} packets decodes" if video.broken else "it holds no frame")


def not_a_file(path: str | Path) -> str:
    """Why a path is not that of a regular file, or "" where it is."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "")


class _Exhausted(UnusableFile):
    """The file's limits are used up."""


class _Bytes:
    """The open file that FFmpeg reads from; reading fails where no frame comes out of it within the limits."""

    def __init__(self, path: str | Path, allowed: Limits) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by `close`
        self._allowed = allowed
        self.name = "video" + Path(path).suffix  # raw streams are known by their ending
        self.taken = 0  # bytes since a frame came out
        self.began = time.monotonic()  # of the reading since then; what a reader does in between does not count

    def check(self) -> None:
        """Raises `_Exhausted` where the limits are used up."""
        if self.taken > self._allowed.read_bytes:
            limit = f"MOVINAS_READ_BYTES={self._allowed.read_bytes}"
            raise _Exhausted(f"no frame in {self.taken >> 20:,} MiB of it; {limit} is the limit")
        seconds = time.monotonic() - self.began
        if seconds > self._allowed.read_seconds:
            limit = f"MOVINAS_READ_SECONDS={self._allowed.read_seconds:g}"
            raise _Exhausted(f"no frame of it in {seconds:.1f} s; {limit} is the limit")

    def read(self, size: int) -> bytes:
        self.check()
        data = self._file.read(size) or b""
        self.taken += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return self._file.seekable()

    def close(self) -> None:
        self._file.close()


class OpenVideo:
    """An open file and the track of it that counts as the video.

    Attributes:
        stream: the track.
        broken: packets that did not decode, and errors between packets, so far.
    """

    def __init__(self, container: "InputContainer", stream: "VideoStream", source: _Bytes) -> None:
        import av.error

        self._container, self._source = container, source
        self._failure = av.error.FFmpegError
        self._any_frame = False
        self.stream = stream
        self.broken = 0

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return self._container.format.name

    def packets(self) -> Iterator["Packet[Any] | None"]:
        """The track's packets from here on, past whatever damage lies between them; then None, once.

        Raises:
            UnusableFile: the limits are used up before any frame.
        """
        errors = 0
        spent = 0.0
        source, coming = self._source, self._container.demux(self.stream)
        while errors < _ERRORS_AT_MOST:
            source.began = time.monotonic() - spent
            try:
                packet = next(coming, None)
            except _Exhausted:
                self.broken += 1
                if not self._any_frame:
                    raise
                break
            except (self._failure, OSError):
                self.broken += not errors
                errors += 1
                coming = self._container.demux(self.stream)
                continue
            if packet is None or not packet.size:
                break
            errors = 0
            spent = time.monotonic() - source.began
            yield packet
            if not source.taken:  # a frame came out
                spent = 0.0
        yield None

    def decode(self, packet: "Packet[Any] | None") -> list["VideoFrame"]:
        """The frames that a packet completes, or for None those that the decoder still holds; counts what is broken."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except self._failure:
            self.broken += 1
            return []
        if frames:
            self._any_frame = True
            self._source.taken = 0
            alive()
        return frames

    def seek(self, seconds: float) -> None:
        """Moves to a key frame at or before a time of the file's own clock, as far as the container can tell where."""
        assert self.stream.time_base is not None
        with contextlib.suppress(self._failure, OSError):
            self._container.seek(int(seconds // self.stream.time_base), stream=self.stream, backward=True)


@contextlib.contextmanager
def open_video(path: str | Path) -> Iterator[OpenVideo]:
    """Opens a file at its first packet; one decoding thread, so that damage has the same effect each time.

    Raises:
        UnusableFile, and others of `open_errors`: it cannot be used.
    """
    import av

    if why := not_a_file(path):
        raise UnusableFile(why)
    if not os.path.getsize(path):
        raise UnusableFile("it is empty")
    source = _Bytes(path, limits())
    try:
        options = {"format_whitelist": _formats()}
        with av.open(source, options=options, metadata_errors="replace", io_open=_refuse) as container:
            assert isinstance(container, av.container.InputContainer)
            stream = _track(container)
            stream.codec_context.thread_count = 1
            yield OpenVideo(container, stream, source)
    finally:
        source.close()


def _refuse(url: str, flags: int, options: object) -> object:
    raise PermissionError(f"{url} is not part of the file")


def _track(container: "InputContainer") -> "VideoStream":
    """FFmpeg's own choice among the video tracks: by default mark, number of frames and size; never a cover picture."""
    import av

    attached = av.stream.Disposition.attached_pic
    tracks = [track for track in container.streams.video if not track.disposition & attached]
    if not tracks:
        raise UnusableFile("it holds no video stream")
    best = container.streams.best("video")
    track = next((track for track in tracks if best is not None and track.index == best.index), tracks[0])
    if track.codec_context is None:
        raise UnusableFile("FFmpeg has no decoder for its video stream")
    return track


@functools.cache
def _formats() -> str:
    """Comma-separated names of the formats that hold videos."""
    import av

    names = (name for name in av.formats_available if not name.endswith("_pipe"))
    return ",".join(sorted(set(names) - _NOT_VIDEO - _POINTERS))


_STILL_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\0\0\x01\0", b"P4", b"P5", b"P6", b"8BPS")
_PLAY_LISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]")


def _other_kind(path: Path) -> str:
    """What a file is by its first bytes, where it is no video; "" where they do not tell."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        if b"ANIM" in head:
            return "it is an animated WebP, which FFmpeg does not decode: convert it to GIF or MP4"
        return "it is a still image, not a video"
    if head.startswith(_STILL_IMAGES):
        return "it is a still image, not a video"
    if head.lstrip().startswith(_PLAY_LISTS):
        return "it is a play list, not a video"
    return ""
