"""Folders of videos: layouts, scan and its cache, items, and every refusal."""

import json
import os
import pickle
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from searchspace.clip import Clip
from tests.video.conftest import write
from video import FolderSource, VideoInfo, probe
from video.sampling import GRID
from video.scan import ScanCache, scan

CLIP = Clip(4, 16, 16, 5.0)


def _probe_or_die(path: Path) -> VideoInfo:
    """Stands for a decoder with a bug."""
    if path.name == "s02.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    return probe(path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 6 and 5 training videos with a validation side, and some files that are no videos."""
    root = tmp_path_factory.mktemp("data") / "set"
    for name, count in (("run", 6), ("sit", 5)):
        for i in range(count):
            below = "deep/er" if i == 0 else ""
            write(root / "train" / name / below / f"s{i:02d}.mp4", 12 + i, options={"crf": "5"})
    for name in ("run", "sit"):
        write(root / "val" / name / "v.mkv", 12, "ffv1", pix_fmt="yuv444p")
    (root / "train" / "run" / ".hidden.mp4").write_bytes(b"x")
    (root / "train" / "run" / ".hidden").mkdir()
    write(root / "train" / "run" / ".hidden" / "a.mp4", 3)
    (root / "train" / "sit" / "notes.txt").write_text("words\n" * 100)
    (root / "train" / "sit" / "empty.mp4").write_bytes(b"")
    return root


def test_layout_with_train_and_val(dataset: Path) -> None:
    source = FolderSource(dataset, CLIP)
    assert source.classes == ("run", "sit")
    assert dict(source.parts) == {"weights": 7, "controller": 2, "rescoring": 2, "val": 2}
    assert [name for name, _ in source.skipped] == ["train/sit/empty.mp4", "train/sit/notes.txt"]
    assert source.notes[0] == "2 files do not decode and are skipped"
    names = [name for part in ("weights", "controller", "rescoring") for name in source.names(part)]
    assert len(set(names)) == 11 and "train/run/deep/er/s00.mp4" in names
    assert source.names("val") == ["val/run/v.mkv", "val/sit/v.mkv"]
    assert source.labels("val").tolist() == [0, 1]
    for part in source.parts:
        assert {0, 1} == set(source.labels(part).tolist())


