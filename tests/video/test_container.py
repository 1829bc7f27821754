"""Opening files: what is not one, how much reading one may cost, which errors are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.video import numbered
from video import probe, read_frames
from video.container import not_a_file
from video.limits import Limits, limits

WEBP = b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + bytes(8) + b"ANIM\x06\0\0\0" + bytes(60)


def test_pipes_devices_and_folders_have_errors_of_their_own(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, words in (
        (tmp_path / "pipe.mp4", "it is a pipe, not a file"),
        (Path("/dev/null"), "it is a device, not a file"),
        (tmp_path, "it is a folder, not a file"),
        (tmp_path / "gone.mp4", "there is no such file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        assert not_a_file(path).startswith(words) and probe(path).error.startswith(words)
        with pytest.raises(ValueError, match=f"cannot decode .*{words}"):
            read_frames(path, [0.0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (WEBP, "animated WebP, which FFmpeg does not decode"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(40), "a still image"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\na.ts\n", "a play list"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "a play list"),
        (b"", "it is empty"),
    ],
)
def test_the_reason_is_true(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert reason in probe(tmp_path / "a").error


@pytest.mark.parametrize("ending", ["h264", "m2v", "hevc", "mjpeg", "mpg", "ts", "mp4", "avi", "mkv", "obu"])
def test_a_file_of_zeros_is_given_up_within_bytes(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVINAS_READ_BYTES", str(4 << 20))
    path = tmp_path / f"zeros.{ending}"
    with open(path, "wb") as file:
        file.truncate(10 << 30)
    root = str(Path(__file__).resolve().parents[2])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30));"
        f"sys.path.insert(0, {root!r}); import video; print(video.probe({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "error='" in done.stdout and "error=''" not in done.stdout, done.stderr


def test_zeros_behind_frames_cost_a_part_of_the_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ending, codec in (("ts", "h264"), ("h264", "h264"), ("m2v", "mpeg2")):
        if ending != "ts":  # which is read at its end too before it opens
            monkeypatch.setenv("MOVINAS_READ_BYTES", str(2 << 20))
        path = numbered.write(tmp_path / f"a.{ending}", codec, 60)
        with open(path, "r+b") as file:
            file.truncate(8 << 30)
        info = probe(path)
        assert info.error == "" and 58 <= info.frames <= 60 and info.broken == 1, ending
        assert numbered.numbers(read_frames(path, [0.0, 1.0])) == [0, 25]


def test_time_runs_while_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of time does not count what a reader does between frames."""
    path = numbered.write(tmp_path / "a.mp4", "h264", 20)
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    monkeypatch.setattr("video.container.time.monotonic", clock)
    monkeypatch.setenv("MOVINAS_READ_SECONDS", "5")
    from video.decode import pictures_at

    pictures = pictures_at(path, [k / 25 for k in range(20)])
    for _ in range(20):
        next(pictures)
        now += 100.0
    monkeypatch.setenv("MOVINAS_READ_SECONDS", "0.0005")
    assert "no frame of it in" in probe(path).error


@pytest.mark.parametrize("variable", ["MOVINAS_READ_BYTES", "MOVINAS_READ_SECONDS", "MOVINAS_ITEM_SECONDS"])
def test_limits_come_from_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == Limits()
    monkeypatch.setenv(variable, "7")
    assert 7 in (limits().read_bytes, limits().read_seconds, limits().item_seconds)
    for text in ("0", "-1", "many", "nan", "inf"):
        monkeypatch.setenv(variable, text)
        with pytest.raises(ValueError, match=f"{variable}='{text}' is not allowed: give a number above 0"):
            limits()


def test_nothing_but_the_file_is_opened(tmp_path: Path) -> None:
    """A MOV whose samples lie in another file by reference is not followed there."""
    path = numbered.write(tmp_path / "a.mov", "mjpeg", 5)
    data = path.read_bytes().replace(
        b"dref\0\0\0\0\0\0\0\x01\0\0\0\x0curl \0\0\0\x01", b"dref\0\0\0\0\0\0\0\x01\0\0\0\x0curl \0\0\0\0"
    )
    path.write_bytes(data)
    assert probe(path).frames in (0, 5)
