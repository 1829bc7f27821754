"""The demo folder is a data folder that the folder source takes, and shows the clips that went in."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from searchspace.clip import Clip
from video import FolderSource, MotionSource, contact_sheet, export_demo, probe, read_frames

CLIP = Clip(8, 32, 32, 5.0)


def test_demo_is_a_data_folder_with_the_same_clips(tmp_path: Path) -> None:
    source = MotionSource(2, Clip(16, 32, 32, 10.0))
    seen: list[tuple[int, int]] = []
    count = export_demo(tmp_path / "demo", source, train=3, val=1, progress=lambda *step: seen.append(step))
    assert count == 72 and seen[-1] == (72, 72)
    assert not list((tmp_path / "demo").rglob(".*"))
    folder = FolderSource(tmp_path / "demo", CLIP)
    assert sorted(source.classes) == list(folder.classes)
    assert dict(folder.parts) == {"weights": 18, "controller": 18, "rescoring": 18, "val": 18}
    index = 5
    frames, label = source.item("weights", index)
    path = tmp_path / "demo" / "train" / source.classes[label] / "0000.mp4"
    assert abs(probe(path).duration - 1.6) < 1e-6
    written = read_frames(path).mean(axis=3)  # brightness: the colours are stored at half the resolution
    assert np.corrcoef(written.ravel(), frames.mean(axis=3).ravel())[0, 1] > 0.98


def test_demo_refuses_what_it_would_overwrite_or_cannot_write(tmp_path: Path) -> None:
    source = MotionSource(2, CLIP)
    (tmp_path / "a").write_text("something")
    with pytest.raises(ValueError, match="not empty"):
        export_demo(tmp_path, source, 1, 0)
    with pytest.raises(ValueError, match="not empty"):
        export_demo(tmp_path / "a", source, 1, 0)
    with pytest.raises(ValueError, match="even height"):
        export_demo(tmp_path / "b", MotionSource(2, Clip(8, 31, 32, 5.0)), 1, 0)
    with pytest.raises(ValueError, match="at least 1"):
        export_demo(tmp_path / "b", source, 0, 0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_contact_sheet(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", MotionSource(0, CLIP), size=24)
    picture = matplotlib.image.imread(tmp_path / "sheet.png")
    assert picture.shape[0] > 9 * 24 and picture.shape[1] > 2 * 10 * 24
    assert picture[..., :3].std() > 0.1
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.png"]
