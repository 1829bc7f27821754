"""Every frame of every file, in order and at its time: containers, codecs, B-frames, orientation, damage.

The files carry readable frame numbers (`tests.video.numbered`), so what is read is compared with what was written; how
many frames there are is compared with a plain decoding loop of FFmpeg.
"""

import itertools
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from searchspace.clip import Clip
from tests.video import numbered
from tests.video.numbered import numbers, plain_loop, remux
from video import probe, read_frames
from video.container import OpenVideo
from video.decode import pictures_at
from video.measure import DECODED_AT_MOST
from video.views import look, read_middle, read_stream

RATE = numbered.RATE
FRAMES = 140

FILES = {
    "mp4": "h264 h264b h264i h264o hevcb mpeg4 mpeg4b mpeg2b vp9",
    "mov": "h264b mpeg4b mjpeg prores",
    "mkv": "h264 h264b h264i h264o hevcb mpeg4b mpeg2b vp8 vp9 ffv1 mjpeg",
    "webm": "vp8 vp9",
    "avi": "h264 h264b mpeg4 mpeg4b mpeg2b msmpeg4 mjpeg ffv1 huffyuv",
    "asf": "h264 h264b mpeg4 mpeg4b mpeg2b",
    "wmv": "wmv2",
    "ts": "h264 h264b h264o hevcb mpeg2 mpeg2b mpeg4b",
    "m2ts": "h264b mpeg2b",
    "mpg": "mpeg1b mpeg2 mpeg2b",
    "vob": "mpeg2b",
    "flv": "h264b flv1",
    "3gp": "mpeg4 h264",
    "nut": "h264b mpeg4b",
    "mxf": "mpeg2b",
    "ivf": "vp8 vp9",
    "h264": "h264 h264b",
    "m2v": "mpeg2b",
    "m1v": "mpeg1b",
    "gif": "gif",
}
CASES = [(codec, ending) for ending, codecs in FILES.items() for codec in codecs.split()]


@pytest.mark.parametrize(("codec", "ending"), CASES, ids=[f"{codec}.{ending}" for codec, ending in CASES])
def test_every_frame_at_its_time_whether_one_seeks_or_reads_on(tmp_path: Path, codec: str, ending: str) -> None:
    path = numbered.write(tmp_path / f"a.{ending}", codec, FRAMES)
    info = probe(path)
    assert info.error == "" and info.broken == 0
    assert info.frames == plain_loop(path) == FRAMES
    assert abs(info.fps - RATE) < 0.01 * RATE and abs(info.duration - FRAMES / RATE) < 0.06
    assert not (info.repairs.gaps or info.repairs.restarts or info.repairs.wild)
    assert numbers(read_frames(path)) == list(range(FRAMES))

    rng = np.random.default_rng(0)
    for count in (1, 1, 1, 3):
        wanted = rng.integers(105, FRAMES, count)  # beyond the time from which on it is worth seeking
        times = (wanted / RATE + rng.uniform(-0.4, 0.4, count) / RATE).tolist()
        for options in ({}, {"seek": False}, {"info": info}):
            assert numbers(read_frames(path, times, **options)) == wanted.tolist(), options
    everywhere = rng.permutation(FRAMES)[:20]
    assert numbers(read_frames(path, (everywhere / RATE).tolist())) == everywhere.tolist()


