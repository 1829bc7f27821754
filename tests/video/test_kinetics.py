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
        (HEAD + "a,x,0,10,train\nb,y,0,10,dev\n", "line 3: split is 'dev'"),
        (HEAD + "a,,0,10,train\n\na,x,0,10,train\nb,y,0,10,dev\n", "line 5: split is 'dev'"),
        (HEAD + ",x,0,10,train\nb,y,0,10,train\n", "line 2: no label"),
        (HEAD + f"{'a' * 201},x,0,10,train\nb,y,0,10,train\n", "has 201 characters; allowed: at most 200"),
        (HEAD + "a,x,inf,1e999,train\nb,y,0,10,train\n", "none of the 2 clips"),
        (HEAD + "a,,0,10,train\n", "has no rows with a youtube_id"),
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


def test_blanks_and_spellings_do_not_make_a_class(tmp_path: Path, clip: Path) -> None:
    head = "\ufeff label , youtube_id,time_start,time_end ,split\n"
    rows = (
        "bowling ,b0,0,10,train\n bowling,b1,0,10, TRAIN \nbowling\t,b2 ,0 ,10,train\n\ufeffbowling,b3,0,10,train\n"
        'cafe\u0301,c0,0,10,train\ncaf\u00e9,c1,0,10,validate\n,,,,\n"bowling\n",b4,0,10,val\n'
    )
    annotations = data(tmp_path, "", [*(f"b{i}.mkv" for i in range(5)), "c0.mkv", "c1.mkv"], clip)
    annotations.write_text(head + rows, encoding="utf-8")
    found = find_clips(annotations, tmp_path / "clips")
    assert found.classes == ("bowling", "caf\u00e9") and found.notes == ()
    assert [file.label for file in found.train] == [0, 0, 0, 0, 1] and [file.label for file in found.val] == [1, 0]


def test_clips_that_unicode_spells_in_two_ways_are_found(tmp_path: Path, clip: Path) -> None:
    annotations = data(tmp_path, "a,e\u0301te\u0301,0,10,train\nb,\u00fcber,0,10,train\n", [], clip)
    (tmp_path / "clips").mkdir()
    for name in ("\u00e9t\u00e9_000000_000010.mkv", "u\u0308ber.mkv"):
        shutil.copy(clip, tmp_path / "clips" / name)
    found = find_clips(annotations, tmp_path / "clips")
    assert not found.missing and [file.name for file in found.train] == [
        "\u00e9t\u00e9_000000_000010.mkv",
        "\u00fcber.mkv",
    ]
    assert [(tmp_path / "clips" / file.path).is_file() for file in found.train] == [True, True]


def test_what_counts_once_or_not_at_all_is_told(tmp_path: Path, clip: Path) -> None:
    rows = "Run,x,0,10,train\nRun,x,0,10,train\nrun,y,0,10,train\nRun,,0,10,train\nrun,z,0,10,train\n"
    found = find_clips(data(tmp_path, rows, ["x.mkv", "y.mkv", "z.mkv"], clip), tmp_path / "clips")
    assert [file.name for file in found.train] == ["x.mkv", "y.mkv", "z.mkv"]
    assert found.notes == (
        "1 rows of annotations.csv have no youtube_id and are left out, the first in line 5",
        "1 rows of annotations.csv name a clip again, and count once",
        "classes 'Run' and 'run' differ in case, blanks or underscores only, and count as two",
    )


def test_a_single_class_can_be_judged_but_not_trained_on(tmp_path: Path, clip: Path) -> None:
    annotations = data(tmp_path, "a,x,0,10,train\na,y,0,10,train\n", ["x.mkv", "y.mkv"], clip)
    classes, items, _ = labelled_videos(annotations, tmp_path / "clips")
    assert classes == ("a",) and len(items) == 2
    with pytest.raises(ValueError, match=r"annotations\.csv' has a single class, 'a': training needs at least two"):
        FolderSource(annotations, CLIP, videos=tmp_path / "clips")
    annotations.write_text(HEAD + "a,x,0,10,val\nb,y,0,10,test\n")
    with pytest.raises(ValueError, match=r"has no training videos, only those of annotations\.csv"):
        FolderSource(annotations, CLIP, videos=tmp_path / "clips")
