"""What a look through a data set found is kept for all runs over it, and where."""

import os
from pathlib import Path

import pytest

import networks
from tests.training.tiny import trained_run
from tests.training.video_folders import Looks, folder
from training.evaluation.evaluation_data import open_videos
from training.open_data import open_source, scan_file
from video import FolderSource


def test_a_second_run_does_not_look_through_the_videos_again(tmp_path: Path) -> None:
    data, looks = folder(tmp_path / "data"), Looks()
    for number, clip in enumerate(("4x16x16@5", "2x8x8@5", "4x16x16@5")):
        run = tmp_path / f"run-{number}"
        run.mkdir()
        source = open_source(str(data), clip, seed=number, group=None, workers=0, folder=run, progress=looks)
        assert not list(run.iterdir()) and len(source.classes) == 2
    assert looks.first == [(0, 16), (16, 16), (16, 16)]
    (data / "train" / "c" / "0.mkv").touch()
    open_source(str(data), "4x16x16@5", seed=0, group=None, workers=0, folder=tmp_path, progress=looks)
    assert looks.first[-1] == (15, 16)


@pytest.mark.parametrize("sides", [("train", "val"), ("",)])
def test_neither_does_a_second_evaluation(tmp_path: Path, sides: tuple[str, ...]) -> None:
    data, looks = folder(tmp_path / "data", sides), Looks()
    source = FolderSource(data, (4, 32, 32))
    for name in ("one", "two"):
        trained = networks.load(trained_run(tmp_path / name, ("a b", "c"), data=source.describe()))
        open_videos(trained, home=tmp_path / name, progress=looks)
    assert looks.first == [(0, 8), (8, 8)]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"checkpoints"}


def test_each_data_set_has_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOVINAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    own = scan_file("a", otherwise=tmp_path)
    assert own.parent == tmp_path / "cache" / "movinas"
    assert own == scan_file(tmp_path / "a", otherwise=tmp_path) == scan_file("link", otherwise=tmp_path)
    others = [scan_file("b", otherwise=tmp_path), scan_file("a", "v", otherwise=tmp_path)]
    assert len({own, *others, scan_file("a", part="judged", otherwise=tmp_path)}) == 4
    assert scan_file(os.fsdecode(b"\xff"), otherwise=tmp_path).parent == own.parent
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert scan_file("a", otherwise=tmp_path) == tmp_path / "home" / ".cache" / "movinas" / own.name


def test_where_it_cannot_be_kept_it_stays_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOVINAS_CACHE", str(tmp_path / "file" / "below"))
    assert scan_file("a", otherwise=tmp_path / "scan.json") == tmp_path / "scan.json"
    data, looks = folder(tmp_path / "data"), Looks()
    for _ in range(2):
        open_source(str(data), "4x16x16", seed=0, group=None, workers=0, folder=tmp_path, progress=looks)
    assert looks.first == [(0, 16), (16, 16)] and (tmp_path / "scan.json").is_file()