def test_seeking_is_used_where_it_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the test above would prove nothing of seeking."""
    decoded = 0
    decode = OpenVideo.decode

    def counting(video: OpenVideo, packet: Any) -> Any:
        nonlocal decoded
        decoded += 1
        return decode(video, packet)

    monkeypatch.setattr(OpenVideo, "decode", counting)
    for ending, codec in (("mp4", "h264b"), ("mkv", "vp8"), ("ts", "h264b"), ("avi", "mjpeg"), ("flv", "flv1")):
        path = numbered.write(tmp_path / f"a.{ending}", codec, FRAMES)
        decoded = 0
        assert numbers(read_frames(path, [135 / RATE])) == [135]
        assert decoded < FRAMES - 30, ending


def test_packed_b_frames(tmp_path: Path) -> None:
    path = numbered.packed_avi(tmp_path / "a.avi", 60)
    info = probe(path)
    assert info.frames == plain_loop(path) == 60 and info.fps == pytest.approx(RATE) and info.repairs.disordered
    assert numbers(read_frames(path)) == list(range(60))
    assert numbers(read_frames(path, [k / RATE for k in (59, 3, 30)])) == [59, 3, 30]


@pytest.mark.parametrize("ending", ["ts", "mpg", "m2ts"])
def test_joined_recordings_go_on(tmp_path: Path, ending: str) -> None:
    """Two recordings joined by `cat`, whose clocks start anew."""
    codec = "mpeg2b" if ending == "mpg" else "h264b"
    parts = [numbered.write(tmp_path / f"{i}.{ending}", codec, 60, first=60 * i) for i in range(2)]
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe(path)
    found = numbers(read_frames(path))
    assert info.frames + info.broken >= plain_loop(path) == len(found) == info.frames
    assert found == sorted(found) and set(found) >= set(range(60)) | set(range(63, 120))
    assert info.duration == pytest.approx(info.frames / RATE, abs=0.2) and info.repairs.restarts == 1
    late = [found[-1] / RATE - 0.1, 5.0]
    assert numbers(read_frames(path, late)) == numbers(read_frames(path, late, seek=False))
    assert numbers(read_frames(path, [(len(found) - 1) / RATE])) == [119]


def moved(seconds: float, places: range) -> numbered.Change:
    """Stamps of some packets moved by seconds."""

    def change(place: int, packet: Any) -> Any:
        if place in places:
            ticks = round(seconds / packet.time_base)
            packet.pts += ticks
            packet.dts = packet.dts if packet.dts is None else packet.dts + ticks
        return packet

    return change


@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts", "nut", "flv"])
@pytest.mark.parametrize("jump", [3.5, 60.0, 3600.0])
def test_a_jump_of_the_clock_is_bridged(tmp_path: Path, ending: str, jump: float) -> None:
    whole = numbered.write(tmp_path / "a.mkv", "h264", FRAMES)
    path = remux(whole, tmp_path / f"b.{ending}", moved(jump, range(60, FRAMES)))
    info = probe(path)
    assert info.frames == plain_loop(path) == FRAMES and info.repairs.gaps == 1 and not info.seekable
    assert info.duration == pytest.approx(FRAMES / RATE, abs=0.1)
    for times in ([k / RATE for k in (10, 59, 60, 61, 119)], [5.4]):
        expected = [round(time * RATE) for time in times]
        assert numbers(read_frames(path, times)) == numbers(read_frames(path, times, info=info)) == expected
    stream = np.concatenate(list(read_stream(path, info, Clip(4, 96, 160, 5.0))))
    assert len(stream) == FRAMES * 5 // RATE


@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("place", [1, 40, FRAMES - 1])
def test_one_stamp_hours_ahead_costs_no_frame(tmp_path: Path, ending: str, place: int) -> None:
    def change(index: int, packet: Any) -> Any:
        if index == place:
            packet.pts += round(7200 / packet.time_base)
        return packet

    path = remux(numbered.write(tmp_path / "a.mkv", "h264", FRAMES), tmp_path / f"b.{ending}", change)
    info = probe(path)
    assert info.frames == plain_loop(path) == FRAMES and info.duration == pytest.approx(FRAMES / RATE, abs=0.1)
    assert info.repairs and not info.repairs.restarts
    assert numbers(read_frames(path)) == list(range(FRAMES))
    wanted = [0, place - 1, min(place + 1, FRAMES - 1), 100]
    assert numbers(read_frames(path, [k / RATE for k in wanted])) == wanted


def test_a_pause_of_a_second_is_time(tmp_path: Path) -> None:
    """What a varying frame rate does is kept: only many times the usual distance is a jump."""
    whole = numbered.write(tmp_path / "a.mkv", "h264", 60)
    path = remux(whole, tmp_path / "b.mkv", moved(1.0, range(30, 60)))
    info = probe(path)
    assert not info.repairs and info.duration == pytest.approx(60 / RATE + 1, abs=0.05)
    assert numbers(read_frames(path, [29 / RATE, 1 + 30 / RATE])) == [29, 30]


@pytest.mark.parametrize("codec", ["h264", "h264b"])
def test_length_of_long_streams(tmp_path: Path, codec: str) -> None:
    """Beyond the frames that are decoded for measuring, packets count, with stamps or without."""
    frames = DECODED_AT_MOST + 300
    raw = numbered.write(tmp_path / "a.h264", codec, frames, key_every=250)
    for path in (raw, numbered.write(tmp_path / "a.ts", codec, frames, key_every=250)):
        info = probe(path)
        assert info.frames == frames and info.duration == pytest.approx(frames / RATE, abs=0.06), path.name
    joined = tmp_path / "joined.ts"
    joined.write_bytes(path.read_bytes() * 2)
    info = probe(joined)
    assert abs(info.frames - 2 * frames) <= 2 and info.duration == pytest.approx(2 * frames / RATE, abs=0.3)
    assert not info.seekable


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ((1, 0, 0, 1), "rb--"),
        ((-1, 0, 0, 1), "br--"),
        ((1, 0, 0, -1), "--rb"),
        ((-1, 0, 0, -1), "--br"),
        ((0, 1, 1, 0), "r-b-"),
        ((0, -1, 1, 0), "b-r-"),
        ((0, 1, -1, 0), "-r-b"),
        ((0, -1, -1, 0), "-b-r"),
        ((0, 0, 0, 0), "rb--"),
        ((0, 0, 0, 1), "rb--"),
        ((2, 0, 0, 2), "rb--"),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_orientation_is_what_ffmpeg_shows(tmp_path: Path, ending: str, matrix: tuple[float, ...], seen: str) -> None:
    """The colours were read off what ffmpeg 9.0 showed of such files."""
    plain = numbered.write(tmp_path / f"a.{ending}", "h264", 6)
    path = numbered.with_matrix(plain, tmp_path / f"b.{ending}", *matrix)
    info, frames = probe(path), read_frames(path)
    assert {numbered.corners(frame) for frame in frames} == {seen}
    assert frames.shape[1:3] == (info.height, info.width) == ((160, 96) if matrix[0] == 0 != matrix[1] else (96, 160))
    assert numbered.corners(read_frames(path, [0.1], 48)[0]) == seen


def test_the_track_that_plays_is_taken(tmp_path: Path) -> None:
    """A still picture as the first of two unmarked video tracks is not the video."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        still, moving = out.add_stream("mjpeg", rate=RATE), out.add_stream("libx264", rate=RATE)
        moving.disposition = av.stream.Disposition.default
        for stream, pix_fmt in ((still, "yuvj420p"), (moving, "yuv420p")):
            stream.width, stream.height, stream.pix_fmt = numbered.WIDTH, numbered.HEIGHT, pix_fmt
        picture = av.VideoFrame.from_ndarray(numbered.picture(1023), format="rgb24")
        out.mux(still.encode(picture) + still.encode(None))
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(numbered.picture(index), format="rgb24")
            frame.pts = index
            out.mux(moving.encode(frame))
        out.mux(moving.encode(None))
    assert probe(path).frames == 40 and numbers(read_frames(path)) == list(range(40))


