"""Copies of clips: found by content, named where they spoil a comparison; and files that change after the scan."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from searchspace.clip import Clip
from tests.video import numbered
from video import FolderSource
from video.asked import Files
from video.copies import find_copies
from video.labelled import labelled_videos
from video.scan import ScanCache
from video.views import CENTRE

CLIP = Clip(2, 16, 16, 5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of four clips, all different, in train, and of one in val."""
    places = [("train", name, index) for name in ("run", "sit") for index in range(4)]
    places += [("val", name, 0) for name in ("run", "sit")]
    for count, (side, name, index) in enumerate(places):
        place = tmp_path / side / name
        place.mkdir(parents=True, exist_ok=True)
        numbered.write(place / f"{side}{index}.mp4", "h264", 10, first=50 * count)
    return tmp_path


def test_different_clips_are_no_copies(folder: Path) -> None:
    source = FolderSource(folder, CLIP)
    assert source.copies == () and source.notes == ()


@pytest.mark.parametrize(
    ("origin", "copy", "words"),
    [
        ("train/run/train0.mp4", "val/run/other.mp4", "1 clip is in both train and val"),
        ("train/run/train0.mp4", "train/sit/other.mp4", "1 clip is under two labels"),
        ("train/run/train0.mp4", "val/sit/other.mp4", "1 clip is under two labels"),
        ("train/run/train0.mp4", "train/run/other.mp4", "1 clip is twice in one side"),
    ],
)
def test_copies_are_named(folder: Path, origin: str, copy: str, words: str) -> None:
    shutil.copy(folder / origin, folder / copy)
    source = FolderSource(folder, CLIP)
    assert [set(group) for group in source.copies] == [{origin, copy}]
    note = next(note for note in source.notes if note.startswith(words))
    assert origin in note and copy in note


def test_ends_and_middles_are_compared_and_digests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    big = bytearray(rng.integers(0, 256, 500_000, np.uint8).tobytes())
    contents = {"a": bytes(big), "b": bytes(big)}
    big[250_000] ^= 1
    contents["middle"] = bytes(big)
    big[-1] ^= 1
    contents["end"] = bytes(big)
    contents |= {"c": b"small", "d": b"small", "e": b"smell", "empty1": b"", "empty2": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    cache = tmp_path / "cache" / "scan.json"
    names = [*contents, "gone"]
    assert find_copies(ScanCache(tmp_path, cache), names) == [("a", "b"), ("c", "d")]
    monkeypatch.setattr("video.copies.hashlib", None)  # nothing is read again
    assert find_copies(ScanCache(tmp_path, cache), names) == [("a", "b"), ("c", "d")]


def test_a_file_that_changed_after_the_scan_is_told_at_its_first_opening(folder: Path) -> None:
    source = FolderSource(folder, CLIP, cache_bytes=0)
    name = source.names("weights")[0]
    source.item("weights", 0)
    path = folder / name
    before = path.read_bytes()
    numbered.write(path, "h264", 30)
    source.item("weights", 0)  # opened before: looked at once in each process
    again = source.at(Clip(2, 24, 24, 5.0))
    with pytest.raises(ValueError, match=f"{name}' has changed since the videos were looked through .*bytes then"):
        again.item("weights", 0)
    path.write_bytes(before)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match="its time of change differs"):
        source.at(CLIP).item("weights", 0)
    path.unlink()
    with pytest.raises(ValueError, match="is gone since"):
        source.at(CLIP).item("weights", 0)


def test_evaluation_tells_it_too(folder: Path) -> None:
    _, items, _ = labelled_videos(folder)
    videos = Files(items, CLIP)
    numbered.write(items[0].path, "h264", 30)
    with pytest.raises(ValueError, match="has changed"):
        videos.clips(0, [CENTRE])
    with pytest.raises(ValueError, match="has changed"):
        next(videos.stream(0))
    assert videos.clips(1, [CENTRE])[0].shape == (2, 16, 16, 3)
