"""Annotation files over folders of clips in the namings that people have."""

import shutil
from pathlib import Path

import pytest

from searchspace import Clip
from tests.video.conftest import write
from video import FolderSource
from video.kinetics import find_clips
from video.labelled import labelled_videos, listing

HEAD = "label,youtube_id,time_start,time_end,split\n"
CLIP = Clip(4, 16, 16, 5.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clip") / "clip.mkv", 12, "ffv1", pix_fmt="bgr0")


def data(root: Path, rows: str, files: list[str], clip: Path) -> Path:
    for name in files:
        (root / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, root / "clips" / name)
    (root / "annotations.csv").write_text(HEAD + rows)
    return root / "annotations.csv"


def test_every_naming_is_found_and_what_is_missing_is_listed(tmp_path: Path, clip: Path) -> None:
    rows = (
        "riding a bike,-abc_1,5,15,train\n"
        "riding a bike,b_2,0,10,train\n"
        "abseiling,c3,12,22,train\n"
        "abseiling,d4,1,11,validate\n"
        "abseiling,e5,1,11,train\n"
        "riding a bike,f6,1,11,test\n"
    )
    files = [
        "riding_a_bike/-abc_1_000005_000015.mp4", "b_2_0_10.webm", "abseiling/c3.mkv", "val/x/d4_000001_000011.avi",
        "f6_000001_000011.mp4", "other/c3.mp4", "f6_000002_000012.mp4", ".hidden/e5.mp4",
    ]  # fmt: skip
    annotations = data(tmp_path, rows, files, clip)
    found = find_clips(annotations, tmp_path / "clips")
    assert found.classes == ("abseiling", "riding a bike")
    assert [(file.name, file.label) for file in found.train] == [
        ("riding_a_bike/-abc_1_000005_000015.mp4", 1), ("b_2_0_10.webm", 1), ("abseiling/c3.mkv", 0),
    ]  # fmt: skip
    assert [file.name for file in found.val] == ["val/x/d4_000001_000011.avi"]
    assert found.missing == ("e5_000001_000011",)
    assert found.notes == ("1 of 6 clips of annotations.csv are missing", "1 test clips stay unused")
    classes, items, notes = labelled_videos(annotations, tmp_path / "clips")
    assert classes == found.classes and [item.label for item in items] == [0] and len(notes) == 2


def test_a_source_of_annotations_trains_and_validates(tmp_path: Path, clip: Path) -> None:
    rows = "".join(f"{'ab'[i % 2]},id{i},0,10,{'val' if i >= 8 else 'train'}\n" for i in range(10))
    annotations = data(tmp_path, rows, [f"id{i}.mkv" for i in range(10)], clip)
    source = FolderSource(annotations, CLIP, videos=tmp_path / "clips")
    assert source.classes == ("a", "b") and source.parts["val"] == 2 and sum(source.parts.values()) == 10
    assert source.item("weights", 0, training=True)[0].shape == (4, 16, 16, 3)
    assert source.describe()["annotations"] == str(annotations.resolve()) and source.missing == ()
    assert listing(annotations)[0] == tmp_path  # beside the file where nothing else is said
    assert FolderSource(annotations, CLIP).names("val") == ["clips/id8.mkv", "clips/id9.mkv"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column 'label'"),
        (HEAD, "has no rows"),
        (HEAD + "a,x,0,10,train\na,y,0,10,train\n", "a single class, 'a'"),
        (HEAD + "a,x,0,10,train\nb,y,0,10,dev\n", "row 3: split is 'dev'"),
        (HEAD + ",x,0,10,train\nb,y,0,10,train\n", "row 2: no label"),
        (HEAD + "a,x,0,10,train\nb,y,0,10,train\n", "none of the 2 clips"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "k.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        find_clips(tmp_path / "k.csv", tmp_path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"k\.csv: no such file"):
        find_clips(tmp_path / "k.csv", tmp_path)
    (tmp_path / "k.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        find_clips(tmp_path / "k.csv", tmp_path)
    (tmp_path / "k.csv").write_text(HEAD + "a,x,0,10,train\nb,y,0,10,train\n")
    with pytest.raises(ValueError, match="'/no/such' does not exist"):
        find_clips(tmp_path / "k.csv", Path("/no/such"))
    with pytest.raises(ValueError, match="goes with an annotation file"):
        listing(tmp_path, tmp_path)


def test_data_check_counts_and_lists_what_is_missing(tmp_path: Path, clip: Path) -> None:
    import json
    import subprocess
    import sys

    rows = "".join(f"{'ab'[i % 2]},id{i},0,10,train\n" for i in range(34))
    annotations = data(tmp_path, rows, [f"id{i}.mkv" for i in range(10)], clip)
    words = ["data", "check", str(annotations), "--videos", str(tmp_path / "clips"), "--workers", "0"]
    command = [sys.executable, "-m", "experiments.cli", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "note: 24 of 34 clips of annotations.csv are missing" in told
    assert told.count("\n  id") == 20 and "and 4 more (--json lists them)" in told
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert len(found["missing"]) == 24 and sum(found["parts"].values()) == 10