def test_the_list_of_files_is_hashed_once(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FolderSource(dataset, CLIP)
    first = source.describe()
    monkeypatch.setattr("video.folder.hashlib.sha256", lambda *_: pytest.fail("hashed again"))
    assert source.describe() == first == source.at((2, 8, 8)).describe()


def test_layout_without_a_split(dataset: Path) -> None:
    source = FolderSource(dataset / "train", (4, 16, 16))
    assert source.clip == CLIP and source.at("2x8x8").clip == Clip(2, 8, 8)
    assert set(source.parts) == {"weights", "controller", "rescoring"}
    assert source.names("rescoring") == [
        n.removeprefix("train/") for n in FolderSource(dataset, CLIP).names("rescoring")
    ]


def test_items_do_not_depend_on_caches_order_or_process(dataset: Path) -> None:
    cached, bare = FolderSource(dataset, CLIP, seed=3), FolderSource(dataset, CLIP, seed=3, cache_bytes=0)
    for training in (True, False):
        frames, labels = cached.batch("weights", [3, 0, 6, 3], 2, training)
        assert frames.shape == (4, 4, 16, 16, 3) and frames.dtype == np.uint8
        for index, row, label in zip([3, 0, 6, 3], frames, labels, strict=True):
            alone, its_label = bare.item("weights", index, 2, training)
            assert np.array_equal(alone, row) and its_label == label
    again = pickle.loads(pickle.dumps(cached))
    assert not again._kept.videos
    assert np.array_equal(again.item("weights", 3, 2, True)[0], cached.item("weights", 3, 2, True)[0])


def test_training_varies_with_epoch_and_evaluation_does_not(dataset: Path) -> None:
    source = FolderSource(dataset, CLIP)
    crops = [source.item("weights", 0, epoch, training=True)[0] for epoch in range(4)]
    assert not any(np.array_equal(crops[0], other) for other in crops[1:])
    assert np.array_equal(source.item("weights", 0, 0)[0], source.item("weights", 0, 5)[0])
    other_seed = FolderSource(dataset / "train", CLIP, seed=9)
    assert other_seed.describe()["digest"] != FolderSource(dataset / "train", CLIP).describe()["digest"]


def test_frames_are_those_of_the_clip_s_frame_rate(dataset: Path) -> None:
    """Videos of 10 pictures a second that brighten by 7 each: at 5 a second a clip brightens by 14 a frame."""
    source = FolderSource(dataset, CLIP)
    for view in (0, 1, 2):
        frames, _ = source.item("weights", 0, view=view)
        assert np.allclose(np.diff(frames.mean(axis=(1, 2, 3))), 14, atol=1.5)
    first = {float(source.item("weights", 0, view=view)[0][0].mean().round()) for view in (0, 1, 2)}
    assert len(first) > 1
    faster = source.at(Clip(4, 16, 16, 10.0))
    assert np.allclose(np.diff(faster.item("weights", 0)[0].mean(axis=(1, 2, 3))), 7, atol=1.5)
    assert faster.names("weights") == source.names("weights")


def test_long_videos_are_read_piece_by_piece_with_the_same_result(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FolderSource(dataset, CLIP).item("weights", 1, 4, True)[0]
    monkeypatch.setattr("video.folder._WHOLE_AT_MOST", 2 * GRID)
    pieces = FolderSource(dataset, CLIP)
    assert np.array_equal(pieces.item("weights", 1, 4, True)[0], whole)
    assert not pieces._kept.videos


def test_scan_cache_is_used_renewed_and_survives_damage(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(dataset / "train", root)
    cache = tmp_path / "run" / "scan.json"
    seen: list[tuple[int, int]] = []
    first = FolderSource(root, CLIP, scan_cache=cache, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 13) for i in range(14)]
    assert len(json.loads(cache.read_text())["files"]) == 13
    before = cache.stat().st_mtime_ns

    seen.clear()
    again = FolderSource(root, CLIP, scan_cache=cache, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(13, 13)] and again.describe() == first.describe() and cache.stat().st_mtime_ns == before

    write(root / "run" / "s01.mp4", 30)
    (root / "run" / "s02.mp4").unlink()
    seen.clear()
    third = FolderSource(root, CLIP, scan_cache=cache, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(11, 12), (12, 12)] and third.describe()["digest"] != first.describe()["digest"]
    assert len(json.loads(cache.read_text())["files"]) == 12

    whole = cache.read_text()
    damages = ['{"version": 2', "[]", '{"version": 2, "root": 3, "files": {}}', "null", "[" * 100_000]
    damages += [
        whole.replace('"fps": 10.0', value) for value in ('"fps": "ten"', '"fps": NaN', '"fps": -1.0', '"f": 1.0')
    ]
    for damage in damages:
        assert damage != whole
        cache.write_text(damage)
        assert FolderSource(root, CLIP, scan_cache=cache).describe() == third.describe()


def test_scan_in_worker_processes_finds_the_same(dataset: Path) -> None:
    assert FolderSource(dataset, CLIP, workers=2).describe() == FolderSource(dataset, CLIP).describe()


def test_a_file_that_crashes_the_decoder_is_named_and_the_others_are_scanned(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["run/s01.mp4", "run/s02.mp4", "run/s03.mp4", "sit/empty.mp4"]
    expected = scan(ScanCache(dataset / "train"), names)
    monkeypatch.setattr("video.scan.probe", _probe_or_die)
    found = scan(ScanCache(dataset / "train"), names, workers=2)
    lost = found.pop("run/s02.mp4").info
    assert lost is not None and "its process died" in lost.error
    assert found == {name: entry for name, entry in expected.items() if name != "run/s02.mp4"}


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    for name in ("run", "sit"):
        for person in range(5):
            for take in range(2):
                write(tmp_path / name / f"s{person}_t{take}.avi", 6, "mjpeg", pix_fmt="yuvj420p")
    source = FolderSource(tmp_path, CLIP, group=r"s(\d)_")
    people = {part: set(re.findall(r"s(\d)_", " ".join(source.names(part)))) for part in source.parts}
    assert len(set.union(*people.values())) == sum(len(group) for group in people.values()) == 5
    with pytest.raises(ValueError, match="does not match"):
        FolderSource(tmp_path, CLIP, group=r"p(\d)_")


def test_same_file_name_in_two_classes_is_not_one_group(tmp_path: Path) -> None:
    for name in ("run", "sit"):
        for i in range(3):
            write(tmp_path / name / f"{i}.avi", 3, "mjpeg", pix_fmt="yuvj420p")
    assert dict(FolderSource(tmp_path, CLIP).parts) == {"weights": 2, "controller": 2, "rescoring": 2}


def test_refusals(tmp_path: Path) -> None:
    def refused(match: str, **options: object) -> None:
        with pytest.raises(ValueError, match=match) as error:
            FolderSource(tmp_path / "set", CLIP, **options)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)

    root = tmp_path / "set"
    refused("does not exist")
    root.write_text("a file")
    refused("is a file")
    root.unlink()
    root.mkdir()
    refused("no sub-folders")
    write(root / "loose.mp4", 3)
    refused("no sub-folders")
    (root / "run").mkdir()
    refused("no files")
    (root / "run" / "a.txt").write_text("words")
    refused("single class, 'run': training needs at least two")
    (root / "sit").mkdir()
    (root / "sit" / "b.mp4").write_text("words")
    refused("none of the 2 files")
    for i in range(3):
        write(root / "run" / f"{i}.avi", 3, "mjpeg", pix_fmt="yuvj420p")
    refused("class 'sit' has 0 usable videos")
    for i in range(2):
        write(root / "sit" / f"{i}.avi", 3, "mjpeg", pix_fmt="yuvj420p")
    refused("class 'sit' has 2 usable videos: at least 3")
    refused("not a regular expression", group="(")
    refused("round brackets", group="a")
    refused("seed", seed=-1)


def test_refusals_of_a_validation_side(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(dataset, root)
    (root / "val" / "fly").mkdir()
    write(root / "val" / "fly" / "a.avi", 3, "mjpeg", pix_fmt="yuvj420p")
    with pytest.raises(ValueError, match="validation class 'fly'"):
        FolderSource(root, CLIP)
    shutil.rmtree(root / "val")
    (root / "val" / "run").mkdir(parents=True)
    with pytest.raises(ValueError, match="no files in class folders"):
        FolderSource(root, CLIP)
    (root / "val" / "run" / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 1 files in .*val"):
        FolderSource(root, CLIP)


def test_links_in_a_circle_and_unused_sides(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(dataset, root)
    (root / "train" / "run" / "loop").symlink_to(root / "train" / "run", target_is_directory=True)
    (root / "test" / "run").mkdir(parents=True)
    source = FolderSource(root, CLIP)
    assert source.parts == FolderSource(dataset, CLIP).parts
    assert "test" in source.notes[0] and "unused" in source.notes[0]


def test_a_file_that_vanishes_after_the_scan_is_named(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(dataset / "train", root)
    source = FolderSource(root, CLIP)
    name = source.names("weights")[0]
    (root / name).unlink()
    with pytest.raises(ValueError, match=re.escape(Path(name).name)):
        source.item("weights", 0)


def test_real_recordings(shared_video: Path) -> None:
    source = FolderSource(shared_video / "mex_depth" / "train", CLIP, group=r"s(\d+)")
    assert len(source.classes) == 7 and not source.skipped
    assert sum(source.parts.values()) == 350 and 55 <= source.parts["rescoring"] <= 85
    people = [set(re.findall(r"/s(\d+)_", " ".join(source.names(part)))) for part in source.parts]
    assert sum(len(group) for group in people) == len(set.union(*people)) == 22
    frames, _ = source.batch("rescoring", range(4))
    assert frames.std() > 5