def test_damage_between_packets_costs_what_it_hits(tmp_path: Path) -> None:
    whole = numbered.write(tmp_path / "a.ts", "h264b", FRAMES)
    data = whole.read_bytes()
    path = tmp_path / "b.ts"
    path.write_bytes(data + bytes(100_000))
    info = probe(path)
    assert info.frames == plain_loop(path) == FRAMES and numbers(read_frames(path)) == list(range(FRAMES))

    middle = len(data) // 2 // 188 * 188
    path.write_bytes(data[:middle] + bytes(100_000) + data[middle:])
    found = numbers(read_frames(path))
    assert probe(path).frames == plain_loop(path) == len(found) >= FRAMES - 25
    assert set(range(40)) | set(range(100, FRAMES)) <= set(found)


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "h264b"), ("mkv", "mpeg4b"), ("avi", "mjpeg"), ("ts", "h264"), ("mpg", "mpeg2b")]
)
@pytest.mark.parametrize("seed", range(3))
def test_frames_used_are_all_that_decode_of_damaged_files(tmp_path: Path, ending: str, codec: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(numbered.write(tmp_path / f"a.{ending}", codec, 60).read_bytes())
    start = len(data) // 4
    for place in rng.integers(start, len(data), 12):
        data[place] ^= int(rng.integers(1, 256))
    if seed == 2:
        data = data[: len(data) * 3 // 4]
    path = tmp_path / f"b.{ending}"
    path.write_bytes(data)
    info = probe(path)
    if info.error:
        assert plain_loop(path) == 0 or ending == "mp4"
        return
    assert info.frames == plain_loop(path) == len(read_frames(path))
    times = np.linspace(0, info.duration, 10)
    assert len(list(pictures_at(path, times.tolist(), info=info))) == 10


def test_a_stream_opens_its_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = numbered.write(tmp_path / "a.mkv", "h264", FRAMES)
    info = look(path)
    opened: list[Any] = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda *given, **options: (opened.append(given), real(*given, **options))[1])
    pieces = list(read_stream(path, info, Clip(4, 96, 160, float(RATE))))
    assert len(opened) == 1 and [len(piece) for piece in pieces] == [32, 32, 32, 32, 12]
    frames = np.concatenate(pieces).astype(int)
    assert (np.abs(frames[1:] - frames[:-1]).mean(axis=(1, 2, 3)) > 1).all()
    assert numbers(pictures_at(path, [k / RATE for k in range(FRAMES)])) == list(range(FRAMES))


def test_names_are_never_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    numbered.write(Path("h264.mp4"), "h264", 10)
    for name in ("file:h264.mp4", "12:30.mp4", "concat:a.mp4", "http:x.mp4", "%03d.mp4", "2026:dd/a.mp4", "-i.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        os.rename(numbered.write(tmp_path / "t.mp4", "h264", 7, first=500), name)
        assert probe(name).frames == 7 and numbers(read_frames(name, [0.0])) == [500], name
    odd = os.fsdecode(b"caf\xe9.mp4")
    os.rename(numbered.write(tmp_path / "t.mp4", "h264", 7, first=500), odd)
    assert numbers(read_frames(odd)) == list(range(500, 507))
    with pytest.raises(ValueError, match="no such file"):
        read_frames("file:gone.mp4", [0.0])


def test_shared_cases(shared_cases: Path) -> None:
    """What the reports that led to this were about."""
    for name, frames, duration in (
        ("plain_control.mp4", 100, 4.0),
        ("h264_avi_b.avi", 100, 4.0),
        ("concat_reset.ts", 120, 4.8),
        ("gap.mkv", 100, 4.0),
        ("thumb_track.mov", 100, 4.0),
    ):
        path = shared_cases / name
        info = probe(path)
        assert info.frames == plain_loop(path) == frames and info.duration == pytest.approx(duration), name
        found = numbers(read_frames(path))
        assert all(b - a in (1, -59) for a, b in itertools.pairwise(found)), name
    for name, seen in (("hflip.mp4", "br--"), ("vflip.mp4", "--rb")):
        assert numbered.corners(read_frames(shared_cases / name)[0]) == seen
    assert "animated WebP" in probe(shared_cases / "anim.webp").error


@pytest.mark.parametrize("clip", [Clip(4, 32, 16), (4, 32, 16), "4x32x16@5"])
def test_the_middle_of_a_video_is_its_own_frames(tmp_path: Path, clip: Any) -> None:
    path = numbered.write(tmp_path / "a.mkv", "h264", 30)
    info = look(path)
    assert read_middle(path, info, clip).shape == (3, 4, 32, 16, 3)
    assert read_middle(path, info, clip, 100).shape == (1, 30, 32, 16, 3)
    middle = read_middle(path, info, clip, 8)
    assert middle.shape == (1, 8, 32, 16, 3)
    assert np.array_equal(middle[0], read_middle(path, info, clip, 100)[0, 11:19])
