"""Decoding: colours, time stamps, rotation, shapes, damage; with files written here and the shared collection."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video.conftest import picture, write
from video import probe, read_frames

CODECS = [
    ("a.mp4", "libx264", "yuv420p", {"crf": "5"}),
    ("b.mkv", "libx264", "yuv444p", {"crf": "5"}),
    ("c.mp4", "libx265", "yuv420p10le", {"crf": "5", "x265-params": "log-level=none"}),
    ("d.webm", "libvpx-vp9", "yuv420p", {"crf": "5"}),
    ("e.avi", "mpeg4", "yuv420p", {"qscale": "2"}),
    ("f.avi", "mjpeg", "yuvj420p", {}),
    ("g.mkv", "ffv1", "bgr0", {}),
    ("h.mkv", "ffv1", "gray", {}),
    ("i.ts", "libx264", "yuv420p", {"crf": "5"}),
    ("j.mov", "libx264", "yuv420p", {"crf": "5", "bf": "3"}),
    ("NO_EXTENSION", "mpeg4", "yuv420p", {}),
    ("ünï cödé's.MP4", "libx264", "yuv420p", {"crf": "5"}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), CODECS)
def test_codecs_give_the_pictures_that_went_in(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    container = "avi" if name == "NO_EXTENSION" else None
    path = write(tmp_path / name, 20, codec, 10, pix_fmt, container=container, options=options)
    info = probe(path)
    assert info.error == "" and info.broken == 0
    assert info.frames == 20 and (info.height, info.width) == (48, 64)
    assert abs(info.duration - 2.0) < 0.02 and abs(info.fps - 10) < 0.1
    frames = read_frames(path)
    assert frames.shape == (20, 48, 64, 3) and frames.dtype == np.uint8
    expected = np.stack([picture(i) for i in range(20)]).astype(int)
    assert np.abs(frames.astype(int) - expected).mean() < 3.0


def test_gif(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gif", 8, "gif", 10, "rgb8")
    info = probe(path)
    assert info.frames == 8 and abs(info.duration - 0.8) < 0.02
    assert read_frames(path, [0.0, 0.7]).shape == (2, 48, 64, 3)


def brightness(frames: np.ndarray) -> list[int]:
    """The index that each frame shows, see `picture`."""
    return [round((float(frame[:, 2:6].mean()) - 21.7) / 7) for frame in frames]


def test_times_choose_the_nearest_frame_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 20, options={"crf": "1"})
    times = [1.94, 0.0, 0.04, 0.06, 1.0, -3.0, 99.0, 0.96, 1.0]
    assert brightness(read_frames(path, times)) == [19, 0, 0, 1, 10, 0, 19, 10, 10]


def test_variable_frame_rate_goes_by_time_stamps(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 10, 20, 30, 31, 32, 40]
    path = write(tmp_path / "a.mkv", 10, pts=pts, options={"crf": "1"})
    info = probe(path)
    assert info.frames == 10 and 4.0 < info.duration < 4.2
    assert brightness(read_frames(path, [0.0, 0.6, 0.7, 1.4, 1.6, 3.15, 3.5, 3.7])) == [0, 3, 4, 4, 5, 7, 8, 9]


def test_first_time_stamp_need_not_be_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", 5, pts=[100, 101, 102, 103, 104], options={"crf": "1"})
    assert abs(probe(path).duration - 0.5) < 0.01
    assert brightness(read_frames(path, [0.0, 0.2, 0.4])) == [0, 2, 4]


def test_seeking_gives_the_frames_that_reading_on_gives(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 150, options={"crf": "8", "g": "25", "bf": "2"}, content=_counter)
    times = [7.2, 9.9, 14.3]
    assert [_count(frame) for frame in read_frames(path, times)] == [72, 99, 143]
    assert np.array_equal(read_frames(path, times), read_frames(path, times, seek=False))


def _counter(index: int, height: int, width: int) -> np.ndarray:
    """The index in eight bars, black for 0 and white for 1."""
    bits = [(index >> k) & 1 for k in range(8)]
    row = np.repeat(np.array(bits) * 200 + 20, width // 8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)


def _count(frame: np.ndarray) -> int:
    bars = frame.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1) > 120
    return int(sum(int(bar) << k for k, bar in enumerate(bars)))


def test_short_side_scales_down_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 3, size=(120, 160))
    assert read_frames(path, short_side=30).shape == (3, 30, 40, 3)
    assert read_frames(path, short_side=500).shape == (3, 120, 160, 3)


def test_odd_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", 3, "ffv1", pix_fmt="yuv444p", size=(47, 61))
    assert read_frames(path).shape == (3, 47, 61, 3)
    assert read_frames(path, short_side=13).shape == (3, 13, 17, 3)


def test_pixels_become_square(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 3, size=(120, 160), aspect=Fraction(4, 3))
    info = probe(path)
    assert (info.height, info.width) == (120, 213)
    assert read_frames(path, short_side=60).shape == (3, 60, 106, 3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p"])
def test_black_and_white_in_limited_and_full_range(tmp_path: Path, pix_fmt: str) -> None:
    def halves(_: int, height: int, width: int) -> np.ndarray:
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, width // 2 :] = 255
        return frame

    path = write(tmp_path / "a.mkv", 2, "mjpeg" if "j" in pix_fmt else "libx264", pix_fmt=pix_fmt, content=halves)
    frame = read_frames(path)[0]
    assert frame[:, :20].max() <= 3 and frame[:, -20:].min() >= 252


def test_bytes_missing_at_the_end_cost_the_frames_there(tmp_path: Path) -> None:
    faststart = {"movflags": "faststart"}
    whole = write(tmp_path / "whole.mp4", 40, options={"crf": "5"}, container_options=faststart, content=_textured)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    info = probe(cut)
    assert info.error == "" and 10 <= info.frames < 40
    assert abs(info.duration - info.frames / 10) < 0.15
    assert len(read_frames(cut)) == info.frames
    assert np.array_equal(read_frames(cut)[:5], read_frames(whole)[:5])


def _textured(index: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (height, width, 3)).astype(np.uint8)


def test_damage_costs_single_packets(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.avi", 30, "mjpeg", pix_fmt="yuvj420p", content=_textured)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    broken = tmp_path / "broken.avi"
    broken.write_bytes(data)
    info = probe(broken)
    assert info.error == "" and 15 <= info.frames <= 30
    assert len(read_frames(broken)) == info.frames


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_escapes_as_another_error(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name, codec, pix_fmt, options = CODECS[seed % 10]
    data = bytearray(write(tmp_path / name, 12, codec, pix_fmt=pix_fmt, options=options).read_bytes())
    for place in rng.integers(0, len(data), rng.integers(1, 200)):
        data[place] = rng.integers(0, 256)
    (tmp_path / name).write_bytes(data[: rng.integers(1, len(data) + 1)])
    info = probe(tmp_path / name)
    if info.error:
        with pytest.raises(ValueError, match="cannot decode"):
            read_frames(tmp_path / name)
    else:
        assert info.frames >= 1 and info.duration > 0
        assert len(read_frames(tmp_path / name, [0.0, info.duration / 2], 16)) == 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "it is empty"),
        ("text.mp4", b"not a video\n" * 50, "nvalid data"),
        ("noise.avi", bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)), "nvalid data"),
        ("readme.txt", b"words and words\n" * 50, "not a video"),
        (
            "list.m3u8",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.mp4\n#EXT-X-ENDLIST\n",
            "not a video",
        ),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    info = probe(tmp_path / name)
    assert reason in info.error and "\n" not in info.error and info.frames == 0
    with pytest.raises(ValueError, match="cannot decode"):
        read_frames(tmp_path / name, [0.0])


def test_still_image_and_missing_file(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 1, "png", pix_fmt="rgb24", container="image2pipe")
    assert "not a video" in probe(tmp_path / "a.png").error
    assert "no such file" in probe(tmp_path / "gone.mp4").error
    assert probe(tmp_path).error


def test_bad_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        read_frames(write(tmp_path / "a.mp4", 2), [float("nan")])


# What the manifest of the shared collection says: frames that decode, height and width as displayed.
SHARED_FRAMES = {
    "h264_30fps_320x240.mp4": (89, 240, 320),
    "rotated90_displaymatrix.mp4": (89, 320, 240),
    "rotated180_displaymatrix.mov": (89, 240, 320),
    "portrait_136x240.mp4": (89, 240, 136),
    "vfr.mp4": (52, 240, 320),
    "no_duration_vp9_vfr.webm": (53, 240, 320),
    "odd_161x119_yuv444.mkv": (89, 119, 161),
    "one_frame.mp4": (1, 120, 160),
    "anamorphic_sar4_3.mp4": (89, 120, 213),
    "wrong_extension.webm": (89, 240, 320),
    "ünï cödé space's.mp4": (89, 240, 320),
    "truncated_faststart.mp4": (38, 240, 320),
    "truncated.avi": (22, 120, 160),
    "bitflips.mp4": (82, 240, 320),
}
SHARED_UNUSABLE = {"truncated_no_moov.mp4", "empty.mp4", "text_not_video.mp4", "audio_only.m4a"}


def test_shared_collection(shared_video: Path) -> None:
    seen = set()
    for path in sorted((shared_video / "made").iterdir()):
        info = probe(path)
        seen.add(path.name)
        assert bool(info.error) == (path.name in SHARED_UNUSABLE), path.name
        if info.error:
            continue
        if path.name in SHARED_FRAMES:
            assert (info.frames, info.height, info.width) == SHARED_FRAMES[path.name]
        frames = read_frames(path, [0.0, info.duration / 2, info.duration], 48)
        assert len(frames) == 3 and min(frames.shape[1:3]) == 48, path.name
    assert seen >= set(SHARED_FRAMES) | SHARED_UNUSABLE


def test_rotation_turns_the_stored_picture(shared_video: Path) -> None:
    made = shared_video / "made"
    upright = read_frames(made / "h264_30fps_320x240.mp4", [1.0])[0].astype(int)
    for name, turns in (("rotated90_displaymatrix.mp4", 1), ("rotated180_displaymatrix.mov", 2)):
        turned = read_frames(made / name, [1.0])[0].astype(int)
        assert np.abs(turned - np.rot90(upright, turns)).mean() < 1.0
        assert np.abs(turned - np.rot90(upright, turns + 2)).mean() > 10.0
